//! The error type of the crate: opaque, one sentence when printed, with a few predicates.

use std::{
    borrow::Cow,
    error::Error as StdError,
    fmt, io,
    path::{Path, PathBuf},
};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate.
///
/// An error about a file prints `PATH: MESSAGE`. [`path`](Error::path) and
/// [`message`](Error::message) return the two parts. The message includes that
/// of the operating system or of the failed task, so
/// [`source`](StdError::source) does not return these again, and programs that
/// print the whole chain print nothing twice.
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
/// Two more predicates distinguish files that may be sound from damaged ones:
/// [`is_unsupported`](Error::is_unsupported) and
/// [`is_foreign_format`](Error::is_foreign_format).
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
    cause: Cause,
    path: Option<PathBuf>,
    message: Cow<'static, str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ErrorKind {
    Io,
    InvalidData,
    InvalidInput,
    Task,
}

/// Why a file, or a part of it, cannot be read although it may be sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Any other cause.
    Unspecified,
    /// ndferry knows the format, but does not support this part of it.
    Unsupported,
    /// The bytes are those of another format.
    ForeignFormat,
}

impl Error {
    fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            cause: Cause::Unspecified,
            path: None,
            message: message.into(),
            source: None,
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

    /// A task failed with `source`, whose message is the message of the error.
    #[cfg(all(feature = "pool", target_os = "linux"))]
    pub(crate) fn task(source: impl StdError + Send + Sync + 'static) -> Self {
        let mut error = Self::new(ErrorKind::Task, "");
        error.0.source = Some(Box::new(source));
        error
    }

    /// The error of the task that failed.
    #[cfg(all(feature = "pool", target_os = "linux"))]
    pub(crate) fn task_source(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        self.0.source.as_deref().filter(|_| self.is_task())
    }

    /// The error of the task that failed; the error itself if there is none.
    #[cfg(all(feature = "pool", target_os = "linux"))]
    pub(crate) fn into_task_source(mut self) -> Result<Box<dyn StdError + Send + Sync>, Self> {
        match self.0.source.take() {
            Some(source) if self.0.kind == ErrorKind::Task => Ok(source),
            other => {
                self.0.source = other;
                Err(self)
            }
        }
    }

    pub(crate) fn cause(&self) -> Cause {
        self.0.cause
    }

    #[must_use]
    pub(crate) fn with_cause(mut self, cause: Cause) -> Self {
        self.0.cause = cause;
        self
    }

    /// Names the file, if it has a name, unless an inner layer already named one.
    #[must_use]
    pub(crate) fn at(mut self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        if self.0.path.is_none() && !self.is_task() && !path.as_os_str().is_empty() {
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

    /// Returns whether ndferry cannot read a file, or a part of it, that may be sound.
    ///
    /// Examples are Python objects, a long double, and an encrypted member of a `.npz`
    /// file. Other programs can read them.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::DType;
    ///
    /// assert!("|O".parse::<DType>().unwrap_err().is_unsupported());
    /// assert!(!"<f9".parse::<DType>().unwrap_err().is_unsupported());
    /// ```
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        self.0.cause == Cause::Unsupported
    }

    /// Returns whether a file is of another format than those of ndferry.
    ///
    /// The message names the format if ndferry recognizes it, and what to do.
    ///
    /// # Examples
    ///
    /// ```
    /// let error = ndferry::file::from_slice::<f64>(&b"\x1f\x8b\x08 and more"[..]).unwrap_err();
    /// assert!(error.is_foreign_format());
    /// assert!(error.message().contains("`gunzip`"));
    /// ```
    #[must_use]
    pub fn is_foreign_format(&self) -> bool {
        self.0.cause == Cause::ForeignFormat
    }

    /// Whether a task failed; with the feature `pool`, `Error::task_error` returns its report.
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
        match &self.0.source {
            Some(task) if self.is_task() => task.to_string(),
            Some(source) => format!("{}: {source}", self.0.message),
            None => self.0.message.to_string(),
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
        match &self.0.source {
            // `fn main() -> ndferry::Result<()>` prints an error by Debug: the whole report
            // belongs there.
            Some(task) if self.is_task() => write!(f, "{task:?}"),
            _ => write!(f, "{:?}: {self}", self.0.kind),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().and_then(|source| source.source())
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
        assert!(StdError::source(&error).is_none(), "a chain would print it twice");
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
