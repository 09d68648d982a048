//! Tasks that are sent together, and how many.

use std::{ops::Range, sync::Arc};

use crate::pool::wire::{message::OutgoingMessage, remote::RemoteFunction};

/// The target duration of a batch, in nanoseconds. Sending a batch takes much less; a person or
/// a waiting worker does not notice it.
const TARGET_NANOS: u64 = 1_000_000;
/// The most tasks in a batch, even if they are short.
const MAX_BATCH_SIZE: usize = 4096;
/// The largest factor by which a batch grows at a time, because later tasks may take longer.
const MAX_GROWTH: usize = 4;

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

/// Computes the size of batches from the duration of tasks.
pub(crate) struct BatchSizer {
    fixed: Option<usize>,
    size: usize,
}

impl BatchSizer {
    /// Makes batches of a `fixed` size, or of one that follows the duration of tasks.
    pub(crate) fn new(fixed: Option<usize>) -> Self {
        Self { fixed, size: 1 }
    }

    /// Returns how many tasks to send together if about `left` tasks are left for `workers`.
    pub(crate) fn size(&self, left: Option<usize>, workers: usize) -> usize {
        match self.fixed {
            Some(fixed) => fixed,
            // Let all workers finish at about the same time.
            None => {
                self.size.min(left.map_or(usize::MAX, |left| left.div_ceil(2 * workers)).max(1))
            }
        }
    }

    /// Notes that `tasks` took `nanoseconds` in the worker, overhead included.
    pub(crate) fn learn(&mut self, tasks: usize, nanoseconds: u64) {
        if tasks == 0 {
            return;
        }
        let each = (nanoseconds / tasks as u64).max(1);
        let fitting =
            usize::try_from(TARGET_NANOS / each).unwrap_or(MAX_BATCH_SIZE).clamp(1, MAX_BATCH_SIZE);
        self.size = fitting.min(self.size.saturating_mul(MAX_GROWTH));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_size_follows_the_duration_of_tasks() {
        let mut pace = BatchSizer::new(None);
        let sizes: Vec<_> = (0..8)
            .map(|_| {
                let size = pace.size(None, 2);
                pace.learn(size, 200 * size as u64);
                size
            })
            .collect();
        assert_eq!(sizes, [1, 4, 16, 64, 256, 1024, 4096, 4096]);
        pace.learn(4096, 4096 * TARGET_NANOS);
        assert_eq!(pace.size(None, 2), 1);
    }

    #[test]
    fn batch_size_divides_the_rest_between_workers() {
        let mut pace = BatchSizer::new(None);
        (0..8).for_each(|_| pace.learn(10, 10));
        assert_eq!([1000, 10, 4, 1, 0].map(|left| pace.size(Some(left), 2)), [250, 3, 1, 1, 1]);
    }

    #[test]
    fn batch_size_fixed_stays() {
        let mut pace = BatchSizer::new(Some(7));
        pace.learn(1, u64::MAX);
        assert_eq!(pace.size(Some(1), 2), 7);
    }
}
