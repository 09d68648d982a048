//! One root of a session: its directory there, made when first needed, and how much room it has.

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

/// Bytes that may go to memory between two looks at how much is left, at most; and which part of what is left.
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
    /// Where the files lie in memory, what that has left.
    memory: Option<Meter>,
}

/// Measures memory now and then: asking costs more than a small file.
pub(super) struct Meter {
    limits: MemoryLimits,
    allowance: AtomicU64,
}

impl Root {
    pub(super) fn new(place: &Path, id: SessionId) -> Self {
        let path = Private::path_of_user(place).join(id.data());
        Self { place: place.to_path_buf(), name: id.data(), path, open: OnceLock::new() }
    }

    /// The session's directory in this root.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it lies in a place of the session's own, made only where the one before it in the list cannot be used.
    pub(super) fn is_own(&self) -> bool {
        place::is_own(&self.place)
    }

    /// The same, open; made if need be. The journal names the root already.
    pub(super) fn dir(&self) -> Result<&Dir> {
        Ok(&self.open()?.private.dir)
    }

    /// Bytes that a file of `nbytes` could have here: enough, or how many there are.
    pub(super) fn free(&self, nbytes: u64) -> Result<u64> {
        let open = self.open()?;
        let disk = space::free(&open.private.dir)
            .map_err(|error| Error::io("cannot ask for free space", error));
        let disk = disk.map_err(|error| error.at(&self.path))?;
        let memory = open.memory.as_ref().map_or(u64::MAX, |memory| memory.free(nbytes));
        Ok(disk.min(memory))
    }

    /// The directory, if this process has used it.
    pub(super) fn used(&self) -> Option<&Dir> {
        self.open.get().map(|open| &open.private.dir)
    }

    /// That a file of `nbytes` cannot be had where `free` are left.
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
                // Another session, the last in the user's directory, has taken it along.
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

    /// Bytes that a file of `nbytes` could have: enough, or how many there are.
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
