//! Decompressing deflated bytes in parts.

use crc32fast::Hasher;
use miniz_oxide::{
    DataFormat, MZError, MZFlush, MZStatus,
    inflate::stream::{InflateState, inflate as inflate_stream},
};

use crate::{Error, Result, bytes::map::Buffer};

/// Bytes inflated at a time if they are not kept.
const BLOCK_LEN: usize = 64 << 10;

/// Inflates a deflate stream, a caller's buffer at a time.
pub(super) struct Inflater<'a> {
    stream: Box<InflateState>,
    compressed: &'a [u8],
    hash: Hasher,
    ended: bool,
}

impl<'a> Inflater<'a> {
    pub(super) fn new(compressed: &'a [u8]) -> Self {
        let stream = InflateState::new_boxed(DataFormat::Raw);
        Self { stream, compressed, hash: Hasher::new(), ended: false }
    }

    /// Inflates the next bytes, until `target` is full.
    pub(super) fn fill(&mut self, target: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < target.len() {
            match self.inflate_some(&mut target[filled..])? {
                0 => {
                    let message = "the deflated bytes end before the recorded length is reached";
                    return Err(Error::invalid_data(message));
                }
                more => filled += more,
            }
        }
        self.hash.update(target);
        Ok(())
    }

    /// Returns the CRC-32 of all bytes, if the stream ends here.
    pub(super) fn finish(mut self) -> Result<u32> {
        if self.inflate_some(&mut [0])? != 0 || !self.ended || !self.compressed.is_empty() {
            let message = "the deflated bytes continue after the recorded length, or have no end";
            return Err(Error::invalid_data(message));
        }
        Ok(self.hash.finalize())
    }

    /// Inflates at least one byte, or none at the end.
    fn inflate_some(&mut self, target: &mut [u8]) -> Result<usize> {
        while !self.ended {
            let progress = inflate_stream(&mut self.stream, self.compressed, target, MZFlush::None);
            self.compressed = &self.compressed[progress.bytes_consumed..];
            match progress.status {
                Ok(status) => self.ended = status == MZStatus::StreamEnd,
                // The input has ended before the stream. Callers report this.
                Err(MZError::Buf) => {}
                Err(_) => return Err(Error::invalid_data("the deflated bytes are damaged")),
            }
            if progress.bytes_written > 0 {
                return Ok(progress.bytes_written);
            }
            if progress.bytes_consumed == 0 {
                break;
            }
        }
        Ok(0)
    }
}

/// Inflates `size` bytes without keeping them, and returns their CRC-32.
pub(super) fn crc_of_inflated(compressed: &[u8], size: u64) -> Result<u32> {
    let mut inflater = Inflater::new(compressed);
    let mut block = vec![0; BLOCK_LEN];
    let mut left = size;
    while left > 0 {
        let part = left.min(BLOCK_LEN as u64) as usize;
        inflater.fill(&mut block[..part])?;
        left -= part as u64;
    }
    inflater.finish()
}

/// Inflates the `nbytes` bytes after the first `skipped`. Returns them with the
/// CRC-32 of all.
pub(super) fn inflate(compressed: &[u8], skipped: usize, nbytes: usize) -> Result<(Buffer, u32)> {
    let mut inflater = Inflater::new(compressed);
    inflater.fill(&mut vec![0; skipped])?;
    let mut buffer = Buffer::zeroed(nbytes)?;
    inflater.fill(buffer.as_mut())?;
    Ok((buffer, inflater.finish()?))
}
