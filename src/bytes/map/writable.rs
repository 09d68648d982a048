//! Writable maps of parts of files.

use std::{fs::File, io};

use memmap2::{MmapOptions, MmapRaw};

use crate::sys::unshared;

/// Bytes of a file, mapped for writing.
///
/// Writes to a shared map change the file and all maps of it. Writes to a
/// copy-on-write map are visible in this process only. The space in the file
/// must be reserved, because writing to a full file system raises `SIGBUS`. A
/// forked process has a copy of the map.
pub(crate) struct WritableMap {
    /// `None` for an empty range, which cannot be mapped.
    map: Option<MmapRaw>,
    /// Whether writes change the file.
    shared: bool,
}

impl WritableMap {
    /// Maps `length` bytes of `file` at `offset`. Writes change the file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file is too short or cannot be mapped for
    /// writing.
    pub(crate) fn of(file: &File, offset: u64, length: usize) -> io::Result<Self> {
        check_length(file, offset, length)?;
        if length == 0 {
            return Ok(Self { map: None, shared: true });
        }
        let map = MmapOptions::new().offset(offset).len(length).map_raw(file)?;
        let (start, before) = first_page(&map);
        let file = file.try_clone()?.into();
        // SAFETY: these are whole pages of the new map. `drop` removes them
        // from the list before it unmaps them.
        unsafe { unshared::list_map(start, before + length, file, offset - before as u64) };
        Ok(Self { map: Some(map), shared: true })
    }

    /// Maps `length` bytes of `file` at `offset`. A page is copied when it is
    /// first written to.
    ///
    /// # Errors
    ///
    /// Returns an error if the file is too short or cannot be mapped.
    pub(crate) fn copy_on_write(file: &File, offset: u64, length: usize) -> io::Result<Self> {
        check_length(file, offset, length)?;
        if length == 0 {
            return Ok(Self { map: None, shared: false });
        }
        // SAFETY: The file has these bytes now. Other programs must not
        // truncate it or change pages that are not yet written to, as described
        // for `FileMap`.
        let map = unsafe { MmapOptions::new().offset(offset).len(length).map_copy(file) }?;
        Ok(Self { map: Some(map.into()), shared: false })
    }

    /// Returns the bytes of the map.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        let Some(map) = &self.map else {
            return &mut [];
        };
        // SAFETY: The map has this length and exists as long as the borrow of
        // `self`, which is exclusive. `check_length` has checked that the file
        // has these bytes. A shared map is of a file of the session, or of a
        // new file without a known name: no other process opens it before the
        // array in it is frozen, and the crate never truncates a mapped file.
        // The bytes of a copy-on-write map are its own copies, or those of the
        // file, as described for `FileMap`. Code that fills parts of a map
        // concurrently uses `pointer` instead.
        unsafe { std::slice::from_raw_parts_mut(map.as_mut_ptr(), map.len()) }
    }

    /// Returns the length and the address of the bytes, for code that shares
    /// them.
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
            unshared::unlist_map(first_page(map).0);
        }
    }
}

/// Checks that the file has these bytes.
fn check_length(file: &File, offset: u64, length: usize) -> io::Result<()> {
    let end = offset.checked_add(length as u64);
    if end.is_none_or(|end| file.metadata().map_or(true, |found| end > found.len())) {
        let message = format!("the file is too short for {length} bytes at byte {offset}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(())
}

/// Returns the address of the first page of the map, and its distance from the
/// first byte of the map.
fn first_page(map: &MmapRaw) -> (*mut u8, usize) {
    let before = map.as_mut_ptr().addr() % rustix::param::page_size();
    (map.as_mut_ptr().wrapping_sub(before), before)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn writable_map_changes_the_file() {
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
                assert!(map(&file, offset, length).is_err(), "{length} bytes at {offset}");
            }
        }
    }

    #[test]
    fn writable_map_copy_on_write_keeps_the_file() {
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
