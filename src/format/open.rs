//! How a file is opened.

use std::path::Path;

use super::ArrayFile;
use crate::{Result, map::FileMap};

/// How to open a file.
///
/// ```no_run
/// use ndferry::OpenOptions;
///
/// let file = OpenOptions::new().decompressed_limit(64 << 30).open("survey.npz")?;
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    pub(super) decompressed_limit: u64,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { decompressed_limit: 4 << 30 }
    }
}

impl OpenOptions {
    /// No array of more than 4 GiB is decompressed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes that a compressed array may have when it is decompressed, 4 GiB unless set. A larger one is an error, when it is asked
    /// for: a file of a few kilobytes can say that it holds gigabytes, and be right. Arrays that are not compressed have no limit.
    #[must_use]
    pub fn decompressed_limit(mut self, bytes: u64) -> Self {
        self.decompressed_limit = bytes;
        self
    }

    /// Opens a file, as [`open`](crate::open).
    ///
    /// # Errors
    ///
    /// As [`open`](crate::open).
    pub fn open(&self, path: impl AsRef<Path>) -> Result<ArrayFile> {
        let path = path.as_ref();
        let file = ArrayFile::of(FileMap::open(path)?, false).map_err(|error| error.at(path))?;
        Ok(file.with_options(self.clone()))
    }
}
