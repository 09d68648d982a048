//! The directory of a session: creating it, finding it, and locking it.

use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{
    lock::{self, SessionLock},
    name::SessionId,
    place::Private,
};
use crate::{Error, Result, sys::dir::Dir};

/// The number of attempts to create a directory, because a sweep may remove it before it is
/// locked.
const ATTEMPTS: usize = 100;

pub(super) struct Home {
    id: SessionId,
    place: PathBuf,
    private: Private,
}

impl Home {
    /// Creates the directory of a new session in `place`, or in the session's own place there,
    /// and locks it.
    pub(super) fn settle(place: &Path) -> Result<(Self, SessionLock)> {
        for _ in 0..ATTEMPTS {
            let id = SessionId::new()?;
            let (place, user) = Private::make_for(id, place)?;
            match user.dir.make(id.home()) {
                Ok(()) => {}
                // The user's directory was removed with the last session in it, or the number
                // is taken.
                Err(Errno::NOENT | Errno::EXIST) => continue,
                Err(error) => {
                    user.remove_if_empty();
                    return Err(Error::io("cannot make a directory in it", error).at(user.path));
                }
            }
            match Self::lock_new(&user, id) {
                Ok(Some((private, lock))) => return Ok((Self::new(id, &place, private), lock)),
                // A sweep may remove a directory that is not locked yet.
                Ok(None) => {}
                Err(error) => {
                    let _ = user.dir.remove_dir(id.home());
                    user.remove_if_empty();
                    return Err(error);
                }
            }
        }
        let message =
            format!("{ATTEMPTS} new sessions were swept away before they could be locked");
        Err(Error::invalid_data(message).at(Private::path_of_user(place)))
    }

    fn lock_new(user: &Private, id: SessionId) -> Result<Option<(Private, SessionLock)>> {
        let Some(private) = user.sub(id.home())? else {
            return Ok(None);
        };
        match SessionLock::create(&private.dir) {
            Ok(lock) => Ok(lock.map(|lock| (private, lock))),
            Err(error) => {
                let _ = private.dir.remove(lock::NAME);
                Err(Error::io("cannot make and lock", error).at(private.path.join(lock::NAME)))
            }
        }
    }

    /// Locks the directory of a session that another process began.
    pub(super) fn join(path: &Path) -> Result<(Self, SessionLock)> {
        let ended = || Error::invalid_data("the session has ended").at(path);
        let foreign = || Error::invalid_data("is not the home of a session").at(path);
        let id = path.file_name().and_then(SessionId::of_home).ok_or_else(foreign)?;
        let place = path.ancestors().nth(2).ok_or_else(foreign)?;
        let user = Private::of_user(place)?.ok_or_else(ended)?;
        let private = user.sub(id.home())?.ok_or_else(ended)?;
        if private.path != path {
            return Err(foreign());
        }
        let lock = SessionLock::join(&private.dir);
        let lock =
            lock.map_err(|error| Error::io("cannot lock", error).at(path.join(lock::NAME)))?;
        let lock = lock.ok_or_else(ended)?;
        Ok((Self::new(id, place, private), lock))
    }

    fn new(id: SessionId, place: &Path, private: Private) -> Self {
        private.hold();
        let place = place.to_path_buf();
        Self { id, place, private }
    }

    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    /// Returns the place that contains the directory.
    pub(super) fn place(&self) -> &Path {
        &self.place
    }

    pub(super) fn path(&self) -> &Path {
        &self.private.path
    }

    pub(super) fn dir(&self) -> &Dir {
        &self.private.dir
    }
}
