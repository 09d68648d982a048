//! What is chosen for a job.

use std::time::Duration;

use super::{cancel::CancelToken, progress::JobProgress};
use crate::{
    Error, Result,
    pool::{
        engine::pool_state::{PoolState, RunsInCaller},
        wire::message::Packer,
    },
};

/// A progress callback.
pub(crate) type ProgressCallback<'p> = Box<dyn FnMut(&JobProgress) + 'p>;

/// What was chosen for a job.
pub(crate) struct Options {
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) retries: u32,
    pub(crate) keep_going: bool,
    pub(crate) batch_size: Option<usize>,
    pub(crate) prefetch_batches: usize,
    /// Overrides the pool's threshold, if it is set: a threshold, or none.
    pub(crate) threshold: Option<Option<usize>>,
    pub(crate) label: Option<String>,
    pub(crate) cancel: Option<CancelToken>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: None,
            deadline: None,
            retries: 0,
            keep_going: false,
            batch_size: None,
            prefetch_batches: 1,
            threshold: None,
            label: None,
            cancel: None,
        }
    }
}

impl Options {
    /// Whether the tasks run in the thread that waits for them.
    pub(crate) fn runs_in_caller(&self, pool: &PoolState) -> bool {
        match pool.settings.runs_in_caller {
            RunsInCaller::Never => false,
            RunsInCaller::Always => true,
            RunsInCaller::UnlessTimeout => self.timeout.is_none(),
        }
    }

    /// An empty message to the workers.
    pub(crate) fn packer(&self, pool: &PoolState) -> Packer {
        let threshold = self.threshold.unwrap_or(pool.settings.threshold);
        let memory = pool.capabilities(self.runs_in_caller(pool)).memory;
        Packer::new(&pool.settings.store, threshold, memory.sender())
    }

    /// Checks that the workers can do all that was chosen.
    pub(crate) fn check(&self, pool: &PoolState) -> Result<()> {
        let capabilities = pool.capabilities(self.runs_in_caller(pool));
        if self.timeout.is_some() && !capabilities.kills_single_tasks {
            return Err(Error::invalid_input(
                "a timeout needs worker processes of this machine: other tasks cannot be killed one by one, and those that run in this \
                 process cannot be killed at all (deadline and cancel_token end a job)",
            ));
        }
        if self.batch_size == Some(0) {
            return Err(Error::invalid_input("a batch size of 0 tasks: at least 1 is needed"));
        }
        Ok(())
    }
}
