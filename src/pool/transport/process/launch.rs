//! Launches worker processes: their command, environment, directory and streams.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    num::NonZero,
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    path::PathBuf,
    process::Command,
    sync::OnceLock,
    thread,
};

use serde::{Deserialize, Serialize};

use super::stdio::{StdioSetup, WorkerStdio};
use crate::{Error, Result, sys};

/// The environment variable that makes a process a worker. Its value is the process id of the
/// parent.
pub(crate) const WORKER_ENV: &str = "NDFERRY_WORKER";

/// The variables that tell libraries with their own threads how many threads to start.
const THREAD_COUNT_VARS: [&str; 6] = [
    "RAYON_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
];

/// The core share of this process, if it is a worker.
static OWN_SHARE: OnceLock<CoreShare> = OnceLock::new();

/// What a worker is told first. Open files come along: the page it shares with its parent, the
/// process slots, its own slot, and those of its streams.
#[derive(Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) session_dir: Vec<u8>,
    /// The process that began the session.
    pub(crate) first_process: u32,
    /// The worker's part in the session.
    pub(crate) member: u64,
    pub(crate) big_endian_store: bool,
    pub(crate) is_memfd_store: bool,
    pub(crate) threshold: Option<usize>,
    /// Device and inode of the executable.
    pub(crate) executable: (u64, u64),
    pub(crate) stdio: StdioSetup,
    pub(crate) share: CoreShare,
    /// The signals that the parent had blocked before it started the worker, one bit each.
    pub(crate) blocked: u64,
}

/// A worker's share of the cores of the machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CoreShare {
    /// Cores it may use.
    cores: usize,
    /// The variables that are set to this count. The user has set the others.
    told: Vec<String>,
}

impl CoreShare {
    /// Stores the share of this process, which is a worker.
    pub(crate) fn keep(self) {
        let _ = OWN_SHARE.set(self);
    }
}

/// Cores this process may use.
pub(crate) fn cores() -> usize {
    OWN_SHARE
        .get()
        .map_or_else(|| thread::available_parallelism().map_or(1, NonZero::get), |own| own.cores)
}

/// The options of a pool for its worker processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LaunchOptions {
    /// The `#[test]` that a worker of a test program runs instead of `main`.
    pub(crate) test_entry: Option<String>,
    /// Environment variables to set, or to remove if the value is `None`.
    pub(crate) environment: BTreeMap<OsString, Option<OsString>>,
    pub(crate) current_dir: Option<PathBuf>,
    pub(crate) stdout: Option<WorkerStdio>,
    pub(crate) stderr: Option<WorkerStdio>,
}

impl LaunchOptions {
    /// Checks that a process can be started with these options.
    ///
    /// # Errors
    ///
    /// Returns an error if a variable has an invalid name or value, or if the directory does
    /// not exist.
    pub(crate) fn check(&mut self) -> Result<()> {
        for (name, value) in &self.environment {
            let has = |text: &OsStr, byte: u8| text.as_bytes().contains(&byte);
            if name.is_empty() || has(name, b'=') || has(name, 0) {
                return Err(Error::invalid_input(format!(
                    "a worker cannot have an environment variable named {name:?}"
                )));
            }
            if value.as_ref().is_some_and(|value| has(value, 0)) {
                return Err(Error::invalid_input(format!(
                    "a worker's environment variable {name:?} has a zero byte in it"
                )));
            }
            if name == WORKER_ENV {
                return Err(Error::invalid_input(format!(
                    "the environment variable {WORKER_ENV} is what makes a process a worker"
                )));
            }
        }
        let Some(folder) = &mut self.current_dir else { return Ok(()) };
        // Workers are also started later, when this process may have another current directory.
        if let Ok(absolute) = std::path::absolute(&*folder) {
            *folder = absolute;
        }
        match std::fs::metadata(&*folder) {
            Ok(found) if found.is_dir() => Ok(()),
            Ok(_) => {
                Err(Error::invalid_input("the workers' working directory is no directory")
                    .at(&*folder))
            }
            Err(error) => Err(Error::io("workers cannot work in", error).at(&*folder)),
        }
    }

    /// Whether the worker processes inherit everything from this process.
    pub(crate) fn is_plain(&self) -> bool {
        *self == Self { test_entry: self.test_entry.clone(), ..Self::default() }
    }

    /// Returns the destinations of standard output and standard error.
    pub(crate) fn stdio(&self) -> [WorkerStdio; 2] {
        // A worker of a test program prints the lines of the test harness first. By default a
        // test program therefore discards standard output.
        let unsaid =
            if self.test_entry.is_some() { WorkerStdio::Discard } else { WorkerStdio::Inherit };
        [self.stdout.unwrap_or(unsaid), self.stderr.unwrap_or_default()]
    }

    /// Divides the cores of this process between `workers`. Leaves a variable alone that the
    /// user has set, here or in the environment.
    pub(crate) fn share(&self, workers: usize) -> CoreShare {
        let is_ours = |name: &str| {
            OWN_SHARE.get().is_some_and(|own| own.told.iter().any(|told| told == name))
        };
        let told = THREAD_COUNT_VARS.into_iter().filter(|name| {
            !self.environment.contains_key(OsStr::new(name))
                && (std::env::var_os(name).is_none() || is_ours(name))
        });
        CoreShare { cores: (cores() / workers).max(1), told: told.map(Into::into).collect() }
    }

    /// Returns the command that runs this program again.
    pub(crate) fn command(&self, share: &CoreShare) -> Command {
        let mut command = Command::new(sys::process::OWN_EXECUTABLE);
        if let Some(name) = std::env::args_os().next() {
            command.arg0(name);
        }
        if let Some(test) = &self.test_entry {
            command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
        }
        command.envs(share.told.iter().map(|name| (name, share.cores.to_string())));
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(folder) = &self.current_dir {
            command.current_dir(folder);
        }
        command.env(WORKER_ENV, std::process::id().to_string());
        // The worker gets its own process group: Ctrl-C in the terminal does not reach it, and
        // processes that its tasks start can be killed with it.
        command.process_group(0);
        command
    }
}
