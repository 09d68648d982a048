//! The error type of the crate: opaque, one sentence when printed, with a few predicates.

use std::{
    borrow::Cow,
    error::Error as StdError,
    fmt, io,
    path::{Path, PathBuf},
};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as a sentence for the person who reads it.
///
/// An error about a file prints `PATH: what was wrong`; [`path`](Error::path) and
/// [`message`](Error::message) give the two halves. The underlying cause, where there is one, is the
/// [`source`](StdError::source).
///
/// ```
/// let error = ndferry::open("no-such-file.npy").unwrap_err();
/// assert!(error.is_io());
/// assert_eq!(error.path().unwrap(), std::path::Path::new("no-such-file.npy"));
/// assert!(error.to_string().starts_with("no-such-file.npy: cannot open"));
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    path: Option<PathBuf>,
    message: Cow<'static, str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The operating system said no.
    Io,
    /// A file, a message or a value is not what it claims to be.
    Invalid,
    /// The caller asked for what cannot be done.
    Usage,
    /// A task failed.
    Task,
}

impl Error {
    fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, path: None, message: message.into(), source: None }))
    }

    /// The operating system refused `action` ("cannot open").
    pub(crate) fn io(action: impl Into<Cow<'static, str>>, source: impl Into<io::Error>) -> Self {
        let mut error = Self::new(Kind::Io, action);
        error.0.source = Some(Box::new(source.into()));
        error
    }

    /// Data is not what it claims to be.
    pub(crate) fn invalid_data(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// The call cannot be honoured as it was made.
    pub(crate) fn invalid_input(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A task failed with `source`, whose message is the message of the error.
    #[cfg(all(feature = "pool", target_os = "linux"))]
    pub(crate) fn task(source: impl StdError + Send + Sync + 'static) -> Self {
        let mut error = Self::new(Kind::Task, "");
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
            Some(source) if self.0.kind == Kind::Task => Ok(source),
            other => {
                self.0.source = other;
                Err(self)
            }
        }
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

    /// Puts `prefix: ` before the message.
    #[must_use]
    pub(crate) fn within(mut self, prefix: impl fmt::Display) -> Self {
        self.0.message = format!("{prefix}: {}", self.0.message).into();
        self
    }

    /// Whether the operating system refused something (a missing file, no permission, no space).
    #[must_use]
    pub fn is_io(&self) -> bool {
        self.0.kind == Kind::Io
    }

    /// Whether a file or a message is not what it claims to be: truncated, corrupt, of another format or type.
    #[must_use]
    pub fn is_invalid_data(&self) -> bool {
        self.0.kind == Kind::Invalid
    }

    /// Whether the call itself could not be honoured: an argument out of range, an impossible combination.
    #[must_use]
    pub fn is_invalid_input(&self) -> bool {
        self.0.kind == Kind::Usage
    }

    /// Whether a task failed; with the feature `pool`, `Error::task_error` returns its report.
    #[must_use]
    pub fn is_task(&self) -> bool {
        self.0.kind == Kind::Task
    }

    /// The file the error is about.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The sentence without the path, with the operating system's own words where it refused something.
    #[must_use]
    pub fn message(&self) -> String {
        match &self.0.source {
            Some(task) if self.is_task() => task.to_string(),
            Some(source) => format!("{}: {source}", self.0.message),
            None => self.0.message.to_string(),
        }
    }

    /// The operating system's error kind, where it refused something.
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
            // `fn main() -> ndferry::Result<()>` prints an error by Debug: the whole report belongs there.
            Some(task) if self.is_task() => write!(f, "{task:?}"),
            _ => write!(f, "{:?}: {self}", self.0.kind),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as &(dyn StdError + 'static))
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
    fn an_error_prints_path_action_and_cause() {
        let error = Error::io("cannot open", io::Error::from(io::ErrorKind::NotFound)).at("a.npy");
        assert_eq!(error.to_string(), "a.npy: cannot open: entity not found");
        assert_eq!(error.io_kind(), Some(io::ErrorKind::NotFound));
        assert!(StdError::source(&error).is_some());
    }

    #[test]
    fn the_innermost_path_stays() {
        assert_eq!(Error::invalid_data("bad").at("in").at("out").to_string(), "in: bad");
        assert_eq!(Error::invalid_data("bad").at("").at("out").to_string(), "out: bad");
    }

    #[test]
    fn an_error_is_small_sync_and_send() {
        fn check<T: Send + Sync + 'static>() {}
        check::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
