//! What a worker reports about a task that failed.

use std::time::Duration;

/// A failure as the worker tells it; the parent knows the rest.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub enum FailureReport {
    Error { type_name: String, message: String, causes: Vec<String> },
    Panic { message: String, location: Option<String>, backtrace: String },
    Died { signal: Option<i32>, code: Option<i32> },
    Argument { message: String },
    Result { message: String },
    Start { message: String },
    Timeout { limit: Duration },
    Cancelled { message: String },
    Build { why: Box<FailureReport> },
}

impl FailureReport {
    /// What happened, whatever it happened to.
    pub(crate) fn what(&self) -> &Self {
        match self {
            Self::Build { why } => why.what(),
            other => other,
        }
    }
}

/// The end of what the task wrote to standard output and standard error, where that is kept.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct CapturedOutput {
    pub(crate) stdout: Option<String>,
    pub(crate) stderr: Option<String>,
}
