//! Jobs: what tasks get, and how they are run.

use std::{fmt, marker::PhantomData, panic::Location, time::Duration};

use super::{
    cancel::CancelToken,
    options::{Options, ProgressCallback},
    pool::Pool,
    progress::JobProgress,
};
use crate::{
    Result,
    pool::{
        engine::run::{JobStart, Run},
        marker::{FailFast, KeepGoing, NoContext, OnError, TaskContext},
        wire::{message::OutgoingMessage, remote::RemoteFunction},
    },
};

/// A builder for running tasks on a pool.
///
/// [`Pool::job`], [`Pool::with`] and [`Pool::with_init`] make a job. Then set options, and call
/// one of the methods that run the tasks:
///
/// - [`map`](Job::map) returns all results in a vector. Use it if they fit into memory.
/// - [`fold`](Job::fold) combines the results into one value, and keeps none of them.
/// - [`imap`](Job::imap) and [`imap_unordered`](Job::imap_unordered) return an iterator of
///   results. Use them for many or large results, for endless inputs, or to handle results
///   while other tasks run.
/// - [`submit`](Job::submit) starts one task and returns a handle, so that you can do something
///   else.
/// - [`map_axis_chunks`](Job::map_axis_chunks) and [`fill_axis_chunks`](Job::fill_axis_chunks)
///   work on the chunks of an array.
///
/// Each has a `try_` form for functions that return a `Result`.
///
/// # Examples
///
/// ```
/// # fn main() -> ndferry::Result<()> {
/// # ndferry::init();
/// # let pool = ndferry::Pool::builder().workers(2).build()?;
/// use std::time::Duration;
///
/// let texts = ["1", "two", "3"].map(String::from);
/// let numbers = pool
///     .job()
///     .timeout(Duration::from_secs(10)) // for each task
///     .retries(1)
///     .keep_going()
///     .try_map(|text: String| text.parse::<i64>(), texts)?;
/// assert_eq!(*numbers[0].as_ref().unwrap(), 1);
/// assert_eq!(numbers[1].as_ref().unwrap_err().attempt(), 2);
/// # Ok(())
/// # }
/// ```
#[must_use = "a job does nothing until a method such as `map` runs it"]
pub struct Job<'p, K, M = FailFast> {
    pub(crate) pool: Pool,
    pub(crate) context: K,
    pub(crate) options: Options,
    pub(crate) on_progress: Option<ProgressCallback<'p>>,
    mode: PhantomData<M>,
}

