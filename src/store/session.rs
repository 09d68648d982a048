//! The part of one process in a session: beginning or joining it, creating files, and leaving.

use std::{
    collections::HashMap,
    io, mem,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::io::Errno;

use super::{
    contents::{Contents, Entry},
    file::TempFile,
    home::Home,
    journal::{self, Journal},
    lock::SessionLock,
    name::{FileName, Member, SessionId},
    place::{self, Places},
    report::StoreUsage,
    root::Root,
    sealed::MemoryFiles,
    sweep,
};
use crate::{
    Error, Result,
    sys::{space, unshared::Origin},
    trace,
};

/// The most roots that a journal can number.
pub(super) const MOST_ROOTS: usize = 256;

pub(super) struct Session {
    home: Home,
    journal: Journal,
    roots: Vec<Root>,
    /// Held while a file is registered and created, so that no file is created after leaving.
    membership: RwLock<Option<SessionLock>>,
    member: Member,
    keeping: Keeping,
    /// The number of workers that the session's first process has started.
    lines: AtomicU32,
    made: AtomicU64,
    /// The files that this process must delete, with their sizes.
    own: Mutex<HashMap<Entry, u64>>,
    memory: OnceLock<Arc<MemoryFiles>>,
    /// The process that began or joined the session. A fork of it is not a member and removes
    /// nothing.
    origin: Origin,
}

/// Which process removes the files at the end of the session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// The last process to leave.
    Nothing,
    /// The files are kept if this process, which opened the session, dies. It removes them if
    /// it closes the session.
    Opened,
    /// The files are kept, and another process opened the session.
    Joined,
}

/// The reason why a file was not created.
enum Refusal {
    /// A problem of the root. Another root may work.
    Root(Error),
    /// A problem that other roots share.
    Session(Error),
}

