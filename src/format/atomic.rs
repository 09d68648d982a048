//! Replacing a file atomically.

use std::{
    fs::{self, File},
    io::{self, BufWriter},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;
use xxhash_rust::xxh3::xxh3_64;

use super::interface::cannot_write;
use crate::{Error, Result, sys};

/// Writes a file with `write`, and then puts it at `path`.
///
/// After an error an existing file at `path` is unchanged. If the program is killed,
/// nothing else remains on file systems that support files without a name. The new file
/// has the permissions of the existing one. If `path` is a symbolic link, its target is
/// replaced.
pub(super) fn write<T>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> Result<T>,
) -> Result<T> {
    atomically(path, write).map_err(|error| error.at(path))
}

fn atomically<T>(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<T>) -> Result<T> {
    let pending = PendingFile::new(path)?;
    let mut buffered = BufWriter::with_capacity(64 << 10, pending.file());
    let value = write(&mut buffered)?;
    buffered.into_inner().map_err(|error| cannot_write(error.into_error()))?;
    pending.publish()?;
    Ok(value)
}

/// A new file that is not yet at its path. Dropping it removes it.
pub(super) struct PendingFile {
    file: UnpublishedFile,
    target: PathBuf,
}

impl PendingFile {
    /// Creates an empty file for `path`.
    pub(super) fn new(path: &Path) -> Result<Self> {
        let (target, before) = target(path)?;
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let file = UnpublishedFile::new(&folder, &target, before.as_ref())?;
        Ok(Self { file, target })
    }

    pub(super) fn file(&self) -> &File {
        self.file.file()
    }

    /// Puts the file at its path, and replaces an existing one.
    pub(super) fn publish(self) -> Result<()> {
        let published = self.file.publish(&self.target);
        published.map_err(|error| Error::io("cannot move the finished file to its path", error))
    }
}

/// A file that is not yet at its path.
enum UnpublishedFile {
    /// A file without a name, which the system removes when the program ends.
    #[cfg(target_os = "linux")]
    Nameless { file: File, folder: PathBuf },
    /// A temporary file next to the path.
    Named(NamedTempFile),
}

impl UnpublishedFile {
    fn new(folder: &Path, target: &Path, before: Option<&fs::Metadata>) -> Result<Self> {
        #[cfg(target_os = "linux")]
        if let Ok(file) = sys::file::create_unnamed(folder) {
            if let Some(before) = before {
                file.set_permissions(before.permissions()).map_err(|error| {
                    Error::io("cannot copy the permissions of the existing file", error)
                })?;
            }
            return Ok(Self::Nameless { file, folder: folder.to_path_buf() });
        }
        named(folder, target, |path| {
            let mut options = File::options();
            set_mode(&mut options, before);
            let file = options.read(true).write(true).create_new(true).open(path)?;
            leftover::lock(&file);
            Ok(file)
        })
        .map(Self::Named)
        .map_err(|error| {
            Error::io(format!("cannot create a file in {}", folder.display()), innermost(error))
        })
    }

    fn file(&self) -> &File {
        match self {
            #[cfg(target_os = "linux")]
            Self::Nameless { file, .. } => file,
            Self::Named(file) => file.as_file(),
        }
    }

    fn publish(self, target: &Path) -> io::Result<()> {
        let (file, path) = match self {
            #[cfg(target_os = "linux")]
            Self::Nameless { file, folder } => {
                // Linking fails if the name is taken. Then link another name, and rename it.
                if sys::file::link_unnamed(&file, target).is_ok() {
                    return Ok(());
                }
                leftover::lock(&file);
                let path = named(&folder, target, |path| sys::file::link_unnamed(&file, path))?
                    .into_temp_path();
                (file, path)
            }
            Self::Named(file) => file.into_parts(),
        };
        path.persist(target).map_err(|error| error.error)?;
        leftover::unlock(&file);
        Ok(())
    }
}

