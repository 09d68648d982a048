//! Limits the number of worker processes of a program, including those that its tasks start.
//!
//! An outermost pool gets the number of workers that it asks for. A pool that is made within a
//! task is a nested pool: it takes free process slots, of which the program has as many as the
//! machine has cores, and never waits for one. If no slot is free, its tasks run in the process
//! that made the pool, which has a slot already. The pool and the worker both hold a slot. The
//! slot is free again when both have ended, even if they were killed.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use crate::{
    Error, Result,
    pool::worker::panics,
    sys::{
        slots::{Slot, Slots},
        unshared::Origin,
    },
};

/// The slots that all processes of this program share.
static BUDGET: OnceLock<Budget> = OnceLock::new();

struct Budget {
    slots: Arc<Slots>,
    /// The slot of this process, if it is a worker with a slot.
    own: Option<OwnedFd>,
}

/// The slots of a pool.
pub(crate) struct SlotGrant {
    slots: Arc<Slots>,
    free: Mutex<Vec<Arc<Slot>>>,
}

/// The slot of one worker. Dropping it returns the slot to the pool.
pub(crate) struct ProcessSlot {
    granted: Arc<SlotGrant>,
    slot: Option<Arc<Slot>>,
}

/// Takes slots for a pool of `size` workers in a program with `budget` slots. Returns them with
/// the number of workers that the pool may start, which is 0 if a nested pool got no slot.
pub(crate) fn take(size: usize, budget: usize) -> Result<(Arc<SlotGrant>, usize)> {
    let cannot = |error: io::Error| Error::io("cannot count worker processes", error);
    let is_inner = BUDGET.get().is_some_and(|own| own.own.is_some())
        || panics::is_inside()
        || Origin::here().is_fork();
    let slots = match BUDGET.get() {
        Some(own) => &own.slots,
        None => {
            let new = Slots::new(budget).map_err(cannot)?;
            &BUDGET.get_or_init(|| Budget { slots: Arc::new(new), own: None }).slots
        }
    };
    let taken = slots.take(size).map_err(cannot)?;
    let workers = if is_inner { taken.len() } else { size };
    let free = Mutex::new(taken.into_iter().map(Arc::new).collect());
    Ok((Arc::new(SlotGrant { slots: Arc::clone(slots), free }), workers))
}

/// Joins the budget. This process is a worker; `own` is its slot, if it has one.
pub(crate) fn join(slots: OwnedFd, own: OwnedFd) {
    let _ = BUDGET.set(Budget { slots: Arc::new(Slots::of(slots)), own: Some(own) });
}

impl SlotGrant {
    /// Returns a slot for a new worker. If the pool has more workers than slots, some workers
    /// have none.
    pub(crate) fn slot(granted: &Arc<Self>) -> ProcessSlot {
        ProcessSlot {
            granted: Arc::clone(granted),
            slot: granted.free.lock().unwrap_or_else(PoisonError::into_inner).pop(),
        }
    }
}

impl ProcessSlot {
    /// Returns the files that the worker gets: all slots, and its own.
    pub(crate) fn files(&self) -> [Arc<dyn AsFd + Send + Sync>; 2] {
        let slots: Arc<dyn AsFd + Send + Sync> = Arc::clone(&self.granted.slots) as _;
        [Arc::clone(&slots), self.slot.as_ref().map_or(slots, |slot| Arc::clone(slot) as _)]
    }
}

impl Drop for ProcessSlot {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.granted.free.lock().unwrap_or_else(PoisonError::into_inner).push(slot);
        }
    }
}
