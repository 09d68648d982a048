//! A container through a writer that only goes forward: written twice, the first time for the prelude alone.

use std::io::{self, Seek, SeekFrom, Write};

use super::PRELUDE;

/// The first time: nothing is kept but the prelude.
pub(in crate::format) struct Rehearsal {
    at: u64,
    prelude: [u8; PRELUDE],
}

/// The second time: the prelude is written where its place is, and must turn out to be the same in the end.
pub(in crate::format) struct Recital<W> {
    to: W,
    at: u64,
    prelude: [u8; PRELUDE],
    again: bool,
}

impl Rehearsal {
    pub(in crate::format) fn new() -> Self {
        Self { at: 0, prelude: [0; PRELUDE] }
    }

    pub(in crate::format) fn recital<W: Write>(self, to: W) -> Recital<W> {
        Recital { to, at: 0, prelude: self.prelude, again: false }
    }
}

/// The part of the prelude that `length` bytes from `at` on begin with; `None` behind it.
fn part(prelude: &mut [u8; PRELUDE], at: u64, length: usize) -> Option<&mut [u8]> {
    let rest = prelude.get_mut(usize::try_from(at).ok()?..).filter(|rest| !rest.is_empty())?;
    let end = rest.len().min(length);
    Some(&mut rest[..end])
}

impl Write for Rehearsal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match part(&mut self.prelude, self.at, bytes.len()) {
            Some(prelude) => {
                prelude.copy_from_slice(&bytes[..prelude.len()]);
                prelude.len()
            }
            None => bytes.len(),
        };
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> Write for Recital<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match part(&mut self.prelude, self.at, bytes.len()) {
            Some(prelude) if self.again && *prelude != bytes[..prelude.len()] => {
                return Err(io::Error::other(
                    "the value's own `Serialize` gave something else the second time",
                ));
            }
            Some(prelude) => {
                if !self.again {
                    self.to.write_all(prelude)?;
                }
                prelude.len()
            }
            None => self.to.write(bytes)?,
        };
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Seek for Rehearsal {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        back(to, &mut self.at)
    }
}

impl<W> Seek for Recital<W> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.again = true;
        back(to, &mut self.at)
    }
}

/// Back to where the prelude is: a container that is written through goes nowhere else.
fn back(to: SeekFrom, at: &mut u64) -> io::Result<u64> {
    match to {
        SeekFrom::Start(0) => {
            *at = 0;
            Ok(0)
        }
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}
