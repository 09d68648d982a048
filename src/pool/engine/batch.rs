//! Tasks that travel together.

use std::{ops::Range, sync::Arc};

use crate::pool::wire::{message::OutgoingMessage, remote::RemoteFunction};

/// Tasks that were encoded together, or some of them.
#[derive(Clone)]
pub(crate) struct Batch {
    pub(crate) message: Arc<OutgoingMessage>,
    /// What they are to be run by.
    pub(crate) remote: RemoteFunction,
    /// The index of the message's first item.
    pub(crate) first: u64,
    /// Which of its items are meant.
    pub(crate) items: Range<u32>,
}

impl Batch {
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// The indices of the tasks.
    pub(crate) fn indices(&self) -> Range<u64> {
        self.first + u64::from(self.items.start)..self.first + u64::from(self.items.end)
    }

    /// The task at `index` alone.
    pub(crate) fn only(&self, index: u64) -> Self {
        let at = u32::try_from(index - self.first).expect("the index of one of its tasks");
        Self { items: at..at + 1, ..self.clone() }
    }

    /// Splits off what is behind the first `count` tasks.
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
