//! How a worker process is launched: what it runs, in what surroundings.

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

use super::stdio::WorkerStdio;
use crate::{Error, Result, sys};

/// The environment variable that makes a process a worker: the id of the parent it works for.
pub(crate) const WORKER_ENV: &str = "NDFERRY_WORKER";

/// The variables by which libraries with threads of their own are told how many to start.
const THREAD_COUNT_VARS: [&str; 6] = [
    "RAYON_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
];

/// What this process was given, if it is a worker.
static OWN_SHARE: OnceLock<CoreShare> = OnceLock::new();

/// A worker's part of the machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CoreShare {
    /// Cores it may use.
    cores: usize,
    /// The variables that say so; the others, somebody has set.
    told: Vec<String>,
}

impl CoreShare {
    /// The part of this process, which is a worker.
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

/// What was chosen for the worker processes of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LaunchOptions {
    /// The `#[test]` that a worker of a test program runs instead of `main`.
    pub(crate) test_entry: Option<String>,
    /// Variables to be set, or to be taken out.
    pub(crate) environment: BTreeMap<OsString, Option<OsString>>,
    pub(crate) current_dir: Option<PathBuf>,
    pub(crate) stdout: Option<WorkerStdio>,
    pub(crate) stderr: Option<WorkerStdio>,
}

impl LaunchOptions {
    /// Whether a process can be started so.
    ///
    /// # Errors
    ///
    /// Where a variable cannot be one, or there is no such directory.
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
        // Workers are also started later, and by then this process may work somewhere else.
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

    /// Whether a worker has nothing of its own.
    pub(crate) fn is_plain(&self) -> bool {
        *self == Self { test_entry: self.test_entry.clone(), ..Self::default() }
    }

    /// Where standard output and standard error go.
    pub(crate) fn stdio(&self) -> [WorkerStdio; 2] {
        // What the test harness of a worker prints is of no use, so in a test program nothing
        // is seen there unless asked for.
        let unsaid =
            if self.test_entry.is_some() { WorkerStdio::Discard } else { WorkerStdio::Inherit };
        [self.stdout.unwrap_or(unsaid), self.stderr.unwrap_or_default()]
    }

    /// What each of so many workers gets of this process's cores. What the user has said, here
    /// or in the environment, is left alone.
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

    /// The program, which is this one.
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
        // A group of its own: the terminal's Ctrl-C does not reach it, and what its tasks start
        // can be ended with it.
        command.process_group(0);
        command
    }
}