impl Session {
    /// Begins a session in the first usable directory.
    pub(super) fn begin(places: &Places, keep: bool) -> Result<Arc<Self>> {
        let mut refused = None;
        for place in &places.homes {
            match Self::begin_in(place, &places.roots, keep) {
                Ok(session) => {
                    trace::event!(DEBUG, "opened a store", home = %session.home.path().display());
                    return Ok(session);
                }
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        let nowhere =
            || Error::invalid_input("there is no directory for temp files: set NDFERRY_DIR to one");
        Err(refused.unwrap_or_else(nowhere))
    }

    fn begin_in(place: &Path, roots: &[PathBuf], keep: bool) -> Result<Arc<Self>> {
        let member = Member::first()?;
        let (home, lock) = Home::settle(place)?;
        let roots = &with_own(roots, home.id());
        match Journal::create(home.dir(), roots, keep, is_vital(roots)) {
            Ok(journal) => {
                let keeping = if keep { Keeping::Opened } else { Keeping::Nothing };
                Ok(Self::new(home, lock, journal, roots, member, keeping))
            }
            Err(error) => {
                drop(lock);
                let _ = sweep::last_out(&home);
                Err(Error::io("cannot begin the journal", error)
                    .at(home.path().join(journal::NAME)))
            }
        }
    }

    /// Joins a session that another process began.
    pub(super) fn join(path: &Path, member: Member) -> Result<Arc<Self>> {
        let (home, lock) = Home::join(path)?;
        let opened = journal::contents(home.dir()).and_then(|contents| {
            let journal = Journal::open(home.dir(), is_vital(&contents.roots))?;
            Ok((journal, contents))
        });
        match opened {
            Ok((journal, contents)) => {
                trace::event!(DEBUG, "joined a session", home = %path.display());
                let keeping = if contents.keep { Keeping::Joined } else { Keeping::Nothing };
                Ok(Self::new(home, lock, journal, &contents.roots, member, keeping))
            }
            Err(error) => {
                // A process that has left meanwhile saw the lock and relies on its holder to
                // clean up.
                drop(lock);
                sweep::last_out(&home);
                Err(Error::io("cannot open the journal", error).at(path.join(journal::NAME)))
            }
        }
    }

    fn new(
        home: Home,
        lock: SessionLock,
        journal: Journal,
        roots: &[PathBuf],
        member: Member,
        keeping: Keeping,
    ) -> Arc<Self> {
        let roots = roots.iter().map(|place| Root::new(place, home.id()));
        Arc::new(Self {
            roots: roots.collect(),
            home,
            journal,
            membership: RwLock::new(Some(lock)),
            member,
            keeping,
            lines: AtomicU32::new(0),
            made: AtomicU64::new(0),
            own: Mutex::default(),
            memory: OnceLock::new(),
            origin: Origin::here(),
        })
    }

    pub(super) fn memory(&self) -> &Arc<MemoryFiles> {
        self.memory.get_or_init(|| Arc::new(MemoryFiles::new(self.home.id().number())))
    }

    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    /// Returns the paths of all registered files.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>> {
        let paths = self.contents()?.live.into_iter().filter_map(|(entry, _)| self.path(entry));
        Ok(paths.collect())
    }

    /// Returns the current and largest sizes of registered files.
    pub(super) fn usage(&self) -> Result<StoreUsage> {
        Ok(StoreUsage::of(&self.contents()?, self.roots.iter().map(Root::path)))
    }

    fn contents(&self) -> Result<Contents> {
        journal::contents(self.home.dir()).map_err(|error| self.journal_error("cannot read", error))
    }

    /// Creates a file in the first root with room, and reserves its space.
    pub(super) fn create(self: &Arc<Self>, nbytes: u64) -> Result<TempFile> {
        let reserve = |temp: &TempFile| {
            let reserved = space::reserve(temp.file(), nbytes);
            reserved.map_err(|error| Error::io(format!("cannot reserve {nbytes} bytes"), error))
        };
        self.fill(nbytes, reserve).map(|(temp, ())| temp)
    }

    /// Creates a file of about `nbytes` bytes in the first root with room, and writes it with
    /// `write`. If the root turns out to be full, `write` starts again in the next root.
    ///
    /// The space is not reserved, because that would write everything twice. A full file system
    /// causes an error here and not a signal, because the file is written before it is mapped.
    pub(super) fn fill<T>(
        self: &Arc<Self>,
        nbytes: u64,
        mut write: impl FnMut(&TempFile) -> Result<T>,
    ) -> Result<(TempFile, T)> {
        let mut refused = Vec::new();
        let mut usable = true;
        for (index, root) in (0..=u8::MAX).zip(&self.roots) {
            // The previous root is in the same place. If it is usable, this one offers nothing
            // more.
            if root.is_own() && usable {
                continue;
            }
            match self.fill_in(index, root, nbytes, &mut write) {
                Ok((temp, written)) => {
                    trace::event!(TRACE, "made a temp file", path = %temp.path().display(), bytes = nbytes);
                    return Ok((temp, written));
                }
                // If neither is usable, the error of the previous root has the reason.
                Err(Refusal::Root(_)) if root.is_own() && root.used().is_none() => {}
                Err(Refusal::Root(error)) => {
                    trace::event!(WARN, "a root has not given a file", root = %root.path().display(), bytes = nbytes, error = %error);
                    refused.push(error);
                }
                Err(Refusal::Session(error)) => return Err(error),
            }
            usable = root.used().is_some();
        }
        Err(of_all(refused))
    }

    fn fill_in<T>(
        self: &Arc<Self>,
        index: u8,
        root: &Root,
        nbytes: u64,
        write: &mut impl FnMut(&TempFile) -> Result<T>,
    ) -> Result<(TempFile, T), Refusal> {
        let temp = {
            let _membership = self.membership().map_err(Refusal::Session)?;
            let free = root.free(nbytes).map_err(Refusal::Root)?;
            if free < nbytes {
                return Err(Refusal::Root(root.full(nbytes, free)));
            }
            self.make(index, root, nbytes)?
        };
        // Writing does not hold the membership, so leaving need not wait. If the file is swept
        // meanwhile, it only loses its name.
        let error = match write(&temp) {
            Ok(written) => return Ok((temp, written)),
            Err(error) => error.at(temp.path()),
        };
        drop(temp);
        Err(match error.io_kind() {
            Some(kind) if space::is_shortage(kind) => {
                Refusal::Root(root.full(nbytes, root.free(nbytes).unwrap_or(0)))
            }
            Some(_) => Refusal::Root(error),
            None => Refusal::Session(error),
        })
    }

    /// Registers a file, then creates it.
    fn make(self: &Arc<Self>, index: u8, root: &Root, nbytes: u64) -> Result<TempFile, Refusal> {
        let dir = root.dir().map_err(Refusal::Root)?;
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let name = FileName { member: self.member, number };
        let entry = Entry { root: index, name };
        self.journal.register(self.home.dir(), entry, nbytes).map_err(|error| {
            Refusal::Session(self.journal_error("cannot register a file", error))
        })?;
        let name = name.to_string();
        let path = root.path().join(&name);
        match dir.create(&name) {
            Ok(file) => {
                self.own().insert(entry, nbytes);
                Ok(TempFile::new(Arc::downgrade(self), entry, file, path))
            }
            Err(error) => {
                // An existing file belongs to another process and stays registered.
                if error != Errno::EXIST {
                    let _ = self.journal.strike(self.home.dir(), entry);
                }
                Err(Refusal::Root(Error::io("cannot create", error).at(path)))
            }
        }
    }

    /// Takes over a file that another process of the session has handed over.
    pub(super) fn adopt(self: &Arc<Self>, path: &Path) -> Result<TempFile> {
        let foreign = || Error::invalid_data("is not a temp file of this session").at(path);
        let entry = self.entry(path).ok_or_else(foreign)?;
        let _membership = self.membership()?;
        let dir = self.roots[usize::from(entry.root)].dir()?;
        let file = dir.open_file(entry.name.to_string());
        let file = file.map_err(|error| Error::io("cannot open", error).at(path))?;
        let file = file.ok_or_else(foreign)?;
        let nbytes = file.metadata().map_or(0, |found| found.len());
        self.own().insert(entry, nbytes);
        trace::event!(TRACE, "took over a temp file", path = %path.display(), bytes = nbytes);
        Ok(TempFile::new(Arc::downgrade(self), entry, file, path.to_path_buf()))
    }

    /// Returns the identity of a new worker.
    pub(super) fn new_member(&self) -> Result<Member> {
        let line = match self.member.line() {
            0 => self.lines.fetch_add(1, Ordering::Relaxed) + 1,
            own => own,
        };
        Member::of_line(line)
    }

    /// Removes the files of a dead worker of this process that it neither handed over nor
    /// removed. The session's first process also removes those of the worker's own workers.
    ///
    /// Files that were handed over must be adopted first.
    pub(super) fn reap(&self, member: Member) -> Result<()> {
        let membership = self.membership()?;
        for (entry, nbytes) in self.contents()?.live {
            let is_meant = match self.member.line() {
                0 => entry.name.member.line() == member.line(),
                _ => entry.name.member == member,
            };
            if is_meant && !self.own().contains_key(&entry) {
                // This process may not have used the root yet.
                let _ = self.roots.get(usize::from(entry.root)).map(Root::dir);
                self.unlink(entry, nbytes, membership.as_ref());
            }
        }
        Ok(())
    }

    /// Makes another process responsible for deleting a file.
    pub(super) fn disown(&self, entry: Entry) {
        self.own().remove(&entry);
    }

    /// Removes a file of this process.
    pub(super) fn remove(&self, entry: Entry) {
        if !self.origin.is_here() {
            return;
        }
        let membership = self.membership.read().unwrap_or_else(PoisonError::into_inner);
        let own = self.own().remove(&entry);
        self.unlink(entry, own.unwrap_or(0), membership.as_ref());
    }

    /// Removes a file, then strikes its name. A file that cannot be removed stays registered
    /// for a sweep.
    ///
    /// A process that has left the session strikes nothing: a sweep may be running, and
    /// compacting the journal after its removal would leave a journal in a directory without a
    /// lock, which no sweep removes.
    fn unlink(&self, entry: Entry, nbytes: u64, membership: Option<&SessionLock>) {
        let Some(root) = self.roots.get(usize::from(entry.root)) else { return };
        let Some(dir) = root.used() else { return };
        let name = entry.name.to_string();
        match dir.remove(&name) {
            Ok(()) => {
                if membership.is_some() {
                    let _ = self.journal.strike(self.home.dir(), entry);
                }
                trace::event!(TRACE, "removed a temp file", path = %root.path().join(name).display(), bytes = nbytes);
            }
            Err(error) => {
                let path = root.path().join(name);
                trace::event!(WARN, "cannot remove a temp file", path = %path.display(), bytes = nbytes, error = %error);
            }
        }
    }

    /// Leaves the session. The last process to leave removes all files. If the session is to be
    /// kept, only the process that opened it does.
    pub(super) fn leave(&self) {
        if !self.origin.is_here() {
            return;
        }
        let mut membership = self.membership.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = membership.take() {
            if self.keeping == Keeping::Opened {
                // Recorded before any process can find the session without a holder.
                let _ = self.journal.end(self.home.dir());
            }
            drop(lock);
            // From here on, this process acts like any other that finds the session. Of all
            // processes that leave at once, the last to unlock finds no other holder, so
            // exactly one of them sweeps.
            let last = self.keeping != Keeping::Joined && sweep::last_out(&self.home);
            drop(membership);
            trace::event!(DEBUG, "left a session", home = %self.home.path().display(), last = last);
        }
        // If other processes stay, the files of this process are still removed. Otherwise
        // nothing is left.
        let own = mem::take(&mut *self.own());
        if self.keeping != Keeping::Joined {
            for (entry, nbytes) in own {
                self.unlink(entry, nbytes, None);
            }
        }
    }

    /// Leaves the session while the other processes are ending too.
    pub(super) fn leave_with_the_dying(&self, longest: Duration) {
        let until = Instant::now() + longest;
        self.leave();
        // A killed process loses its descriptors one by one. This process may have noticed the
        // death by one descriptor while the lock is still held, and may be the only one to look
        // again.
        while self.keeping != Keeping::Joined && self.home.path().exists() && Instant::now() < until
        {
            thread::sleep(Duration::from_millis(1));
            sweep::last_out(&self.home);
        }
    }

    /// Prevents this process from leaving. Returns an error if it has left.
    fn membership(&self) -> Result<RwLockReadGuard<'_, Option<SessionLock>>> {
        if !self.origin.is_here() {
            let message =
                "the store belongs to the process that this one was forked from: open one here";
            return Err(Error::invalid_input(message).at(self.home.path()));
        }
        let membership = self.membership.read().unwrap_or_else(PoisonError::into_inner);
        if membership.is_none() {
            let message =
                "the session has ended: its files are gone, and there will be no new ones";
            return Err(Error::invalid_input(message).at(self.home.path()));
        }
        Ok(membership)
    }

