//! Allows one job of a pool at a time in a thread.

use std::{cell::RefCell, sync::Arc};

use crate::{Error, Result, pool::engine::pool_state::PoolState};

thread_local! {
    /// The pools with a running job in this thread.
    static RUNNING_JOBS: RefCell<Vec<*const ()>> = const { RefCell::new(Vec::new()) };
}

/// Prevents a job within another job of the same pool and thread. The inner job would wait for
/// workers that the outer job holds.
pub(crate) struct JobGuard(*const ());

impl JobGuard {
    pub(crate) fn enter(shared: &Arc<PoolState>) -> Result<Self> {
        let pool = Arc::as_ptr(shared).cast();
        RUNNING_JOBS.with_borrow_mut(|calls| {
            if calls.contains(&pool) {
                return Err(Error::invalid_input(
                    "a call on a pool was made while this thread has another one under way on it, which has its workers: end \
                     that call or drop its stream first, or use a pool of its own",
                ));
            }
            calls.push(pool);
            Ok(Self(pool))
        })
    }
}

impl Drop for JobGuard {
    fn drop(&mut self) {
        RUNNING_JOBS.with_borrow_mut(|calls| calls.retain(|pool| *pool != self.0));
    }
}
