//! A call being made up: what its tasks get, and how they are to be run. What is done with the items is a [verb](super::verbs).

use std::{error::Error as StdError, fmt, marker::PhantomData, panic::Location, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Backend, CancelToken, JobProgress, Pool,
    kind::{Kind, NoContext, WithContext, WithState},
    message::{Outgoing, Packer},
    mode::{FailFast, KeepGoing, Mode},
    process::Recipe,
    remote::{Gives, MayFail, Remote},
    run::{Run, Start},
    submit::TaskHandle,
};
use crate::{Error, Result};

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
    pub(super) pool: Pool,
    pub(super) kind: K,
    pub(super) options: Options,
    pub(super) watch: Option<Watch<'p>>,
    mode: PhantomData<M>,
}

/// Whoever wants to see the progress of a call.
pub(super) type Watch<'p> = Box<dyn FnMut(&JobProgress) + 'p>;

/// What was chosen for a call.
pub(super) struct Options {
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Option<Duration>,
    pub(super) retries: u32,
    pub(super) keep_going: bool,
    pub(super) batch: Option<usize>,
    pub(super) prefetch: usize,
    /// What is set here goes before the pool's: a threshold, or none.
    pub(super) threshold: Option<Option<usize>>,
    pub(super) label: Option<String>,
    pub(super) cancel: Option<CancelToken>,
}

impl Options {
    /// What the tasks run in.
    pub(super) fn backend(&self, recipe: &Recipe) -> Backend {
        // What has no slot of its own runs in its caller's, also as a process that the caller waits for; but not without need.
        let needs_process = self.timeout.is_some() || recipe.needs_processes();
        if recipe.is_lodger && !needs_process { Backend::Serial } else { recipe.backend }
    }

    /// Whether all that was chosen can be done.
    pub(super) fn check(&self, recipe: &Recipe) -> Result<()> {
        if self.timeout.is_some() && !recipe.backend.can_kill() {
            return Err(Error::invalid_input(
                "a timeout needs worker processes: a task that runs in this process cannot be killed (deadline and cancel_token end \
                 a call between its tasks)",
            ));
        }
        if self.batch == Some(0) {
            return Err(Error::invalid_input("batches of 0 tasks: at least 1 is needed"));
        }
        Ok(())
    }
}

impl Pool {
    /// Applies `f` to every item, each in a worker process, and gives the results in the items' order.
    ///
    /// `f` is a function, a method or a closure that captures nothing. Items and results are any serde values; a
    /// [`SharedArray`](crate::SharedArray) in them is mapped by the receiver where it is large.
    ///
    /// # Errors
    ///
    /// Where a task panics, its worker dies, or an item or a result cannot be passed: the first such failure, when the tasks
    /// that were running beside it have been stopped. An error says which task it was ([`Error::task_error`]). Also where a
    /// worker cannot be started, or `f` lies in a library that the program loads.
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let lengths = pool.map(|word: String| word.len(), ["one".to_string(), "three".to_string()])?;
    /// assert_eq!(lengths, [3, 5]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn map<I, R>(&self, f: fn(I) -> R, items: impl IntoIterator<Item = I>) -> Result<Vec<R>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.job().map(f, items)
    }

    /// As [`map`](Pool::map), for a function that returns a `Result`: an error ends the call and is reported as it was: its
    /// type's name, its message, its causes.
    ///
    /// # Errors
    ///
    /// As [`map`](Pool::map), and where a task returns an error.
    #[track_caller]
    pub fn try_map<I, R, E>(
        &self,
        f: fn(I) -> Result<R, E>,
        items: impl IntoIterator<Item = I>,
    ) -> Result<Vec<R>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.job().try_map(f, items)
    }

    /// Begins one task, without waiting for it: [`Job::submit`].
    ///
    /// # Errors
    ///
    /// As [`Job::submit`].
    #[track_caller]
    pub fn submit<I, R>(&self, f: fn(I) -> R, item: I) -> Result<TaskHandle<R>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        self.job().submit(f, item)
    }

    /// A call whose tasks get their item alone; for one with options.
    pub fn job(&self) -> Job<'_, NoContext> {
        Job::new(self, NoContext)
    }

    /// A call whose tasks get `context` besides their item. Each worker that joins the call is sent it once; its large arrays are
    /// written once and mapped by all of them.
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// use ndarray::{Ix1, array};
    /// use ndferry::SharedArray;
    ///
    /// let weights = SharedArray::from(array![0.5, 2.0, 4.0]);
    /// let weighted = pool.with(&weights).map(|w: &SharedArray<f64, Ix1>, i: usize| w[i] * 10.0, [2, 0])?;
    /// assert_eq!(weighted, [40.0, 5.0]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with<'p, C>(&'p self, context: &'p C) -> Job<'p, WithContext<'p, C>>
    where
        C: Serialize + DeserializeOwned + 'static,
    {
        Job::new(self, WithContext(context))
    }

    /// A call whose tasks get `&mut` state besides their item: what `build` makes of `spec`, once in each worker that joins the call. The
    /// state itself is never serialised; it may hold locks, handles, caches. A worker that replaces a dead one builds again, and so does
    /// one whose task has panicked, which may have left the state half changed.
    ///
    /// A `build` that panics or dies ends the call with one error ([`TaskErrorKind::Build`](crate::pool::TaskErrorKind::Build)), whatever was chosen about going
    /// on; it is not tried again.
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// use std::collections::HashMap;
    ///
    /// fn lengths(_: &()) -> HashMap<String, usize> {
    ///     HashMap::new() // a cache of its own in every worker
    /// }
    ///
    /// let words = ["a", "bc", "a"].map(String::from);
    /// let counted = pool.with_init(&(), lengths).map(
    ///     |cache, word: String| *cache.entry(word).or_insert_with_key(String::len),
    ///     words,
    /// )?;
    /// assert_eq!(counted, [1, 2, 1]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_init<'p, C, S>(
        &'p self,
        spec: &'p C,
        build: fn(&C) -> S,
    ) -> Job<'p, WithState<'p, C, S, Gives>>
    where
        C: Serialize + DeserializeOwned + 'static,
        S: 'static,
    {
        Job::new(self, WithState { spec, build })
    }

    /// As [`with_init`](Pool::with_init), for a `build` that returns a `Result`: its error is the call's.
    pub fn try_with_init<'p, C, S, E>(
        &'p self,
        spec: &'p C,
        build: fn(&C) -> Result<S, E>,
    ) -> Job<'p, WithState<'p, C, S, MayFail<E>>>
    where
        C: Serialize + DeserializeOwned + 'static,
        S: 'static,
        E: Into<Box<dyn StdError + Send + Sync>> + 'static,
    {
        Job::new(self, WithState { spec, build })
    }
}

