//! What a failed task tells: the original error, where it happened, and to whom.

use std::{error::Error as StdError, fmt, time::Duration};

use crate::{
    Error,
    pool::wire::report::{CapturedOutput, FailureReport},
};

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
pub struct TaskError(Box<Inner>);

struct Inner {
    report: FailureReport,
    task: String,
    /// For a node of a flow, the element it was at work on; nothing for one that is not per element.
    element: Option<String>,
    call_site: String,
    index: u64,
    attempt: u32,
    worker: u32,
    elapsed: Duration,
    output: CapturedOutput,
    cause: Option<Cause>,
}

/// In what way a task failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskErrorKind {
    /// It returned an error.
    Error,
    /// It panicked.
    Panic,
    /// Its worker process ended: killed, aborted, or by `exit`.
    WorkerDied,
    /// Its item or context could not be sent to the worker, or not be read there.
    EncodeArgument,
    /// Its result could not be sent back, or not be read here.
    EncodeResult,
    /// Its worker could not be started.
    Start,
    /// It ran longer than it may, and its worker was killed.
    Timeout,
    /// The call was cancelled, or its time was over, before the task had ended.
    Cancelled,
    /// The state that the tasks of the call use could not be built; no task of the call ran on it.
    Build,
}

/// Where and for whom a task ran.
pub(crate) struct TaskCircumstances {
    pub(crate) task: String,
    pub(crate) call_site: String,
    pub(crate) index: u64,
    pub(crate) attempt: u32,
    /// The worker that had the task; `None` if no worker had it.
    pub(crate) worker: Option<u32>,
    pub(crate) elapsed: Duration,
    pub(crate) output: CapturedOutput,
}

impl TaskError {
    pub(crate) fn new(report: FailureReport, circumstances: TaskCircumstances) -> Self {
        let cause = match report.what() {
            FailureReport::Error { causes, .. } => Cause::chain(causes),
            _ => None,
        };
        let TaskCircumstances { task, call_site, index, attempt, worker, elapsed, output } =
            circumstances;
        Self(Box::new(Inner {
            report,
            task,
            element: None,
            call_site,
            index,
            attempt,
            worker: worker.unwrap_or_else(std::process::id),
            elapsed,
            output,
            cause,
        }))
    }

    /// The task was `node` of a flow, added at `call_site`, at work on `element`.
    pub(crate) fn of_node(mut self, node: String, element: String, call_site: String) -> Self {
        (self.0.task, self.0.element, self.0.call_site) = (node, Some(element), call_site);
        self
    }

    /// The task was part of what is called `label`.
    pub(crate) fn labelled(mut self, label: &str) -> Self {
        self.0.task = format!("{label}.{}", self.0.task);
        self
    }

    /// In what way the task failed.
    #[must_use]
    pub fn kind(&self) -> TaskErrorKind {
        match &self.0.report {
            FailureReport::Error { .. } => TaskErrorKind::Error,
            FailureReport::Panic { .. } => TaskErrorKind::Panic,
            FailureReport::Died { .. } => TaskErrorKind::WorkerDied,
            FailureReport::Argument { .. } => TaskErrorKind::EncodeArgument,
            FailureReport::Result { .. } => TaskErrorKind::EncodeResult,
            FailureReport::Start { .. } => TaskErrorKind::Start,
            FailureReport::Timeout { .. } => TaskErrorKind::Timeout,
            FailureReport::Cancelled { .. } => TaskErrorKind::Cancelled,
            FailureReport::Build { .. } => TaskErrorKind::Build,
        }
    }

