//! The error type of the crate.
//!
//! An [`Error`] is opaque. It prints a message, and has predicates for its
//! kind. The error of a failed task contains a [`TaskError`].

mod task;

use std::{
    borrow::Cow,
    error::Error as StdError,
    fmt, io,
    path::{Path, PathBuf},
};

#[cfg(target_os = "linux")]
pub(crate) use task::{Circumstances, Report, Said};
pub use task::{TaskError, TaskErrorKind};

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate.
///
/// An error about a file prints `PATH: MESSAGE`. [`path`](Error::path) and
/// [`message`](Error::message) return the two parts. If another error is the
/// cause, [`source`](StdError::source) returns it.
///
/// Each error has one of four kinds:
///
/// | predicate | cause |
/// |---|---|
/// | [`is_io`](Error::is_io) | the operating system, such as a missing file |
/// | [`is_invalid_data`](Error::is_invalid_data) | a file or message with unexpected content |
/// | [`is_invalid_input`](Error::is_invalid_input) | an argument or a combination of options |
/// | [`is_task`](Error::is_task) | a failed task, see [`task_error`](Error::task_error) |
///
/// # Examples
///
/// ```
/// let error = ndferry::open("no-such-file.npy").unwrap_err();
/// assert!(error.is_io());
/// assert_eq!(error.path().unwrap(), std::path::Path::new("no-such-file.npy"));
/// assert!(error.to_string().starts_with("no-such-file.npy: cannot open"));
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    path: Option<PathBuf>,
    message: Cow<'static, str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    task: Option<TaskError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ErrorKind {
    Io,
    InvalidData,
    InvalidInput,
    Task,
}

impl Error {
    fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            path: None,
            message: message.into(),
            source: None,
            task: None,
        }))
    }

    /// Returns an error of the operating system during `action`, such as
    /// "cannot open".
    pub(crate) fn io(action: impl Into<Cow<'static, str>>, source: impl Into<io::Error>) -> Self {
        let mut error = Self::new(ErrorKind::Io, action);
        error.0.source = Some(Box::new(source.into()));
        error
    }

    /// Returns an error about the content of a file or a message.
    pub(crate) fn invalid_data(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidData, message)
    }

    /// Returns an error about the arguments of a call.
    pub(crate) fn invalid_input(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// Returns the error of a failed task.
    #[cfg(target_os = "linux")]
    pub(crate) fn task(task: TaskError) -> Self {
        let mut error = Self::new(ErrorKind::Task, "");
        error.0.task = Some(task);
        error
    }

    /// Sets the file that the error is about, unless the error already has one
    /// or `path` is empty.
    #[must_use]
    pub(crate) fn at(mut self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        if self.0.path.is_none() && self.0.task.is_none() && !path.as_os_str().is_empty() {
            self.0.path = Some(path.to_path_buf());
        }
        self
    }

    /// Prepends `prefix: ` to the message.
    #[must_use]
    pub(crate) fn within(mut self, prefix: impl fmt::Display) -> Self {
        self.0.message = format!("{prefix}: {}", self.0.message).into();
        self
    }

    /// Returns whether the operating system reported the error.
    ///
    /// Examples are a missing file, missing permissions, or a full disk.
    /// [`io_kind`](Error::io_kind) returns the details.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(ndferry::open("no-such-file.npy").unwrap_err().is_io());
    /// ```
    #[must_use]
    pub fn is_io(&self) -> bool {
        self.0.kind == ErrorKind::Io
    }

    /// Returns whether the content of a file or a message is invalid.
    ///
    /// It may be truncated, damaged, or of another format or type than
    /// expected.
    ///
    /// # Examples
    ///
    /// ```
    /// let error = ndferry::file::from_slice::<f64>(&b"not an array"[..]).unwrap_err();
    /// assert!(error.is_invalid_data());
    /// ```
    #[must_use]
    pub fn is_invalid_data(&self) -> bool {
        self.0.kind == ErrorKind::InvalidData
    }

    /// Returns whether an argument, or the combination of options, is invalid.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::SharedArray;
    ///
    /// let array = SharedArray::from(vec![1.0, 2.0]).to_any();
    /// assert!(array.slice_axis(1, 0..1).unwrap_err().is_invalid_input());
    /// ```
    #[must_use]
    pub fn is_invalid_input(&self) -> bool {
        self.0.kind == ErrorKind::InvalidInput
    }

    /// Returns whether a task failed.
    ///
    /// [`task_error`](Error::task_error) returns the details.
    #[must_use]
    pub fn is_task(&self) -> bool {
        self.0.kind == ErrorKind::Task
    }

    /// Returns the file that the error is about.
    ///
    /// # Examples
    ///
    /// ```
    /// let error = ndferry::open("no-such-file.npy").unwrap_err();
    /// assert_eq!(error.path().unwrap(), std::path::Path::new("no-such-file.npy"));
    /// ```
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// Returns the message without the path.
    ///
    /// It includes the message of the operating system, if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// let error = ndferry::open("no-such-file.npy").unwrap_err();
    /// assert!(error.message().starts_with("cannot open: "));
    /// ```
    #[must_use]
    pub fn message(&self) -> String {
        match (&self.0.task, &self.0.source) {
            (Some(task), _) => task.to_string(),
            (None, Some(source)) => format!("{}: {source}", self.0.message),
            (None, None) => self.0.message.to_string(),
        }
    }

    /// Returns the report of the failed task, if the error is about a task.
    #[must_use]
    pub fn task_error(&self) -> Option<&TaskError> {
        self.0.task.as_ref()
    }

    /// Converts the error into the report of the failed task.
    ///
    /// # Errors
    ///
    /// Returns the error itself if it is not about a task.
    pub fn into_task_error(mut self) -> std::result::Result<TaskError, Self> {
        match self.0.task.take() {
            Some(task) => Ok(task),
            None => Err(self),
        }
    }

    /// Returns the kind of an error of the operating system.
    ///
    /// # Examples
    ///
    /// ```
    /// let error = ndferry::open("no-such-file.npy").unwrap_err();
    /// assert_eq!(error.io_kind(), Some(std::io::ErrorKind::NotFound));
    /// ```
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        let source = self.0.source.as_ref()?;
        source.downcast_ref::<io::Error>().map(io::Error::kind)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.0.path {
            write!(f, "{}: ", path.display())?;
        }
        f.write_str(&self.message())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.task {
            // A `main` that returns an error prints it with `Debug`, so the
            // output includes the whole report.
            Some(task) => write!(f, "{task:?}"),
            None => write!(f, "{:?}: {self}", self.0.kind),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match (&self.0.task, &self.0.source) {
            (Some(task), _) => Some(task),
            (None, Some(source)) => Some(source.as_ref()),
            (None, None) => None,
        }
    }
}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::invalid_data(message.to_string())
    }
}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::invalid_data(message.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_prints_path_action_and_cause() {
        let error = Error::io("cannot open", io::Error::from(io::ErrorKind::NotFound)).at("a.npy");
        assert_eq!(error.to_string(), "a.npy: cannot open: entity not found");
        assert_eq!(error.io_kind(), Some(io::ErrorKind::NotFound));
        assert!(StdError::source(&error).is_some());
    }

    #[test]
    fn error_keeps_the_first_path() {
        assert_eq!(Error::invalid_data("bad").at("in").at("out").to_string(), "in: bad");
        assert_eq!(Error::invalid_data("bad").at("").at("out").to_string(), "out: bad");
    }

    #[test]
    fn error_is_small_send_and_sync() {
        fn check<T: Send + Sync + 'static>() {}
        check::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
