//! A process's part in a session: begun or joined, making files, and left, by the last with everything in it.

use std::{
    collections::HashSet,
    io, mem,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::io::Errno;

use super::{
    file::TempFile,
    home::Home,
    journal::{self, Entry, Journal},
    lock::SessionLock,
    name::{FileName, Member},
    place::Places,
    root::Root,
    sweep,
};
use crate::{ByteOrder, Error, Result, sys::space};

/// Roots that a journal can number.
pub(super) const MOST_ROOTS: usize = 256;

pub(super) struct Session {
    home: Home,
    byte_order: ByteOrder,
    journal: Journal,
    roots: Vec<Root>,
    /// Held while a file is named and made, so that nothing is made after leaving.
    membership: RwLock<Option<SessionLock>>,
    member: Member,
    made: AtomicU64,
    /// The files this process is to delete.
    own: Mutex<HashSet<Entry>>,
}

/// Why a root has not given a file.
enum Refusal {
    /// The root's own fault: another may do better.
    Root(Error),
    /// Nothing to do with the root.
    Session(Error),
}

impl Session {
    /// Begins a session in the first of the homes that will have it.
    pub(super) fn begin(places: &Places, byte_order: ByteOrder) -> Result<Arc<Self>> {
        let mut refused = None;
        for place in &places.homes {
            match Self::begin_in(place, &places.roots, byte_order) {
                Ok(session) => return Ok(session),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        let nowhere = || Error::usage("there is no directory for temp files: set NDFERRY_DIR to one");
        Err(refused.unwrap_or_else(nowhere))
    }

    fn begin_in(place: &Path, roots: &[PathBuf], byte_order: ByteOrder) -> Result<Arc<Self>> {
        let member = Member::new()?;
        let (home, lock) = Home::settle(place)?;
        match Journal::create(home.dir(), roots, is_vital(roots)) {
            Ok(journal) => Ok(Self::new(home, lock, journal, roots, byte_order, member)),
            Err(error) => {
                drop(lock);
                sweep::last_out(&home);
                Err(Error::io("cannot begin the journal", error).at(home.path().join(journal::NAME)))
            }
        }
    }

    /// Joins the session another process has begun.
    pub(super) fn join(path: &Path, byte_order: ByteOrder, member: Member) -> Result<Arc<Self>> {
        let (home, lock) = Home::join(path)?;
        let opened = journal::contents(home.dir()).and_then(|contents| {
            let journal = Journal::open(home.dir(), is_vital(&contents.roots))?;
            Ok((journal, contents.roots))
        });
        let (journal, roots) =
            opened.map_err(|error| Error::io("cannot open the journal", error).at(path.join(journal::NAME)))?;
        Ok(Self::new(home, lock, journal, &roots, byte_order, member))
    }

    fn new(
        home: Home,
        lock: SessionLock,
        journal: Journal,
        roots: &[PathBuf],
        byte_order: ByteOrder,
        member: Member,
    ) -> Arc<Self> {
        let roots = roots.iter().map(|place| Root::new(place, home.id()));
        Arc::new(Self {
            roots: roots.collect(),
            home,
            byte_order,
            journal,
            membership: RwLock::new(Some(lock)),
            member,
            made: AtomicU64::new(0),
            own: Mutex::default(),
        })
    }

    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    pub(super) fn byte_order(&self) -> ByteOrder {
        self.byte_order
    }

    /// Every name registered and not struck.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>> {
        let paths = self.registered()?.into_iter().filter_map(|entry| self.path(entry));
        Ok(paths.collect())
    }

    fn registered(&self) -> Result<Vec<Entry>> {
        let contents = journal::contents(self.home.dir());
        let contents = contents.map_err(|error| self.journal_error("cannot read", error))?;
        Ok(contents.live)
    }

    /// Makes a file of `nbytes`, all of them reserved, in the first root that has room for it.
    pub(super) fn create(self: &Arc<Self>, nbytes: u64) -> Result<TempFile> {
        let mut refused = Vec::new();
        for (index, root) in (0..=u8::MAX).zip(&self.roots) {
            match self.create_in(index, root, nbytes) {
                Ok(temp) => return Ok(temp),
                Err(Refusal::Root(error)) => refused.push(error),
                Err(Refusal::Session(error)) => return Err(error),
            }
        }
        Err(of_all(refused))
    }

    fn create_in(self: &Arc<Self>, index: u8, root: &Root, nbytes: u64) -> Result<TempFile, Refusal> {
        let temp = {
            let _membership = self.membership().map_err(Refusal::Session)?;
            let free = root.free(nbytes).map_err(Refusal::Root)?;
            if free < nbytes {
                return Err(Refusal::Root(root.full(nbytes, free)));
            }
            self.make(index, root)?
        };
        // Not as a member, so that leaving need not wait for it: a file that is swept meanwhile has only lost its name.
        let Err(error) = space::reserve(temp.file(), nbytes) else {
            return Ok(temp);
        };
        let path = temp.path().to_path_buf();
        drop(temp);
        Err(Refusal::Root(if space::is_shortage(error) {
            root.full(nbytes, root.free(nbytes).unwrap_or(0))
        } else {
            Error::io(format!("cannot reserve {nbytes} bytes"), error).at(path)
        }))
    }

    /// Names a file, then makes it.
    fn make(self: &Arc<Self>, index: u8, root: &Root) -> Result<TempFile, Refusal> {
        let dir = root.dir().map_err(Refusal::Root)?;
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let name = FileName { member: self.member, number };
        let entry = Entry { root: index, name };
        self.journal
            .register(self.home.dir(), entry)
            .map_err(|error| Refusal::Session(self.journal_error("cannot register a file", error)))?;
        let name = name.to_string();
        let path = root.path().join(&name);
        match dir.create(&name) {
            Ok(file) => {
                self.own().insert(entry);
                Ok(TempFile::new(Arc::downgrade(self), entry, file, path))
            }
            Err(error) => {
                // A file that is there is some other's, and stays in the registry.
                if error != Errno::EXIST {
                    let _ = self.journal.strike(self.home.dir(), entry);
                }
                Err(Refusal::Root(Error::io("cannot create", error).at(path)))
            }
        }
    }

    /// Takes over a file that another process of the session has handed over.
    pub(super) fn adopt(self: &Arc<Self>, path: &Path) -> Result<TempFile> {
        let foreign = || Error::invalid("is not a temp file of this session").at(path);
        let entry = self.entry(path).ok_or_else(foreign)?;
        let _membership = self.membership()?;
        let dir = self.roots[usize::from(entry.root)].dir()?;
        let file = dir.open_file(entry.name.to_string());
        let file = file.map_err(|error| Error::io("cannot open", error).at(path))?;
        let file = file.ok_or_else(foreign)?;
        self.own().insert(entry);
        Ok(TempFile::new(Arc::downgrade(self), entry, file, path.to_path_buf()))
    }

    /// Removes what a process of the session had made, and neither handed over nor removed, when it died.
    ///
    /// What it has handed over must have been adopted before.
    pub(super) fn reap(&self, member: Member) -> Result<()> {
        let _membership = self.membership()?;
        for entry in self.registered()? {
            if entry.name.member == member && !self.own().contains(&entry) {
                // This process may not have used that root yet.
                let _ = self.roots.get(usize::from(entry.root)).map(Root::dir);
                self.remove(entry);
            }
        }
        Ok(())
    }

    /// No longer this process's to delete.
    pub(super) fn disown(&self, entry: Entry) {
        self.own().remove(&entry);
    }

    /// Removes a file, then strikes its name. A file that cannot be removed stays registered, for whoever sweeps.
    pub(super) fn remove(&self, entry: Entry) {
        self.disown(entry);
        let Some(dir) = self.roots.get(usize::from(entry.root)).and_then(Root::used) else {
            return;
        };
        if dir.remove(entry.name.to_string()).is_ok() {
            let _ = self.journal.strike(self.home.dir(), entry);
        }
    }

    /// Ends this process's part. The last to leave takes everything along.
    pub(super) fn leave(&self) {
        let mut membership = self.membership.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = membership.take() {
            drop(lock);
            // From here on this process is like any that finds the session: of all that leave at once, the last to let go
            // finds nobody else, so one of them sweeps.
            sweep::last_out(&self.home);
        }
    }

    /// Keeps this process from leaving; an error where it has left.
    fn membership(&self) -> Result<RwLockReadGuard<'_, Option<SessionLock>>> {
        let membership = self.membership.read().unwrap_or_else(PoisonError::into_inner);
        if membership.is_none() {
            let message = "the session has ended: its files are gone, and there will be no new ones";
            return Err(Error::usage(message).at(self.home.path()));
        }
        Ok(membership)
    }

    fn own(&self) -> MutexGuard<'_, HashSet<Entry>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, entry: Entry) -> Option<PathBuf> {
        let root = self.roots.get(usize::from(entry.root))?;
        Some(root.path().join(entry.name.to_string()))
    }

    fn entry(&self, path: &Path) -> Option<Entry> {
        let (dir, name) = (path.parent()?, path.file_name()?);
        let root = self.roots.iter().position(|root| root.path() == dir)?;
        Some(Entry { root: u8::try_from(root).ok()?, name: FileName::parse(name.as_encoded_bytes())? })
    }

    fn journal_error(&self, action: &'static str, error: io::Error) -> Error {
        Error::io(action, error).at(self.home.path().join(journal::NAME))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.leave();
        // Where others stay, what this process had to delete still goes; where none did, this finds nothing.
        let own = mem::take(&mut *self.own());
        for entry in own {
            self.remove(entry);
        }
    }
}

/// Whether only the journal would know where the files are: in the places everybody looks at, they are found without.
fn is_vital(roots: &[PathBuf]) -> bool {
    let known = Places::known().unwrap_or_default();
    roots.iter().any(|root| !known.contains(root))
}

/// One error for a file that no root has given: the one that says how much is missing, if any does, and then the others.
fn of_all(mut refused: Vec<Error>) -> Error {
    let is_full = |error: &Error| error.io_kind() == Some(io::ErrorKind::StorageFull);
    let full = refused.iter().rposition(is_full).map(|index| refused.remove(index));
    let Some(first) = full.or_else(|| refused.pop()) else {
        return Error::invalid("the registry names no root to put files in");
    };
    if refused.is_empty() {
        return first;
    }
    let others: Vec<_> = refused.iter().map(Error::to_string).collect();
    first.within(format_args!("the last root to be tried, after {}", others.join("; ")))
}