/// Options.
impl<'p, K, M> Job<'p, K, M> {
    /// Calls `callback` for each event of the job, in the calling thread.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// use std::cell::Cell;
    ///
    /// let done = Cell::new(0);
    /// pool.job().progress(|progress| done.set(progress.done)).map(|x: u8| x, [1, 2, 3])?;
    /// assert_eq!(done.get(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn progress(mut self, callback: impl FnMut(&JobProgress) + 'p) -> Self {
        self.on_progress = Some(Box::new(callback));
        self
    }

    /// Sets a timeout for each task.
    ///
    /// The time counts from the start of the task in its worker. A task that exceeds it fails
    /// with [`TaskErrorKind::Timeout`](crate::pool::TaskErrorKind::Timeout). Its worker is
    /// killed and replaced. Other tasks are not affected. Threads cannot be killed, so a
    /// timeout needs worker processes.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// use ndferry::pool::TaskErrorKind;
    /// use std::{thread, time::Duration};
    ///
    /// let slow = |seconds: u64| thread::sleep(Duration::from_secs(seconds));
    /// let results = pool.job().timeout(Duration::from_millis(200)).keep_going().map(slow, [0, 600])?;
    /// assert!(results[0].is_ok());
    /// assert_eq!(results[1].as_ref().unwrap_err().kind(), TaskErrorKind::Timeout);
    /// # Ok(())
    /// # }
    /// ```
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.options.timeout = Some(limit);
        self
    }

    /// Sets a time limit for the whole job, counted from the method that runs it.
    ///
    /// When the time is over, running tasks are killed. Tasks without a result fail with
    /// [`TaskErrorKind::Cancelled`](crate::pool::TaskErrorKind::Cancelled).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// use std::{thread, time::Duration};
    ///
    /// let sleep = |_: u8| thread::sleep(Duration::from_secs(600));
    /// assert!(pool.job().deadline(Duration::from_millis(100)).map(sleep, [1, 2]).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.options.deadline = Some(limit);
        self
    }

    /// Ends the job when `token` is cancelled, like a [`deadline`](Job::deadline) does.
    ///
    /// See [`CancelToken`] for an example.
    pub fn cancel_token(mut self, token: &CancelToken) -> Self {
        self.options.cancel = Some(token.clone());
        self
    }

    /// Repeats a failed task up to this many times. The default is 0.
    ///
    /// This applies to tasks that return an error, panic, time out or lose their worker.
    /// Encoding and decoding errors are not retried.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let error = pool.job().retries(2).try_map(|_: u8| Err::<(), _>("no luck"), [1]).unwrap_err();
    /// assert_eq!(error.task_error().unwrap().attempt(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn retries(mut self, times: u32) -> Self {
        self.options.retries = times;
        self
    }

    /// Sets the number of tasks that are sent to a worker together.
    ///
    /// By default, `map`, `fold` and `map_axis_chunks` choose the size so that a batch takes
    /// about a millisecond, and `imap` sends tasks one by one. A failed task, or a dead worker,
    /// costs only one task of a batch: finished results are kept, and tasks that did not start
    /// go to another worker.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let sum = pool.job().batch_size(1000).fold(|x: u64| x % 7, 0..100_000, 0, |sum, x| sum + x)?;
    /// assert_eq!(sum, 299_995);
    /// # Ok(())
    /// # }
    /// ```
    pub fn batch_size(mut self, tasks: usize) -> Self {
        self.options.batch_size = Some(tasks);
        self
    }

    /// Sets the number of batches that are sent ahead to a busy worker. The default is 1.
    ///
    /// With 0, a worker waits for its next task while its last result is on its way.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// assert_eq!(pool.job().prefetch_batches(4).map(|x: u8| x + 1, [1, 2])?, [2, 3]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn prefetch_batches(mut self, batches: usize) -> Self {
        self.options.prefetch_batches = batches;
        self
    }

    /// Overrides the pool's [threshold](crate::pool::PoolBuilder::mmap_threshold) for this job.
    /// With `None`, all arrays are copied into the message.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// use ndferry::{SharedArray, array::CopyReason, ndarray::Ix1};
    ///
    /// let array = SharedArray::from(vec![1.0, 2.0]);
    /// let is_mapped = |array: &SharedArray<f64, Ix1>, _: u8| array.copy_reason().is_none();
    /// assert_eq!(pool.with(&array).mmap_threshold(0).map(is_mapped, [0])?, [true]);
    /// assert_eq!(pool.with(&array).mmap_threshold(None).map(is_mapped, [0])?, [false]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn mmap_threshold(mut self, bytes: impl Into<Option<usize>>) -> Self {
        self.options.threshold = Some(bytes.into());
        self
    }

    /// Sets the name of the tasks in errors. The default is the name of their function.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let error = pool.job().label("parse").try_map(|text: String| text.parse::<u8>(), ["x".into()]);
    /// assert!(error.unwrap_err().to_string().starts_with("task parse failed on item 0"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn label(mut self, name: impl Into<String>) -> Self {
        self.options.label = Some(name.into());
        self
    }

    /// Runs all tasks, even if some of them fail.
    ///
    /// Results become `Result<R, TaskError>`, one for each item. Without this, the first
    /// failure ends the job.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let results = pool.job().keep_going().map(|x: u32| 12 / x, [3, 0, 4])?;
    /// assert_eq!(*results[2].as_ref().unwrap(), 3);
    /// assert!(results[1].as_ref().unwrap_err().message().contains("divide by zero"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn keep_going(self) -> Job<'p, K, KeepGoing> {
        let options = Options { keep_going: true, ..self.options };
        Job {
            pool: self.pool,
            context: self.context,
            options,
            on_progress: self.on_progress,
            mode: PhantomData,
        }
    }
}

impl<'p, K: TaskContext, M: OnError> Job<'p, K, M> {
    /// Starts the job.
    pub(crate) fn run(
        self,
        remote: RemoteFunction,
        total: Option<u64>,
        call_site: &'static Location<'static>,
    ) -> Result<Run<'p>> {
        let context = self.pack_context()?;
        let start =
            JobStart::new(remote, context, call_site, total).with_progress(self.on_progress);
        Run::new(&self.pool.0, self.options, start)
    }

    /// Encodes the context, which each worker of the job receives.
    pub(crate) fn pack_context(&self) -> Result<Option<OutgoingMessage>> {
        let mut packer = self.options.packer(&self.pool.0);
        self.context
            .pack(&mut packer)
            .map_err(|error| error.within("the context cannot be sent"))?;
        Ok((!packer.is_empty()).then(|| packer.finish()))
    }
}

impl<'p, M: OnError> Job<'p, NoContext, M> {
    /// Starts the job. Its tasks name their functions themselves.
    pub(crate) fn run_nodes(self, call_site: &'static Location<'static>) -> Result<Run<'p>> {
        self.run(RemoteFunction::own::<Self>(), None, call_site)
    }

    pub(crate) fn keeps_going(&self) -> bool {
        self.options.keep_going
    }

    /// Returns the label, and sets it to `otherwise` if there is none.
    pub(crate) fn label_or(&mut self, otherwise: &str) -> Option<String> {
        let label = self.options.label.clone();
        self.options.label.get_or_insert_with(|| otherwise.into());
        label
    }
}

impl<K, M> Job<'_, K, M> {
    pub(crate) fn new(pool: &Pool, context: K) -> Self {
        Self {
            pool: pool.clone(),
            context,
            options: Options::default(),
            on_progress: None,
            mode: PhantomData,
        }
    }
}

impl<K, M> fmt::Debug for Job<'_, K, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job on {:?}", self.pool)
    }
}
