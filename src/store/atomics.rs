//! Counters and flags that every worker sees and changes.

use std::{fmt, fs::File, ops::Deref, sync::Arc, sync::atomic::AtomicI64};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::{
    Store,
    attached::{self, Role},
};
use crate::{Error, Result, bytes::map::Words};

/// 64-bit atomic integers in memory that a program and the workers of its pools share: counters, flags, progress.
///
/// It dereferences to `[AtomicI64]`. A clone is another handle to the same integers, and so is what a task gets that was
/// passed one: in the context, in an item, in a result, inside any other value. What one process adds, all see, at once.
/// The integers go with the last handle, in whichever process.
///
/// They are no part of a value: [`dump`](crate::dump), or any serializer other than a pool's, refuses them.
///
/// ```
/// use std::sync::atomic::Ordering::Relaxed;
///
/// use ndferry::{store::SharedAtomics, Pool};
///
/// fn main() -> ndferry::Result<()> {
///     ndferry::init();
///     let pool = Pool::builder().workers(2).build()?;
///     let shared = pool.store().atomics(2)?;
///     let count_up_to_a_stop = |shared: &SharedAtomics, number: i64| {
///         if shared[1].load(Relaxed) == 0 {
///             shared[0].fetch_add(number, Relaxed);
///         }
///     };
///     pool.with(&shared).map(count_up_to_a_stop, 1..=10)?;
///     assert_eq!(shared[0].load(Relaxed), 55);
///     shared[1].store(1, Relaxed);
///     pool.with(&shared).map(count_up_to_a_stop, 1..=10)?;
///     assert_eq!(shared[0].load(Relaxed), 55);
///     Ok(())
/// }
/// ```
///
/// As between threads, an [`Ordering`](std::sync::atomic::Ordering) says what else is seen with a change. What a task did
/// is seen by whoever has its result.
#[derive(Clone)]
pub struct SharedAtomics(Arc<Shared>);

struct Shared {
    words: Words,
    file: Arc<File>,
}

impl Store {
    /// `length` shared integers, all 0.
    ///
    /// They are memory, with one open descriptor, in a [`sealed`](Store::sealed) store or any other.
    ///
    /// # Errors
    ///
    /// Where there is no memory for them, or this process may open no more files.
    pub fn atomics(&self, length: usize) -> Result<SharedAtomics> {
        let nbytes = (length as u64).checked_mul(size_of::<AtomicI64>() as u64);
        let nbytes = nbytes.ok_or_else(|| {
            Error::invalid_input(format!("{length} atomics are more than memory can address"))
        })?;
        SharedAtomics::of(self.0.memory().create(nbytes)?.fix_length()?)
    }
}

impl SharedAtomics {
    fn of(file: Arc<File>) -> Result<Self> {
        let words =
            Words::of(&file).map_err(|error| Error::io("cannot map shared atomics", error))?;
        Ok(Self(Arc::new(Shared { words, file })))
    }
}

impl Deref for SharedAtomics {
    type Target = [AtomicI64];

    fn deref(&self) -> &[AtomicI64] {
        &self.0.words
    }
}

impl fmt::Debug for SharedAtomics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Atomics").field(&&**self).finish()
    }
}

/// As a reference, in what goes to a task or comes from one; an error in any other place.
impl Serialize for SharedAtomics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = attached::attach(Role::Atomics, &self.0.file);
        let number = number.ok_or_else(|| ser::Error::custom(ELSEWHERE))?;
        serializer.serialize_newtype_struct("Atomics", &number)
    }
}

/// From what goes to a task or comes from one; an error in any other place.
impl<'de> Deserialize<'de> for SharedAtomics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename = "Atomics")]
        struct Number(u64);

        let Number(number) = Number::deserialize(deserializer)?;
        let file = attached::attached(Role::Atomics, number)
            .ok_or_else(|| de::Error::custom(ELSEWHERE))?;
        Self::of(file).map_err(de::Error::custom)
    }
}

const ELSEWHERE: &str = "shared atomics are passed to the tasks of a pool and back, and nowhere else: a file cannot hold them";
