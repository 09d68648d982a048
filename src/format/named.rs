//! Named arrays to be written to a file.

use std::{borrow::Cow, collections::HashSet};

use crate::{AnyArray, DType, Error, Result, dtype::Quoted};

/// Arrays with unique names.
///
/// Their descriptions are known in advance. Each array is obtained when it is written,
/// so that the arrays of a file need not be in memory at once.
pub(super) struct Named<'a> {
    pub(super) entries: Vec<NamedEntry>,
    get: Box<dyn Fn(usize) -> Result<AnyArray> + 'a>,
}

/// The description of an array.
pub(super) struct NamedEntry {
    pub(super) name: String,
    pub(super) dtype: DType,
    pub(super) shape: Vec<usize>,
}

impl NamedEntry {
    /// Describes an array. Without a name, it is named `arr_` and its number, like NumPy
    /// does.
    pub(super) fn new(name: Cow<'_, str>, number: usize, dtype: &DType, shape: &[usize]) -> Self {
        let name = if name.is_empty() { format!("arr_{number}") } else { name.into_owned() };
        Self { name, dtype: dtype.clone(), shape: shape.to_vec() }
    }
}

impl<'a> Named<'a> {
    /// Returns arrays that are in memory.
    pub(super) fn of<N: Into<String>, A: Into<AnyArray>>(
        arrays: impl IntoIterator<Item = (N, A)>,
    ) -> Result<Self> {
        let arrays = arrays.into_iter().map(|(name, array)| (name.into(), array.into()));
        let (names, arrays): (Vec<String>, Vec<AnyArray>) = arrays.unzip();
        let entry = |(number, (name, array)): (usize, (String, &AnyArray))| {
            NamedEntry::new(name.into(), number, array.dtype(), array.shape())
        };
        let entries = names.into_iter().zip(&arrays).enumerate().map(entry).collect();
        Self::new(entries, move |index| Ok(arrays[index].clone()))
    }

    /// Returns arrays that `get` obtains by their index.
    pub(super) fn new(
        entries: Vec<NamedEntry>,
        get: impl Fn(usize) -> Result<AnyArray> + 'a,
    ) -> Result<Self> {
        let mut names = HashSet::new();
        match entries.iter().find(|entry| !names.insert(entry.name.as_str())) {
            None => Ok(Self { entries, get: Box::new(get) }),
            Some(entry) => Err(Error::invalid_input(format!(
                "two arrays are named {}; names must be unique",
                Quoted(&entry.name)
            ))),
        }
    }

    pub(super) fn get(&self, index: usize) -> Result<AnyArray> {
        (self.get)(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SharedArray;

    #[test]
    fn named_arrays_are_numbered_and_unique() {
        let names = |names: &[&str]| {
            let arrays = names.iter().map(|&name| (name, SharedArray::from(vec![1u8])));
            Named::of(arrays)
                .map(|named| named.entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["a", "", "b"]).unwrap(), ["a", "arr_1", "b"]);
        let error = names(&["arr_1", ""]).unwrap_err();
        assert!(
            error.is_invalid_input() && error.to_string().contains("two arrays are named `arr_1`"),
            "{error}"
        );
    }
}
