//! Counters and flags that all workers share.

use std::{fmt, fs::File, ops::Deref, sync::Arc, sync::atomic::AtomicI64};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::{
    Store,
    attached::{self, Role},
};
use crate::{Error, Result, bytes::map::Words};

/// 64-bit atomic integers that a program and its workers share, for counters, flags and
/// progress.
///
/// It dereferences to `[AtomicI64]`. A clone is another handle to the same integers. So is the
/// value that a task receives in its context, in an item, or inside any other value. All
/// processes see a change at once. The integers are freed with the last handle in any process.
///
/// They cannot be stored: [`dump`](crate::dump), and serializers other than a pool's, return an
/// error.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::Ordering::Relaxed;
///
/// use ndferry::{Pool, store::SharedAtomics};
///
/// fn main() -> ndferry::Result<()> {
///     ndferry::init();
///     let pool = Pool::builder().workers(2).build()?;
///     let shared = pool.store().atomics(2)?;
///     let count_unless_stopped = |shared: &SharedAtomics, number: i64| {
///         if shared[1].load(Relaxed) == 0 {
///             shared[0].fetch_add(number, Relaxed);
///         }
///     };
///     pool.with(&shared).map(count_unless_stopped, 1..=10)?;
///     assert_eq!(shared[0].load(Relaxed), 55);
///     shared[1].store(1, Relaxed);
///     pool.with(&shared).map(count_unless_stopped, 1..=10)?;
///     assert_eq!(shared[0].load(Relaxed), 55);
///     Ok(())
/// }
/// ```
///
/// Memory orderings have the same meaning as between threads. Everything that a task did is
/// visible to the code that receives its result.
#[derive(Clone)]
pub struct SharedAtomics(Arc<Shared>);

struct Shared {
    words: Words,
    file: Arc<File>,
}

impl Store {
    /// Returns `length` shared integers, all 0.
    ///
    /// They are in memory, with one open descriptor, whatever the kind of the store.
    ///
    /// # Examples
    ///
    /// See [`SharedAtomics`].
    ///
    /// # Errors
    ///
    /// Returns an error if there is not enough memory, or this process cannot open more files.
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

/// Serializes as a reference in messages of a pool. Everywhere else, this is an error.
impl Serialize for SharedAtomics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = attached::attach(Role::Atomics, &self.0.file);
        let number = number.ok_or_else(|| ser::Error::custom(ELSEWHERE))?;
        serializer.serialize_newtype_struct("Atomics", &number)
    }
}

/// Deserializes a reference in messages of a pool. Everywhere else, this is an error.
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