    /// The original error's or panic's own message. Of a worker that ended, [`signal`](TaskError::signal) and
    /// [`exit_code`](TaskError::exit_code) say more.
    #[must_use]
    pub fn message(&self) -> &str {
        match self.0.report.what() {
            FailureReport::Error { message, .. }
            | FailureReport::Panic { message, .. }
            | FailureReport::Argument { message }
            | FailureReport::Result { message }
            | FailureReport::Start { message }
            | FailureReport::Cancelled { message } => message,
            FailureReport::Died { .. } => "the worker process died",
            FailureReport::Timeout { .. } => "the task ran longer than it may",
            FailureReport::Build { .. } => "the state could not be built",
        }
    }

    /// The declared type of the error that the task returned.
    #[must_use]
    pub fn type_name(&self) -> Option<&str> {
        match self.0.report.what() {
            FailureReport::Error { type_name, .. } => Some(type_name),
            _ => None,
        }
    }

    /// Where the task panicked: file, line and column.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        match self.0.report.what() {
            FailureReport::Panic { location, .. } => location.as_deref(),
            _ => None,
        }
    }

    /// The backtrace of the panic, from the panic outwards.
    #[must_use]
    pub fn backtrace(&self) -> Option<&str> {
        match self.0.report.what() {
            FailureReport::Panic { backtrace, .. } => Some(backtrace),
            _ => None,
        }
    }

    /// The number of the signal that ended the worker.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        match *self.0.report.what() {
            FailureReport::Died { signal, .. } => signal,
            _ => None,
        }
    }

    /// The code with which the worker exited.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        match *self.0.report.what() {
            FailureReport::Died { code, .. } => code,
            _ => None,
        }
    }

    /// The name of the task's function, or of the node of a flow.
    #[must_use]
    pub fn task(&self) -> &str {
        &self.0.task
    }

    /// For a node of a flow that is per element, the element: the expands it came from, each with the element's place among its own, as
    /// `slice[3]/patch[0]`.
    #[must_use]
    pub fn element(&self) -> Option<&str> {
        self.0.element.as_deref().filter(|element| !element.is_empty())
    }

    /// File, line and column of the call that the task was part of, or where the node of a flow was added.
    #[must_use]
    pub fn call_site(&self) -> &str {
        &self.0.call_site
    }

    /// The position of the task's item among the items of the call, from 0.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.0.index
    }

    /// How many times the task was tried, this time included: 1 where it was not [tried again](crate::pool::Job::retries).
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// The process id of the worker that had the task; this process's own where there was none.
    #[must_use]
    pub fn worker(&self) -> u32 {
        self.0.worker
    }

    /// How long the task ran: from its start in the worker, where that is known, else from when it was given to the worker.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    /// The end of what the worker wrote to its standard error since the task began, 8 KiB at the most, where the pool
    /// [captures](crate::pool::WorkerStdio::Capture) it.
    #[must_use]
    pub fn stderr(&self) -> Option<&str> {
        self.0.output.stderr.as_deref()
    }

    /// As [`stderr`](TaskError::stderr), of standard output.
    #[must_use]
    pub fn stdout(&self) -> Option<&str> {
        self.0.output.stdout.as_deref()
    }

    fn why(&self, report: &FailureReport, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match report {
            FailureReport::Error { message, causes, .. } => {
                f.write_str(message)?;
                causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
            }
            FailureReport::Panic { message, location: Some(location), .. } => {
                write!(f, "panicked at {location}: {message}")
            }
            FailureReport::Panic { message, location: None, .. } => {
                write!(f, "panicked: {message}")
            }
            FailureReport::Died { signal: Some(signal), .. } => {
                write!(
                    f,
                    "its worker process {} was killed by {}",
                    self.0.worker,
                    signal_name(*signal)
                )
            }
            FailureReport::Died { code: Some(code), .. } => {
                write!(
                    f,
                    "its worker process {} exited with code {code} before the task had ended",
                    self.0.worker
                )
            }
            FailureReport::Died { .. } => write!(f, "its worker process {} is gone", self.0.worker),
            FailureReport::Argument { message } => {
                write!(f, "its arguments could not be passed: {message}")
            }
            FailureReport::Result { message } => {
                write!(f, "its result could not be passed: {message}")
            }
            FailureReport::Start { message } => {
                write!(f, "its worker could not be started: {message}")
            }
            FailureReport::Timeout { limit } => {
                write!(f, "it ran longer than the {limit:?} it may, and was killed")
            }
            FailureReport::Cancelled { message } => f.write_str(message),
            FailureReport::Build { why } => self.why(why, f),
        }
    }
}

