//! A temporary file, and the process that must delete it.
//!
//! A file removes itself from its session, so this file and `session.rs` refer to each other.

use std::{
    fs::File,
    mem,
    path::{Path, PathBuf},
    sync::Weak,
};

use super::{contents::Entry, session::Session};

/// A file of the session that is removed when this is dropped. Processes that map it keep the
/// content.
#[derive(Debug)]
pub(crate) struct TempFile {
    /// Weak, because dropping the store also removes its files.
    session: Weak<Session>,
    entry: Entry,
    file: File,
    path: PathBuf,
}

impl TempFile {
    pub(super) fn new(session: Weak<Session>, entry: Entry, file: File, path: PathBuf) -> Self {
        Self { session, entry, file, path }
    }

    /// Returns the absolute path, as in the registry.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the file, open for reading and writing.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Leaves the file to another process of the session, which adopts it by its path.
    pub(crate) fn hand_over(mut self) -> PathBuf {
        if let Some(session) = mem::take(&mut self.session).upgrade() {
            session.disown(self.entry);
        }
        mem::take(&mut self.path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // If the session has ended, the file was removed. If it was handed over, it belongs to
        // another process.
        if let Some(session) = self.session.upgrade() {
            session.remove(self.entry);
        }
    }
}
