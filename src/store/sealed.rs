//! Files of a store that are memory: nameless, passed on by their descriptor, sealed.
//!
//! Nobody has to delete them, so no registry knows them: they go with the last process that has them open or mapped.

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

/// How often, and how far apart, sealing is tried while some process has the file mapped for writing: one just forked, until it
/// runs its own program.
const ATTEMPTS: u32 = 5000;
const PAUSE: Duration = Duration::from_millis(2);

/// The memory files of one process's part in a session.
pub(super) struct MemoryFiles {
    session: u64,
    memory: Meter,
    made: AtomicU64,
    /// What is to go when the store goes, although arrays on it live.
    own: Mutex<HashMap<u64, Arc<File>>>,
}

/// A memory file on its way: to be filled, and then sealed.
pub(super) struct MemoryFile {
    file: Arc<File>,
    path: PathBuf,
    number: u64,
    files: Weak<MemoryFiles>,
}

/// A memory file nobody can change any more. It goes with this or with the store, when nothing has it mapped or on its way.
pub(crate) struct SealedFile {
    path: PathBuf,
    number: u64,
    files: Weak<MemoryFiles>,
}

impl MemoryFiles {
    pub(super) fn new(session: u64) -> Self {
        Self { session, memory: Meter::new(), made: AtomicU64::new(0), own: Mutex::default() }
    }

    /// A file of `nbytes`, all of them reserved.
    pub(super) fn create(self: &Arc<Self>, nbytes: u64) -> Result<MemoryFile> {
        let reserve = |file: &MemoryFile| {
            let reserved = space::reserve(file.file(), nbytes);
            reserved.map_err(|error| {
                Error::io(format!("cannot reserve {nbytes} bytes of memory"), error)
            })
        };
        self.fill(nbytes, reserve).map(|(file, ())| file)
    }

    /// A file that `write` then writes, about `nbytes`.
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
        // As the kernel calls it among a process's maps and descriptors.
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

    /// Seals its length alone: what is written to it from here on is seen by all who have it.
    pub(super) fn fix_length(self) -> Result<Arc<File>> {
        let sealed = memfd::seal(&self.file, Seals::Length);
        sealed.map_err(|error| Error::io("cannot seal the length", error).at(self.path))?;
        Ok(self.file)
    }

    /// Seals it, now that it is written.
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

    /// The file, to be passed on.
    ///
    /// # Errors
    ///
    /// Where the store has gone.
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
            // Not while others wait: the last descriptor of a large file frees its memory.
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
    fn a_memory_file_is_reserved_and_more_than_there_is_an_error() {
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
    fn a_sealed_file_is_forgotten_with_its_handle_or_with_the_store() {
        let files = Arc::new(MemoryFiles::new(7));
        let [one, other] = [0, 1].map(|_| files.create(10).unwrap().seal().unwrap().0);
        assert!(memfd::is_sealed(one.file().unwrap()));
        drop(one);
        assert_eq!(files.own().len(), 1);
        drop(files);
        assert!(other.file().unwrap_err().is_invalid_input());
    }

    #[test]
    fn sealing_waits_for_maps_that_are_going() {
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
