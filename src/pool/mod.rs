//! A pool of worker processes: what a call sends, where it runs, and what comes of it.
//!
//! Large arrays do not travel: they lie in the [`store`](crate::Store) or in the user's file, and workers map them.
//!
//! Invariants: a worker has one task at a time, so a death has one victim; a payload that cannot be read concerns its own task
//! only; nothing is printed; a worker ends when its parent does.

mod call;
mod channel;
mod message;
mod process;
#[allow(unsafe_code)]
mod remote;
mod worker;

use std::{
    collections::VecDeque,
    fmt,
    num::NonZero,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    thread,
};

pub use call::{Call, NoContext, Progress, WithContext};
use process::{Process, Recipe};
pub use worker::init;

use crate::{Error, Result, Store};

/// Bytes from which an array travels through the store and not inside a message: the lower end of where the two cost the same
/// for an array that is used once, by `cargo bench --bench pool -- crossover`.
const THRESHOLD: usize = 1 << 20;

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
}

#[derive(Default)]
struct Workers {
    idle: VecDeque<Process>,
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
    #[must_use]
    pub fn builder() -> PoolBuilder {
        PoolBuilder::default()
    }

    /// The number of worker processes.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.0.size
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

/// Choices for a [`Pool`].
///
/// ```no_run
/// # fn main() -> ndferry::Result<()> {
/// ndferry::init();
/// let pool = ndferry::Pool::builder().workers(4).threshold(1 << 20).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PoolBuilder {
    workers: Option<usize>,
    threshold: Option<usize>,
    store: Option<Store>,
    test_entry: Option<String>,
}

impl Default for PoolBuilder {
    fn default() -> Self {
        Self { workers: None, threshold: Some(THRESHOLD), store: None, test_entry: None }
    }
}

impl PoolBuilder {
    /// The number of worker processes, at least 1. Unless set: what the environment variable `NDFERRY_WORKERS` says, or else
    /// one for each core that affinity and control groups leave to this process.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Bytes from which an array travels through the store, or as the file it is mapped from, and is mapped by the
    /// receiver; 1 MiB unless set. A smaller one travels inside the message. `None`: every array does.
    #[must_use]
    pub fn threshold(mut self, bytes: impl Into<Option<usize>>) -> Self {
        self.threshold = bytes.into();
        self
    }

    /// The store to share arrays by; one of its own unless set. An array that several pools share through one store is
    /// written once.
    #[must_use]
    pub fn store(mut self, store: &Store) -> Self {
        self.store = Some(store.clone());
        self
    }

    /// For pools inside `cargo test`, where there is no `main` to call [`init`](crate::init) in: the full name of a `#[test]`
    /// that calls it. Workers run that test instead; in the test run itself it does nothing.
    ///
    /// ```
    /// # mod example {
    /// #[test]
    /// fn worker() {
    ///     ndferry::init();
    /// }
    ///
    /// #[test]
    /// fn squares() {
    ///     let pool = ndferry::Pool::builder().test_entry("worker").build().unwrap();
    ///     assert_eq!(pool.map(|x: u32| x * x, [1, 2, 3]).unwrap(), [1, 4, 9]);
    /// }
    /// # }
    /// ```
    #[must_use]
    #[allow(clippy::test_attr_in_doctest, reason = "what it shows is a test")]
    pub fn test_entry(mut self, test: impl Into<String>) -> Self {
        self.test_entry = Some(test.into());
        self
    }

    /// Starts the workers.
    ///
    /// # Errors
    ///
    /// Where [`init`](crate::init) was not called (before any process is started), a number makes no sense, the store cannot
    /// be opened, or a process cannot be started.
    pub fn build(self) -> Result<Pool> {
        if self.test_entry.is_none() && !worker::is_initialised() {
            return Err(Error::usage(
                "ndferry::init() was not called: make it the first line of main (in a test program, name a #[test] that \
                 calls it by PoolBuilder::test_entry)",
            ));
        }
        if worker::called_by().is_some() {
            return Err(Error::usage(
                "this process was started as a worker and makes a pool before it calls ndferry::init()",
            ));
        }
        let size = match self.workers {
            Some(0) => return Err(Error::usage("a pool of 0 workers: at least 1 is needed")),
            Some(workers) => workers,
            None => default_workers()?,
        };
        let store = match self.store {
            Some(store) => store,
            None => Store::new()?,
        };
        let recipe = Recipe { threshold: self.threshold, test_entry: self.test_entry, store };
        let shared =
            Shared { recipe, size, workers: Mutex::default(), freed: Condvar::new(), calls: AtomicU64::new(1) };
        let started: Result<VecDeque<_>> = (0..size).map(|_| Process::start(&shared.recipe)).collect();
        let idle = started?;
        *shared.lock() = Workers { alive: idle.len(), idle, waiting: 0 };
        Ok(Pool(Arc::new(shared)))
    }
}

/// The number of workers nobody has set.
fn default_workers() -> Result<usize> {
    const VARIABLE: &str = "NDFERRY_WORKERS";
    match std::env::var_os(VARIABLE) {
        None => Ok(thread::available_parallelism().map_or(1, NonZero::get)),
        Some(text) => match text.to_str().and_then(|text| text.trim().parse().ok()) {
            Some(workers @ 1..) => Ok(workers),
            _ => Err(Error::usage(format!(
                "the environment variable {VARIABLE} is {text:?}, a whole number from 1 on was expected"
            ))),
        },
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Workers> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker that nobody uses, or a new one where some have gone; `None` where all are busy.
    fn take(&self) -> Result<Option<Process>> {
        let mut workers = self.lock();
        while let Some(process) = workers.idle.pop_front() {
            if process.lives() {
                return Ok(Some(process));
            }
            // It has died with nobody's work on its hands; another takes its place.
            workers.alive -= 1;
        }
        if workers.alive >= self.size {
            return Ok(None);
        }
        workers.alive += 1;
        drop(workers);
        match Process::start(&self.recipe) {
            Ok(process) => Ok(Some(process)),
            Err(error) => {
                self.lost();
                Err(error)
            }
        }
    }

    /// As [`take`](Shared::take), waiting for one.
    fn wait_for_one(&self) -> Result<Process> {
        loop {
            if let Some(process) = self.take()? {
                return Ok(process);
            }
            let mut workers = self.lock();
            if workers.idle.is_empty() && workers.alive >= self.size {
                workers.waiting += 1;
                workers = self.freed.wait(workers).unwrap_or_else(PoisonError::into_inner);
                workers.waiting -= 1;
            }
        }
    }

    /// Whether another call waits for a worker.
    fn is_wanted(&self) -> bool {
        self.lock().waiting > 0
    }

    fn give_back(&self, process: Process) {
        self.lock().idle.push_back(process);
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
        // All at once, and then each is waited for.
        idle.iter_mut().for_each(Process::close);
    }
}
