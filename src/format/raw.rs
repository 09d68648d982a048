//! Bytes without a header: their layout is told, not found.

use std::{path::Path, sync::Arc};

use super::{
    OpenOptions,
    file::{ArrayFile, ArrayInfo, Format, Tree},
};
use crate::{DType, Result, array::Order, bytes::map::FileMap};

/// What raw binary holds: the layout that a file's header would tell, as NumPy's `memmap` is told it.
///
/// ```no_run
/// use ndarray::Ix3;
/// use ndferry::{array::Order, file::RawLayout};
///
/// // A NIfTI-1 volume: column-major, big-endian, after a header of 352 bytes.
/// let layout = RawLayout::new(">i2".parse()?, [33, 41, 25]).order(Order::F).offset(352);
/// let volume = layout.open("anatomical.nii")?.array::<i16, Ix3>()?;
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawLayout {
    dtype: DType,
    shape: Vec<usize>,
    order: Order,
    offset: u64,
}

impl RawLayout {
    /// Elements of `dtype` in C order, `shape` of them, from the start of the file.
    pub fn new(dtype: DType, shape: impl Into<Vec<usize>>) -> Self {
        Self { dtype, shape: shape.into(), order: Order::C, offset: 0 }
    }

    /// Memory order of the elements.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Bytes before the first element.
    #[must_use]
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// Opens and maps the file. It may be longer than the layout needs.
    ///
    /// # Errors
    ///
    /// Where the file cannot be opened, is no regular file, or is too short for the layout.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<ArrayFile> {
        OpenOptions::new().raw(self.clone()).open(path)
    }

    /// Bytes up to the end of the last element.
    pub(super) fn end(&self) -> Result<u64> {
        let info =
            ArrayInfo::unplaced(String::new(), self.dtype.clone(), &self.shape, self.order, 0)?;
        Ok(self.offset.saturating_add(info.nbytes()))
    }

    pub(super) fn read(&self, map: Arc<FileMap>) -> Result<ArrayFile> {
        let length = map.as_ref().as_ref().len();
        let info = ArrayInfo::checked(
            String::new(),
            self.dtype.clone(),
            &self.shape,
            self.order,
            self.offset,
            length,
        )?;
        Ok(ArrayFile::new(map, Format::Raw, None, vec![info], Tree::OfOne, false))
    }
}
