//! A pool of worker processes: what a call sends, where it runs, and what comes of it.
//!
//! Large arrays do not travel: they lie in the [`store`](crate::store::Store) or in the user's file, and workers map them.
//!
//! Invariants: a worker has one task at a time, so a death has one victim; a payload that cannot be read concerns its own task
//! only; nothing is printed; a worker ends when its parent does.

#[cfg(feature = "progress")]
mod bar;
mod budget;
mod builder;
mod call;
mod cancel;
mod channel;
mod fork;
mod gather;
mod inside;
mod kind;
mod launch;
mod link;
mod message;
mod mode;
mod notes;
mod output;
mod pace;
mod panics;
mod process;
mod progress;
#[cfg(doctest)]
mod refused;
#[allow(unsafe_code)]
mod remote;
mod run;
mod staff;
mod stream;
mod submit;
mod tally;
mod task;
mod verbs;
mod worker;

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub use crate::error::{TaskError, TaskErrorKind};
pub use builder::{Backend, PoolBuilder};
pub use call::Job;
pub use cancel::CancelToken;
pub use fork::{Forked, fork_imap, fork_map};
use inside::Thread;
pub use kind::{Kind, NoContext, WithContext, WithState};
use link::Link;
pub(crate) use message::{Entry, Packer};
pub use mode::{FailFast, KeepGoing, Mode};
pub use output::WorkerStdio;
use process::{Process, Recipe};
pub use progress::{JobProgress, TaskEvent};
pub(crate) use remote::Remote;
pub use remote::{Arguments, Gives, MayFail, Returns};
pub(crate) use run::{Reading, Work};
use staff::Lent;
pub use stream::{InOrder, Results, StreamOrder, Unordered};
use submit::Submitted;
pub use submit::TaskHandle;
pub use tally::PoolMetrics;
use tally::Tally;
pub use worker::init;

use crate::{Error, Result, store::Store, sys::unshared::Origin, trace};

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
pub struct Pool(Arc<Shared>);

/// What all handles of a pool share.
struct Shared {
    recipe: Recipe,
    size: usize,
    workers: Mutex<Workers>,
    freed: Condvar,
    calls: AtomicU64,
    tally: Tally,
    submitted: Mutex<Submitted>,
    /// The process whose workers they are.
    origin: Origin,
}

#[derive(Default)]
struct Workers {
    idle: VecDeque<Lent>,
    /// Workers there are, idle or in a call.
    alive: usize,
    /// Calls that wait for a worker.
    waiting: usize,
}

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
        self.0.size
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
        self.0.tally.report()
    }

    /// The temp files that the pool shares arrays by.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.recipe.store
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} workers)", self.0.size)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Workers> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a call.
    fn number(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// Pools are used where they were built.
    fn check_origin(&self) -> Result<()> {
        if self.origin.is_here() {
            return Ok(());
        }
        Err(Error::invalid_input(
            "the pool belongs to the process that this one was forked from: build one here, in the task that needs it",
        ))
    }

    /// A new worker.
    fn start(&self) -> Result<Lent> {
        let link: Box<dyn Link + Send> = match self.recipe.backend {
            Backend::Processes => Box::new(Process::start(&self.recipe)?),
            Backend::Threads | Backend::Serial => Box::new(Thread::start(&self.recipe)?),
        };
        Ok(self.started(link))
    }

    fn started(&self, link: Box<dyn Link + Send>) -> Lent {
        self.tally.started.add(1);
        trace::event!(DEBUG, "started a worker", process = link.id());
        Lent::new(link)
    }

    /// A worker that nobody uses, or a new one where some have gone; `None` where all are busy. One that was part of call number `call`
    /// before goes before others, and after them those that were part of another, which may want them back.
    fn take(&self, call: u64) -> Result<Option<Lent>> {
        self.take_or(call, Self::start)
    }

    /// As [`take`](Shared::take), starting new ones by `start`.
    fn take_or(
        &self,
        call: u64,
        start: impl FnOnce(&Self) -> Result<Lent>,
    ) -> Result<Option<Lent>> {
        let mut workers = self.lock();
        loop {
            let best = workers.idle.iter().enumerate().min_by_key(|(_, lent)| match lent.call {
                Some(other) => 2 * u8::from(other != call),
                None => 1,
            });
            let Some(mut lent) = best.map(|(at, _)| at).and_then(|at| workers.idle.remove(at))
            else {
                break;
            };
            if lent.link.lives() {
                lent.leave_call(Some(call));
                return Ok(Some(lent));
            }
            // It has died with nobody's work on its hands; another takes its place.
            trace::event!(WARN, "an idle worker has died", process = lent.link.id());
            workers.alive -= 1;
        }
        if workers.alive >= self.size {
            return Ok(None);
        }
        workers.alive += 1;
        drop(workers);
        start(self).map(Some).inspect_err(|_| self.lost())
    }

    /// As [`take`](Shared::take), waiting for one until `stop`, which is asked every `glance`.
    fn wait_for_one(
        &self,
        call: u64,
        glance: Duration,
        stop: impl Fn() -> bool,
    ) -> Result<Option<Lent>> {
        while !stop() {
            if let Some(lent) = self.take(call)? {
                return Ok(Some(lent));
            }
            let mut workers = self.lock();
            if workers.idle.is_empty() && workers.alive >= self.size {
                workers.waiting += 1;
                (workers, _) = self
                    .freed
                    .wait_timeout(workers, glance)
                    .unwrap_or_else(PoisonError::into_inner);
                workers.waiting -= 1;
            }
        }
        Ok(None)
    }

    /// Whether another call waits for a worker.
    fn is_wanted(&self) -> bool {
        self.lock().waiting > 0
    }

    /// Whether there is a worker that nobody uses.
    fn has_idle(&self) -> bool {
        let workers = self.lock();
        !workers.idle.is_empty() || workers.alive < self.size
    }

    /// Job number `call` is over: workers that were part of it let go of what they have for it.
    fn end(&self, call: u64) {
        self.lock()
            .idle
            .iter_mut()
            .filter(|lent| lent.call == Some(call))
            .for_each(|lent| lent.leave_call(None));
    }

    fn give_back(&self, lent: Lent) {
        if self.recipe.is_lodger {
            // It ran because its caller waited for it.
            drop(lent);
            self.lost();
            return;
        }
        self.lock().idle.push_back(lent);
        self.freed.notify_one();
    }

    /// A worker is no more.
    fn lost(&self) {
        self.lock().alive -= 1;
        self.freed.notify_one();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let mut idle = std::mem::take(&mut self.lock().idle);
        // The last of a session takes its files along. Where that would be this process alone, it leaves before its workers do: then
        // there is somebody left to do it, should this process be killed meanwhile.
        if self.recipe.backend == Backend::Processes
            && self.recipe.store.handles() <= 1 + idle.len()
        {
            self.recipe.store.leave();
        }
        // All at once, and then each is waited for.
        idle.iter_mut().for_each(|lent| lent.link.close());
    }
}
