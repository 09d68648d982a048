//! The items of a job that are not taken yet.

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
