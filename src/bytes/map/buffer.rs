//! Owned bytes, aligned for every element type and for vector instructions.

use memmap2::MmapMut;

use crate::{Error, Result};

/// The smallest buffer in bytes that is mapped, so that the kernel can use huge
/// pages.
const MIN_MAPPED_LEN: usize = 4 << 20;

#[repr(C, align(64))]
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
struct CacheLine([u8; 64]);

/// Owned bytes, aligned to at least 64 bytes. The bytes of a vector that was
/// taken over may be aligned to less.
pub(crate) struct Buffer {
    allocation: Allocation,
    length: usize,
}

enum Allocation {
    Lines(Vec<CacheLine>),
    Pages(MmapMut),
    Vector(Vec<u8>),
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self { length: bytes.len(), allocation: Allocation::Vector(bytes) }
    }
}

impl Buffer {
    /// Returns a buffer of `length` zero bytes.
    ///
    /// # Errors
    ///
    /// Returns an error if there is not enough memory.
    pub(crate) fn zeroed(length: usize) -> Result<Self> {
        let allocation = if length < MIN_MAPPED_LEN {
            Allocation::Lines(vec![bytemuck::Zeroable::zeroed(); length.div_ceil(64)])
        } else {
            let pages = MmapMut::map_anon(length).map_err(|error| {
                Error::io(format!("cannot reserve {length} bytes of memory"), error)
            })?;
            // Without huge pages, ordinary ones are used.
            #[cfg(target_os = "linux")]
            let _ = pages.advise(memmap2::Advice::HugePage);
            Allocation::Pages(pages)
        };
        Ok(Self { allocation, length })
    }

    /// Returns a copy of `bytes`.
    pub(crate) fn copy_of(bytes: &[u8]) -> Result<Self> {
        let mut buffer = Self::zeroed(bytes.len())?;
        buffer.as_mut().copy_from_slice(bytes);
        Ok(buffer)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        match &self.allocation {
            Allocation::Lines(lines) => &bytemuck::cast_slice(lines)[..self.length],
            Allocation::Pages(pages) => &pages[..self.length],
            Allocation::Vector(bytes) => bytes,
        }
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        match &mut self.allocation {
            Allocation::Lines(lines) => &mut bytemuck::cast_slice_mut(lines)[..self.length],
            Allocation::Pages(pages) => &mut pages[..self.length],
            Allocation::Vector(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_is_zeroed_and_aligned() {
        for length in [0, 1, 63, 64, 65, MIN_MAPPED_LEN - 1, MIN_MAPPED_LEN, MIN_MAPPED_LEN + 1] {
            let mut buffer = Buffer::zeroed(length).unwrap();
            assert_eq!(buffer.as_ref().len(), length);
            assert!(buffer.as_ref().iter().all(|&byte| byte == 0));
            assert_eq!(buffer.as_ref().as_ptr().addr() % 64, 0);
            buffer.as_mut().fill(7);
            assert!(buffer.as_ref().iter().all(|&byte| byte == 7));
        }
    }
}
