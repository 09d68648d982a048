//! The streams of this process, which is a worker.

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::{AsFd as _, OwnedFd},
};

use super::{How, Nonce, Told, capture};
use crate::error::Said;

/// What a worker does with its streams when a task begins or fails.
#[derive(Default)]
pub(in crate::pool) struct Own {
    both: [Option<(How, File)>; 2],
    nonce: Nonce,
}

impl Own {
    /// Takes the streams that came along with what the parent has told.
    ///
    /// # Errors
    ///
    /// Where one is missing.
    pub(in crate::pool) fn new(
        told: &Told,
        descriptors: &mut impl Iterator<Item = OwnedFd>,
    ) -> io::Result<Self> {
        let mut own = Self { nonce: told.nonce, ..Self::default() };
        let mut kept = Vec::new();
        for (at, how) in told.both.iter().enumerate() {
            let Some(how) = *how else { continue };
            let missing =
                || io::Error::new(io::ErrorKind::InvalidData, "a stream did not come along");
            let file = File::from(descriptors.next().ok_or_else(missing)?);
            if told.harness && at == 0 {
                rustix::stdio::dup2_stdout(file.as_fd())?;
            }
            if how == How::Capture {
                kept.push(file.try_clone()?);
            }
            own.both[at] = Some((how, file));
        }
        capture::set_own(kept);
        Ok(own)
    }

    /// The task at `index` begins: gives how much was written to each of the streams that are kept.
    pub(in crate::pool) fn begin(&self, index: u64) -> [u64; 2] {
        [0, 1].map(|at| match &self.both[at] {
            Some((How::Capture, file)) => capture::length(file),
            Some((How::Prefix, pipe)) => {
                let mut mark = [0; size_of::<Nonce>() + 8];
                mark[..16].copy_from_slice(&self.nonce);
                mark[16..].copy_from_slice(&index.to_le_bytes());
                // So few bytes go in one piece. Without a reader there is nobody to tell.
                let _ = (&mut &*pipe).write_all(&mark);
                0
            }
            Some((How::Plain, _)) | None => 0,
        })
    }

    /// What was kept from these positions on.
    pub(in crate::pool) fn said(&self, since: [u64; 2]) -> Said {
        let [stdout, stderr] = [0, 1].map(|at| match &self.both[at] {
            Some((How::Capture, file)) => Some(capture::end(file, since[at])),
            _ => None,
        });
        Said { stdout, stderr }
    }
}
