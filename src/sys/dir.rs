//! Directories held open, and what is in them, reached by one plain name and never through a link.
//!
//! It does not judge what it finds: whose directory may be trusted is the caller's business.

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

/// A directory held open. What it is does not change when its path is given to something else.
pub(crate) struct Dir(OwnedFd);

/// What a file is: equal identities are one file, as long as one of the two is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

/// What the operating system says of a file.
pub(crate) struct Status {
    pub(crate) identity: Identity,
    pub(crate) kind: FileType,
    pub(crate) owner: u32,
    /// The nine permission bits.
    pub(crate) mode: u32,
    pub(crate) nbytes: u64,
}

/// What an open file, or a directory, is.
pub(crate) fn status(file: impl AsFd) -> Result<Status> {
    fs::fstat(file).map(Status::from)
}

/// The user on whose behalf this process acts.
pub(crate) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Makes a directory only its owner can enter.
pub(crate) fn make(path: &Path) -> Result<()> {
    fs::mkdir(path, Mode::RWXU)
}

impl Dir {
    /// Opens the directory at `path`, which must not end in a symbolic link.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        open_at(CWD, path.as_os_str(), OFlags::RDONLY | OFlags::DIRECTORY).map(Self)
    }

    /// Opens a directory in this one.
    pub(crate) fn sub(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        open_at(self, name.as_ref(), OFlags::RDONLY | OFlags::DIRECTORY).map(Self)
    }

    /// Makes a directory only its owner can enter.
    pub(crate) fn make(&self, name: impl AsRef<OsStr>) -> Result<()> {
        fs::mkdirat(self, name.as_ref(), Mode::RWXU)
    }

    /// Creates a file that was not there, for reading and writing, by its owner alone.
    pub(crate) fn create(&self, name: impl AsRef<OsStr>) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        open_at(self, name.as_ref(), flags).map(File::from)
    }

    /// Opens a regular file for reading and writing; `None` where the name is something else.
    pub(crate) fn open_file(&self, name: impl AsRef<OsStr>) -> Result<Option<File>> {
        self.regular(name.as_ref(), OFlags::RDWR)
    }

    /// Opens a regular file for reading and for appending; `None` where the name is something else.
    pub(crate) fn open_log(&self, name: impl AsRef<OsStr>) -> Result<Option<File>> {
        self.regular(name.as_ref(), OFlags::RDWR | OFlags::APPEND)
    }

    fn regular(&self, name: &OsStr, flags: OFlags) -> Result<Option<File>> {
        // Without NONBLOCK, opening a pipe could wait.
        match open_at(self, name, flags | OFlags::NONBLOCK) {
            Ok(file) => Ok((status(&file)?.kind == FileType::RegularFile).then(|| file.into())),
            // A symbolic link, a directory, a socket.
            Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the name stands for, a link being a link.
    pub(crate) fn status_of(&self, name: impl AsRef<OsStr>) -> Result<Status> {
        fs::statat(self, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW).map(Status::from)
    }

    /// Every name in the directory.
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

    /// Puts one file of the directory in the place of another, or of none.
    pub(crate) fn rename(&self, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> Result<()> {
        fs::renameat(self, from.as_ref(), self, to.as_ref())
    }

    /// Removes a name that is not a directory's. One that is not there is removed already.
    pub(crate) fn remove(&self, name: impl AsRef<OsStr>) -> Result<()> {
        absent_is_fine(fs::unlinkat(self, name.as_ref(), AtFlags::empty()))
    }

    /// Removes an empty directory. One that is not there is removed already.
    pub(crate) fn remove_dir(&self, name: impl AsRef<OsStr>) -> Result<()> {
        absent_is_fine(fs::unlinkat(self, name.as_ref(), AtFlags::REMOVEDIR))
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

fn absent_is_fine(result: Result<()>) -> Result<()> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}
