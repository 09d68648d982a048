//! Verifying a file: its value, its checksums, and its `bool` values.

use super::{
    entry::{ArrayInfo, Tree},
    file::ArrayFile,
};
use crate::{AnyArray, Error, Result, codec};

impl ArrayFile {
    /// Reads the whole file, and compares all checksums.
    ///
    /// To get all problems instead of the first one, use [`check`](Self::check).
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndarray::array;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.ferry");
    /// ndferry::dump(&path, &array![1.5, 2.5])?;
    /// ndferry::open(&path)?.verify()?;
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if [`check`](Self::check) finds a problem.
    pub fn verify(&self) -> Result<()> {
        self.check().next().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Returns an iterator over the problems of the file.
    ///
    /// Arrays are read as the iterator advances. A problem is:
    ///
    /// - a value (no `ArrayInfo`) that refers to a missing array, to one array twice, or
    ///   to an array of another shape.
    /// - an array whose bytes do not match its checksum.
    /// - an array with a `bool` that is neither 0 nor 1.
    /// - an [unsupported entry](Self::unsupported_entries) (no `ArrayInfo`). Its checksum is
    ///   compared if there is one. If the entry may be sound, [`Error::is_unsupported`] or
    ///   [`Error::is_foreign_format`] is true.
    /// - an array above
    ///   [`max_decompressed_bytes`](super::OpenOptions::max_decompressed_bytes), which is not
    ///   checked.
    ///
    /// [`Error::is_invalid_data`] is true only for damage. The checksums of prelude, header and tree were compared when the file was opened.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndarray::array;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.ferry");
    /// ndferry::dump(&path, &(array![1.5, 2.5], array![3u8]))?;
    /// let mut bytes = std::fs::read(&path).unwrap();
    /// bytes[64] ^= 1; // in the first array
    /// std::fs::write(&path, bytes).unwrap();
    ///
    /// let file = ndferry::open(&path)?;
    /// let damaged: Vec<_> = file.check().filter_map(|(info, _)| Some(info?.name())).collect();
    /// assert_eq!(damaged, ["0"]);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    pub fn check(&self) -> impl Iterator<Item = (Option<&ArrayInfo>, Error)> {
        let value = std::iter::once_with(|| (None, self.check_tree()));
        let unsupported =
            self.unsupported_entries().iter().map(|entry| (None, Err(entry.check(self.bytes()))));
        let arrays = self
            .arrays()
            .iter()
            .map(|info| (Some(info), info.verify(self.bytes(), || self.decompressed(info))));
        value
            .chain(unsupported)
            .chain(arrays)
            .filter_map(|(info, checked)| Some((info, checked.err()?.at(self.path()))))
    }

    /// Checks that the value refers to each array once, and by its shape.
    pub(super) fn check_tree(&self) -> Result<()> {
        let Tree::InFile(range) = self.index_tree() else { return Ok(()) };
        let shape = |index| self.arrays().get(usize::try_from(index).ok()?).map(ArrayInfo::shape);
        codec::check(&self.bytes()[range.clone()], &shape)
    }

    /// Reads an array, and checks its bytes.
    pub(super) fn read_verified(&self, info: &ArrayInfo) -> Result<AnyArray> {
        let verified = || {
            if info.has_checksum() && !info.is_verified_when_decompressed() {
                info.verify_checksum(self.bytes())?;
            }
            let array = self.untyped(info)?;
            info.verify_values(array.extent_bytes()).map(|()| array)
        };
        verified().map_err(|error| error.at(self.path()))
    }
}
