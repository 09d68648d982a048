//! A place for things that come and go.

/// Things that come and go, each with a number that stays.
pub(super) struct Slab<T> {
    items: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { items: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(super) fn insert(&mut self, item: T) -> usize {
        match self.free.pop() {
            Some(at) => {
                self.items[at] = Some(item);
                at
            }
            None => {
                self.items.push(Some(item));
                self.items.len() - 1
            }
        }
    }

    pub(super) fn get(&self, at: usize) -> &T {
        self.items[at].as_ref().expect("it is there until it is removed")
    }

    pub(super) fn get_mut(&mut self, at: usize) -> &mut T {
        self.items[at].as_mut().expect("it is there until it is removed")
    }

    /// The numbers of all that are there.
    pub(super) fn numbers(&self) -> impl Iterator<Item = usize> + '_ {
        self.items.iter().enumerate().filter(|(_, item)| item.is_some()).map(|(at, _)| at)
    }

    pub(super) fn remove(&mut self, at: usize) -> T {
        self.free.push(at);
        self.items[at].take().expect("it is removed once")
    }
}