/// Resolves symbolic links. Returns the path to write, and the metadata of an existing
/// file.
fn target(path: &Path) -> Result<(PathBuf, Option<fs::Metadata>)> {
    match fs::metadata(path) {
        Ok(before) if before.is_file() => {
            let target =
                fs::canonicalize(path).map_err(|error| Error::io("cannot resolve", error))?;
            Ok((target, Some(before)))
        }
        Ok(before) => Err(Error::invalid_data(format!(
            "cannot be replaced by a file, because it is {}",
            sys::file::describe(before.file_type())
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if fs::symlink_metadata(path).is_ok() {
                return Err(Error::invalid_data("is a symbolic link to a missing file"));
            }
            Ok((path.to_path_buf(), None))
        }
        Err(error) => Err(Error::io("cannot inspect", error)),
    }
}

/// Makes a temporary file with `make`. Its name depends only on the target, so that the
/// next writer finds and removes the file of a killed one. During a concurrent write the
/// name is random.
fn named<R>(
    folder: &Path,
    target: &Path,
    mut make: impl FnMut(&Path) -> io::Result<R>,
) -> io::Result<NamedTempFile<R>> {
    let name = target.file_name().unwrap_or_default();
    let name = format!(".ndferry-{:016x}", xxh3_64(name.as_encoded_bytes()));
    let mut builder = tempfile::Builder::new();
    builder.prefix(&name).suffix(".tmp");
    leftover::remove(&folder.join(format!("{name}.tmp")));
    match builder.rand_bytes(0).make_in(folder, &mut make) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            builder.rand_bytes(6).make_in(folder, make)
        }
        made => made,
    }
}

/// Sets the permissions of a new file to those of the existing file, or to the default
/// ones, which the umask restricts.
#[cfg(unix)]
fn set_mode(options: &mut fs::OpenOptions, before: Option<&fs::Metadata>) {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    options.mode(before.map_or(0o666, |before| before.permissions().mode() & 0o777));
}

#[cfg(not(unix))]
fn set_mode(_: &mut fs::OpenOptions, _: Option<&fs::Metadata>) {}

/// Temporary files of killed writers. A running writer keeps its file locked, from before
/// the file has a name until it is at its path.
#[cfg(target_os = "linux")]
mod leftover {
    use super::*;
    use crate::sys::lock;

    /// Locks the file of a running writer. If this fails, no file is ever removed.
    pub(super) fn lock(file: &File) {
        let _ = lock::try_exclusive(file);
    }

    /// Unlocks the file, which is at its path now.
    pub(super) fn unlock(file: &File) {
        let _ = lock::unlock(file);
    }

    /// Removes a file if its writer does not run any more.
    pub(super) fn remove(path: &Path) {
        let Ok(file) = sys::file::open_regular(path) else { return };
        if !lock::try_exclusive(&file).unwrap_or(false) {
            return;
        }
        // Only the holder of the lock removes the file, so the name cannot change until then.
        let same = fs::symlink_metadata(path)
            .and_then(|found| Ok(sys::file::same(&found, &file.metadata()?)));
        if same.unwrap_or(false) {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod leftover {
    use super::*;

    pub(super) fn lock(_: &File) {}

    pub(super) fn unlock(_: &File) {}

    pub(super) fn remove(_: &Path) {}
}

/// Unwraps an error of `tempfile`, which contains the temporary path.
fn innermost(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    // F4
    #[test]
    fn atomic_failed_write_keeps_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "old").unwrap();
        let failed: Result<()> = write(&path, |file| {
            file.write_all(&[0; 100_000]).unwrap();
            Err(Error::invalid_data("no more"))
        });
        assert_eq!(failed.unwrap_err().to_string(), format!("{}: no more", path.display()));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    // F4
    #[cfg(target_os = "linux")]
    #[test]
    fn atomic_write_removes_leftovers_of_killed_writers() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        fs::write(&target, "old").unwrap();
        let name = format!(".ndferry-{:016x}.tmp", xxh3_64(b"a"));
        let leftover = folder.path().join(name);
        let new = || write(&target, |file| file.write_all(b"new").map_err(cannot_write)).unwrap();

        // The file of a writer that was killed.
        fs::write(&leftover, "half").unwrap();
        new();
        assert!(!leftover.exists());

        // The file of a running writer.
        let other = File::create(&leftover).unwrap();
        leftover::lock(&other);
        new();
        assert!(leftover.exists());
        drop(other);
        new();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        // A link with that name is not followed.
        std::os::unix::fs::symlink(&target, &leftover).unwrap();
        new();
        assert!(fs::symlink_metadata(&leftover).unwrap().is_symlink());
    }

    #[cfg(unix)]
    #[test]
    fn atomic_write_keeps_links_and_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("a", &link).unwrap();
        write(&link, |file| file.write_all(b"new").map_err(cannot_write)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(
            write(folder.path(), |_| Ok(())).unwrap_err().to_string().contains("is a directory")
        );
        assert!(write(&folder.path().join("no/such"), |_| Ok(())).unwrap_err().is_io());
    }
}
