//! Memory files of a store: without a name, passed on as descriptors, and sealed.
//!
//! The kernel frees them with the last process that has them open or mapped, so the registry
//! does not know them.

use std::{
    collections::HashMap,
    fs::File,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::io::Errno;

use super::root::Meter;
use crate::{
    Error, Result,
    sys::{
        memfd::{self, Seals},
        space,
    },
    trace,
};

/// The number of attempts to seal a file, and their interval. A process that was just forked
/// has the file mapped for writing until it executes its program.
const ATTEMPTS: u32 = 5000;
const PAUSE: Duration = Duration::from_millis(2);

/// The memory files that one process has made for a session.
pub(super) struct MemoryFiles {
    session: u64,
    memory: Meter,
    made: AtomicU64,
    /// Files to close with the store, although arrays still use them.
    own: Mutex<HashMap<u64, Arc<File>>>,
}

/// A memory file that is being filled and then sealed.
pub(super) struct MemoryFile {
    file: Arc<File>,
    path: PathBuf,
    number: u64,
    files: Weak<MemoryFiles>,
}

/// A sealed memory file. It is freed when this and the store are dropped, and nothing maps it.
pub(crate) struct SealedFile {
    path: PathBuf,
    number: u64,
    files: Weak<MemoryFiles>,
}

impl MemoryFiles {
    pub(super) fn new(session: u64) -> Self {
        Self { session, memory: Meter::new(), made: AtomicU64::new(0), own: Mutex::default() }
    }

    /// Creates a file of `nbytes` bytes and reserves its space.
    pub(super) fn create(self: &Arc<Self>, nbytes: u64) -> Result<MemoryFile> {
        let reserve = |file: &MemoryFile| {
            let reserved = space::reserve(file.file(), nbytes);
            reserved.map_err(|error| {
                Error::io(format!("cannot reserve {nbytes} bytes of memory"), error)
            })
        };
        self.fill(nbytes, reserve).map(|(file, ())| file)
    }

    /// Creates a file of about `nbytes` bytes and writes it with `write`.
    pub(super) fn fill<T>(
        self: &Arc<Self>,
        nbytes: u64,
        write: impl FnOnce(&MemoryFile) -> Result<T>,
    ) -> Result<(MemoryFile, T)> {
        let free = self.memory.free(nbytes);
        if free < nbytes {
            return Err(full(nbytes, free));
        }
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let name = format!("ndferry-{:016x}-{number:010x}", self.session);
        let file = Arc::new(memfd::create(&name).map_err(cannot_create)?);
        // The name that the kernel shows for maps and descriptors.
        let path = PathBuf::from(format!("/memfd:{name}"));
        let file = MemoryFile { file, path, number, files: Arc::downgrade(self) };
        match write(&file) {
            Ok(written) => {
                trace::event!(TRACE, "made a memory file", path = %file.path.display(), bytes = nbytes);
                Ok((file, written))
            }
            Err(error) if error.io_kind().is_some_and(space::is_shortage) => {
                drop(file);
                Err(full(nbytes, self.memory.free(u64::MAX)))
            }
            Err(error) => Err(error.at(&file.path)),
        }
    }

    fn own(&self) -> MutexGuard<'_, HashMap<u64, Arc<File>>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Seals only the length of the file. All processes that have it see later writes.
    pub(super) fn fix_length(self) -> Result<Arc<File>> {
        let sealed = memfd::seal(&self.file, Seals::Length);
        sealed.map_err(|error| Error::io("cannot seal the length", error).at(self.path))?;
        Ok(self.file)
    }

    /// Seals the written file.
    pub(super) fn seal(self) -> Result<(SealedFile, Arc<File>)> {
        let mut left = ATTEMPTS;
        while let Err(error) = memfd::seal(&self.file, Seals::Content) {
            left -= 1;
            if error != Errno::BUSY || left == 0 {
                let message =
                    "cannot seal the file: some process may still have it mapped for writing";
                return Err(Error::io(message, error).at(self.path));
            }
            thread::sleep(PAUSE);
        }
        let Self { file, path, number, files } = self;
        if let Some(files) = files.upgrade() {
            files.own().insert(number, Arc::clone(&file));
        }
        Ok((SealedFile { path, number, files }, file))
    }
}

impl SealedFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the file, to be passed on.
    ///
    /// # Errors
    ///
    /// Returns an error if the store was dropped.
    pub(super) fn file(&self) -> Result<Arc<File>> {
        let files = self.files.upgrade();
        let file = files.and_then(|files| files.own().get(&self.number).cloned());
        file.ok_or_else(|| {
            Error::invalid_input("the store has gone, and this file with it").at(&self.path)
        })
    }
}

impl Drop for SealedFile {
    fn drop(&mut self) {
        if let Some(files) = self.files.upgrade() {
            let file = files.own().remove(&self.number);
            // Dropped without holding the lock, because closing the last descriptor of a large
            // file takes time.
            drop(file);
        }
    }
}

fn full(nbytes: u64, free: u64) -> Error {
    let message =
        format!("cannot hold a memory file of {nbytes} bytes, {free} bytes of memory are free");
    Error::io(message, ErrorKind::StorageFull)
}

fn cannot_create(error: Errno) -> Error {
    let message = match error {
        Errno::MFILE => {
            "cannot make a memory file, of which every array in a sealed store and all atomics are one while they live: this \
             process has as many files open as it may (ulimit -n)"
        }
        _ => "cannot make a memory file",
    };
    Error::io(message, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memfd_reserves_its_size_or_fails() {
        // S5
        let files = Arc::new(MemoryFiles::new(7));
        let file = files.create(5 << 20).unwrap();
        let found = file.file().metadata().unwrap();
        assert_eq!(found.len(), 5 << 20);
        assert!(std::os::unix::fs::MetadataExt::blocks(&found) * 512 >= 5 << 20);
        assert_eq!(file.path(), Path::new("/memfd:ndferry-0000000000000007-0000000000"));
        let error = files.create(1 << 50).err().unwrap();
        let message = error.to_string();
        assert_eq!(error.io_kind(), Some(ErrorKind::StorageFull), "{message}");
        assert!(
            message.contains("1125899906842624 bytes, ")
                && message.contains("bytes of memory are free"),
            "{message}"
        );
        assert!(!message.contains(&u64::MAX.to_string()), "{message}");
    }

    #[test]
    fn memfd_is_closed_with_its_handle_or_store() {
        let files = Arc::new(MemoryFiles::new(7));
        let [one, other] = [0, 1].map(|_| files.create(10).unwrap().seal().unwrap().0);
        assert!(memfd::is_sealed(one.file().unwrap()));
        drop(one);
        assert_eq!(files.own().len(), 1);
        drop(files);
        assert!(other.file().unwrap_err().is_invalid_input());
    }

    #[test]
    fn memfd_sealing_waits_for_writable_maps() {
        let files = Arc::new(MemoryFiles::new(7));
        let file = files.create(4096).unwrap();
        let mut map = crate::bytes::map::WritableMap::of(file.file(), 0, 4096).unwrap();
        map.bytes().fill(3);
        let refused = memfd::seal(file.file(), Seals::Content);
        assert_eq!(refused, Err(Errno::BUSY));
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(5 * PAUSE);
                drop(map);
            });
            assert!(memfd::is_sealed(file.seal().unwrap().1));
        });
    }
}
