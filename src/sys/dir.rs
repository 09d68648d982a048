//! Open directories, and operations on their entries.
//!
//! Entries are accessed by name relative to the open directory, and symbolic
//! links are not followed. The caller must check whether a directory's owner
//! can be trusted.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    path::Path,
};

use rustix::{
    fs::{self, AtFlags, CWD, FileType, Mode, OFlags, Stat},
    io::{Errno, Result, retry_on_intr},
};

/// An open directory. It stays the same directory if its path is given to
/// another one.
pub(crate) struct Dir(OwnedFd);

/// The identity of a file. Equal identities mean the same file as long as one
/// of the two is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

/// The metadata of a file.
pub(crate) struct Status {
    pub(crate) identity: Identity,
    pub(crate) kind: FileType,
    pub(crate) owner: u32,
    /// The nine permission bits.
    pub(crate) mode: u32,
    pub(crate) nbytes: u64,
}

/// Returns the metadata of an open file or directory.
pub(crate) fn status(file: impl AsFd) -> Result<Status> {
    fs::fstat(file).map(Status::from)
}

/// Returns the effective user id of this process.
pub(crate) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Creates a directory that only its owner can access.
pub(crate) fn make(path: &Path) -> Result<()> {
    make_at(CWD, path.as_os_str())
}

fn make_at(folder: impl AsFd, name: &OsStr) -> Result<()> {
    fs::mkdirat(&folder, name, Mode::RWXU)?;
    // The umask may have taken rights from the owner.
    match fs::chmodat(folder, name, Mode::RWXU, AtFlags::empty()) {
        // A sweep has removed it, which may happen at any time as long as it is empty.
        Err(Errno::NOENT) => Ok(()),
        changed => changed,
    }
}

impl Dir {
    /// Opens the directory at `path`. The last component must not be a symbolic
    /// link.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        open_at(CWD, path.as_os_str(), OFlags::RDONLY | OFlags::DIRECTORY).map(Self)
    }

    /// Opens a subdirectory.
    pub(crate) fn sub(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        open_at(self, name.as_ref(), OFlags::RDONLY | OFlags::DIRECTORY).map(Self)
    }

    /// Creates a directory that only its owner can access.
    pub(crate) fn make(&self, name: impl AsRef<OsStr>) -> Result<()> {
        make_at(self, name.as_ref())
    }

    /// Creates a new file that only its owner can read and write.
    pub(crate) fn create(&self, name: impl AsRef<OsStr>) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        open_at(self, name.as_ref(), flags).map(File::from)
    }

    /// Opens a regular file for reading and writing. Returns `None` if the
    /// entry is not a regular file.
    pub(crate) fn open_file(&self, name: impl AsRef<OsStr>) -> Result<Option<File>> {
        self.regular(name.as_ref(), OFlags::RDWR)
    }

    /// Opens a regular file for reading and appending. Returns `None` if the
    /// entry is not a regular file.
    pub(crate) fn open_log(&self, name: impl AsRef<OsStr>) -> Result<Option<File>> {
        self.regular(name.as_ref(), OFlags::RDWR | OFlags::APPEND)
    }

    fn regular(&self, name: &OsStr, flags: OFlags) -> Result<Option<File>> {
        // Without `NONBLOCK`, opening a pipe may wait.
        match open_at(self, name, flags | OFlags::NONBLOCK) {
            Ok(file) => Ok((status(&file)?.kind == FileType::RegularFile).then(|| file.into())),
            // A symbolic link, a directory, or a socket.
            Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the metadata of an entry, without following a link.
    pub(crate) fn status_of(&self, name: impl AsRef<OsStr>) -> Result<Status> {
        fs::statat(self, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW).map(Status::from)
    }

    /// Returns the names of all entries.
    pub(crate) fn names(&self) -> Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(self)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        Ok(names)
    }

    /// Renames an entry, replacing one that has the new name.
    pub(crate) fn rename(&self, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> Result<()> {
        fs::renameat(self, from.as_ref(), self, to.as_ref())
    }

    /// Removes an entry that is not a directory. It need not exist.
    pub(crate) fn remove(&self, name: impl AsRef<OsStr>) -> Result<()> {
        ignore_not_found(fs::unlinkat(self, name.as_ref(), AtFlags::empty()))
    }

    /// Removes an empty subdirectory. It need not exist.
    pub(crate) fn remove_dir(&self, name: impl AsRef<OsStr>) -> Result<()> {
        ignore_not_found(fs::unlinkat(self, name.as_ref(), AtFlags::REMOVEDIR))
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Stat> for Status {
    fn from(stat: Stat) -> Self {
        Self {
            identity: Identity { device: stat.st_dev, inode: stat.st_ino },
            kind: FileType::from_raw_mode(stat.st_mode),
            owner: stat.st_uid,
            mode: stat.st_mode & 0o777,
            nbytes: u64::try_from(stat.st_size).unwrap_or(0),
        }
    }
}

fn open_at(dir: impl AsFd, name: &OsStr, flags: OFlags) -> Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    retry_on_intr(|| fs::openat(&dir, name, flags, Mode::RUSR | Mode::WUSR))
}

fn ignore_not_found(result: Result<()>) -> Result<()> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}
