//! Writing a file so that a reader never sees half of it.

use std::{
    fs::{self, File},
    io::{self, BufWriter},
    path::{Path, PathBuf},
};

use crate::{Error, Result, sys};

/// Writes the file at `path` through `write`: aside first, put in place when whole. Where anything fails, what was at `path`
/// stays as it was; where the program is killed, nothing else is left either, on file systems that know files without a name.
///
/// An existing file keeps its permissions, and a symbolic link keeps pointing where it did: the file behind it is replaced.
pub(super) fn write<T>(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<T>) -> Result<T> {
    atomically(path, write).map_err(|error| error.at(path))
}

fn atomically<T>(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<T>) -> Result<T> {
    let (target, before) = target(path)?;
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let draft = Draft::new(folder, before.as_ref())?;
    let mut buffered = BufWriter::with_capacity(64 << 10, draft.file());
    let value = write(&mut buffered)?;
    buffered.into_inner().map_err(|error| cannot_write(error.into_error()))?;
    draft.publish(folder, &target).map_err(|error| Error::io("cannot put the finished file in place", error))?;
    Ok(value)
}

/// A file that is not to be seen yet.
enum Draft {
    /// Without a name: when the program ends, so does the file.
    #[cfg(target_os = "linux")]
    Nameless(File),
    Named(tempfile::NamedTempFile),
}

impl Draft {
    fn new(folder: &Path, before: Option<&fs::Metadata>) -> Result<Self> {
        #[cfg(target_os = "linux")]
        if let Ok(file) = sys::file::nameless(folder) {
            if let Some(before) = before {
                file.set_permissions(before.permissions())
                    .map_err(|error| Error::io("cannot give the new file the old one's permissions", error))?;
            }
            return Ok(Self::Nameless(file));
        }
        builder(before)
            .tempfile_in(folder)
            .map(Self::Named)
            .map_err(|error| Error::io(format!("cannot create a file in {}", folder.display()), innermost(error)))
    }

    fn file(&self) -> &File {
        match self {
            #[cfg(target_os = "linux")]
            Self::Nameless(file) => file,
            Self::Named(file) => file.as_file(),
        }
    }

    fn publish(self, folder: &Path, target: &Path) -> io::Result<()> {
        let named = match self {
            #[cfg(target_os = "linux")]
            Self::Nameless(file) => {
                // A name can be given only where there is none, and moved only when it is given.
                if sys::file::name(&file, target).is_ok() {
                    return Ok(());
                }
                builder(None).make_in(folder, |path| sys::file::name(&file, path))?.into_temp_path()
            }
            Self::Named(file) => file.into_temp_path(),
        };
        named.persist(target).map_err(|error| error.error)
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
            let target = fs::canonicalize(path).map_err(|error| Error::io("cannot resolve", error))?;
            Ok((target, Some(before)))
        }
        Ok(before) => {
            Err(Error::invalid(format!("is {}, which a file cannot replace", sys::file::describe(before.file_type()))))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if fs::symlink_metadata(path).is_ok() {
                return Err(Error::invalid("is a symbolic link to nothing"));
            }
            Ok((path.to_path_buf(), None))
        }
        Err(error) => Err(Error::io("cannot inspect", error)),
    }
}

fn builder(before: Option<&fs::Metadata>) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".ndferry-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any other program's new file: what the umask leaves of it.
        let mode = before.map_or(0o666, |before| before.permissions().mode() & 0o777);
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = before;
    builder
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
            Err(Error::invalid("no more"))
        });
        assert_eq!(failed.unwrap_err().to_string(), format!("{}: no more", path.display()));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
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
        assert!(write(folder.path(), |_| Ok(())).unwrap_err().to_string().contains("is a directory"));
        assert!(write(&folder.path().join("no/such"), |_| Ok(())).unwrap_err().is_io());
    }
}
