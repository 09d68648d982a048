//! A slab: items that are added and removed, each with a fixed number.

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
    /// Adds an item and returns its number.
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
        self.items[at].as_ref().expect("the item has not been removed")
    }

    pub(super) fn get_mut(&mut self, at: usize) -> &mut T {
        self.items[at].as_mut().expect("the item has not been removed")
    }

    /// The numbers of all items.
    pub(super) fn numbers(&self) -> impl Iterator<Item = usize> + '_ {
        self.items.iter().enumerate().filter(|(_, item)| item.is_some()).map(|(at, _)| at)
    }

    pub(super) fn remove(&mut self, at: usize) -> T {
        self.free.push(at);
        self.items[at].take().expect("an item is removed once")
    }
}
