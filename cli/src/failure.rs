//! Failures, each of which is one line on stderr, and the exit code.

use std::{
    fmt,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::text::OneLine;

/// A failure that concerns one file.
#[derive(Debug)]
pub struct Failure {
    path: PathBuf,
    message: String,
}

impl Failure {
    /// A failure with the file at `path`.
    pub fn new(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Self { path: path.as_ref().to_path_buf(), message: message.into() }
    }

    /// A failure from an error of the library. The file is `path`, unless the
    /// error names another one.
    pub fn of(path: &Path, error: &ndferry::Error) -> Self {
        Self::new(error.path().unwrap_or(path), reason(error))
    }
}

/// The message of an error without its path. An error that a task returned is
/// shown without the name of the worker, which does not help the user.
pub fn reason(error: &ndferry::Error) -> String {
    match error.task_error() {
        Some(task) if task.kind() == ndferry::pool::TaskErrorKind::Error => {
            let causes = task.causes().iter();
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

/// Reports failures as they occur, and keeps the exit code.
#[derive(Default)]
pub struct Failures {
    exit_code: u8,
}

impl Failures {
    /// Reports a failure, for exit code 1.
    pub fn report(&mut self, failure: &Failure) {
        self.raise_to(1);
        // Stderr is not buffered, so the line is written at once. If stderr is
        // closed, the exit code has to suffice.
        let line = format!("ndferry: {failure}\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    /// Reports why a question has no answer, for exit code 2.
    pub fn report_unanswered(&mut self, failure: &Failure) {
        self.report(failure);
        self.raise_to(2);
    }

    /// Records a negative answer, which stdout explains, for exit code 1.
    pub fn answer_no(&mut self) {
        self.raise_to(1);
    }

    fn raise_to(&mut self, code: u8) {
        self.exit_code = self.exit_code.max(code);
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit_code)
    }
}
