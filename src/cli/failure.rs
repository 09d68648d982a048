//! What went wrong, as the one line on stderr that the command line promises.

use std::{
    error::Error as _,
    fmt,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::text::OneLine;

/// A failure to do what was asked with one file.
#[derive(Debug)]
pub struct Failure {
    path: PathBuf,
    message: String,
}

impl Failure {
    /// What was wrong with the file at `path`.
    pub fn new(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Self { path: path.as_ref().to_path_buf(), message: message.into() }
    }

    /// The library's error, which names `path` unless it names another.
    pub fn of(path: &Path, error: &ndferry::Error) -> Self {
        Self::new(error.path().unwrap_or(path), reason(error))
    }
}

/// What the library's error says, without its path. An error that a task returned is told as if it had happened here: which
/// worker met it does not matter to whoever named the file.
pub fn reason(error: &ndferry::Error) -> String {
    match error.task_error() {
        Some(task) if task.failure() == ndferry::Failure::Error => {
            let causes = std::iter::successors(task.source(), |&cause| cause.source());
            causes.fold(task.message().to_owned(), |text, cause| format!("{text}: {cause}"))
        }
        _ => error.message(),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", OneLine(&self.path.display().to_string()), OneLine(&self.message))
    }
}

/// Reports failures as they come, and remembers that there were some.
#[derive(Default)]
pub struct Failures {
    any: bool,
}

impl Failures {
    pub fn report(&mut self, failure: &Failure) {
        self.any = true;
        // Where stderr is closed there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "ndferry: {failure}");
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(self.any))
    }
}
