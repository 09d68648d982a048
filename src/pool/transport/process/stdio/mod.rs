//! The standard output and standard error of worker processes: where they go, and which task
//! wrote what.
//!
//! Only the worker knows how far a stream has got when a task begins. It notes the position on
//! the shared page, and the parent reads a captured stream from there.

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
    /// To where that of this process goes.
    #[default]
    Inherit,
    /// Nowhere. Of a task that fails, or whose worker dies, the end of what was written since
    /// it began, 8 KiB at the most, is part of its error:
    /// [`TaskError::stdout`](crate::pool::TaskError::stdout) and
    /// [`stderr`](crate::pool::TaskError::stderr).
    Capture,
    /// Nowhere.
    Discard,
}

/// This process is a worker without captured streams.
pub(crate) fn capture_none() {
    capture::set_own(Vec::new());
}

/// The two streams of a worker that is about to be started.
pub(crate) struct ChildStreams {
    /// Standard output, standard error.
    both: [ChildStream; 2],
    /// Whether a test harness prints to standard output before the worker is one. That is
    /// thrown away.
    has_harness: bool,
}

enum ChildStream {
    Inherit,
    Discard,
    Capture(Arc<File>),
}

/// What a worker is told of its streams. Files for those that it has to set up come along, in
/// order.
#[derive(Serialize, Deserialize)]
pub(crate) struct StdioSetup {
    both: [Option<StreamMode>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum StreamMode {
    /// The file takes the place of the stream when the worker starts.
    Redirect,
    /// The stream is captured in the file.
    Capture { redirect: bool },
}

impl ChildStreams {
    /// # Errors
    ///
    /// Returns an error if the system gives no memory file.
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

    /// Has the process that is to be started write to them.
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

    /// What the worker is told, and the files that come along.
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

    /// The captured streams of the worker, which runs.
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
    /// The output since the task on the page began.
    pub(crate) fn since_task_began(&self, page: &Page) -> CapturedOutput {
        let since = shared_page::output_before_task(page);
        let [stdout, stderr] =
            [0, 1].map(|at| self.0[at].as_deref().map(|file| capture::end(file, since[at])));
        CapturedOutput { stdout, stderr }
    }
}
