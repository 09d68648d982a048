//! What a failed task tells: the original error, where it happened, and to whom.

use std::{error::Error as StdError, fmt, time::Duration};

/// Why a task has no result.
///
/// Printed with `{}` it says in one line what failed, where and why, followed by the chain of causes. `{:?}` adds the rest: call
/// site, worker, elapsed time, the panic's backtrace.
///
/// ```no_run
/// # fn main() -> ndferry::Result<()> {
/// ndferry::init();
/// let pool = ndferry::Pool::new()?;
/// let failed = pool.try_map(|text: String| text.parse::<f64>(), ["1.5".to_string(), "x".to_string()]).unwrap_err();
/// let task = failed.task_error().unwrap();
/// assert_eq!((task.index(), task.message()), (1, "invalid float literal"));
/// assert_eq!(task.type_name(), Some("core::num::dec2flt::ParseFloatError"));
/// # Ok(())
/// # }
/// ```
pub struct TaskError {
    report: Report,
    task: String,
    call_site: String,
    index: u64,
    worker: u32,
    elapsed: Duration,
    cause: Option<Cause>,
}

/// In what way a task failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// It returned an error.
    Error,
    /// It panicked.
    Panic,
    /// Its worker process ended: killed, aborted, or by `exit`.
    Died,
    /// Its item or context could not be sent to the worker, or not be read there.
    Argument,
    /// Its result could not be sent back, or not be read here.
    Result,
    /// Its worker could not be started.
    Start,
}

/// A failure as the worker tells it; the parent knows the rest.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) enum Report {
    Error { type_name: String, message: String, causes: Vec<String> },
    Panic { message: String, location: Option<String>, backtrace: String },
    Died { signal: Option<i32>, code: Option<i32> },
    Argument { message: String },
    Result { message: String },
    Start { message: String },
}

/// Where and for whom a task ran.
pub(crate) struct Circumstances {
    pub(crate) task: String,
    pub(crate) call_site: String,
    pub(crate) index: u64,
    pub(crate) worker: u32,
    pub(crate) elapsed: Duration,
}

impl TaskError {
    pub(crate) fn new(report: Report, circumstances: Circumstances) -> Self {
        let cause = match &report {
            Report::Error { causes, .. } => Cause::chain(causes),
            _ => None,
        };
        let Circumstances { task, call_site, index, worker, elapsed } = circumstances;
        Self { report, task, call_site, index, worker, elapsed, cause }
    }

    /// In what way the task failed.
    #[must_use]
    pub fn failure(&self) -> Failure {
        match &self.report {
            Report::Error { .. } => Failure::Error,
            Report::Panic { .. } => Failure::Panic,
            Report::Died { .. } => Failure::Died,
            Report::Argument { .. } => Failure::Argument,
            Report::Result { .. } => Failure::Result,
            Report::Start { .. } => Failure::Start,
        }
    }

    /// The original error's or panic's own message. Of a worker that ended, [`signal`](TaskError::signal) and
    /// [`exit_code`](TaskError::exit_code) say more.
    #[must_use]
    pub fn message(&self) -> &str {
        match &self.report {
            Report::Error { message, .. }
            | Report::Panic { message, .. }
            | Report::Argument { message }
            | Report::Result { message }
            | Report::Start { message } => message,
            Report::Died { .. } => "the worker process died",
        }
    }

    /// The declared type of the error that the task returned.
    #[must_use]
    pub fn type_name(&self) -> Option<&str> {
        match &self.report {
            Report::Error { type_name, .. } => Some(type_name),
            _ => None,
        }
    }

