//! Options of jobs.

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

/// The options of a job.
pub(crate) struct Options {
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) retries: u32,
    pub(crate) keep_going: bool,
    pub(crate) batch_size: Option<usize>,
    pub(crate) prefetch_batches: usize,
    /// Overrides the threshold of the pool, if set.
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
    /// Returns whether the tasks run in the thread that waits for them.
    pub(crate) fn runs_in_caller(&self, pool: &PoolState) -> bool {
        match pool.settings.runs_in_caller {
            // The task of a job must not wait for workers that may all wait like it.
            RunsInCaller::Never => pool.is_this_thread(),
            RunsInCaller::Always => true,
            RunsInCaller::UnlessTimeout => self.timeout.is_none(),
        }
    }

    /// Returns an empty message to the workers.
    pub(crate) fn packer(&self, pool: &PoolState) -> Packer {
        let threshold = self.threshold.unwrap_or(pool.settings.threshold);
        let memory = pool.capabilities(self.runs_in_caller(pool)).memory;
        Packer::new(&pool.settings.store, threshold, memory.sender())
    }

    /// Checks that the workers support the options.
    pub(crate) fn check(&self, pool: &PoolState) -> Result<()> {
        let capabilities = pool.capabilities(self.runs_in_caller(pool));
        if self.timeout.is_some() && !capabilities.kills_single_tasks {
            return Err(Error::invalid_input(
                "a timeout needs worker processes on this machine, because other tasks cannot be \
                 killed; `deadline` and `cancel_token` end a whole job",
            ));
        }
        if self.batch_size == Some(0) {
            return Err(Error::invalid_input("the batch size must be at least 1, found 0"));
        }
        Ok(())
    }
}
