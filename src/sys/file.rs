//! Opening and creating files.

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

/// Opens a regular file for reading.
///
/// # Errors
///
/// Returns an error if the file cannot be opened or is not a regular file.
/// Opening a pipe does not wait for a writer.
pub(crate) fn open_regular(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    // Without this flag, opening a pipe waits for a writer.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        rustix::fs::OFlags::NONBLOCK.bits() as i32,
    );
    let file = options.open(path).map_err(|error| Error::io("cannot open", error).at(path))?;
    let kind =
        file.metadata().map_err(|error| Error::io("cannot inspect", error).at(path))?.file_type();
    if kind.is_file() {
        Ok(file)
    } else {
        Err(Error::invalid_data(format!("is {}, not a regular file", describe(kind))).at(path))
    }
}

/// Returns whether both are metadata of the same file.
#[cfg(target_os = "linux")]
pub(crate) fn same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Creates a file without a name in `folder`, with the permissions of the
/// umask.
#[cfg(target_os = "linux")]
pub(crate) fn create_unnamed(folder: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, folder, flags, Mode::from_raw_mode(0o666))?;
    Ok(file.into())
}

/// Gives a file without a name the name `path`.
///
/// # Errors
///
/// Returns `AlreadyExists` if the name is taken. Returns other errors if the
/// file system does not support it, or `/proc` is not mounted.
#[cfg(target_os = "linux")]
pub(crate) fn link_unnamed(file: &File, path: &Path) -> io::Result<()> {
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, open, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// Describes a file type in words.
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
