//! The failures of tasks.

use std::{error::Error as StdError, fmt, time::Duration};

use crate::{
    Error,
    pool::wire::report::{CapturedOutput, FailureReport},
};

/// The failure of a task: the original error, and where and for which item it happened.
///
/// `{}` prints one line with the task, the item, the reason and the chain of causes. `{:?}`
/// adds the call site, the worker, the elapsed time and the backtrace of a panic.
///
/// Get it from an [`Error`] with [`Error::task_error`], or from a job with
/// [`keep_going`](crate::pool::Job::keep_going).
///
/// # Examples
///
/// ```
/// # fn main() -> ndferry::Result<()> {
/// # ndferry::init();
/// # let pool = ndferry::Pool::builder().workers(2).build()?;
/// let error = pool.try_map(|text: String| text.parse::<f64>(), ["1.5".into(), "x".into()]).unwrap_err();
/// let task = error.task_error().unwrap();
/// assert_eq!((task.index(), task.message()), (1, "invalid float literal"));
/// assert_eq!(task.type_name(), Some("core::num::dec2flt::ParseFloatError"));
/// # Ok(())
/// # }
/// ```
pub struct TaskError(Box<Inner>);

struct Inner {
    report: FailureReport,
    task: String,
    /// The element that a node of a flow worked on. Empty for a node that runs once.
    element: Option<String>,
    call_site: String,
    index: u64,
    attempt: u32,
    worker: u32,
    elapsed: Duration,
    output: CapturedOutput,
}

/// The kind of a task's failure.
///
/// # Examples
///
/// ```
/// # fn main() -> ndferry::Result<()> {
/// # ndferry::init();
/// # let pool = ndferry::Pool::builder().workers(2).build()?;
/// use ndferry::pool::TaskErrorKind;
///
/// let error = pool.map(|x: u32| 1 / x, [0]).unwrap_err();
/// assert_eq!(error.task_error().unwrap().kind(), TaskErrorKind::Panic);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskErrorKind {
    /// The task returned an error.
    Error,
    /// The task panicked.
    Panic,
    /// The worker process ended: it was killed, aborted, or called `exit`.
    WorkerDied,
    /// The item or the context could not be encoded or decoded.
    EncodeArgument,
    /// The result could not be encoded or decoded.
    EncodeResult,
    /// The worker could not be started.
    Start,
    /// The task exceeded its timeout, and its worker was killed.
    Timeout,
    /// The job was cancelled, or its deadline passed, before the task ended.
    Cancelled,
    /// The state of the tasks could not be built. No task of the job ran with it.
    Build,
}

