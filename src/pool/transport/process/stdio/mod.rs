//! The standard output and standard error of worker processes.
//!
//! Only the worker knows the length of its streams when a task begins. It writes this position
//! to the shared page, and the parent reads a captured stream from there.

mod capture;
mod own;

use std::{
    fs::File,
    io,
    os::fd::AsFd,
    process::{Command, Stdio},
    sync::Arc,
};

pub(crate) use capture::trim;
pub(crate) use own::OwnStreams;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    bytes::map::Page,
    pool::wire::{report::CapturedOutput, shared_page},
};

/// Where a stream of the worker processes goes:
/// [`PoolBuilder::stdout`](crate::pool::PoolBuilder::stdout) and
/// [`stderr`](crate::pool::PoolBuilder::stderr).
///
/// ```
/// # fn main() -> ndferry::Result<()> {
/// # ndferry::init();
/// use ndferry::{pool::WorkerStdio, Pool};
///
/// let pool = Pool::builder().workers(1).stderr(WorkerStdio::Capture).build()?;
/// let failed = pool.try_map(
///     |text: String| {
///         eprintln!("looking at {text:?}");
///         text.parse::<f64>()
///     },
///     ["x".to_string()],
/// );
/// let failed = failed.unwrap_err();
/// assert_eq!(failed.task_error().unwrap().stderr(), Some("looking at \"x\"\n"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WorkerStdio {
    /// To the same stream of this process.
    #[default]
    Inherit,
    /// Nowhere, but an error contains the end of it: if a task fails or its worker dies,
    /// [`TaskError::stdout`](crate::pool::TaskError::stdout) and
    /// [`stderr`](crate::pool::TaskError::stderr) return the last 8 KiB that were written since
    /// the task began.
    Capture,
    /// Nowhere.
    Discard,
}

/// Notes that no stream of this worker is captured.
pub(crate) fn capture_none() {
    capture::set_own(Vec::new());
}

/// The two streams of a worker that will be started.
pub(crate) struct ChildStreams {
    /// Standard output, standard error.
    both: [ChildStream; 2],
    /// Whether a test harness prints to standard output before the process becomes a worker.
    /// That output is discarded.
    has_harness: bool,
}

enum ChildStream {
    Inherit,
    Discard,
    Capture(Arc<File>),
}

/// Tells a worker how to set up its streams. The files for it are sent along, in order.
#[derive(Serialize, Deserialize)]
pub(crate) struct StdioSetup {
    both: [Option<StreamMode>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum StreamMode {
    /// The worker redirects the stream to the file when it starts.
    Redirect,
    /// The file captures the stream.
    Capture { redirect: bool },
}

impl ChildStreams {
    /// # Errors
    ///
    /// Returns an error if the system cannot make a memory file.
    pub(crate) fn new(both: [WorkerStdio; 2], has_harness: bool) -> Result<Self> {
        let make = |stdio| {
            Ok(match stdio {
                WorkerStdio::Inherit => ChildStream::Inherit,
                WorkerStdio::Discard => ChildStream::Discard,
                WorkerStdio::Capture => ChildStream::Capture(Arc::new(capture::file()?)),
            })
        };
        let cannot =
            |error: io::Error| Error::io("cannot redirect the output of a worker process", error);
        let [stdout, stderr] = both.map(make);
        Ok(Self { both: [stdout.map_err(cannot)?, stderr.map_err(cannot)?], has_harness })
    }

    /// Connects the streams to the process that `command` will start.
    pub(crate) fn attach(&self, command: &mut Command) -> io::Result<()> {
        let stdio = |stream: &ChildStream| {
            Ok::<_, io::Error>(match stream {
                ChildStream::Inherit => Stdio::inherit(),
                ChildStream::Discard => Stdio::null(),
                ChildStream::Capture(file) => file.try_clone()?.into(),
            })
        };
        let [stdout, stderr] = &self.both;
        command.stdout(if self.has_harness { Stdio::null() } else { stdio(stdout)? });
        command.stderr(stdio(stderr)?);
        Ok(())
    }

    /// Returns the message for the worker and the files to send with it.
    pub(crate) fn setup(&self) -> io::Result<(StdioSetup, Vec<Arc<dyn AsFd + Send + Sync>>)> {
        let mut files: Vec<Arc<dyn AsFd + Send + Sync>> = Vec::new();
        let mut both = [None; 2];
        for (at, (mode, stream)) in both.iter_mut().zip(&self.both).enumerate() {
            let redirect = self.has_harness && at == 0;
            *mode = match stream {
                ChildStream::Inherit if redirect => {
                    files.push(Arc::new(rustix::stdio::stdout().try_clone_to_owned()?));
                    Some(StreamMode::Redirect)
                }
                ChildStream::Inherit | ChildStream::Discard => None,
                ChildStream::Capture(file) => {
                    files.push(Arc::clone(file) as _);
                    Some(StreamMode::Capture { redirect })
                }
            };
        }
        Ok((StdioSetup { both }, files))
    }

    /// Returns the captured streams of the worker, which is running.
    pub(crate) fn captured(self) -> CapturedStreams {
        CapturedStreams(self.both.map(|stream| match stream {
            ChildStream::Capture(file) => Some(file),
            ChildStream::Inherit | ChildStream::Discard => None,
        }))
    }
}

/// The captured streams of a worker.
#[derive(Default)]
pub(crate) struct CapturedStreams([Option<Arc<File>>; 2]);

impl CapturedStreams {
    /// Returns the output since the task on the page began.
    pub(crate) fn since_task_began(&self, page: &Page) -> CapturedOutput {
        let since = shared_page::output_before_task(page);
        let [stdout, stderr] =
            [0, 1].map(|at| self.0[at].as_deref().map(|file| capture::end(file, since[at])));
        CapturedOutput { stdout, stderr }
    }
}
