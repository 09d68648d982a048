//! How a file is opened.

use std::path::Path;

use super::ArrayFile;
use crate::{Result, map::FileMap};

/// How to open a file.
///
/// ```no_run
/// use ndferry::OpenOptions;
///
/// let file = OpenOptions::new().limit(64 << 30).open("survey.npz")?;
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    pub(super) limit: u64,
}

/// Bytes beyond which nothing is decompressed unless told otherwise.
const LIMIT: u64 = 4 << 30;

impl Default for OpenOptions {
    fn default() -> Self {
        Self { limit: LIMIT }
    }
}

impl OpenOptions {
    /// Nothing of more than 4 GiB is decompressed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes to which one array may be decompressed, or all those of a value; 4 GiB unless set. What an array needs its file
    /// says, and nothing beyond that is ever made of it; but a small file can say much.
    #[must_use]
    pub fn limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
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
