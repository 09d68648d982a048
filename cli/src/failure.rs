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
        Some(task) if task.kind() == ndferry::pool::TaskErrorKind::Error => {
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

/// Reports failures as they come, and remembers how bad they were.
#[derive(Default)]
pub struct Failures {
    worst: u8,
}

impl Failures {
    /// What was asked for could not be done, or was found to be wrong.
    pub fn report(&mut self, failure: &Failure) {
        self.note(1);
        // In one piece: stderr would be written to once for every character. Where it is closed there is nobody to tell.
        let line = format!("ndferry: {failure}\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    /// What was asked cannot be answered, where 1 is an answer.
    pub fn trouble(&mut self, failure: &Failure) {
        self.report(failure);
        self.note(2);
    }

    /// The answer is no, which is told elsewhere.
    pub fn deny(&mut self) {
        self.note(1);
    }

    fn note(&mut self, code: u8) {
        self.worst = self.worst.max(code);
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.worst)
    }
}
