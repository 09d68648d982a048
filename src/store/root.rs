//! One root of a session: its directory, which is created when needed, and the room in it.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::io::Errno;

use super::{
    name::SessionId,
    place::{self, Private},
};
use crate::{
    Error, Result,
    sys::{dir::Dir, memory::MemoryLimits, space},
};

/// The most bytes written to memory between two measurements of the free memory, and the
/// fraction of the free memory.
const ALLOWANCE: u64 = 16 << 20;
const ALLOWANCE_PART: u64 = 64;

pub(super) struct Root {
    place: PathBuf,
    name: OsString,
    path: PathBuf,
    open: OnceLock<Open>,
}

struct Open {
    private: Private,
    /// Measures the free memory, if the files are in memory.
    memory: Option<Meter>,
}

/// Measures free memory occasionally, because measuring costs more than writing a small file.
pub(super) struct Meter {
    limits: MemoryLimits,
    allowance: AtomicU64,
}

impl Root {
    pub(super) fn new(place: &Path, id: SessionId) -> Self {
        let path = Private::path_of_user(place).join(id.data());
        Self { place: place.to_path_buf(), name: id.data(), path, open: OnceLock::new() }
    }

    /// Returns the session's directory in this root.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether this is a place of the session's own, which is used only if the previous
    /// root cannot be.
    pub(super) fn is_own(&self) -> bool {
        place::is_own(&self.place)
    }

    /// Opens the session's directory, and creates it if necessary. The journal already names
    /// the root.
    pub(super) fn dir(&self) -> Result<&Dir> {
        Ok(&self.open()?.private.dir)
    }

    /// Returns the room for a file of `nbytes`: enough, or the bytes that are free.
    pub(super) fn free(&self, nbytes: u64) -> Result<u64> {
        let open = self.open()?;
        let disk = space::free(&open.private.dir)
            .map_err(|error| Error::io("cannot ask for free space", error));
        let disk = disk.map_err(|error| error.at(&self.path))?;
        let memory = open.memory.as_ref().map_or(u64::MAX, |memory| memory.free(nbytes));
        Ok(disk.min(memory))
    }

    /// Returns the directory, if this process has used it.
    pub(super) fn used(&self) -> Option<&Dir> {
        self.open.get().map(|open| &open.private.dir)
    }

    /// Returns the error that a file of `nbytes` does not fit into `free` bytes.
    pub(super) fn full(&self, nbytes: u64, free: u64) -> Error {
        let message = format!("cannot hold a file of {nbytes} bytes, {free} bytes are free");
        Error::io(message, io::ErrorKind::StorageFull).at(&self.path)
    }

    fn open(&self) -> Result<&Open> {
        if let Some(open) = self.open.get() {
            return Ok(open);
        }
        let open = self.make()?;
        Ok(self.open.get_or_init(|| open))
    }

    fn make(&self) -> Result<Open> {
        let private = loop {
            let user = Private::make_of_user(&self.place)?;
            match user.dir.make(&self.name) {
                Ok(()) | Err(Errno::EXIST) => {}
                // The last session in the user's directory has removed it.
                Err(Errno::NOENT) => continue,
                Err(error) => {
                    return Err(Error::io("cannot make the directory", error).at(&self.path));
                }
            }
            if let Some(private) = user.sub(&self.name)? {
                break private;
            }
        };
        private.hold();
        let in_memory = space::is_memory(&private.dir).unwrap_or(false);
        Ok(Open { private, memory: in_memory.then(Meter::new) })
    }
}

impl Meter {
    pub(super) fn new() -> Self {
        Self { limits: MemoryLimits::new(), allowance: AtomicU64::new(0) }
    }

    /// Returns the room for a file of `nbytes`: enough, or the bytes that are free.
    pub(super) fn free(&self, nbytes: u64) -> u64 {
        let take = |allowance: u64| allowance.checked_sub(nbytes);
        if self.allowance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            return u64::MAX;
        }
        let free = self.limits.free();
        self.allowance.store((free / ALLOWANCE_PART).min(ALLOWANCE), Ordering::Relaxed);
        free
    }
}
