//! Free space on file systems, and its reservation.
//!
//! A tmpfs uses memory, whose limits are in [`memory`](super::memory).

use std::{
    fs::File,
    io::ErrorKind,
    os::{fd::AsFd, unix::fs::FileExt},
};

use rustix::{
    fs::{FallocateFlags, FsWord, fallocate, fstatfs, fstatvfs},
    io::{Errno, Result},
};

/// The `f_type` of a tmpfs, from `linux/magic.h`.
const TMPFS_MAGIC: FsWord = 0x0102_1994;

/// How many bytes a call reserves after the first call was interrupted.
const RETRY_STEP_LEN: u64 = 16 << 20;

/// Returns how many bytes this user can still write to the file system of
/// `file`.
pub(crate) fn free(file: impl AsFd) -> Result<u64> {
    let system = fstatvfs(file)?;
    // A tmpfs without a limit reports 0 blocks.
    if system.f_blocks == 0 {
        return Ok(u64::MAX);
    }
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}

/// Returns whether the file system of `file` is in memory.
pub(crate) fn is_memory(file: impl AsFd) -> Result<bool> {
    Ok(fstatfs(file)?.f_type == TMPFS_MAGIC)
}

/// Extends the empty `file` to `nbytes` bytes, and reserves the space for them.
pub(crate) fn reserve(file: &File, nbytes: u64) -> Result<()> {
    let mut done = 0;
    let mut step = nbytes;
    while done < nbytes {
        match fallocate(file, FallocateFlags::empty(), done, step.min(nbytes - done)) {
            Ok(()) => done += step.min(nbytes - done),
            // A tmpfs releases all space of a call that a signal interrupts.
            // With the timer signals of a profiler, one large call would never
            // succeed, but small ones do.
            Err(Errno::INTR) => step = RETRY_STEP_LEN,
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return fill(file, nbytes),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns whether the error reports a lack of space: on the file system, by a
/// quota, or in memory.
pub(crate) fn is_shortage(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::OutOfMemory)
}

/// Reserves space by writing zeros, for file systems without `fallocate`.
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
    fn space_reserved_file_has_length_and_blocks() {
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
    fn space_free_is_not_zero() {
        assert!(free(tempfile::tempfile().unwrap()).unwrap() > 0);
    }
}
