//! Tasks that are sent together.

use std::{ops::Range, sync::Arc};

use crate::pool::wire::{message::OutgoingMessage, remote::RemoteFunction};

/// Tasks that were encoded together, or some of them.
#[derive(Clone)]
pub(crate) struct Batch {
    pub(crate) message: Arc<OutgoingMessage>,
    /// The function that runs them.
    pub(crate) remote: RemoteFunction,
    /// The index of the message's first item.
    pub(crate) first: u64,
    /// The items of the message that belong to this batch.
    pub(crate) items: Range<u32>,
}

impl Batch {
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Returns the indices of the tasks.
    pub(crate) fn indices(&self) -> Range<u64> {
        self.first + u64::from(self.items.start)..self.first + u64::from(self.items.end)
    }

    /// Returns a batch of the task at `index` alone.
    pub(crate) fn only(&self, index: u64) -> Self {
        let at = u32::try_from(index - self.first).expect("the index of one of its tasks");
        Self { items: at..at + 1, ..self.clone() }
    }

    /// Splits off the tasks after the first `count`.
    pub(crate) fn split_off(&mut self, count: usize) -> Option<Self> {
        let middle = self.items.start.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        if middle >= self.items.end {
            return None;
        }
        let rest = Self { items: middle..self.items.end, ..self.clone() };
        self.items.end = middle;
        Some(rest)
    }
}