    /// Where the task panicked: file, line and column.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        match &self.report {
            Report::Panic { location, .. } => location.as_deref(),
            _ => None,
        }
    }

    /// The backtrace of the panic, from the panic outwards.
    #[must_use]
    pub fn backtrace(&self) -> Option<&str> {
        match &self.report {
            Report::Panic { backtrace, .. } => Some(backtrace),
            _ => None,
        }
    }

    /// The number of the signal that ended the worker.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        match self.report {
            Report::Died { signal, .. } => signal,
            _ => None,
        }
    }

    /// The code with which the worker exited.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        match self.report {
            Report::Died { code, .. } => code,
            _ => None,
        }
    }

    /// The name of the task's function.
    #[must_use]
    pub fn task(&self) -> &str {
        &self.task
    }

    /// File, line and column of the call that the task was part of.
    #[must_use]
    pub fn call_site(&self) -> &str {
        &self.call_site
    }

    /// The position of the task's item among the items of the call, from 0.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The process id of the worker that had the task.
    #[must_use]
    pub fn worker(&self) -> u32 {
        self.worker
    }

    /// Time since the task was given to its worker; where that had just been started, its start is part of it.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {} failed on item {}: ", self.task, self.index)?;
        match &self.report {
            Report::Error { message, causes, .. } => {
                f.write_str(message)?;
                causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
            }
            Report::Panic { message, location: Some(location), .. } => write!(f, "panicked at {location}: {message}"),
            Report::Panic { message, location: None, .. } => write!(f, "panicked: {message}"),
            Report::Died { signal: Some(signal), .. } => {
                write!(f, "its worker process {} was killed by {}", self.worker, signal_name(*signal))
            }
            Report::Died { code: Some(code), .. } => {
                write!(f, "its worker process {} exited with code {code} before the task had ended", self.worker)
            }
            Report::Died { .. } => write!(f, "its worker process {} is gone", self.worker),
            Report::Argument { message } => write!(f, "its arguments could not be passed: {message}"),
            Report::Result { message } => write!(f, "its result could not be passed: {message}"),
            Report::Start { message } => write!(f, "its worker could not be started: {message}"),
        }
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{self}")?;
        if let Some(type_name) = self.type_name() {
            writeln!(f, "  error type: {type_name}")?;
        }
        writeln!(f, "  called at {}", self.call_site)?;
        write!(f, "  in worker process {}, after {:.1?}", self.worker, self.elapsed)?;
        match self.backtrace() {
            Some(backtrace) => write!(f, "\n{backtrace}"),
            None => Ok(()),
        }
    }
}

impl StdError for TaskError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_ref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

/// A cause of the original error, by its message.
#[derive(Debug)]
struct Cause {
    message: String,
    next: Option<Box<Cause>>,
}

impl Cause {
    fn chain(messages: &[String]) -> Option<Self> {
        let (first, rest) = messages.split_first()?;
        Some(Self { message: first.clone(), next: Self::chain(rest).map(Box::new) })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.next.as_ref().map(|next| next.as_ref() as &(dyn StdError + 'static))
    }
}

/// A signal as people know it.
fn signal_name(signal: i32) -> String {
    #[cfg(unix)]
    let name = match signal {
        libc::SIGABRT => "SIGABRT (abort)",
        libc::SIGBUS => "SIGBUS (a mapped file was cut short, or memory ran out)",
        libc::SIGFPE => "SIGFPE (arithmetic)",
        libc::SIGHUP => "SIGHUP",
        libc::SIGILL => "SIGILL (illegal instruction)",
        libc::SIGINT => "SIGINT",
        libc::SIGKILL => "SIGKILL (kill -9, or the kernel when memory ran out)",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGSEGV => "SIGSEGV (invalid memory access, or a stack overflow)",
        libc::SIGTERM => "SIGTERM",
        other => return format!("signal {other}"),
    };
    #[cfg(not(unix))]
    let name = format!("signal {signal}");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(report: Report) -> TaskError {
        let circumstances = Circumstances {
            task: "app::norm".into(),
            call_site: "src/main.rs:7:5".into(),
            index: 3,
            worker: 42,
            elapsed: Duration::from_millis(1500),
        };
        TaskError::new(report, circumstances)
    }

    // E1
    #[test]
    fn the_first_line_says_what_failed_where_and_why() {
        let causes = vec!["connection refused".to_string(), "port closed".to_string()];
        let failed = error(Report::Error { type_name: "app::Failed".into(), message: "no data".into(), causes });
        assert_eq!(failed.to_string(), "task app::norm failed on item 3: no data: connection refused: port closed");
        let cause = failed.source().unwrap();
        assert_eq!(
            (cause.to_string(), cause.source().unwrap().to_string()),
            ("connection refused".into(), "port closed".into())
        );
        let debug = format!("{failed:?}");
        for part in ["app::Failed", "src/main.rs:7:5", "process 42", "1.5s"] {
            assert!(debug.contains(part), "{debug}");
        }
        let died = error(Report::Died { signal: Some(libc::SIGKILL), code: None });
        assert!(died.to_string().contains("worker process 42 was killed by SIGKILL"), "{died}");
    }
}
