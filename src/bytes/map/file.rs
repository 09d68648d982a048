//! Files as memory.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use memmap2::{Mmap, MmapOptions};

use super::Buffer;
use crate::{Error, Result, sys};

/// The bytes of a whole file: one that is open and mapped, or one that was read.
///
/// Of a mapped one the descriptor is kept: it names the file for whoever the map is handed to, also after its path has gone.
///
/// # What the operating system can do to a map
///
/// A map shows the file as it is *now*. Whoever writes to the file changes what is read here, and whoever truncates it makes
/// reading past the new end raise `SIGBUS`, which ends the program; another process can, and so can this program by the
/// file's path. Neither can be prevented for a file that is somebody else's; both are outside what a map controls. No element type whose
/// bytes must obey a rule (`bool`) is ever read straight from such a map. A sealed memory file is the exception: nobody can do
/// either to it.
pub(crate) struct FileMap {
    content: Content,
    path: PathBuf,
}

enum Content {
    Mapped {
        /// `None` for an empty file, which cannot be mapped and needs no map.
        map: Option<Mmap>,
        #[cfg_attr(
            not(target_os = "linux"),
            allow(dead_code, reason = "kept open; handed on where there are pools")
        )]
        file: Arc<File>,
        #[cfg_attr(
            not(target_os = "linux"),
            allow(dead_code, reason = "no other system has seals")
        )]
        sealed: bool,
    },
    Read(Arc<Buffer>),
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
    pub(crate) fn of(file: impl Into<Arc<File>>, path: PathBuf) -> Result<Arc<Self>> {
        let file = file.into();
        let sealed = is_sealed(&file);
        let map = map(&file, sealed).map_err(|error| Error::io("cannot map", error).at(&path))?;
        Ok(Arc::new(Self { content: Content::Mapped { map, file, sealed }, path }))
    }

    /// A file that was read, known to people as `path`; no path where it was none.
    pub(crate) fn read(buffer: Buffer, path: PathBuf) -> Arc<Self> {
        Arc::new(Self { content: Content::Read(Arc::new(buffer)), path })
    }

    /// The memory into which the file was read; `None` where it is mapped.
    pub(crate) fn buffer(&self) -> Option<&Arc<Buffer>> {
        match &self.content {
            Content::Mapped { .. } => None,
            Content::Read(buffer) => Some(buffer),
        }
    }

    /// The path the file was opened by.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The open file, where it is mapped.
    #[cfg(target_os = "linux")]
    pub(crate) fn file(&self) -> Option<&Arc<File>> {
        match &self.content {
            Content::Mapped { file, .. } => Some(file),
            Content::Read(_) => None,
        }
    }

    /// Whether the file's own seals say that nobody can ever change it.
    #[cfg(target_os = "linux")]
    pub(crate) fn is_sealed(&self) -> bool {
        matches!(self.content, Content::Mapped { sealed: true, .. })
    }
}

impl AsRef<[u8]> for FileMap {
    fn as_ref(&self) -> &[u8] {
        match &self.content {
            Content::Mapped { map, .. } => map.as_deref().unwrap_or(&[]),
            Content::Read(buffer) => buffer.as_ref().as_ref(),
        }
    }
}

#[cfg(target_os = "linux")]
fn is_sealed(file: &File) -> bool {
    sys::memfd::is_sealed(file)
}

#[cfg(not(target_os = "linux"))]
fn is_sealed(_: &File) -> bool {
    false
}

fn map(file: &File, sealed: bool) -> io::Result<Option<Mmap>> {
    let length = file.metadata()?.len();
    let length =
        usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    if length == 0 {
        return Ok(None);
    }
    // SAFETY: The map is read-only and its length is the file's, so every byte of it exists now. That it stays so is up to
    // whoever else uses the file, as `FileMap` says; the crate itself never writes to or truncates a
    // file that it has mapped: its own files are written under a name nobody else opens and are complete before they are
    // mapped. A sealed file cannot be written to or truncated by anybody.
    let map = unsafe {
        let mut options = MmapOptions::new();
        // Until Linux 6.7 a sealed file that is open for writing could not be mapped shared, read-only or not. Never written
        // to, a private map has the file's own pages.
        if sealed {
            options.len(length).map_copy_read_only(file)
        } else {
            options.len(length).map(file)
        }
    }?;
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