/// Errors of tasks.
impl Error {
    /// Returns the failed task's report, if the failure of a task caused this error.
    #[must_use]
    pub fn task_error(&self) -> Option<&TaskError> {
        self.task_source()?.downcast_ref()
    }

    /// Returns the failed task's report, if the failure of a task caused this error.
    ///
    /// # Errors
    ///
    /// Returns the error itself if it is not about a task.
    pub fn into_task_error(self) -> Result<TaskError, Self> {
        self.into_task_source().map(|task| *task.downcast().expect("tasks fail with a TaskError"))
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.0.report, &self.0.element) {
            (FailureReport::Build { .. }, _) => {
                write!(f, "the state for task {} could not be built: ", self.0.task)?
            }
            (_, Some(element)) if element.is_empty() => write!(f, "node {} failed: ", self.0.task)?,
            (_, Some(element)) => write!(f, "node {} failed on {element}: ", self.0.task)?,
            _ => write!(f, "task {} failed on item {}: ", self.0.task, self.0.index)?,
        }
        self.why(&self.0.report, f)?;
        match self.0.attempt {
            0 | 1 => Ok(()),
            attempts => write!(f, " (after {attempts} attempts)"),
        }
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{self}")?;
        if let Some(type_name) = self.type_name() {
            writeln!(f, "  error type: {type_name}")?;
        }
        writeln!(
            f,
            "  {} at {}",
            if self.0.element.is_some() { "added" } else { "called" },
            self.0.call_site
        )?;
        write!(f, "  in worker process {}, after {:.1?}", self.0.worker, self.0.elapsed)?;
        for (stream, text) in [("output", self.stdout()), ("error", self.stderr())] {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                write!(f, "\n  the end of its standard {stream}:")?;
                text.lines().try_for_each(|line| write!(f, "\n  | {line}"))?;
            }
        }
        match self.backtrace() {
            Some(backtrace) => write!(f, "\n{backtrace}"),
            None => Ok(()),
        }
    }
}

impl StdError for TaskError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.cause.as_ref().map(|cause| cause as &(dyn StdError + 'static))
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
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(report: FailureReport) -> TaskError {
        let circumstances = TaskCircumstances {
            task: "app::norm".into(),
            call_site: "src/main.rs:7:5".into(),
            index: 3,
            attempt: 1,
            worker: Some(42),
            elapsed: Duration::from_millis(1500),
            output: CapturedOutput::default(),
        };
        TaskError::new(report, circumstances)
    }

    // E1
    #[test]
    fn the_first_line_says_what_failed_where_and_why() {
        let causes = vec!["connection refused".to_string(), "port closed".to_string()];
        let failed = error(FailureReport::Error {
            type_name: "app::Failed".into(),
            message: "no data".into(),
            causes,
        });
        assert_eq!(
            failed.to_string(),
            "task app::norm failed on item 3: no data: connection refused: port closed"
        );
        let cause = failed.source().unwrap();
        assert_eq!(
            (cause.to_string(), cause.source().unwrap().to_string()),
            ("connection refused".into(), "port closed".into())
        );
        let debug = format!("{failed:?}");
        for part in ["app::Failed", "src/main.rs:7:5", "process 42", "1.5s"] {
            assert!(debug.contains(part), "{debug}");
        }
        let died = error(FailureReport::Died { signal: Some(libc::SIGKILL), code: None });
        assert!(died.to_string().contains("worker process 42 was killed by SIGKILL"), "{died}");
    }
}
