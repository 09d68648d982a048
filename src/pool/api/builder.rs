//! Options for pools.

use std::{ffi::OsString, num::NonZero, path::PathBuf, sync::Arc, thread};

use super::{job::Job, pool::Pool};
use crate::{
    Error, Result,
    pool::{
        engine::pool_state::{PoolSettings, PoolState, RunsInCaller},
        marker::Forked,
        transport::{
            Capabilities, Transport,
            fork::{self, ForkSetup},
            process::{
                ProcessTransport,
                launch::{self, LaunchOptions},
                slots::{self, SlotGrant},
                stdio::WorkerStdio,
            },
            thread::ThreadTransport,
        },
        worker,
    },
    store::Store,
};

/// Bytes from which an array travels through the store and not inside a message: the lower end of where the two cost the same
/// for an array that is used once, by `cargo bench --bench pool -- crossover`.
const DEFAULT_MMAP_THRESHOLD: usize = 1 << 20;

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
#[must_use = "a pool is built by build"]
pub struct PoolBuilder {
    backend: Backend,
    workers: Option<usize>,
    threshold: Option<usize>,
    store: Option<Store>,
    launch: LaunchOptions,
    max_tasks_per_worker: Option<u64>,
    max_worker_memory: Option<u64>,
}

/// What the workers of a pool run in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// Processes: a task that crashes, hangs or eats memory costs itself alone.
    #[default]
    Processes,
    /// Threads of this process: no start-up, arrays are handed over as they are. For debugging, and for tasks too cheap for processes. A
    /// task that aborts takes the program with it, and none can be killed.
    Threads,
    /// The calling thread, one task after another, each when its result is needed: for debugging.
    Serial,
}

impl Backend {
    fn is_serial(self) -> bool {
        self == Self::Serial
    }
}

impl Default for PoolBuilder {
    fn default() -> Self {
        Self {
            backend: Backend::Processes,
            workers: None,
            threshold: Some(DEFAULT_MMAP_THRESHOLD),
            store: None,
            launch: LaunchOptions::default(),
            max_tasks_per_worker: None,
            max_worker_memory: None,
        }
    }
}

impl PoolBuilder {
    /// What the workers run in; [processes](Backend::Processes) unless set. Calls are the same over each; what one cannot do is an error.
    ///
    /// ```
    /// use ndferry::{pool::Backend, Pool};
    ///
    /// let pool = Pool::builder().backend(Backend::Threads).workers(2).build()?;
    /// assert_eq!(pool.map(|x: u8| x + 1, [1, 2])?, [2, 3]);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// Replaces a worker, between tasks, when it has done this many: for libraries that leak.
    pub fn max_tasks_per_worker(mut self, tasks: u64) -> Self {
        self.max_tasks_per_worker = Some(tasks);
        self
    }

    /// Replaces a worker, between tasks, when it has more than this many bytes of memory resident, those of mapped arrays not counted. Its
    /// tasks are then sent one by one.
    pub fn max_worker_memory(mut self, bytes: u64) -> Self {
        self.max_worker_memory = Some(bytes);
        self
    }

    /// The number of worker processes, at least 1. Unless set: what the environment variable `NDFERRY_WORKERS` says, or else
    /// one for each core that affinity and control groups leave to this process.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Bytes from which an array travels through the store, or as the file it is mapped from, and is mapped by the
    /// receiver; 1 MiB unless set. A smaller one travels inside the message. `None`: every array does.
    pub fn mmap_threshold(mut self, bytes: impl Into<Option<usize>>) -> Self {
        self.threshold = bytes.into();
        self
    }

    /// The store to share arrays by; one of its own unless set. An array that several pools share through one store is
    /// written once.
    pub fn store(mut self, store: &Store) -> Self {
        self.store = Some(store.clone());
        self
    }

    /// For pools inside `cargo test`, where there is no `main` to call [`init`](crate::init) in: the full name of a `#[test]`
    /// that calls it. WorkerSet run that test instead; in the test run itself it does nothing.
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
    #[allow(clippy::test_attr_in_doctest, reason = "what it shows is a test")]
    pub fn test_entry(mut self, test: impl Into<String>) -> Self {
        self.launch.test_entry = Some(test.into());
        self
    }

