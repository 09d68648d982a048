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

/// The default size in bytes from which arrays are mapped instead of copied. It is the lower
/// end of the range in which both cost the same for an array that is used once; see `cargo
/// bench --bench pool -- crossover`.
const DEFAULT_MMAP_THRESHOLD: usize = 1 << 20;

/// Options for a [`Pool`].
///
/// # Examples
///
/// ```
/// # fn main() -> ndferry::Result<()> {
/// # ndferry::init();
/// let pool = ndferry::Pool::builder().workers(2).mmap_threshold(1 << 20).build()?;
/// assert_eq!(pool.map(|x: u8| x + 1, [1, 2])?, [2, 3]);
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

/// The process slots of a pool and their number, if its workers are processes.
type GrantedSlots = Option<(Arc<SlotGrant>, usize)>;

/// Where the workers of a pool run.
///
/// # Examples
///
/// ```
/// use ndferry::{Pool, pool::Backend};
///
/// let pool = Pool::builder().backend(Backend::Serial).build()?; // for a debugger
/// assert_eq!(pool.map(|x: u8| x + 1, [1, 2])?, [2, 3]);
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// Worker processes. A task that crashes, hangs or uses too much memory costs only itself.
    #[default]
    Processes,
    /// Threads of this process, without start-up cost and without copies of arrays. Use them
    /// for debugging, and for tasks that are too short for processes. A task that aborts ends
    /// the program, and tasks cannot be killed. A job within a task on the same pool runs in
    /// the thread of that task.
    Threads,
    /// The calling thread, one task after another, when its result is needed. Use it for
    /// debugging. The number of workers is ignored.
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
    /// Sets where the workers run. The default is [`Backend::Processes`].
    ///
    /// All backends run the same jobs. Asking for something that a backend cannot do is an error.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{Pool, pool::Backend};
    ///
    /// let pool = Pool::builder().backend(Backend::Threads).workers(2).build()?;
    /// assert_eq!(pool.map(|x: u8| x + 1, [1, 2])?, [2, 3]);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// Replaces a worker after this many tasks. Use this for libraries that leak memory.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// let pool = ndferry::Pool::builder().workers(1).max_tasks_per_worker(2).build()?;
    /// let pids = pool.map(|_: u8| std::process::id(), 0..4)?;
    /// assert_ne!(pids[0], pids[3]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_tasks_per_worker(mut self, tasks: u64) -> Self {
        self.max_tasks_per_worker = Some(tasks);
        self
    }

    /// Replaces a worker between tasks if its resident memory exceeds this many bytes.
    ///
    /// Mapped arrays do not count. The tasks of such a pool are sent one by one.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// let pool = ndferry::Pool::builder().workers(1).max_worker_memory(2 << 30).build()?;
    /// # let _ = pool;
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_worker_memory(mut self, bytes: u64) -> Self {
        self.max_worker_memory = Some(bytes);
        self
    }

    /// Sets the number of workers, at least 1.
    ///
    /// The default is the value of the environment variable `NDFERRY_WORKERS`, or the number of
    /// cores that CPU affinity and control groups allow.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// assert_eq!(ndferry::Pool::builder().workers(3).build()?.workers(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Sets the size in bytes from which arrays are mapped. The default is 1 MiB.
    ///
    /// Larger arrays travel through the store, or as the file that they are mapped from, and
    /// the receiver maps them. Smaller arrays are copied into the message. With `None`, all
    /// arrays are copied.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// let pool = ndferry::Pool::builder().workers(1).mmap_threshold(4096).build()?;
    /// # let _ = pool;
    /// # Ok(())
    /// # }
    /// ```
    pub fn mmap_threshold(mut self, bytes: impl Into<Option<usize>>) -> Self {
        self.threshold = bytes.into();
        self
    }

    /// Sets the store for the arrays of the pool. By default, the pool opens its own.
    ///
    /// An array that several pools share through one store is written once.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// let store = ndferry::store::Store::new()?;
    /// let pool = ndferry::Pool::builder().workers(1).store(&store).build()?;
    /// assert_eq!(pool.store().session_dir(), store.session_dir());
    /// # Ok(())
    /// # }
    /// ```
    pub fn store(mut self, store: &Store) -> Self {
        self.store = Some(store.clone());
        self
    }

    /// Sets the `#[test]` that workers run in a test program, which has no `main` to call
    /// [`init`](crate::init).
    ///
    /// `test` is the full name of the test. Workers run this test instead of `main`. In the
    /// test run itself it does nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # mod example {
    /// #[test]
    /// fn worker() {
    ///     ndferry::init();
    /// }
    ///
    /// #[test]
    /// fn pool_squares_numbers() {
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
    /// The pool itself sets the variables by which libraries choose their number of threads
    /// (`RAYON_NUM_THREADS`, `OMP_NUM_THREADS`, `OPENBLAS_NUM_THREADS`, `MKL_NUM_THREADS`,
    /// `VECLIB_MAXIMUM_THREADS`, `NUMEXPR_NUM_THREADS`) to each worker's share of the cores. It
    /// leaves those alone that you set here or that are set for this process.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// let pool = ndferry::Pool::builder()
    ///     .workers(1)
    ///     .env("DATA", "/data")
    ///     .env_remove("HOME")
    ///     .current_dir("/")
    ///     .build()?;
    /// let read = |name: String| std::env::var(name).ok();
    /// let seen = pool.map(read, ["DATA".to_string(), "HOME".to_string()])?;
    /// assert_eq!(seen, [Some("/data".to_string()), None]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.launch.environment.insert(name.into(), Some(value.into()));
        self
    }

    /// Removes an environment variable of the worker processes. See [`env`](Self::env) for an
    /// example.
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.launch.environment.insert(name.into(), None);
        self
    }

    /// Sets the working directory of the worker processes. The default is that of this process.
    ///
    /// See [`env`](Self::env) for an example.
    pub fn current_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.launch.current_dir = Some(path.into());
        self
    }

    /// Sets where the standard output of the worker processes goes.
    ///
    /// The default is [`WorkerStdio::Inherit`]. In a test program
    /// ([`test_entry`](Self::test_entry)) it is [`WorkerStdio::Discard`].
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{Pool, pool::WorkerStdio};
    ///
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// let pool = Pool::builder().workers(1).stdout(WorkerStdio::Capture).build()?;
    /// let print = |_: u8| -> Result<(), String> { println!("working"); Err("failed".into()) };
    /// let error = pool.try_map(print, [1]).unwrap_err();
    /// assert_eq!(error.task_error().unwrap().stdout(), Some("working\n"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn stdout(mut self, output: WorkerStdio) -> Self {
        self.launch.stdout = Some(output);
        self
    }

    /// Sets where the standard error of the worker processes goes. The default is
    /// [`WorkerStdio::Inherit`].
    ///
    /// See [`stdout`](Self::stdout) for an example.
    pub fn stderr(mut self, output: WorkerStdio) -> Self {
        self.launch.stderr = Some(output);
        self
    }

    /// Builds the pool and starts its workers.
    ///
    /// It does not wait for the workers: tasks that are sent meanwhile run when their worker is
    /// ready.
    ///
    /// # Errors
    ///
    /// Returns an error if
    ///
    /// - [`init`](crate::init) was not called (before any process is started),
    /// - an option is invalid, or the backend does not support it,
    /// - the store cannot be opened, or
    /// - a process cannot be started.
    pub fn build(mut self) -> Result<Pool> {
        if self.backend == Backend::Processes {
            self.check_start()?;
            self.launch.check()?;
        } else if self.max_tasks_per_worker.is_some()
            || self.max_worker_memory.is_some()
            || self.launch != LaunchOptions::default()
        {
            return Err(Error::invalid_input(
                "max_tasks_per_worker, max_worker_memory, environment, working directory, stdio and \
                 test entry need `Backend::Processes`",
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
                    // Without a free slot, the pool uses the slot of its caller: tasks run in the
                    // calling thread, or in a process that the caller waits for.
                    settings.keeps_workers = false;
                    starts_workers = false;
                    if !needs_process {
                        settings.runs_in_caller = RunsInCaller::UnlessTimeout;
                    }
                }
                let threshold = settings.threshold;
                let share = launch.share(settings.size);
                let transport =
                    ProcessTransport { launch, share, slots, threshold, proven: Arc::default() };
                (Some(Box::new(transport)), Capabilities::LOCAL_PROCESS)
            }
            Backend::Threads => (Some(Box::new(ThreadTransport::new())), Capabilities::IN_PROCESS),
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

    /// Returns a job whose workers are forks of this process.
    ///
    /// Its tasks may be closures that capture anything by reference, also values that cannot be
    /// serialized. See [`fork_map`](crate::pool::fork_map), which is shorthand for a job
    /// without options. Options for starting programs, and other
    /// [backends](PoolBuilder::backend), do not apply. [`init`](crate::init) is not needed.
    ///
    /// # Examples
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
    /// Returns an error if other threads are running in this process, an option does not apply,
    /// or the store cannot be opened.
    pub fn fork<'p>(self) -> Result<Job<'p, Forked>> {
        if self.backend != Backend::Processes || self.launch != LaunchOptions::default() {
            return Err(Error::invalid_input(
                "forked workers cannot have another backend, environment, working directory, stdio or \
                 test entry",
            ));
        }
        fork::check()?;
        let (settings, slots) = self.settings()?;
        let (slots, _) = slots.expect("processes have slots");
        let setup = ForkSetup { slots, threshold: settings.threshold };
        let pool = PoolState::new(settings, None, Capabilities::LOCAL_PROCESS)?;
        Ok(Job::new(&Pool(pool), Forked(Arc::new(setup))))
    }

    /// Returns the pool's settings, the process slots of its workers, and their number.
    fn settings(self) -> Result<(PoolSettings, GrantedSlots)> {
        if self.max_tasks_per_worker == Some(0) {
            return Err(Error::invalid_input("max_tasks_per_worker must be at least 1, found 0"));
        }
        let size = match self.workers {
            Some(0) => {
                return Err(Error::invalid_input(
                    "the number of workers must be at least 1, found 0",
                ));
            }
            // Only the backend changes when a program is debugged.
            _ if self.backend.is_serial() => 1,
            Some(workers) => workers,
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

    /// Checks that worker processes can be started.
    fn check_start(&self) -> Result<()> {
        if self.launch.test_entry.is_none() && !worker::is_initialised() {
            return Err(Error::invalid_input(
                "ndferry::init() was not called: call it in the first line of main (in a test program, \
                 pass a #[test] that calls it to PoolBuilder::test_entry)",
            ));
        }
        if worker::called_by().is_some() {
            return Err(Error::invalid_input(
                "this process was started as a worker, and must call ndferry::init() before it builds a pool",
            ));
        }
        Ok(())
    }
}

/// Returns the default number of workers.
fn default_workers() -> Result<usize> {
    const VARIABLE: &str = "NDFERRY_WORKERS";
    match std::env::var_os(VARIABLE) {
        None => Ok(thread::available_parallelism().map_or(1, NonZero::get)),
        Some(text) => match text.to_str().and_then(|text| text.trim().parse().ok()) {
            Some(workers @ 1..) => Ok(workers),
            _ => Err(Error::invalid_input(format!(
                "the environment variable {VARIABLE} must be a whole number of at least 1, found {text:?}"
            ))),
        },
    }
}
