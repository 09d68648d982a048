//! Raw binary: the caller describes the layout, because the file has no header.

use super::{
    entry::{ArrayInfo, Index, Tree},
    interface::FileFormat,
    options::RawLayout,
};
use crate::{Error, Result};

/// Raw binary.
pub(super) struct Raw;

impl FileFormat for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn extension(&self) -> Option<&'static str> {
        None
    }

    fn detect(&self, _: &[u8]) -> bool {
        false
    }

    fn index(&self, _: &[u8]) -> Result<Index> {
        Err(Error::invalid_input("raw binary has no header; give its dtype and shape"))
    }
}

impl RawLayout {
    /// Describes the array in `file`, and checks that the file is long enough.
    pub(super) fn index(&self, file: &[u8]) -> Result<Index> {
        Ok(Index::new(vec![self.info(file.len())?], Tree::OneArray))
    }

    /// Returns the end of the last element, which is the shortest length of the file.
    pub(super) fn end(&self) -> Result<u64> {
        let info = Self { offset: 0, ..self.clone() }.info(usize::MAX)?;
        Ok(self.offset.saturating_add(info.nbytes()))
    }

    fn info(&self, file_len: usize) -> Result<ArrayInfo> {
        let Self { dtype, shape, order, offset } = self.clone();
        ArrayInfo::plain(String::new(), dtype, &shape, order, offset, file_len)
    }
}
