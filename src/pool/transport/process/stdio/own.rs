//! The streams of this process, which is a worker.

use std::{
    fs::File,
    io,
    os::fd::{AsFd as _, OwnedFd},
};

use super::{StdioSetup, StreamMode, capture};
use crate::pool::wire::report::CapturedOutput;

/// The captured streams of this worker.
#[derive(Default)]
pub(crate) struct OwnStreams([Option<File>; 2]);

impl OwnStreams {
    /// Sets up the streams from the files in the parent's first message.
    ///
    /// # Errors
    ///
    /// Returns an error if a file is missing.
    pub(crate) fn new(
        setup: &StdioSetup,
        descriptors: &mut impl Iterator<Item = OwnedFd>,
    ) -> io::Result<Self> {
        let mut own = Self::default();
        let mut captured = Vec::new();
        for (stream, mode) in own.0.iter_mut().zip(&setup.both) {
            let Some(mode) = *mode else { continue };
            let missing =
                || io::Error::new(io::ErrorKind::InvalidData, "a stream did not come along");
            let file = File::from(descriptors.next().ok_or_else(missing)?);
            // Only standard output is ever redirected: the harness prints nowhere else.
            if matches!(mode, StreamMode::Redirect | StreamMode::Capture { redirect: true }) {
                rustix::stdio::dup2_stdout(file.as_fd())?;
            }
            if matches!(mode, StreamMode::Capture { .. }) {
                captured.push(file.try_clone()?);
                *stream = Some(file);
            }
        }
        capture::set_own(captured);
        Ok(own)
    }

    /// Returns the number of bytes written to each captured stream.
    pub(crate) fn positions(&self) -> [u64; 2] {
        [0, 1].map(|at| self.0[at].as_ref().map_or(0, capture::length))
    }

    /// Returns the output after `positions`.
    pub(crate) fn since(&self, positions: [u64; 2]) -> CapturedOutput {
        let [stdout, stderr] =
            [0, 1].map(|at| self.0[at].as_ref().map(|file| capture::end(file, positions[at])));
        CapturedOutput { stdout, stderr }
    }
}
