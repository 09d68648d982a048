//! Pools of workers.

use std::{error::Error as StdError, fmt, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use super::{builder::PoolBuilder, job::Job, metrics::PoolMetrics, task_handle::TaskHandle};
use crate::{
    Result,
    pool::{
        engine::pool_state::PoolState,
        marker::{Gives, MayFail, NoContext, WithContext, WithState},
    },
    store::Store,
};

/// Worker processes that stay up between calls.
///
/// A clone is another handle to the same workers; they end when the last handle goes. Calls from several threads share them: a
/// worker that has nothing to do for one call is there for the next. A call must not wait for another call of the same pool: from
/// its own items or its own progress that is an error; if its items wait for a thread that waits for the pool, nobody tells.
///
/// ```
/// use ndarray::{Array2, Ix2};
/// use ndferry::{Pool, SharedArray};
///
/// fn main() -> ndferry::Result<()> {
///     ndferry::init(); // in a worker this call never returns
///     let survey = SharedArray::from(Array2::from_shape_fn((100, 3), |(i, j)| (i * j) as f64));
///     let pool = Pool::builder().workers(2).build()?;
///     let norms = pool.with(&survey).map(|x, j: usize| x.column(j).dot(&x.column(j)).sqrt(), 0..3)?;
///     assert_eq!(norms[0], 0.0);
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Pool(pub(crate) Arc<PoolState>);

impl Pool {
    /// A pool of one worker process for each core this process may use.
    ///
    /// # Errors
    ///
    /// As [`PoolBuilder::build`].
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// A pool with choices made.
    pub fn builder() -> PoolBuilder {
        PoolBuilder::default()
    }

    /// The number of workers.
    ///
    /// A pool that is made within a task has those for which there were process slots free, of as many as the machine has cores (or
    /// `NDFERRY_WORKERS` says, or the outermost pool has workers); it waits for none. With none it has one: the process that made it,
    /// which runs the tasks itself, or waits for a process that does where a [timeout](Job::timeout) or a choice of the builder needs
    /// one. Slots come back when a pool or its worker ends.
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// let pool = ndferry::Pool::new()?; // which takes all the slots
    /// let inner = pool.try_map(|x: u32| ndferry::Pool::new()?.map(|y: u32| y + 1, [x]), [1, 2])?;
    /// assert_eq!(inner, [[2], [3]]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn workers(&self) -> usize {
        self.0.settings.size
    }

    /// What the pool has done so far.
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// pool.map(|x: u8| x, [1, 2, 3])?;
    /// let report = pool.report();
    /// assert_eq!((report.calls, report.done, report.failed), (1, 3, 0));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn metrics(&self) -> PoolMetrics {
        self.0.metrics.snapshot()
    }

    /// The temp files that the pool shares arrays by.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.settings.store
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} workers)", self.0.settings.size)
    }
}

/// Jobs.
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

impl<'p> From<&'p Pool> for Job<'p, NoContext> {
    fn from(pool: &'p Pool) -> Self {
        pool.job()
    }
}
