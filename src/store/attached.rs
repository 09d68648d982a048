//! Open files that are sent along with a value.
//!
//! A `Serialize` implementation does not know its destination. While a thread encodes or
//! decodes a message, it records this here. A part of the value then attaches its file, and
//! serializes as the number that it gets. Without a message, it returns an error. This works
//! with all serde attributes, because the value itself contains only a number.

use std::{cell::RefCell, fs::File, sync::Arc, thread::LocalKey};

/// The purpose of an attached file. A file is never used for another purpose, whatever number a
/// value contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Role {
    /// A [`SharedAtomics`](super::SharedAtomics).
    Atomics,
    /// An [`Output`](super::Output).
    Output,
}

/// An open file that belongs to a value.
#[derive(Clone)]
pub(crate) struct Attached {
    pub(crate) role: Role,
    pub(crate) file: Arc<File>,
}

thread_local! {
    /// The values that this thread is encoding or decoding, the innermost last. A value may
    /// start a job while it is serialized.
    static OUTGOING: Values = const { RefCell::new(Vec::new()) };
    static INCOMING: Values = const { RefCell::new(Vec::new()) };
}

type Values = RefCell<Vec<Value>>;

/// The files of one value, and the number of the first. A message contains several values.
struct Value {
    first: usize,
    attached: Vec<Attached>,
}

/// Runs `encode`, and returns the files attached meanwhile, numbered from `first`.
pub(crate) fn outgoing<T>(first: usize, encode: impl FnOnce() -> T) -> (T, Vec<Attached>) {
    let open = Open::new(&OUTGOING, Value { first, attached: Vec::new() });
    let encoded = encode();
    (encoded, open.close())
}

/// Runs `decode` with the files of the message.
pub(crate) fn incoming<T>(attached: &[Attached], decode: impl FnOnce() -> T) -> T {
    let _open = Open::new(&INCOMING, Value { first: 0, attached: attached.to_vec() });
    decode()
}

/// Attaches a file to the value that is being encoded, and returns its number. Returns `None`
/// outside of a message.
pub(super) fn attach(role: Role, file: &Arc<File>) -> Option<u64> {
    OUTGOING.with_borrow_mut(|values| {
        let Value { first, attached } = values.last_mut()?;
        let known =
            attached.iter().position(|known| known.role == role && Arc::ptr_eq(&known.file, file));
        let number = known.unwrap_or_else(|| {
            attached.push(Attached { role, file: Arc::clone(file) });
            attached.len() - 1
        });
        Some((*first + number) as u64)
    })
}

/// Returns the file with this number, if it has this role.
pub(super) fn attached(role: Role, number: u64) -> Option<Arc<File>> {
    INCOMING.with_borrow(|values| {
        let found = values.last()?.attached.get(usize::try_from(number).ok()?)?;
        (found.role == role).then(|| Arc::clone(&found.file))
    })
}

/// Marks a value as being encoded or decoded until it is dropped.
struct Open(&'static LocalKey<Values>);

impl Open {
    fn new(values: &'static LocalKey<Values>, value: Value) -> Self {
        values.with_borrow_mut(|values| values.push(value));
        Self(values)
    }

    fn close(self) -> Vec<Attached> {
        self.0
            .with_borrow_mut(|values| {
                values.last_mut().map(|value| std::mem::take(&mut value.attached))
            })
            .unwrap_or_default()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let value = self.0.with_borrow_mut(Vec::pop);
        // Dropped outside of the borrow, because closing the last descriptor may free much
        // memory.
        drop(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attached_file_is_found_by_value_and_role() {
        let files = [0, 1].map(|_| Arc::new(tempfile::tempfile().unwrap()));
        assert_eq!(attach(Role::Atomics, &files[0]), None);
        let (numbers, outer) = outgoing(5, || {
            let ((), inner) = outgoing(0, || assert_eq!(attach(Role::Atomics, &files[1]), Some(0)));
            assert_eq!(inner.len(), 1);
            [&files[0], &files[1], &files[0]].map(|file| attach(Role::Atomics, file).unwrap())
        });
        assert_eq!((numbers, outer.len()), ([5, 6, 5], 2));
        assert!(attached(Role::Atomics, 0).is_none());
        incoming(&outer, || {
            assert!(Arc::ptr_eq(&attached(Role::Atomics, 1).unwrap(), &files[1]));
            assert!(attached(Role::Atomics, 2).is_none() && attached(Role::Output, 1).is_none());
        });
        let panicked = std::panic::catch_unwind(|| outgoing(0, || panic!("of a serialize")));
        assert!(panicked.is_err() && attach(Role::Atomics, &files[0]).is_none());
    }
}
