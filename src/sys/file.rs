//! Opening files without being trapped by what else a path can name.

use std::{
    fs::{File, FileType, Metadata, OpenOptions},
    path::Path,
};

#[cfg(target_os = "linux")]
use {
    rustix::fs::{AtFlags, CWD, Mode, OFlags},
    std::{io, os::fd::AsRawFd},
};

use crate::{Error, Result};

/// Opens a regular file for reading; anything else (a directory, a pipe, a device) is an error at once.
pub(crate) fn open_regular(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    // Without it, opening a pipe waits for a writer.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.open(path).map_err(|error| Error::io("cannot open", error).at(path))?;
    let kind =
        file.metadata().map_err(|error| Error::io("cannot inspect", error).at(path))?.file_type();
    if kind.is_file() {
        Ok(file)
    } else {
        Err(Error::invalid_data(format!("is {}, not a regular file", describe(kind))).at(path))
    }
}

/// Whether both are one file.
#[cfg(target_os = "linux")]
pub(crate) fn same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// A new file in `folder` that has no name, with the permissions that the umask leaves.
#[cfg(target_os = "linux")]
pub(crate) fn nameless(folder: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, folder, flags, Mode::from_raw_mode(0o666))?;
    Ok(file.into())
}

/// Gives a file without a name one.
///
/// # Errors
///
/// `AlreadyExists` where the name is taken; others where the file system, or a missing `/proc`, does not allow it.
#[cfg(target_os = "linux")]
pub(crate) fn name(file: &File, path: &Path) -> io::Result<()> {
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, open, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// What a path names, in words.
pub(crate) fn describe(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a pipe (FIFO)";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    if kind.is_dir() {
        "a directory"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else {
        "something else"
    }
}
