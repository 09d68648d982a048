//! Jobs whose workers are forks of this process, for state that cannot be serialized or rebuilt.

use std::{error::Error as StdError, fmt, panic::Location, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use super::{collect::gather, job::Job, pool::Pool, results::Results};
use crate::{
    Result,
    pool::{
        engine::run::{Items, JobStart, Run},
        marker::{InOrder, OnError, Returns, ReturnsResult, ReturnsValue},
        transport::fork::{ForkSetup, ForkTransport},
        wire::remote::RemoteFunction,
        worker::runner::Invocation,
    },
};

/// Tasks are closures that run in forks of this process; see
/// [`PoolBuilder::fork`](crate::pool::PoolBuilder::fork).
#[derive(Clone)]
pub struct Forked(pub(crate) Arc<ForkSetup>);

impl fmt::Debug for Forked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Forked")
    }
}

/// Applies `f` to each item in forks of this process, and returns the results in order.
///
/// Use this for state that can neither be serialized nor built again: `f` may capture anything
/// by reference. A fork copies memory only when a process writes to it. Use [`Pool::map`] or
/// [`Pool::with_init`] otherwise.
///
/// Items and results are serialized. Capture anything else and refer to it by index:
/// `fork_map(2, 0..items.len(), |i| work(&items[i]))`.
///
/// At most `workers` processes are forked when the job starts, and they end with it. If a task
/// changes captured state, through a lock or a [`RefCell`](std::cell::RefCell), only later
/// tasks of the same worker see the change. A worker that died, or whose task panicked, is
/// replaced by a new fork. Captured random number generators produce the same numbers in each
/// worker. [`init`](crate::init) is not needed.
///
/// [`PoolBuilder::fork`](crate::pool::PoolBuilder::fork) makes such a job with options.
///
/// # Examples
///
/// ```
/// use std::sync::Mutex;
///
/// let model = Mutex::new(vec![0.5; 1_000_000]); // cannot be serialized
/// let sums =
///     ndferry::pool::fork_map(2, [10, 20], |n: usize| model.lock().unwrap()[..n].iter().sum::<f64>())?;
/// assert_eq!(sums, [5.0, 10.0]);
/// # Ok::<(), ndferry::Error>(())
/// ```
///
/// # Errors
///
/// Returns an error if other threads are running in this process, because a lock that one of
/// them holds would stay locked in the fork. For failures of tasks see [`Pool::map`].
#[track_caller]
pub fn fork_map<I, R>(
    workers: usize,
    items: impl IntoIterator<Item = I>,
    f: impl Fn(I) -> R,
) -> Result<Vec<R>>
where
    I: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    Pool::builder().workers(workers).fork()?.map(f, items)
}

/// Methods that run closures in forks of this process.
impl<'p, M: OnError> Job<'p, Forked, M> {
    /// Applies `f` to each item, and returns the results in the order of the items.
    ///
    /// After [`keep_going`](Job::keep_going) the result for each item is a `Result<R,
    /// TaskError>`.
    ///
    /// # Errors
    ///
    /// See [`fork_map`]. After [`keep_going`](Job::keep_going), returns an error only if the
    /// job itself fails.
    #[track_caller]
    pub fn map<I, R>(
        self,
        f: impl Fn(I) -> R,
        items: impl IntoIterator<Item = I>,
    ) -> Result<Vec<M::Item<R>>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.collect::<I, I, R, ReturnsValue>(f, items, Location::caller())
    }

    /// Like `map`, but for a closure that returns a `Result`.
    ///
    /// # Errors
    ///
    /// Returns an error if a task returns one. Otherwise see `map`.
    #[track_caller]
    pub fn try_map<I, R, E>(
        self,
        f: impl Fn(I) -> Result<R, E>,
        items: impl IntoIterator<Item = I>,
    ) -> Result<Vec<M::Item<R>>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.collect::<I, I, R, ReturnsResult<E>>(f, items, Location::caller())
    }

    /// Returns an iterator of the results in the order of the items, while the tasks run.
    ///
    /// There may be infinitely many items. Dropping the iterator ends the job.
    ///
    /// # Errors
    ///
    /// Returns an error if the job cannot be started. The iterator returns the failures of tasks.
    #[track_caller]
    pub fn imap<I, R, T>(
        self,
        f: impl Fn(I) -> R + 'p,
        items: T,
    ) -> Result<Results<'p, T::IntoIter, R, InOrder>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        T: IntoIterator<Item = I>,
    {
        self.start::<T, R, ReturnsValue>(f, items, Location::caller())
    }

    /// Like `imap`, but for a closure that returns a `Result`.
    ///
    /// # Errors
    ///
    /// See `imap`.
    #[track_caller]
    pub fn try_imap<I, R, E, T>(
        self,
        f: impl Fn(I) -> Result<R, E> + 'p,
        items: T,
    ) -> Result<Results<'p, T::IntoIter, R, InOrder>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        E: Into<Box<dyn StdError + Send + Sync>>,
        T: IntoIterator<Item = I>,
    {
        self.start::<T, R, ReturnsResult<E>>(f, items, Location::caller())
    }

    fn collect<T, I, R, F>(
        self,
        f: impl Fn(I) -> F::Out,
        items: impl IntoIterator<Item = T>,
        call_site: &'static Location<'static>,
    ) -> Result<Vec<M::Item<R>>>
    where
        T: Serialize,
        I: DeserializeOwned,
        R: Serialize + DeserializeOwned,
        F: Returns<R>,
    {
        let items = Items::new(items.into_iter());
        gather::<M, _, _>(self.run::<I, R, F>(f, items.total, call_site)?, items)
    }

    fn start<T, R, F>(
        mut self,
        f: impl Fn(T::Item) -> F::Out + 'p,
        items: T,
        call_site: &'static Location<'static>,
    ) -> Result<Results<'p, T::IntoIter, R, InOrder>>
    where
        T: IntoIterator<Item: Serialize + DeserializeOwned>,
        R: Serialize + DeserializeOwned,
        F: Returns<R>,
    {
        self.options.batch_size.get_or_insert(1);
        let items = Items::new(items.into_iter());
        Ok(Results::new(self.run::<T::Item, R, F>(f, items.total, call_site)?, items))
    }

    fn run<'f, I, R, F>(
        self,
        f: impl Fn(I) -> F::Out + 'f,
        total: Option<u64>,
        call_site: &'static Location<'static>,
    ) -> Result<Run<'f>>
    where
        'p: 'f,
        I: DeserializeOwned,
        R: Serialize,
        F: Returns<R>,
    {
        let remote = named_after(&f);
        let code = move |task: &mut Invocation<'_>| {
            task.item().and_then(|item| task.reply(&F::outcome(f(item))?))
        };
        let transport = ForkTransport { setup: self.context.0, code: Box::new(code) };
        let start = JobStart::new(remote, None, call_site, total)
            .with_progress(self.on_progress)
            .with_transport(transport);
        Run::new(&self.pool.0, self.options, start)
    }
}

fn named_after<F>(_: &F) -> RemoteFunction {
    RemoteFunction::own::<F>()
}
