//! Writing a file so that a reader never sees half of it.

use std::{
    fs::{self, File},
    io::{self, BufWriter},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;
use xxhash_rust::xxh3::xxh3_64;

use crate::{Error, Result, sys};

/// Writes the file at `path` through `write`: aside first, put in place when whole. Where anything fails, what was at `path`
/// stays as it was; where the program is killed, nothing else is left either, on file systems that know files without a name.
///
/// An existing file keeps its permissions, and a symbolic link keeps pointing where it did: the file behind it is replaced.
pub(super) fn write<T>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> Result<T>,
) -> Result<T> {
    atomically(path, write).map_err(|error| error.at(path))
}

fn atomically<T>(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<T>) -> Result<T> {
    let aside = Aside::new(path)?;
    let mut buffered = BufWriter::with_capacity(64 << 10, aside.file());
    let value = write(&mut buffered)?;
    buffered.into_inner().map_err(|error| cannot_write(error.into_error()))?;
    aside.publish()?;
    Ok(value)
}

/// A file that is made aside: it goes when it is dropped, or is put in place.
pub(super) struct Aside {
    draft: Draft,
    folder: PathBuf,
    target: PathBuf,
}

impl Aside {
    /// An empty file for `path`.
    pub(super) fn new(path: &Path) -> Result<Self> {
        let (target, before) = target(path)?;
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let draft = Draft::new(&folder, &target, before.as_ref())?;
        Ok(Self { draft, folder, target })
    }

    pub(super) fn file(&self) -> &File {
        self.draft.file()
    }

    /// Puts the file in place of whatever is there.
    pub(super) fn publish(self) -> Result<()> {
        let published = self.draft.publish(&self.folder, &self.target);
        published.map_err(|error| Error::io("cannot put the finished file in place", error))
    }
}

/// A file that is not to be seen yet.
enum Draft {
    /// Without a name: when the program ends, so does the file.
    #[cfg(target_os = "linux")]
    Nameless(File),
    Named(NamedTempFile),
}

impl Draft {
    fn new(folder: &Path, target: &Path, before: Option<&fs::Metadata>) -> Result<Self> {
        #[cfg(target_os = "linux")]
        if let Ok(file) = sys::file::create_unnamed(folder) {
            if let Some(before) = before {
                file.set_permissions(before.permissions()).map_err(|error| {
                    Error::io("cannot give the new file the old one's permissions", error)
                })?;
            }
            return Ok(Self::Nameless(file));
        }
        named(folder, target, |path| {
            let mut options = File::options();
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode(before));
            let file = options.read(true).write(true).create_new(true).open(path)?;
            leftover::hold(&file);
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
            Self::Nameless(file) => file,
            Self::Named(file) => file.as_file(),
        }
    }

    fn publish(self, folder: &Path, target: &Path) -> io::Result<()> {
        let (file, path) = match self {
            #[cfg(target_os = "linux")]
            Self::Nameless(file) => {
                // A name can be given only where there is none, and moved only when it is given.
                if sys::file::link_unnamed(&file, target).is_ok() {
                    return Ok(());
                }
                leftover::hold(&file);
                let path = named(folder, target, |path| sys::file::link_unnamed(&file, path))?
                    .into_temp_path();
                (file, path)
            }
            Self::Named(file) => file.into_parts(),
        };
        path.persist(target).map_err(|error| error.error)?;
        leftover::release(&file);
        Ok(())
    }
}

/// The operating system refused a write.
pub(super) fn cannot_write(error: io::Error) -> Error {
    Error::io("cannot write", error)
}

/// Where the finished file goes, and what is there now.
fn target(path: &Path) -> Result<(PathBuf, Option<fs::Metadata>)> {
    match fs::metadata(path) {
        Ok(before) if before.is_file() => {
            let target =
                fs::canonicalize(path).map_err(|error| Error::io("cannot resolve", error))?;
            Ok((target, Some(before)))
        }
        Ok(before) => Err(Error::invalid_data(format!(
            "is {}, which a file cannot replace",
            sys::file::describe(before.file_type())
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if fs::symlink_metadata(path).is_ok() {
                return Err(Error::invalid_data("is a symbolic link to nothing"));
            }
            Ok((path.to_path_buf(), None))
        }
        Err(error) => Err(Error::io("cannot inspect", error)),
    }
}

/// What `make` makes under a name for as long as it is not in place: always the same for one target, so that what a killed
/// writer has left is found by the next and removed; another where somebody is writing right now.
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

/// The permissions of a file that was there before, or those of any other program's new file: what the umask leaves of them.
#[cfg(unix)]
fn mode(before: Option<&fs::Metadata>) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    before.map_or(0o666, |before| before.permissions().mode() & 0o777)
}

/// What a writer leaves that is killed while its file has a name of its own. A file that is locked has a writer that lives:
/// it is locked before it has that name, until it is in place.
#[cfg(target_os = "linux")]
mod leftover {
    use super::*;
    use crate::sys::lock;

    /// Says that the writer lives. Where the file system cannot lock, nothing is ever removed.
    pub(super) fn hold(file: &File) {
        let _ = lock::try_exclusive(file);
    }

    /// The file is in place, and whoever has it open is no writer.
    pub(super) fn release(file: &File) {
        let _ = lock::unlock(file);
    }

    /// Removes a file without a writer.
    pub(super) fn remove(path: &Path) {
        let Ok(file) = sys::file::open_regular(path) else { return };
        if !lock::try_exclusive(&file).unwrap_or(false) {
            return;
        }
        // Only who holds the lock of a file without a writer removes it, so what has the name now has it until then.
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

    pub(super) fn hold(_: &File) {}

    pub(super) fn release(_: &File) {}

    pub(super) fn remove(_: &Path) {}
}

/// `tempfile` wraps an error to name its own path, which is nothing to the reader.
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
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
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
    fn what_a_killed_writer_has_left_goes_with_the_next_write_and_what_another_writes_stays() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        fs::write(&target, "old").unwrap();
        let name = format!(".ndferry-{:016x}.tmp", xxh3_64(b"a"));
        let leftover = folder.path().join(name);
        let new = || write(&target, |file| file.write_all(b"new").map_err(cannot_write)).unwrap();

        // As of a writer killed before its file was in place.
        fs::write(&leftover, "half").unwrap();
        new();
        assert!(!leftover.exists());

        // As of one that is about to put it in place.
        let other = File::create(&leftover).unwrap();
        leftover::hold(&other);
        new();
        assert!(leftover.exists());
        drop(other);
        new();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        // Nothing of anybody else's is touched through it.
        std::os::unix::fs::symlink(&target, &leftover).unwrap();
        new();
        assert!(fs::symlink_metadata(&leftover).unwrap().is_symlink());
    }

    #[cfg(unix)]
    #[test]
    fn links_and_permissions_stay() {
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
