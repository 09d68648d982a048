//! A part of a file as memory to be filled.

use std::{fs::File, io};

use memmap2::{MmapOptions, MmapRaw};

use crate::sys::unshared;

/// Bytes of a file, mapped for writing: what is written here is in the file at once, and seen by whoever maps it; or, of a copy-on-write
/// map, is nowhere else.
///
/// The space must have been reserved: writing where there is none is `SIGBUS`. A forked process has a copy.
pub(crate) struct WritableMap {
    /// `None` for no bytes, which cannot be mapped and need no map.
    map: Option<MmapRaw>,
    /// Whether others see what is written.
    shared: bool,
}

impl WritableMap {
    /// Maps `length` bytes of `file` from `offset` on.
    ///
    /// # Errors
    ///
    /// Where the file ends before, or cannot be mapped for writing.
    pub(crate) fn of(file: &File, offset: u64, length: usize) -> io::Result<Self> {
        check(file, offset, length)?;
        if length == 0 {
            return Ok(Self { map: None, shared: true });
        }
        let map = MmapOptions::new().offset(offset).len(length).map_raw(file)?;
        let (start, before) = beginning(&map);
        let file = file.try_clone()?.into();
        // SAFETY: these are whole pages of the map just made, which `drop` takes off the list before it unmaps them.
        unsafe { unshared::list_map(start, before + length, file, offset - before as u64) };
        Ok(Self { map: Some(map), shared: true })
    }

    /// Maps `length` bytes of `file` from `offset` on so that what is written stays here: each page is copied when it is first written to.
    ///
    /// # Errors
    ///
    /// Where the file ends before, or cannot be mapped.
    pub(crate) fn copy_on_write(file: &File, offset: u64, length: usize) -> io::Result<Self> {
        check(file, offset, length)?;
        if length == 0 {
            return Ok(Self { map: None, shared: false });
        }
        // SAFETY: The file has these bytes now. That they stay there, and that pages not yet written to stay as they are, is up to whoever
        // else uses the file, as it is with `FileMap`, which says so.
        let map = unsafe { MmapOptions::new().offset(offset).len(length).map_copy(file) }?;
        Ok(Self { map: Some(map.into()), shared: false })
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        let Some(map) = &self.map else {
            return &mut [];
        };
        // SAFETY: The map is as long as it says and lives as long as what is lent of it, which is one reference at a time. Its
        // bytes are in the file, as `check` has seen. Of a shared map they stay there: the crate truncates no file once it is mapped, and the
        // file is one of the session's own, or one made aside that has no name yet or one that nobody is told of: nobody else opens it, and no
        // other process is told of it before the array in it is frozen. Of a copy-on-write map they are this map's own, or the file's, as `FileMap`
        // says of those. (Where it is lent in parts before, those who fill them use `pointer`.)
        unsafe { std::slice::from_raw_parts_mut(map.as_mut_ptr(), map.len()) }
    }

    /// How many bytes there are, and where. For those who share them with others.
    pub(crate) fn pointer(&self) -> (usize, *mut u8) {
        match &self.map {
            Some(map) => (map.len(), map.as_mut_ptr()),
            None => (0, std::ptr::dangling_mut()),
        }
    }
}

impl Drop for WritableMap {
    fn drop(&mut self) {
        if let (Some(map), true) = (&self.map, self.shared) {
            unshared::unlist_map(beginning(map).0);
        }
    }
}

/// Whether the file has these bytes.
fn check(file: &File, offset: u64, length: usize) -> io::Result<()> {
    let end = offset.checked_add(length as u64);
    if end.is_none_or(|end| file.metadata().map_or(true, |found| end > found.len())) {
        let message = format!("{length} bytes from byte {offset} on are more than the file has");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(())
}

/// Where the first page of the map begins, and how many bytes before what was asked for that is.
fn beginning(map: &MmapRaw) -> (*mut u8, usize) {
    let before = map.as_mut_ptr().addr() % rustix::param::page_size();
    (map.as_mut_ptr().wrapping_sub(before), before)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn what_is_written_is_in_the_file() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(10_000).unwrap();
        for (offset, length) in [(0, 10_000), (64, 8), (4096, 5904), (9_999, 1)] {
            let mut map = WritableMap::of(&file, offset, length).unwrap();
            assert_eq!(
                (map.bytes().len(), map.bytes().as_ptr().addr() as u64 % 64),
                (length, offset % 64)
            );
            map.bytes().fill(7);
            let mut found = vec![0; length];
            file.read_exact_at(&mut found, offset).unwrap();
            assert!(found.iter().all(|&byte| byte == 7));
        }
        assert!(WritableMap::of(&file, 10_000, 0).unwrap().bytes().is_empty());
        for (offset, length) in [(0, 10_001), (10_001, 0), (u64::MAX, 1)] {
            for map in [WritableMap::of, WritableMap::copy_on_write] {
                assert!(map(&file, offset, length).is_err(), "{length} bytes from {offset} on");
            }
        }
    }

    #[test]
    fn what_is_written_to_a_copy_is_in_no_file() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[7; 10_000], 0).unwrap();
        let read_only =
            File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file)))
                .unwrap();
        let mut map = WritableMap::copy_on_write(&read_only, 4090, 100).unwrap();
        assert_eq!(map.bytes(), [7; 100]);
        map.bytes().fill(8);
        let mut found = [0; 10_000];
        file.read_exact_at(&mut found, 0).unwrap();
        assert_eq!((found, map.bytes()), ([7; 10_000], &mut [8; 100][..]));
    }
}
