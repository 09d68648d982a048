//! A temp file, and whose it is to delete.

use std::{
    fs::File,
    mem,
    path::{Path, PathBuf},
    sync::Weak,
};

use super::{journal::Entry, session::Session};

/// A file of the session that goes with this value. What has it mapped keeps it: only its name goes.
#[derive(Debug)]
pub(crate) struct TempFile {
    /// Weak, because whoever lets go of the store lets go of its files.
    session: Weak<Session>,
    entry: Entry,
    file: File,
    path: PathBuf,
}

impl TempFile {
    pub(super) fn new(session: Weak<Session>, entry: Entry, file: File, path: PathBuf) -> Self {
        Self { session, entry, file, path }
    }

    /// Where it is: absolute, as the registry names it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, open for reading and writing.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Leaves the file to another process of the session, which adopts it by the path.
    pub(crate) fn hand_over(mut self) -> PathBuf {
        if let Some(session) = mem::take(&mut self.session).upgrade() {
            session.disown(self.entry);
        }
        mem::take(&mut self.path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // A session that has ended has taken the file along, and one that was handed over is another's.
        if let Some(session) = self.session.upgrade() {
            session.remove(self.entry);
        }
    }
}
