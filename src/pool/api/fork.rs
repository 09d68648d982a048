//! Jobs whose workers are forks of this process, for state that cannot be serialized or rebuilt.

use std::{error::Error as StdError, fmt, panic::Location, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use super::{collect::gather, job::Job, pool::Pool, results::Results};
use crate::{
    Result,
    pool::{
        engine::run::{Items, JobStart, Run},
        marker::{Gives, InOrder, MayFail, OnError, Returns},
        transport::fork::{ForkSetup, ForkTransport},
        wire::remote::RemoteFunction,
        worker::runner::Invocation,
    },
};

/// Tasks are closures over what a forked worker has inherited: [`PoolBuilder::fork`](crate::pool::PoolBuilder::fork).
#[derive(Clone)]
pub struct Forked(pub(crate) Arc<ForkSetup>);

impl fmt::Debug for Forked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Forked")
    }
}

/// Applies `f` to every item, each in a fork of this process, and gives the results in the items' order.
///
/// For state that can neither be sent nor built again: `f` may capture anything by reference, and finds it as it is when the call is made.
/// Nothing of it is copied but the pages of memory that a task, or this process meanwhile, writes to. Only items and results travel;
/// what cannot, is captured as well and sent as its index: `fork_map(2, 0..items.len(), |i| work(&items[i]))`.
///
/// Workers are forked when the call begins, at most `workers` of them, and end with it. What a task changes, by a lock or a
/// [`RefCell`](std::cell::RefCell), later tasks of the same worker see, and nobody else. A worker that has died, or whose task has panicked,
/// is replaced by a new fork. What draws random numbers from an inherited state draws the same ones in each worker.
/// [`init`](crate::init) is not needed.
///
/// [`PoolBuilder::fork`](crate::pool::PoolBuilder::fork) makes the same call with options and other verbs.
///
/// ```
/// use std::sync::Mutex;
///
/// // Not serialisable, and a copy would be dear.
/// let model = Mutex::new(vec![0.5; 1_000_000]);
/// let sums = ndferry::pool::fork_map(2, [10, 20], |n: usize| model.lock().unwrap()[..n].iter().sum::<f64>())?;
/// assert_eq!(sums, [5.0, 10.0]);
/// # Ok::<(), ndferry::Error>(())
/// ```
///
/// # Errors
///
/// Where other threads run in this process: a lock that one of them holds would stay locked in the fork for ever. The failures of tasks
/// are as for [`Pool::map`].
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

/// Verbs of calls whose workers are forked, as those of other calls but for what `f` may be.
impl<'p, M: OnError> Job<'p, Forked, M> {
    /// Applies `f` to every item and gives the results in the items' order: plain ones, or after [`keep_going`](Job::keep_going) a
    /// `Result<R, TaskError>` for each item.
    ///
    /// # Errors
    ///
    /// As [`fork_map`]; after [`keep_going`](Job::keep_going), only where the call as such cannot be made.
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
        self.collect::<I, I, R, Gives>(f, items, Location::caller())
    }

    /// As `map`, for a closure that returns a `Result`.
    ///
    /// # Errors
    ///
    /// As `map`, and where a task returns an error.
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
        self.collect::<I, I, R, MayFail<E>>(f, items, Location::caller())
    }

    /// The results one by one, in the items' order, while the tasks run: as for other calls, there may be infinitely many items, and
    /// dropping the stream ends the call.
    ///
    /// # Errors
    ///
    /// Where the call cannot be made; the failures of tasks are the stream's.
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
        self.start::<T, R, Gives>(f, items, Location::caller())
    }

    /// As `stream`, for a closure that returns a `Result`.
    ///
    /// # Errors
    ///
    /// As `stream`.
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
        self.start::<T, R, MayFail<E>>(f, items, Location::caller())
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