/// Describes the task, its item and its worker.
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
        }))
    }

    /// Describes the task as a node of a flow that worked on `element`.
    pub(crate) fn of_node(mut self, node: String, element: String, call_site: String) -> Self {
        (self.0.task, self.0.element, self.0.call_site) = (node, Some(element), call_site);
        self
    }

    /// Puts a label before the task's name.
    pub(crate) fn labelled(mut self, label: &str) -> Self {
        self.0.task = format!("{label}.{}", self.0.task);
        self
    }

    /// Returns the kind of the failure.
    #[must_use]
    pub fn kind(&self) -> TaskErrorKind {
        match &self.0.report {
            FailureReport::Error { .. } => TaskErrorKind::Error,
            FailureReport::Panic { .. } => TaskErrorKind::Panic,
            FailureReport::Died { .. } | FailureReport::Disconnected => TaskErrorKind::WorkerDied,
            FailureReport::Argument { .. } => TaskErrorKind::EncodeArgument,
            FailureReport::Result { .. } => TaskErrorKind::EncodeResult,
            FailureReport::Start { .. } => TaskErrorKind::Start,
            FailureReport::Timeout { .. } => TaskErrorKind::Timeout,
            FailureReport::Cancelled { .. } => TaskErrorKind::Cancelled,
            FailureReport::Build { .. } => TaskErrorKind::Build,
        }
    }

    /// Returns the message of the original error or panic.
    ///
    /// For a worker that died, see [`signal`](TaskError::signal) and
    /// [`exit_code`](TaskError::exit_code).
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
            FailureReport::Disconnected => "the worker process closed its connection",
            FailureReport::Timeout { .. } => "the task ran longer than it may",
            FailureReport::Build { .. } => "the state could not be built",
        }
    }

    /// Returns the messages of the causes of the error that the task returned, outermost first.
    ///
    /// They come from the chain of [`source`](StdError::source)s of that error. A cause that its
    /// error's own message ends with is left out.
    #[must_use]
    pub fn causes(&self) -> &[String] {
        match self.0.report.what() {
            FailureReport::Error { causes, .. } => causes,
            _ => &[],
        }
    }

    /// Returns the type name of the error that the task returned.
    #[must_use]
    pub fn type_name(&self) -> Option<&str> {
        match self.0.report.what() {
            FailureReport::Error { type_name, .. } => Some(type_name),
            _ => None,
        }
    }

    /// Returns the file, line and column of the panic.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        match self.0.report.what() {
            FailureReport::Panic { location, .. } => location.as_deref(),
            _ => None,
        }
    }

    /// Returns the backtrace of the panic.
    #[must_use]
    pub fn backtrace(&self) -> Option<&str> {
        match self.0.report.what() {
            FailureReport::Panic { backtrace, .. } => Some(backtrace),
            _ => None,
        }
    }

    /// Returns the number of the signal that killed the worker.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let error = pool.map(|_: u8| std::process::abort(), [1]).map(|_: Vec<()>| ()).unwrap_err();
    /// assert_eq!(error.task_error().unwrap().signal(), Some(6)); // SIGABRT
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        match *self.0.report.what() {
            FailureReport::Died { signal, .. } => signal,
            _ => None,
        }
    }

    /// Returns the exit code of the worker, if it exited.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let error = pool.map(|code: i32| std::process::exit(code), [7]).map(|_: Vec<()>| ()).unwrap_err();
    /// assert_eq!(error.task_error().unwrap().exit_code(), Some(7));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        match *self.0.report.what() {
            FailureReport::Died { code, .. } => code,
            _ => None,
        }
    }

    /// Returns the name of the task's function, or of the node of a flow.
    #[must_use]
    pub fn task(&self) -> &str {
        &self.0.task
    }

    /// Returns the element that a node of a flow worked on.
    ///
    /// It lists the fan-outs that contain the node, each with an index, such as
    /// `slice[3]/patch[0]`.
    #[must_use]
    pub fn element(&self) -> Option<&str> {
        self.0.element.as_deref().filter(|element| !element.is_empty())
    }

    /// Returns file, line and column of the call that started the job, or that added the node.
    #[must_use]
    pub fn call_site(&self) -> &str {
        &self.0.call_site
    }

    /// Returns the index of the task's item among the items of the job.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.0.index
    }

    /// Returns the number of attempts, 1 without [retries](crate::pool::Job::retries).
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// Returns the process id of the worker, or of this process if no worker had the task.
    #[must_use]
    pub fn worker(&self) -> u32 {
        self.0.worker
    }

    /// Returns how long the task ran.
    ///
    /// If its start in the worker is unknown, the time counts from when it was sent to the worker.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    /// Returns the end of the worker's standard error since the task started, at most 8 KiB.
    ///
    /// This is available if the pool [captures](crate::pool::WorkerStdio::Capture) it.
    #[must_use]
    pub fn stderr(&self) -> Option<&str> {
        self.0.output.stderr.as_deref()
    }

    /// Like [`stderr`](TaskError::stderr), but for standard output.
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
            FailureReport::Died { .. } => {
                write!(f, "its worker process {} was lost", self.0.worker)
            }
            FailureReport::Disconnected => write!(
                f,
                "its worker process {} closed its connection and did not end, for example because \
                 the task replaced the program (exec); it was killed",
                self.0.worker
            ),
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
    /// Returns the failure of the task that caused this error, if any.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let error = pool.map(|x: u32| 1 / x, [1, 0]).unwrap_err();
    /// assert_eq!(error.task_error().unwrap().index(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn task_error(&self) -> Option<&TaskError> {
        self.task_source()?.downcast_ref()
    }

    /// Converts the error into the failure of the task that caused it.
    ///
    /// # Errors
    ///
    /// Returns the error itself if no task caused it.
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
        if self.0.worker == std::process::id() {
            write!(f, "  in this process, after {:.1?}", self.0.elapsed)?;
        } else {
            write!(f, "  in worker process {}, after {:.1?}", self.0.worker, self.0.elapsed)?;
        }
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

/// The text of the error includes its [causes](TaskError::causes), so it has no source.
impl StdError for TaskError {}

/// Returns the name of a signal.
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
    fn task_error_first_line_names_task_item_and_reason() {
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
        assert_eq!(failed.causes(), ["connection refused", "port closed"]);
        assert!(failed.source().is_none(), "a chain would print them twice");
        let debug = format!("{failed:?}");
        for part in ["app::Failed", "src/main.rs:7:5", "process 42", "1.5s"] {
            assert!(debug.contains(part), "{debug}");
        }
        let died = error(FailureReport::Died { signal: Some(libc::SIGKILL), code: None });
        assert!(died.to_string().contains("worker process 42 was killed by SIGKILL"), "{died}");
    }
}
