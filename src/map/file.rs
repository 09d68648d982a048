//! Files as memory.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use memmap2::{Mmap, MmapOptions};

use crate::{Error, Result, sys};

/// A whole regular file, open for reading and mapped.
///
/// The descriptor is kept: it names the file for whoever the map is handed to, also after its path has gone.
///
/// # What the operating system can do to a map
///
/// A map shows the file as it is *now*. Whoever writes to the file changes what is read here, and whoever truncates it makes
/// reading past the new end raise `SIGBUS`, which ends the program; another process can, and so can this program by the
/// file's path. Neither can be prevented for a file that is somebody else's; both are outside what a map controls. No element type whose
/// bytes must obey a rule (`bool`) is ever read straight from such a map.
pub(crate) struct FileMap {
    /// `None` for an empty file, which cannot be mapped and needs no map.
    map: Option<Mmap>,
    file: File,
    path: PathBuf,
}

impl FileMap {
    /// Opens and maps the file at `path`.
    ///
    /// # Errors
    ///
    /// Where it cannot be opened, is no regular file, or cannot be mapped. A pipe or a device is refused, never waited for.
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>> {
        let file = sys::file::open_regular(path)?;
        Self::of(file, path.to_path_buf())
    }

    /// Maps an open regular file, known to people as `path`.
    pub(crate) fn of(file: File, path: PathBuf) -> Result<Arc<Self>> {
        let map = map(&file).map_err(|error| Error::io("cannot map", error).at(&path))?;
        Ok(Arc::new(Self { map, file, path }))
    }

    /// The path the file was opened by.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The open file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

impl AsRef<[u8]> for FileMap {
    fn as_ref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }
}

fn map(file: &File) -> io::Result<Option<Mmap>> {
    let length = file.metadata()?.len();
    let length = usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    if length == 0 {
        return Ok(None);
    }
    // SAFETY: The map is read-only and its length is the file's, so every byte of it exists now. That it stays so is up to
    // whoever else uses the file, as `FileMap` says; the crate itself never writes to or truncates a
    // file that it has mapped: its own files are written under a name nobody else opens and are complete before they are
    // mapped.
    let map = unsafe { MmapOptions::new().len(length).map(file) }?;
    Ok(Some(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_no_bytes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let map = FileMap::open(file.path()).unwrap();
        assert!(<FileMap as AsRef<[u8]>>::as_ref(&map).is_empty());
    }

    #[test]
    fn a_map_outlives_the_name_of_its_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"abc").unwrap();
        let map = FileMap::open(file.path()).unwrap();
        drop(file);
        assert_eq!(<FileMap as AsRef<[u8]>>::as_ref(&map), b"abc");
    }
}
