//! What travels beside a value rather than in it: open files that a part of the value stands for.
//!
//! A `Serialize` knows nothing of where it goes. So a message that is being made, or read, says so for its thread while it
//! is: a part that finds one attaches its file and serialises as the number it got; one that finds none is going elsewhere
//! and refuses. It works through every serde attribute, because the value itself holds a plain number.

use std::{cell::RefCell, fs::File, sync::Arc, thread::LocalKey};

/// What an attached file stands for. Nothing else is ever made of it, whatever number a value holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Role {
    /// [`Atomics`](super::Atomics).
    Atomics,
    /// [`Output`](super::Output).
    Output,
}

/// An open file beside a value.
#[derive(Clone)]
pub(crate) struct Attached {
    pub(crate) role: Role,
    pub(crate) file: Arc<File>,
}

thread_local! {
    /// The values being put into a message or taken out of one in this thread, the innermost last: a value may make a call
    /// while it is serialised.
    static OUTGOING: Values = const { RefCell::new(Vec::new()) };
    static INCOMING: Values = const { RefCell::new(Vec::new()) };
}

type Values = RefCell<Vec<Value>>;

/// What is attached for one value, and the number of the first: a message holds several values.
struct Value {
    first: usize,
    attached: Vec<Attached>,
}

/// Runs `encode`; gives what was attached meanwhile, numbered from `first` on.
pub(crate) fn outgoing<T>(first: usize, encode: impl FnOnce() -> T) -> (T, Vec<Attached>) {
    let open = Open::new(&OUTGOING, Value { first, attached: Vec::new() });
    let encoded = encode();
    (encoded, open.close())
}

/// Runs `decode` with what came attached to the message.
pub(crate) fn incoming<T>(attached: &[Attached], decode: impl FnOnce() -> T) -> T {
    let _open = Open::new(&INCOMING, Value { first: 0, attached: attached.to_vec() });
    decode()
}

/// Attaches a file for the value that is being put into a message, and gives its number there; `None` where none is.
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

/// The file that came attached as `number` in this role.
pub(super) fn attached(role: Role, number: u64) -> Option<Arc<File>> {
    INCOMING.with_borrow(|values| {
        let found = values.last()?.attached.get(usize::try_from(number).ok()?)?;
        (found.role == role).then(|| Arc::clone(&found.file))
    })
}

/// A value at hand, until this goes, whatever its serialising does.
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
        // Outside of the borrow: the last descriptor may have much to free.
        drop(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_attached_once_to_the_value_at_hand_and_found_by_its_role() {
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
