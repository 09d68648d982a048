//! Pools of workers.
//!
//! A pool has a builder and makes jobs, which refer to it, so this file, `builder.rs`, `fork.rs` and
//! `job.rs` refer to each other.

use std::{error::Error as StdError, fmt, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use super::{builder::PoolBuilder, job::Job, metrics::PoolMetrics, task_handle::TaskHandle};
use crate::{
    Result,
    pool::{
        engine::pool_state::PoolState,
        marker::{NoContext, ReturnsResult, ReturnsValue, WithContext, WithState},
    },
    store::Store,
};

/// A pool of worker processes that stay up between jobs.
///
/// A clone is another handle to the same workers, which end with the last handle. Jobs from
/// several threads share the workers: a worker that one job does not need runs tasks of
/// another. A job must not wait for another job of the same pool. Starting one from its own
/// items or its own progress callback is an error. A deadlock through another thread is not
/// detected.
///
/// # When should I use this?
///
/// - Use a `Pool` for tasks that may crash, leak memory, hang or use libraries with global
///   state, and for large arrays that tasks should map instead of copying. Use rayon if threads
///   are good enough.
/// - If all arguments implement serde's traits, use [`map`](Pool::map) or [`with`](Pool::with).
/// - If the tasks need something that can be built from a small description, such as a parsed
///   model or a connection, use [`with_init`](Pool::with_init).
/// - If they need something that exists only in this process, use
///   [`fork_map`](crate::pool::fork_map).
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, Ix2};
/// use ndferry::{Pool, SharedArray};
///
/// fn main() -> ndferry::Result<()> {
///     ndferry::init(); // in a worker, this call does not return
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
    /// Creates a pool with one worker process for each available core.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// let pool = ndferry::Pool::new()?;
    /// assert_eq!(pool.map(|x: u32| x * x, [1, 2, 3])?, [1, 4, 9]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the pool cannot be built; see [`PoolBuilder::build`].
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// Returns a builder with the default options.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// let pool = ndferry::Pool::builder().workers(2).build()?;
    /// assert_eq!(pool.workers(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> PoolBuilder {
        PoolBuilder::default()
    }

    /// Returns the number of workers.
    ///
    /// A pool made inside a task gets at most the free process slots, and never waits for one.
    /// The number of slots is the number of cores, the value of `NDFERRY_WORKERS`, or the
    /// number of workers in the outermost pool. Without a free slot the pool has one worker:
    /// the process that made it. That process runs the tasks itself, or waits for a process
    /// that does if a [timeout](Job::timeout) or an option of the builder needs one. A slot
    /// becomes free when its pool or worker ends.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// let pool = ndferry::Pool::new()?; // takes all slots
    /// let inner = pool.try_map(|x: u32| ndferry::Pool::new()?.map(|y: u32| y + 1, [x]), [1, 2])?;
    /// assert_eq!(inner, [[2], [3]]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn workers(&self) -> usize {
        self.0.settings.size
    }

    /// Returns counters and times of everything that the pool has done.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// pool.map(|x: u8| x, [1, 2, 3])?;
    /// let metrics = pool.metrics();
    /// assert_eq!((metrics.jobs, metrics.tasks_completed, metrics.tasks_failed), (1, 3, 0));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn metrics(&self) -> PoolMetrics {
        self.0.metrics.snapshot()
    }

    /// Returns the store with the temporary files of the pool's arrays.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let table = pool.store().zeros::<f64, _>((100, 3))?.freeze()?; // workers will map it
    /// assert_eq!(pool.store().files()?.len(), 1);
    /// # drop(table);
    /// # Ok(())
    /// # }
    /// ```
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
    /// Applies `f` to each item in a worker process, and returns the results in the order of
    /// the items.
    ///
    /// `f` is a function, a method or a closure that captures nothing. Items and results are
    /// serde values. The receiver maps a large [`SharedArray`](crate::SharedArray) in them.
    ///
    /// # Examples
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
    ///
    /// # Errors
    ///
    /// Returns an error if
    ///
    /// - a task panics or its worker dies,
    /// - an item or a result cannot be encoded or decoded,
    /// - a worker cannot be started, or
    /// - `f` is in a shared library instead of the program itself.
    ///
    /// The first failure ends the job: tasks that are running are killed first. The error tells
    /// which task failed ([`Error::task_error`](crate::Error::task_error)).
    #[track_caller]
    pub fn map<I, R>(&self, f: fn(I) -> R, items: impl IntoIterator<Item = I>) -> Result<Vec<R>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.job().map(f, items)
    }

    /// Like [`map`](Pool::map), but for a function that returns a `Result`.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let error = pool.try_map(|text: String| text.parse::<u8>(), ["1".into(), "x".into()]).unwrap_err();
    /// assert_eq!(error.task_error().unwrap().index(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if a task returns one, with its type's name, message and causes.
    /// Otherwise see [`map`](Pool::map).
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

    /// Starts one task without waiting for it; see [`Job::submit`].
    ///
    /// # Errors
    ///
    /// Returns an error if the item cannot be encoded; see [`Job::submit`].
    #[track_caller]
    pub fn submit<I, R>(&self, f: fn(I) -> R, item: I) -> Result<TaskHandle<R>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        self.job().submit(f, item)
    }

    /// Returns a job whose tasks get only their item, so that you can set options.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let sum = pool.job().retries(1).fold(|x: u64| x * x, 1..=3, 0, |sum, square| sum + square)?;
    /// assert_eq!(sum, 14);
    /// # Ok(())
    /// # }
    /// ```
    pub fn job(&self) -> Job<'_, NoContext> {
        Job::new(self, NoContext)
    }

    /// Returns a job whose tasks get `context` and their item.
    ///
    /// The context is sent once to each worker of the job. Its large arrays are written once,
    /// and all workers map them.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// use ndarray::{Ix1, array};
    /// use ndferry::SharedArray;
    ///
    /// let weights = SharedArray::from(array![0.5, 2.0, 4.0]);
    /// let weighted =
    ///     pool.with(&weights).map(|w: &SharedArray<f64, Ix1>, i: usize| w[i] * 10.0, [2, 0])?;
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

    /// Returns a job whose tasks get mutable state and their item.
    ///
    /// Each worker of the job calls `build` once with `spec`. The state is never serialized, so
    /// it may contain locks, handles and caches. A worker that replaces a dead one builds
    /// again, and so does a worker after a panic, because the state may be half changed.
    ///
    /// If `build` panics or kills its worker, the job ends with
    /// [`TaskErrorKind::Build`](crate::pool::TaskErrorKind::Build), even with
    /// [`keep_going`](Job::keep_going). It is not retried.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// use std::collections::HashMap;
    ///
    /// fn lengths(_: &()) -> HashMap<String, usize> {
    ///     HashMap::new() // a cache in each worker
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
    ///
    /// The type of such a job can be named, for example to store it in a struct:
    ///
    /// ```
    /// use ndferry::pool::{Job, marker::{ReturnsValue, WithState}};
    ///
    /// struct Prepared<'p> {
    ///     job: Job<'p, WithState<'p, String, Vec<u8>, ReturnsValue>>,
    /// }
    /// ```
    pub fn with_init<'p, C, S>(
        &'p self,
        spec: &'p C,
        build: fn(&C) -> S,
    ) -> Job<'p, WithState<'p, C, S, ReturnsValue>>
    where
        C: Serialize + DeserializeOwned + 'static,
        S: 'static,
    {
        Job::new(self, WithState { spec, build })
    }

    /// Like [`with_init`](Pool::with_init), but for a `build` that returns a `Result`.
    ///
    /// If it returns an error, the job ends with this error.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let text = "x".to_string();
    /// let job = pool.try_with_init(&text, |text: &String| text.parse::<u8>());
    /// let error = job.map(|state: &mut u8, x: u8| *state + x, [1]).unwrap_err();
    /// assert!(error.to_string().contains("invalid digit"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_with_init<'p, C, S, E>(
        &'p self,
        spec: &'p C,
        build: fn(&C) -> Result<S, E>,
    ) -> Job<'p, WithState<'p, C, S, ReturnsResult<E>>>
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
