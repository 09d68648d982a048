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

/// A call being made up: [`Pool::with`] and [`Pool::with_init`] give its tasks something to work with, options follow, a verb runs it.
///
/// Verbs are [`map`](Job::map), [`fold`](Job::fold), [`stream`](Job::stream), [`imap_unordered`](Job::imap_unordered),
/// [`submit`](Job::submit), [`map_axis_chunks`](Job::map_axis_chunks) and [`fill_axis_chunks`](Job::fill_axis_chunks), each with a `try_` form for functions that return a `Result`.
///
/// ```
/// # fn main() -> ndferry::Result<()> {
/// # ndferry::init();
/// # let pool = ndferry::Pool::builder().workers(2).build()?;
/// use std::time::Duration;
///
/// let texts = ["1", "two", "3"].map(String::from);
/// let numbers = pool
///     .call()
///     .timeout(Duration::from_secs(10)) // for each task
///     .retries(1)
///     .keep_going()
///     .try_map(|text: String| text.parse::<i64>(), texts)?;
/// assert_eq!(*numbers[0].as_ref().unwrap(), 1);
/// assert_eq!(numbers[1].as_ref().unwrap_err().attempt(), 2);
/// # Ok(())
/// # }
/// ```
#[must_use = "a call runs when it is given a verb"]
pub struct Job<'p, K, M = FailFast> {
    pub(crate) pool: Pool,
    pub(crate) context: K,
    pub(crate) options: Options,
    pub(crate) on_progress: Option<ProgressCallback<'p>>,
    mode: PhantomData<M>,
}

/// Options.
impl<'p, K, M> Job<'p, K, M> {
    /// Calls `watch` for everything that happens to a task, in the calling thread.
    pub fn progress(mut self, callback: impl FnMut(&JobProgress) + 'p) -> Self {
        self.on_progress = Some(Box::new(callback));
        self
    }

    /// Lets a task run for this long at the most, counted from its own start. One that takes longer has failed
    /// ([`TaskErrorKind::Timeout`](crate::pool::TaskErrorKind::Timeout)): its worker is killed and replaced, no other task is touched.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.options.timeout = Some(limit);
        self
    }

    /// Lets the call take this long at the most, counted from the verb. What has no result by then has failed
    /// ([`TaskErrorKind::Cancelled`](crate::pool::TaskErrorKind::Cancelled)); running tasks are killed.
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.options.deadline = Some(limit);
        self
    }

    /// Ends the call when `token` says so, as a [`deadline`](Job::deadline) does.
    pub fn cancel_token(mut self, token: &CancelToken) -> Self {
        self.options.cancel = Some(token.clone());
        self
    }

    /// Tries a task that fails again, up to this many times: one that returns an error, panics, takes too long or loses its worker. What
    /// cannot be encoded or decoded is not tried again. A task that kills its worker each time is given up like any other.
    pub fn retries(mut self, times: u32) -> Self {
        self.options.retries = times;
        self
    }

    /// Sends this many tasks to a worker together. Unless set, `map`, `fold` and `map_axis_chunks` send together what takes about a
    /// millisecond, by how long tasks have taken so far; streams send one at a time.
    ///
    /// Also in a batch a task that fails or kills its worker costs no other: results that were finished are kept, and what was
    /// not begun goes to another worker.
    pub fn batch_size(mut self, tasks: usize) -> Self {
        self.options.batch_size = Some(tasks);
        self
    }

    /// Sends this many batches ahead to a worker that is still busy; 1 unless set. With 0, a worker waits for its next task while
    /// its last result travels.
    pub fn prefetch_batches(mut self, batches: usize) -> Self {
        self.options.prefetch_batches = batches;
        self
    }

    /// Overrides the pool's [threshold](crate::pool::PoolBuilder::threshold) for this call. `None`: every array travels inside the message.
    pub fn mmap_threshold(mut self, bytes: impl Into<Option<usize>>) -> Self {
        self.options.threshold = Some(bytes.into());
        self
    }

    /// Names the tasks of the call in errors, instead of by their function.
    pub fn label(mut self, name: impl Into<String>) -> Self {
        self.options.label = Some(name.into());
        self
    }

    /// Does not end the call when a task fails: results become `Result<R, TaskError>`, one for each item.
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
    /// Begins the call.
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

    /// What goes to every worker of the job.
    pub(crate) fn pack_context(&self) -> Result<Option<OutgoingMessage>> {
        let mut packer = self.options.packer(&self.pool.0);
        self.context
            .pack(&mut packer)
            .map_err(|error| error.within("the context cannot be sent"))?;
        Ok((!packer.is_empty()).then(|| packer.finish()))
    }
}

impl<'p, M: OnError> Job<'p, NoContext, M> {
    /// Begins the call as one whose tasks name their functions themselves.
    pub(crate) fn run_nodes(self, call_site: &'static Location<'static>) -> Result<Run<'p>> {
        self.run(RemoteFunction::own::<Self>(), None, call_site)
    }

    pub(crate) fn keeps_going(&self) -> bool {
        self.options.keep_going
    }

    /// The label, which from here on is `otherwise` if there is none.
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
