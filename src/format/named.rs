//! Arrays on their way to a file that knows them by name.

use std::{borrow::Cow, collections::HashSet};

use super::{ArrayFile, ArrayInfo, Format};
use crate::{AnyArray, DType, Error, Result, dtype::Quoted};

/// Arrays, each under a name of its own. What they are is known at once; each is got when its turn comes, so that those of a file
/// need not be in memory together.
pub(super) struct Named<'a> {
    pub(super) entries: Vec<Entry>,
    get: Box<dyn Fn(usize) -> Result<AnyArray> + 'a>,
}

/// What is known of an array before it is got.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) dtype: DType,
    pub(super) shape: Vec<usize>,
}

impl Entry {
    /// `number` is for an array without a name: NumPy calls it so.
    fn new(name: Cow<'_, str>, number: usize, dtype: &DType, shape: &[usize]) -> Self {
        let name = if name.is_empty() { format!("arr_{number}") } else { name.into_owned() };
        Self { name, dtype: dtype.clone(), shape: shape.to_vec() }
    }
}

impl<'a> Named<'a> {
    /// Arrays that are here.
    pub(super) fn of<N: Into<String>, A: Into<AnyArray>>(
        arrays: impl IntoIterator<Item = (N, A)>,
    ) -> Result<Self> {
        let arrays = arrays.into_iter().map(|(name, array)| (name.into(), array.into()));
        let (names, arrays): (Vec<String>, Vec<AnyArray>) = arrays.unzip();
        let entry = |(number, (name, array)): (usize, (String, &AnyArray))| {
            Entry::new(name.into(), number, array.dtype(), array.shape())
        };
        let entries = names.into_iter().zip(&arrays).enumerate().map(entry).collect();
        Self::checked(entries, Box::new(move |index| Ok(arrays[index].clone())))
    }

    /// The arrays of a file: the one called `array`, or all.
    pub(super) fn of_file(file: &'a ArrayFile, array: Option<&str>) -> Result<Self> {
        let infos = match array {
            Some(name) => vec![file.entry(name)?],
            None => file.arrays().iter().collect(),
        };
        let entries = infos.iter().enumerate();
        let entries = entries
            .map(|(number, info)| {
                Entry::new(file.unescaped_name(info), number, info.dtype(), info.shape())
            })
            .collect();
        Self::checked(entries, Box::new(move |index| file.sound(infos[index])))
            .map_err(|error| error.at(file.path()))
    }

    fn checked(
        entries: Vec<Entry>,
        get: Box<dyn Fn(usize) -> Result<AnyArray> + 'a>,
    ) -> Result<Self> {
        let mut names = HashSet::new();
        for entry in &entries {
            if !names.insert(entry.name.as_str()) {
                return Err(Error::invalid_input(format!(
                    "two arrays are called {}: a name is for one",
                    Quoted(&entry.name)
                )));
            }
        }
        Ok(Self { entries, get })
    }

    pub(super) fn get(&self, index: usize) -> Result<AnyArray> {
        (self.get)(index)
    }
}

impl ArrayFile {
    /// The name of one of this file's arrays as `.npz` and `.safetensors` have it: that in a container without its backslashes, any
    /// other as it is. Two arrays of a container may have one such name.
    ///
    /// ```
    /// # use ndarray::array;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.ferry");
    /// ndferry::dump(&path, &std::collections::BTreeMap::from([("bias.0", array![0.5])]))?;
    /// let file = ndferry::open(&path)?;
    /// let [bias] = file.arrays() else { panic!("one array") };
    /// assert_eq!((bias.name(), &*file.unescaped_name(bias)), (r"bias\.0", "bias.0"));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn unescaped_name<'a>(&self, info: &'a ArrayInfo) -> Cow<'a, str> {
        match self.format() {
            Format::Ferry => unescaped(info.name()),
            _ => info.name().into(),
        }
    }
}

/// A name in a container as others know it: without the backslashes that keep a key's own dots apart from those between keys.
fn unescaped(name: &str) -> Cow<'_, str> {
    if !name.contains('\\') {
        return name.into();
    }
    let mut letters = name.chars();
    let mut plain = String::new();
    while let Some(letter) = letters.next() {
        plain.push(if letter == '\\' { letters.next().unwrap_or(letter) } else { letter });
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SharedArray;

    #[test]
    fn names_are_unescaped_numbered_where_there_is_none_and_never_doubled() {
        assert_eq!(unescaped(r"layers\.0.a\\b"), r"layers.0.a\b");
        let names = |names: &[&str]| {
            let arrays = names.iter().map(|&name| (name, SharedArray::from(vec![1u8])));
            Named::of(arrays)
                .map(|named| named.entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["a", "", "b"]).unwrap(), ["a", "arr_1", "b"]);
        let error = names(&["arr_1", ""]).unwrap_err();
        assert!(
            error.is_invalid_input() && error.to_string().contains("two arrays are called `arr_1`"),
            "{error}"
        );
    }
}
