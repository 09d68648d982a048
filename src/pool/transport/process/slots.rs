//! How many worker processes there may be, in a program and in all that its tasks start.
//!
//! The outermost pools get the workers they are asked for. A pool that is made within a task is
//! an inner one: it takes process slots that are free, of as many as the machine has cores, and
//! never waits for one. Where none is free its tasks run in the process that made it, whose
//! slot that is. A slot is held by the pool and by the worker in it: it comes back when both
//! are gone, whoever was killed.

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

/// The slots of all processes of this program.
static BUDGET: OnceLock<Budget> = OnceLock::new();

struct Budget {
    slots: Arc<Slots>,
    /// What a worker sits in itself.
    own: Option<OwnedFd>,
}

/// The slots of a pool.
pub(crate) struct SlotGrant {
    slots: Arc<Slots>,
    free: Mutex<Vec<Arc<Slot>>>,
}

/// The slot of one worker, which goes back to its pool.
pub(crate) struct ProcessSlot {
    granted: Arc<SlotGrant>,
    slot: Option<Arc<Slot>>,
}

/// Takes slots for a pool of `size` workers, in a program that is to have `budget` of them.
/// Gives them with the number of workers the pool may have: 0 where an inner pool has got none.
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

/// This process is a worker, in a slot if it was given one.
pub(crate) fn join(slots: OwnedFd, own: OwnedFd) {
    let _ = BUDGET.set(Budget { slots: Arc::new(Slots::of(slots)), own: Some(own) });
}

impl SlotGrant {
    /// A seat for a new worker. More than there are slots have a seat without one.
    pub(crate) fn slot(granted: &Arc<Self>) -> ProcessSlot {
        ProcessSlot {
            granted: Arc::clone(granted),
            slot: granted.free.lock().unwrap_or_else(PoisonError::into_inner).pop(),
        }
    }
}

impl ProcessSlot {
    /// What the worker is given: all slots, and its own.
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