    /// Sets an environment variable of the worker processes.
    ///
    /// Unless this is done for them or they are set for this process, the variables that libraries with threads of their own look at
    /// (`RAYON_NUM_THREADS`, `OMP_NUM_THREADS`, `OPENBLAS_NUM_THREADS`, `MKL_NUM_THREADS`, `VECLIB_MAXIMUM_THREADS`,
    /// `NUMEXPR_NUM_THREADS`) tell each worker its share of the cores.
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// let pool = ndferry::Pool::builder().workers(1).env("DATA", "/data").env_remove("HOME").current_dir("/").build()?;
    /// let seen = pool.map(|name: String| std::env::var(name).ok(), ["DATA".to_string(), "HOME".to_string()])?;
    /// assert_eq!(seen, [Some("/data".to_string()), None]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.launch.environment.insert(name.into(), Some(value.into()));
        self
    }

    /// Takes a variable out of the environment of the worker processes.
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.launch.environment.insert(name.into(), None);
        self
    }

    /// The working directory of the worker processes; this process's own unless set.
    pub fn current_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.launch.current_dir = Some(path.into());
        self
    }

    /// Where the standard output of the worker processes goes; [to this process's](WorkerStdio::Inherit) unless set. In a test program
    /// ([`test_entry`](Self::test_entry)): [nowhere](WorkerStdio::Discard) unless set.
    pub fn stdout(mut self, output: WorkerStdio) -> Self {
        self.launch.stdout = Some(output);
        self
    }

    /// Where the standard error of the worker processes goes; [to this process's](WorkerStdio::Inherit) unless set.
    pub fn stderr(mut self, output: WorkerStdio) -> Self {
        self.launch.stderr = Some(output);
        self
    }

    /// Starts the workers.
    ///
    /// # Errors
    ///
    /// Where [`init`](crate::init) was not called (before any process is started), a number or a name makes no sense, the backend cannot do
    /// what was chosen, the store cannot be opened, or a process cannot be started.
    pub fn build(mut self) -> Result<Pool> {
        if self.backend == Backend::Processes {
            self.check_start()?;
            self.launch.check()?;
        } else if self.max_tasks_per_worker.is_some()
            || self.max_worker_memory.is_some()
            || self.launch != LaunchOptions::default()
        {
            return Err(Error::invalid_input(
                "recycling, environment, working directory, output and test entry are for worker processes: workers within this process \
                 have none of their own",
            ));
        }
        let backend = self.backend;
        let launch = std::mem::take(&mut self.launch);
        let needs_process = self.max_tasks_per_worker.is_some()
            || self.max_worker_memory.is_some()
            || !launch.is_plain();
        let (mut settings, slots) = self.settings()?;
        let mut starts_workers = true;
        let (transport, capabilities): (Option<Box<dyn Transport + Send + Sync>>, _) = match backend
        {
            Backend::Processes => {
                let (slots, got) = slots.expect("processes have slots");
                if got == 0 {
                    // Without a slot of its own, the pool runs in that of its caller: in the calling thread, or in a process for which the
                    // caller waits if a job needs one.
                    settings.keeps_workers = false;
                    starts_workers = false;
                    if !needs_process {
                        settings.runs_in_caller = RunsInCaller::UnlessTimeout;
                    }
                }
                let threshold = settings.threshold;
                let share = launch.share(settings.size);
                let transport = ProcessTransport { launch, share, slots, threshold };
                (Some(Box::new(transport)), Capabilities::LOCAL_PROCESS)
            }
            Backend::Threads => (Some(Box::new(ThreadTransport)), Capabilities::IN_PROCESS),
            Backend::Serial => {
                settings.runs_in_caller = RunsInCaller::Always;
                starts_workers = false;
                (None, Capabilities::IN_PROCESS)
            }
        };
        let pool = PoolState::new(settings, transport, capabilities)?;
        if starts_workers {
            pool.workers.fill(|| pool.start())?;
        }
        Ok(Pool(pool))
    }

    /// A call whose workers are forks of this process as it is: its tasks may be closures that capture anything, by reference, also
    /// what cannot be serialised. [`fork_map`](crate::pool::fork_map) tells more; this is for calls with options, or other verbs.
    ///
    /// Of the builder's choices, those that concern how a program is started make no sense here, nor does another
    /// [backend](PoolBuilder::backend); and [`init`](crate::init) is not needed.
    ///
    /// ```
    /// use std::{sync::Mutex, time::Duration};
    ///
    /// let seen = Mutex::new(vec![1, 2, 3]);
    /// let known = ndferry::Pool::builder()
    ///     .workers(2)
    ///     .fork()?
    ///     .timeout(Duration::from_secs(60))
    ///     .map(|x: i32| seen.lock().unwrap().contains(&x), [3, 4])?;
    /// assert_eq!(known, [true, false]);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where other threads run in this process, a choice makes no sense, or the store cannot be opened.
    pub fn fork<'p>(self) -> Result<Job<'p, Forked>> {
        if self.backend != Backend::Processes || self.launch != LaunchOptions::default() {
            return Err(Error::invalid_input(
                "forked workers are this process once more: there is no backend to choose for them, and no environment, working \
                 directory, output or test entry",
            ));
        }
        fork::check()?;
        let (settings, slots) = self.settings()?;
        let (slots, _) = slots.expect("processes have slots");
        let setup = ForkSetup { slots, threshold: settings.threshold };
        let pool = PoolState::new(settings, None, Capabilities::LOCAL_PROCESS)?;
        Ok(Job::new(&Pool(pool), Forked(Arc::new(setup))))
    }

    /// What was chosen, with the process slots of the workers, and how many of them the pool got.
    fn settings(self) -> Result<(PoolSettings, Option<(Arc<SlotGrant>, usize)>)> {
        if self.max_tasks_per_worker == Some(0) {
            return Err(Error::invalid_input(
                "a worker recycled after 0 tasks: at least 1 is needed",
            ));
        }
        let size = match self.workers {
            Some(0) => {
                return Err(Error::invalid_input("a pool of 0 workers: at least 1 is needed"));
            }
            Some(workers @ 2..) if self.backend.is_serial() => {
                return Err(Error::invalid_input(format!(
                    "a serial pool has 1 worker, {workers} were asked for"
                )));
            }
            Some(workers) => workers,
            None if self.backend.is_serial() => 1,
            None => default_workers()?,
        };
        let store = match self.store {
            Some(store) => store,
            None => Store::new()?,
        };
        let slots = match self.backend {
            Backend::Processes => {
                let budget = default_workers().unwrap_or_else(|_| launch::cores()).max(size);
                Some(slots::take(size, budget)?)
            }
            Backend::Threads | Backend::Serial => None,
        };
        let settings = PoolSettings {
            store,
            size: slots.as_ref().map_or(size, |(_, got)| (*got).max(1)),
            threshold: self.threshold,
            runs_in_caller: RunsInCaller::Never,
            keeps_workers: true,
            max_tasks_per_worker: self.max_tasks_per_worker,
            max_worker_memory: self.max_worker_memory,
        };
        Ok((settings, slots))
    }

    /// Whether worker processes can be started.
    fn check_start(&self) -> Result<()> {
        if self.launch.test_entry.is_none() && !worker::is_initialised() {
            return Err(Error::invalid_input(
                "ndferry::init() was not called: make it the first line of main (in a test program, name a #[test] that \
                 calls it by PoolBuilder::test_entry)",
            ));
        }
        if worker::called_by().is_some() {
            return Err(Error::invalid_input(
                "this process was started as a worker and makes a pool before it calls ndferry::init()",
            ));
        }
        Ok(())
    }
}

/// The number of workers nobody has set.
fn default_workers() -> Result<usize> {
    const VARIABLE: &str = "NDFERRY_WORKERS";
    match std::env::var_os(VARIABLE) {
        None => Ok(thread::available_parallelism().map_or(1, NonZero::get)),
        Some(text) => match text.to_str().and_then(|text| text.trim().parse().ok()) {
            Some(workers @ 1..) => Ok(workers),
            _ => Err(Error::invalid_input(format!(
                "the environment variable {VARIABLE} is {text:?}, a whole number from 1 on was expected"
            ))),
        },
    }
}
