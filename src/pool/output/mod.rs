//! What workers write to their standard output and standard error: where it goes, and whose it was.
//!
//! A worker says where in a stream a task begins, because only it knows: between lines for a reader that puts the task in front of
//! each ([`prefix`]), as a position on the shared page for a stream that is kept ([`capture`]).

mod capture;
mod own;
mod prefix;

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    process::{Command, Stdio},
    sync::Arc,
};

pub(super) use capture::trim;
pub(super) use own::Own;
use prefix::Prefixing;
use serde::{Deserialize, Serialize};

use super::notes;
use crate::{Result, bytes::map::Page, error::Said, sys};

/// Where a stream of the worker processes goes: [`PoolBuilder::stdout`](crate::pool::PoolBuilder::stdout) and
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
    /// There too, with the worker's process id and the index of the task that it runs in front of each line: `[4711 #3] text`. A thread
    /// of this process passes the lines on, each in one piece; text that ends without a line end becomes a line. What a worker had
    /// written when it died is passed on.
    Prefix,
    /// Nowhere. Of a task that fails, or whose worker dies, the end of what was written since it began, 8 KiB at the most, is part of
    /// its error: [`TaskError::stdout`](crate::pool::TaskError::stdout) and [`stderr`](crate::pool::TaskError::stderr).
    Capture,
    /// Nowhere.
    Discard,
}

/// This process, a worker, has no streams that are kept.
pub(super) fn keep_none() {
    capture::set_own(Vec::new());
}

/// What begins a mark in a prefixed stream: a zero and digits that nobody else knows. There is no line end in it.
type Nonce = [u8; 16];

/// The two streams of a worker that is about to be started.
pub(super) struct Streams {
    /// Standard output, standard error.
    both: [Stream; 2],
    nonce: Nonce,
    /// Whether a test harness prints to standard output before the worker is one, which nobody wants to see.
    harness: bool,
}

enum Stream {
    Inherit,
    Discard,
    Prefix { reader: OwnedFd, writer: Arc<OwnedFd> },
    Capture(Arc<File>),
}

/// What a worker is told of its streams. Those that are something to it come along, open.
#[derive(Serialize, Deserialize)]
pub(super) struct Told {
    both: [Option<How>; 2],
    nonce: Nonce,
    /// Whether the first of them takes the place of standard output only now.
    harness: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum How {
    Plain,
    Prefix,
    Capture,
}

impl Streams {
    /// # Errors
    ///
    /// Where the system gives no pipe, no memory file or no randomness.
    pub(super) fn new(both: [WorkerStdio; 2], harness: bool) -> Result<Self> {
        let cannot = |error: io::Error| {
            crate::Error::io("cannot redirect the output of a worker process", error)
        };
        let make = |output| {
            Ok(match output {
                WorkerStdio::Inherit => Stream::Inherit,
                WorkerStdio::Discard => Stream::Discard,
                WorkerStdio::Capture => Stream::Capture(Arc::new(capture::file()?)),
                WorkerStdio::Prefix => {
                    let (reader, writer) =
                        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
                    Stream::Prefix { reader, writer: Arc::new(writer) }
                }
            })
        };
        let [stdout, stderr] = both.map(make);
        let mut nonce = Nonce::default();
        if both.contains(&WorkerStdio::Prefix) {
            let digits = format!("{:015x}", sys::random::number().map_err(cannot)? >> 4);
            nonce[1..].copy_from_slice(digits.as_bytes());
        }
        Ok(Self { both: [stdout.map_err(cannot)?, stderr.map_err(cannot)?], nonce, harness })
    }

    /// Has the process that is to be started write to them.
    pub(super) fn attach(&self, command: &mut Command) -> io::Result<()> {
        let stdio = |stream: &Stream| {
            Ok::<_, io::Error>(match stream {
                Stream::Inherit => Stdio::inherit(),
                Stream::Discard => Stdio::null(),
                Stream::Prefix { writer, .. } => writer.try_clone()?.into(),
                Stream::Capture(file) => file.try_clone()?.into(),
            })
        };
        let [stdout, stderr] = &self.both;
        command.stdout(if self.harness { Stdio::null() } else { stdio(stdout)? });
        command.stderr(stdio(stderr)?);
        Ok(())
    }

    /// What the worker has to know, and what comes along with it.
    pub(super) fn told(&self) -> io::Result<(Told, Vec<Arc<dyn AsFd + Send + Sync>>)> {
        let mut files: Vec<Arc<dyn AsFd + Send + Sync>> = Vec::new();
        let mut both = [None; 2];
        for (at, (how, stream)) in both.iter_mut().zip(&self.both).enumerate() {
            *how = match stream {
                Stream::Inherit if self.harness && at == 0 => {
                    files.push(Arc::new(rustix::stdio::stdout().try_clone_to_owned()?));
                    Some(How::Plain)
                }
                Stream::Inherit | Stream::Discard => None,
                Stream::Prefix { writer, .. } => {
                    files.push(Arc::clone(writer) as _);
                    Some(How::Prefix)
                }
                Stream::Capture(file) => {
                    files.push(Arc::clone(file) as _);
                    Some(How::Capture)
                }
            };
        }
        Ok((Told { both, nonce: self.nonce, harness: self.harness }, files))
    }

    /// The worker runs, as process `id`.
    ///
    /// # Errors
    ///
    /// Where a thread is needed and cannot be started.
    pub(super) fn follow(self, id: u32) -> io::Result<Followed> {
        let mut captured = [const { None }; 2];
        let mut readers = Vec::new();
        for (at, stream) in self.both.into_iter().enumerate() {
            match stream {
                Stream::Capture(file) => captured[at] = Some(file),
                Stream::Prefix { reader, .. } => readers.push((reader, at == 1)),
                Stream::Inherit | Stream::Discard => {}
            }
        }
        let prefixing = if readers.is_empty() {
            None
        } else {
            Some(Prefixing::start(id, readers, self.nonce)?)
        };
        Ok(Followed { captured, prefixing })
    }
}

/// The streams of a worker that runs.
#[derive(Default)]
pub(super) struct Followed {
    captured: [Option<Arc<File>>; 2],
    prefixing: Option<Prefixing>,
}

impl Followed {
    /// What was kept since the task on the page began.
    pub(super) fn said(&self, page: &Page) -> Said {
        let since = notes::written(page);
        let [stdout, stderr] =
            [0, 1].map(|at| self.captured[at].as_deref().map(|file| capture::end(file, since[at])));
        Said { stdout, stderr }
    }

    /// Passes on what the worker has written; it has ended.
    pub(super) fn finish(&mut self) {
        self.prefixing = None;
    }
}
