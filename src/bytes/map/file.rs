//! Files in memory: mapped or read.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use memmap2::{Mmap, MmapOptions};

use super::buffer::Buffer;
#[cfg(all(feature = "pool", target_os = "linux"))]
use super::identity::Identity;
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
        file: Arc<File>,
        #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux has seals"))]
        sealed: bool,
        #[cfg(all(feature = "pool", target_os = "linux"))]
        identity: Identity,
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
        Self::of(file, path.to_path_buf())
    }

    /// Maps an open regular file. Errors and sources of arrays refer to it as
    /// `path`.
    pub(crate) fn of(file: impl Into<Arc<File>>, path: PathBuf) -> Result<Arc<Self>> {
        let file = file.into();
        let sealed = is_sealed(&file);
        let metadata =
            file.metadata().map_err(|error| Error::io("cannot inspect", error).at(&path))?;
        let map = map(&file, metadata.len(), sealed)
            .map_err(|error| Error::io("cannot map", error).at(&path))?;
        let content = Content::Mapped {
            map,
            file,
            sealed,
            #[cfg(all(feature = "pool", target_os = "linux"))]
            identity: Identity::of(&metadata, &path),
        };
        Ok(Arc::new(Self { content, path }))
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
    pub(crate) fn file(&self) -> Option<&Arc<File>> {
        match &self.content {
            Content::Mapped { file, .. } => Some(file),
            Content::Read(_) => None,
        }
    }

    /// Checks that the file was neither replaced, truncated nor changed since it was mapped.
    ///
    /// A sealed file cannot change, and a file that was read is not looked at.
    ///
    /// # Errors
    ///
    /// Returns an error that contains the expected and the found state of the file.
    #[cfg(all(feature = "pool", target_os = "linux"))]
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        match &self.content {
            Content::Mapped { file, sealed: false, identity, .. } => {
                identity.check(file).map_err(|error| error.at(&self.path))
            }
            Content::Mapped { sealed: true, .. } | Content::Read(_) => Ok(()),
        }
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

fn map(file: &File, length: u64, sealed: bool) -> io::Result<Option<Mmap>> {
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

    // The time of modification is set, because its resolution may be some milliseconds.
    #[cfg(all(feature = "pool", target_os = "linux"))]
    #[test]
    fn map_reports_a_changed_or_replaced_file() {
        use std::time::{Duration, SystemTime};

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let old = SystemTime::now() - Duration::from_secs(60);
        let open = || {
            std::fs::write(&path, b"abc").unwrap();
            File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
            FileMap::open(&path).unwrap()
        };
        let refused = |map: &FileMap, change: &str| {
            let error = map.check_unchanged().unwrap_err();
            assert!(error.is_invalid_data() && error.path() == Some(&*path), "{error}");
            assert!(error.to_string().contains(change), "{error}");
        };

        let map = open();
        map.check_unchanged().unwrap();
        File::options().append(true).open(&path).unwrap().set_len(1).unwrap();
        refused(&map, "was changed after it was opened: expected 3 bytes, ");

        let map = open();
        std::fs::write(&path, b"xyz").unwrap();
        refused(&map, "was changed");

        let map = open();
        std::fs::write(folder.path().join("b"), b"abc").unwrap();
        std::fs::rename(folder.path().join("b"), &path).unwrap();
        refused(&map, "was replaced");

        let map = open();
        std::fs::remove_file(&path).unwrap();
        map.check_unchanged().unwrap();
    }
}
