//! Owned bytes: aligned for every element and every vector unit, and on huge pages where they are many.

use memmap2::MmapMut;

use crate::{Error, Result};

/// Bytes from which a buffer gets pages of its own, so that the kernel can make them huge.
const PAGES_FROM: usize = 4 << 20;

#[repr(C, align(64))]
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
struct Line([u8; 64]);

/// Owned bytes, aligned to 64 or better but for those of a vector that was taken over.
pub(crate) struct Buffer {
    memory: Memory,
    length: usize,
}

enum Memory {
    Lines(Vec<Line>),
    Pages(MmapMut),
    Vector(Vec<u8>),
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self { length: bytes.len(), memory: Memory::Vector(bytes) }
    }
}

impl Buffer {
    /// `length` zero bytes.
    ///
    /// # Errors
    ///
    /// Where there is no memory for them.
    pub(crate) fn zeroed(length: usize) -> Result<Self> {
        let memory = if length < PAGES_FROM {
            Memory::Lines(vec![bytemuck::Zeroable::zeroed(); length.div_ceil(64)])
        } else {
            let pages = MmapMut::map_anon(length).map_err(|error| {
                Error::io(format!("cannot reserve {length} bytes of memory"), error)
            })?;
            // Advice: where huge pages are off, ordinary ones do.
            #[cfg(target_os = "linux")]
            let _ = pages.advise(memmap2::Advice::HugePage);
            Memory::Pages(pages)
        };
        Ok(Self { memory, length })
    }

    /// A copy of `bytes`.
    pub(crate) fn copy_of(bytes: &[u8]) -> Result<Self> {
        let mut buffer = Self::zeroed(bytes.len())?;
        buffer.as_mut().copy_from_slice(bytes);
        Ok(buffer)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        match &self.memory {
            Memory::Lines(lines) => &bytemuck::cast_slice(lines)[..self.length],
            Memory::Pages(pages) => &pages[..self.length],
            Memory::Vector(bytes) => bytes,
        }
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::Lines(lines) => &mut bytemuck::cast_slice_mut(lines)[..self.length],
            Memory::Pages(pages) => &mut pages[..self.length],
            Memory::Vector(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_zero_aligned_and_of_its_length() {
        for length in [0, 1, 63, 64, 65, PAGES_FROM - 1, PAGES_FROM, PAGES_FROM + 1] {
            let mut buffer = Buffer::zeroed(length).unwrap();
            assert_eq!(buffer.as_ref().len(), length);
            assert!(buffer.as_ref().iter().all(|&byte| byte == 0));
            assert_eq!(buffer.as_ref().as_ptr().addr() % 64, 0);
            buffer.as_mut().fill(7);
            assert!(buffer.as_ref().iter().all(|&byte| byte == 7));
        }
    }
}
