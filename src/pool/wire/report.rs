//! A worker's report of a failed task.

use std::time::Duration;

/// The failure of a task, as its worker reports it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub enum FailureReport {
    Error {
        type_name: String,
        message: String,
        causes: Vec<String>,
    },
    Panic {
        message: String,
        location: Option<String>,
        backtrace: String,
    },
    Died {
        signal: Option<i32>,
        code: Option<i32>,
    },
    /// The worker closed its connection, but did not end by itself.
    Disconnected,
    Argument {
        message: String,
    },
    Result {
        message: String,
    },
    Start {
        message: String,
    },
    Timeout {
        limit: Duration,
    },
    Cancelled {
        message: String,
    },
    Build {
        why: Box<FailureReport>,
    },
}

impl FailureReport {
    /// Returns the innermost report.
    pub(crate) fn what(&self) -> &Self {
        match self {
            Self::Build { why } => why.what(),
            other => other,
        }
    }
}

/// The end of the task's standard output and standard error, if they are captured.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct CapturedOutput {
    pub(crate) stdout: Option<String>,
    pub(crate) stderr: Option<String>,
}
