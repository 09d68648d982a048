//! One call of a pool at a time in a thread.

use std::{cell::RefCell, sync::Arc};

use super::super::Shared;
use crate::{Error, Result};

thread_local! {
    /// The pools that have a call under way in this thread.
    static UNDER_WAY: RefCell<Vec<*const ()>> = const { RefCell::new(Vec::new()) };
}

/// Keeps a call from being made inside of another of the same pool and thread, which would wait for workers that it holds.
pub(super) struct UnderWay(*const ());

impl UnderWay {
    pub(super) fn enter(shared: &Arc<Shared>) -> Result<Self> {
        let pool = Arc::as_ptr(shared).cast();
        UNDER_WAY.with_borrow_mut(|calls| {
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

impl Drop for UnderWay {
    fn drop(&mut self) {
        UNDER_WAY.with_borrow_mut(|calls| calls.retain(|pool| *pool != self.0));
    }
}
