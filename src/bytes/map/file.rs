//! Files in memory: mapped or read.

use std::{
    fs::{File, Metadata},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use memmap2::{Mmap, MmapOptions};

use super::buffer::Buffer;
use crate::{Error, Result, sys};

/// The bytes of a whole file, mapped or read.
///
/// The descriptor of a mapped file stays open, so that the file can be passed
/// to another process after its path was removed.
///
/// # Changes by other programs
///
/// A map shows the current content of the file. If a program writes to the
/// file, the bytes change. If it truncates the file, reading beyond the new end
/// raises `SIGBUS`, which ends this process. Neither can be prevented for files
/// of the user. Values of types with invalid bytes (`bool`) are therefore never
/// read straight from such a map. A sealed memory file cannot be changed or
/// truncated by any process.
pub(crate) struct FileMap {
    content: Content,
    path: PathBuf,
}

enum Content {
    Mapped {
        /// `None` for an empty file, which cannot be mapped.
        map: Option<Mmap>,
        #[cfg_attr(
            not(target_os = "linux"),
            allow(dead_code, reason = "only pools, which need Linux, pass the descriptor on")
        )]
        file: Arc<File>,
        #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux has seals"))]
        sealed: bool,
        /// The state of the file when it was opened by its path.
        #[cfg_attr(
            not(target_os = "linux"),
            allow(dead_code, reason = "only pools, which need Linux, compare it")
        )]
        opened: Option<Box<Metadata>>,
    },
    Read(Arc<Buffer>),
}

impl FileMap {
    /// Opens and maps the file at `path`.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened or mapped, or is not a
    /// regular file. Opening a pipe does not wait.
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>> {
        let file = sys::file::open_regular(path)?;
        let opened =
            file.metadata().map_err(|error| Error::io("cannot inspect", error).at(path))?;
        Self::mapped(file.into(), path.to_path_buf(), Some(Box::new(opened)))
    }

    /// Maps an open regular file. Errors and sources of arrays refer to it as
    /// `path`.
    pub(crate) fn of(file: impl Into<Arc<File>>, path: PathBuf) -> Result<Arc<Self>> {
        Self::mapped(file.into(), path, None)
    }

    fn mapped(file: Arc<File>, path: PathBuf, opened: Option<Box<Metadata>>) -> Result<Arc<Self>> {
        let sealed = is_sealed(&file);
        let map = map(&file, sealed).map_err(|error| Error::io("cannot map", error).at(&path))?;
        Ok(Arc::new(Self { content: Content::Mapped { map, file, sealed, opened }, path }))
    }

    /// Wraps the content of a file that was read. `path` is empty if the bytes
    /// are not from a file.
    pub(crate) fn read(buffer: Buffer, path: PathBuf) -> Arc<Self> {
        Arc::new(Self { content: Content::Read(Arc::new(buffer)), path })
    }

    /// Returns the buffer that the file was read into, or `None` if it is
    /// mapped.
    pub(crate) fn buffer(&self) -> Option<&Arc<Buffer>> {
        match &self.content {
            Content::Mapped { .. } => None,
            Content::Read(buffer) => Some(buffer),
        }
    }

    /// Returns the path that the file was opened with.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the open file, or `None` if it was read.
    #[cfg(target_os = "linux")]
    pub(crate) fn file(&self) -> Option<&Arc<File>> {
        match &self.content {
            Content::Mapped { file, .. } => Some(file),
            Content::Read(_) => None,
        }
    }

    /// Checks that a file that was opened by its path is still the same, and
    /// unchanged.
    ///
    /// Changes cannot be prevented, so this is a best effort: the modification
    /// time of a file that another program has mapped may be outdated.
    ///
    /// # Errors
    ///
    /// Returns an error if the length or modification time has changed, or the
    /// path refers to another file.
    #[cfg(target_os = "linux")]
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        let Content::Mapped { file, opened: Some(opened), .. } = &self.content else {
            return Ok(());
        };
        let found = file.metadata();
        let found = found.map_err(|error| Error::io("cannot inspect", error).at(&self.path))?;
        // If the path was removed, the open file is still the one that was
        // mapped.
        let named = std::fs::metadata(&self.path);
        let change = if named.is_ok_and(|named| !sys::file::same(opened, &named)) {
            "replaced"
        } else if (found.len(), found.modified().ok()) != (opened.len(), opened.modified().ok()) {
            "changed"
        } else {
            return Ok(());
        };
        let message = format!("the file was {change} since it was opened: open it again");
        Err(Error::invalid_data(message).at(&self.path))
    }

    /// Returns whether seals prevent all changes of the file.
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
    // SAFETY: The map is read-only and as long as the file, so all of its bytes
    // exist now. Other programs must not change or truncate the file, as
    // described for `FileMap`. The crate never writes to or truncates a file
    // that it has mapped: its own files are complete before they are mapped,
    // and written under names that other code does not open. A sealed file
    // cannot be changed or truncated.
    let map = unsafe {
        let mut options = MmapOptions::new();
        // Before Linux 6.7, a sealed file that is open for writing cannot be
        // mapped shared, not even read-only. A private map that is never
        // written to uses the pages of the file.
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
    #[cfg(target_os = "linux")]
    use std::{fs, time::UNIX_EPOCH};

    use super::*;

    #[test]
    fn file_map_of_empty_file_is_empty() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let map = FileMap::open(file.path()).unwrap();
        assert!(<FileMap as AsRef<[u8]>>::as_ref(&map).is_empty());
    }

    #[test]
    fn file_map_outlives_removed_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"abc").unwrap();
        let map = FileMap::open(file.path()).unwrap();
        drop(file);
        assert_eq!(<FileMap as AsRef<[u8]>>::as_ref(&map), b"abc");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn file_map_detects_changed_and_replaced_files() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&path, b"abc").unwrap();
        fs::write(&other, b"abc").unwrap();
        let map = FileMap::open(&path).unwrap();
        map.check_unchanged().unwrap();
        fs::remove_file(&path).unwrap();
        map.check_unchanged().unwrap();
        fs::rename(&other, &path).unwrap();
        let error = map.check_unchanged().unwrap_err().to_string();
        assert!(
            error.ends_with("a: the file was replaced since it was opened: open it again"),
            "{error}"
        );

        let map = FileMap::open(&path).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(2).unwrap();
        let error = map.check_unchanged().unwrap_err().to_string();
        assert!(
            error.ends_with("a: the file was changed since it was opened: open it again"),
            "{error}"
        );
        let map = FileMap::open(&path).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(UNIX_EPOCH).unwrap();
        assert!(map.check_unchanged().is_err(), "the modification time differs");
    }
}
