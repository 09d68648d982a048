//! The tasks of a job and the reading of their results.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Result,
    pool::wire::{
        message::{FileMaps, IncomingMessage, MessageEntry, Packer},
        remote::RemoteFunction,
    },
    store::Placed,
};

/// The tasks of a job, whose results are read as `R`.
pub(crate) trait Work<R> {
    /// Returns whether there is no task to take now.
    fn is_empty(&mut self) -> bool;

    /// Returns whether there will be no more tasks, as far as is known.
    fn has_ended(&self) -> bool;

    /// Returns how many tasks are left, if that is known.
    fn left(&self) -> Option<usize>;

    /// Returns the function that runs the next task, if it differs within the job.
    fn remote(&self) -> Option<RemoteFunction>;

    /// Takes the next task, gives it the number `index`, and encodes it.
    fn pack_next(&mut self, index: u64, packer: &mut Packer) -> Result<()>;

    /// Reads the result of task number `index`.
    fn read(&self, index: u64, reading: Reading<'_>) -> MessageEntry<R>;
}

/// A result that has arrived and is not decoded yet.
pub(crate) struct Reading<'r> {
    pub(crate) message: &'r IncomingMessage,
    pub(crate) entry: usize,
    pub(crate) maps: &'r mut FileMaps,
    pub(crate) kept: &'r [&'r [Arc<Placed>]],
}

impl Reading<'_> {
    pub(crate) fn read<R: DeserializeOwned>(self) -> MessageEntry<R> {
        self.message.entry(self.entry, self.maps, self.kept)
    }
}

/// The items of a job. The next one can be looked at before it is taken.
pub(crate) struct Items<T: Iterator> {
    items: T,
    next: Option<T::Item>,
    pub(crate) total: Option<u64>,
    pub(crate) ended: bool,
}

impl<T: Iterator> Items<T> {
    pub(crate) fn new(items: T) -> Self {
        let total = match items.size_hint() {
            (low, Some(high)) if low == high => Some(high as u64),
            _ => None,
        };
        Self { items, next: None, total, ended: false }
    }

    pub(crate) fn is_empty(&mut self) -> bool {
        if self.next.is_none() && !self.ended {
            self.next = self.items.next();
            self.ended = self.next.is_none();
        }
        self.next.is_none()
    }

    pub(crate) fn take(&mut self) -> Option<T::Item> {
        if self.is_empty() { None } else { self.next.take() }
    }

    /// Returns how many are left, if that is known.
    pub(crate) fn left(&self) -> Option<usize> {
        let (_, high) = self.items.size_hint();
        high.map(|high| high + usize::from(self.next.is_some()))
    }
}

impl<T: Iterator<Item: Serialize>, R: DeserializeOwned> Work<R> for Items<T> {
    fn is_empty(&mut self) -> bool {
        Items::is_empty(self)
    }

    fn has_ended(&self) -> bool {
        self.ended
    }

    fn left(&self) -> Option<usize> {
        Items::left(self)
    }

    fn remote(&self) -> Option<RemoteFunction> {
        None
    }

    fn pack_next(&mut self, index: u64, packer: &mut Packer) -> Result<()> {
        self.take().map_or(Ok(()), |item| packer.push(index, &item))
    }

    fn read(&self, _: u64, reading: Reading<'_>) -> MessageEntry<R> {
        reading.read()
    }
}