    fn own(&self) -> MutexGuard<'_, HashMap<Entry, u64>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, entry: Entry) -> Option<PathBuf> {
        let root = self.roots.get(usize::from(entry.root))?;
        Some(root.path().join(entry.name.to_string()))
    }

    fn entry(&self, path: &Path) -> Option<Entry> {
        let (dir, name) = (path.parent()?, path.file_name()?);
        let root = self.roots.iter().position(|root| root.path() == dir)?;
        Some(Entry {
            root: u8::try_from(root).ok()?,
            name: FileName::parse(name.as_encoded_bytes())?,
        })
    }

    fn journal_error(&self, action: &'static str, error: io::Error) -> Error {
        Error::io(action, error).at(self.home.path().join(journal::NAME))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.leave();
        // The process that was to be last may have been killed while it left, or may have been
        // told to keep the files.
        if self.origin.is_here() && self.keeping != Keeping::Joined && self.home.path().exists() {
            let _ = sweep::last_out(&self.home);
        }
    }
}

/// Returns all roots. After each root in which another user can take this user's directory
/// name, it adds the session's own place there.
fn with_own(roots: &[PathBuf], id: SessionId) -> Vec<PathBuf> {
    let mut left = MOST_ROOTS - roots.len();
    let mut all = Vec::new();
    for root in roots {
        all.push(root.clone());
        if left > 0 && place::is_shared(root) {
            all.push(place::own(root, id));
            left -= 1;
        }
    }
    all
}

/// Returns whether only the journal knows where the files are. In the default places, a sweep
/// finds them without it.
fn is_vital(roots: &[PathBuf]) -> bool {
    let known = Places::known().unwrap_or_default();
    let mut named = roots.iter().filter(|root| !place::is_own(root));
    named.any(|root| !known.contains(root))
}

/// Combines the errors of all roots into one. The error with the missing number of bytes comes
/// first.
fn of_all(mut refused: Vec<Error>) -> Error {
    let is_full = |error: &Error| error.io_kind() == Some(io::ErrorKind::StorageFull);
    let full = refused.iter().rposition(is_full).map(|index| refused.remove(index));
    let Some(first) = full.or_else(|| refused.pop()) else {
        return Error::invalid_data("the registry names no root to put files in");
    };
    if refused.is_empty() {
        return first;
    }
    let others: Vec<_> = refused.iter().map(Error::to_string).collect();
    first.within(format_args!("the last root to be tried, after {}", others.join("; ")))
}