/// Options.
impl<'p, K, M> Job<'p, K, M> {
    /// Calls `watch` for everything that happens to a task, in the calling thread.
    pub fn progress(mut self, watch: impl FnMut(&JobProgress) + 'p) -> Self {
        self.watch = Some(Box::new(watch));
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
        self.options.batch = Some(tasks);
        self
    }

    /// Sends this many batches ahead to a worker that is still busy; 1 unless set. With 0, a worker waits for its next task while
    /// its last result travels.
    pub fn prefetch_batches(mut self, batches: usize) -> Self {
        self.options.prefetch = batches;
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
        Job { pool: self.pool, kind: self.kind, options, watch: self.watch, mode: PhantomData }
    }
}

impl<'p, K: Kind, M: Mode> Job<'p, K, M> {
    /// Begins the call.
    pub(super) fn run(
        self,
        remote: Remote,
        total: Option<u64>,
        call_site: &'static Location<'static>,
    ) -> Result<Run<'p>> {
        let context = self.context()?;
        Run::new(
            &self.pool.0,
            self.options,
            Start { remote, context, call_site, total, watch: self.watch },
        )
    }

    /// What goes to every worker of the call.
    pub(super) fn context(&self) -> Result<Option<Outgoing>> {
        let recipe = &self.pool.0.recipe;
        let threshold = self.options.threshold.unwrap_or(recipe.threshold);
        let mut packer = Packer::new(&recipe.store, threshold, self.options.backend(recipe).side());
        self.kind.pack(&mut packer).map_err(|error| error.within("the context cannot be sent"))?;
        Ok((!packer.is_empty()).then(|| packer.finish()))
    }
}

impl<'p, M: Mode> Job<'p, NoContext, M> {
    /// Begins the call as one whose tasks name their functions themselves.
    pub(crate) fn run_nodes(self, call_site: &'static Location<'static>) -> Result<Run<'p>> {
        self.run(Remote::own::<Self>(), None, call_site)
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

impl<'p> From<&'p Pool> for Job<'p, NoContext> {
    fn from(pool: &'p Pool) -> Self {
        pool.job()
    }
}

impl<K, M> Job<'_, K, M> {
    pub(super) fn new(pool: &Pool, kind: K) -> Self {
        let options = Options {
            timeout: None,
            deadline: None,
            retries: 0,
            keep_going: false,
            batch: None,
            prefetch: 1,
            threshold: None,
            label: None,
            cancel: None,
        };
        Self { pool: pool.clone(), kind, options, watch: None, mode: PhantomData }
    }
}

impl<K, M> fmt::Debug for Job<'_, K, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job on {:?}", self.pool)
    }
}
