//! Writing a container to a writer that cannot seek.
//!
//! The prelude at the start of the file contains checksums of the rest. The container is
//! therefore written twice: a dry run only to compute the prelude, and a second pass that
//! writes it first.

use std::io::{self, Seek, SeekFrom, Write};

use super::PRELUDE_LEN;

/// A writer that keeps only the prelude.
pub(in crate::format) struct DryRun {
    position: u64,
    prelude: [u8; PRELUDE_LEN],
}

/// A writer that begins with the known prelude. When the container writes its prelude at
/// the end, this checks that it is the same.
pub(in crate::format) struct SecondPass<W> {
    target: W,
    position: u64,
    prelude: [u8; PRELUDE_LEN],
    is_at_end: bool,
}

impl DryRun {
    pub(in crate::format) fn new() -> Self {
        Self { position: 0, prelude: [0; PRELUDE_LEN] }
    }

    pub(in crate::format) fn second_pass<W: Write>(self, target: W) -> SecondPass<W> {
        SecondPass { target, position: 0, prelude: self.prelude, is_at_end: false }
    }
}

/// Returns the part of the prelude that `length` bytes from `position` on cover, or
/// `None` after the prelude.
fn covered(prelude: &mut [u8; PRELUDE_LEN], position: u64, length: usize) -> Option<&mut [u8]> {
    let start = usize::try_from(position).ok()?;
    let rest = prelude.get_mut(start..).filter(|rest| !rest.is_empty())?;
    let end = rest.len().min(length);
    Some(&mut rest[..end])
}

impl Write for DryRun {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match covered(&mut self.prelude, self.position, bytes.len()) {
            Some(prelude) => {
                prelude.copy_from_slice(&bytes[..prelude.len()]);
                prelude.len()
            }
            None => bytes.len(),
        };
        self.position += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> Write for SecondPass<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match covered(&mut self.prelude, self.position, bytes.len()) {
            Some(prelude) if self.is_at_end && *prelude != bytes[..prelude.len()] => {
                return Err(io::Error::other(
                    "the value's `Serialize` returned different data the second time",
                ));
            }
            Some(prelude) => {
                if !self.is_at_end {
                    self.target.write_all(prelude)?;
                }
                prelude.len()
            }
            None => self.target.write(bytes)?,
        };
        self.position += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }
}

impl Seek for DryRun {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        seek_to_start(to, &mut self.position)
    }
}

impl<W> Seek for SecondPass<W> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.is_at_end = true;
        seek_to_start(to, &mut self.position)
    }
}

/// A container seeks only once: to its start, to write the prelude.
fn seek_to_start(to: SeekFrom, position: &mut u64) -> io::Result<u64> {
    match to {
        SeekFrom::Start(0) => {
            *position = 0;
            Ok(0)
        }
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}
