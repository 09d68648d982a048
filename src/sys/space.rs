//! Space on file systems: how much is free, and reserving it before it is needed.
//!
//! Memory, which a tmpfs lives on, has limits of its own: those are [`memory`](super::memory)'s.

use std::{
    fs::File,
    io::ErrorKind,
    os::{fd::AsFd, unix::fs::FileExt},
};

use rustix::{
    fs::{FallocateFlags, FsWord, fallocate, fstatfs, fstatvfs},
    io::{Errno, Result},
};

/// `f_type` of a tmpfs, as `linux/magic.h` has it.
const TMPFS: FsWord = 0x0102_1994;

/// Bytes reserved by one call after the first was interrupted.
const STEP: u64 = 16 << 20;

/// Bytes this user can still write to the file system that holds `file`.
pub(crate) fn free(file: impl AsFd) -> Result<u64> {
    let system = fstatvfs(file)?;
    // A tmpfs mounted without a limit says that it has no blocks at all.
    if system.f_blocks == 0 {
        return Ok(u64::MAX);
    }
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}

/// Whether what is written to the file system that holds `file` stays in memory.
pub(crate) fn is_memory(file: impl AsFd) -> Result<bool> {
    Ok(fstatfs(file)?.f_type == TMPFS)
}

/// Makes `file`, which is empty, `nbytes` long, all of it backed by space that is really there.
pub(crate) fn reserve(file: &File, nbytes: u64) -> Result<()> {
    let mut done = 0;
    let mut step = nbytes;
    while done < nbytes {
        match fallocate(file, FallocateFlags::empty(), done, step.min(nbytes - done)) {
            Ok(()) => done += step.min(nbytes - done),
            // A tmpfs gives up everything it has reserved in a call that a signal interrupts. Under a profiler's timer one
            // large call would never end; small ones get somewhere.
            Err(Errno::INTR) => step = STEP,
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return fill(file, nbytes),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether the error says that there is no space, by whatever rule: the file system's, a quota's, the memory's.
pub(crate) fn is_shortage(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::OutOfMemory)
}

/// Reserves by writing, where the file system knows no other way.
fn fill(file: &File, nbytes: u64) -> Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut done = 0;
    while done < nbytes {
        let part = usize::try_from(nbytes - done).map_or(zeros.len(), |left| left.min(zeros.len()));
        file.write_all_at(&zeros[..part], done)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        done += part as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_file_has_its_length_and_its_blocks() {
        for nbytes in [0, 1, 4096, (3 << 20) + 5] {
            for reserve in [reserve, fill] {
                let file = tempfile::tempfile().unwrap();
                reserve(&file, nbytes).unwrap();
                let metadata = file.metadata().unwrap();
                assert_eq!(metadata.len(), nbytes);
                assert!(std::os::unix::fs::MetadataExt::blocks(&metadata) * 512 >= nbytes);
            }
        }
    }

    #[test]
    fn there_is_space_somewhere() {
        assert!(free(tempfile::tempfile().unwrap()).unwrap() > 0);
    }
}
