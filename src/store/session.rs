//! A process's part in a session: begun or joined, making files, and left, by the last with everything in it.

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
    contents::Contents,
    file::TempFile,
    home::Home,
    journal::{self, Entry, Journal},
    lock::SessionLock,
    name::{FileName, Member, SessionId},
    place::{self, Places},
    root::Root,
    sealed::MemoryFiles,
    sweep,
    usage::StoreUsage,
};
use crate::{
    Error, Result,
    sys::{space, unshared::Origin},
    trace,
};

/// Roots that a journal can number.
pub(super) const MOST_ROOTS: usize = 256;

pub(super) struct Session {
    home: Home,
    journal: Journal,
    roots: Vec<Root>,
    /// Held while a file is named and made, so that nothing is made after leaving.
    membership: RwLock<Option<SessionLock>>,
    member: Member,
    keeping: Keeping,
    /// Lines there were, of workers of the session's first process.
    lines: AtomicU32,
    made: AtomicU64,
    /// The files this process is to delete, with their bytes.
    own: Mutex<HashMap<Entry, u64>>,
    memory: OnceLock<Arc<MemoryFiles>>,
    /// The process it is. One forked from that is no part of the session by this, and removes nothing.
    origin: Origin,
}

/// Who removes what there is at the end of the session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// The last to leave.
    Nothing,
    /// It is to be kept when it dies, and dies unless this process, which has opened it, closes it.
    Opened,
    /// The same, and another process has opened it.
    Joined,
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

    /// Joins the session another process has begun.
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
                // Whoever has left meanwhile has seen the lock, and relies on its holder.
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

    /// Every name registered and not struck.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>> {
        let paths = self.contents()?.live.into_iter().filter_map(|(entry, _)| self.path(entry));
        Ok(paths.collect())
    }

    /// The bytes that are registered, and that were.
    pub(super) fn usage(&self) -> Result<StoreUsage> {
        Ok(StoreUsage::of(&self.contents()?, self.roots.iter().map(Root::path)))
    }

    fn contents(&self) -> Result<Contents> {
        journal::contents(self.home.dir()).map_err(|error| self.journal_error("cannot read", error))
    }

    /// Makes a file of `nbytes`, all of them reserved, in the first root that has room for it.
    pub(super) fn create(self: &Arc<Self>, nbytes: u64) -> Result<TempFile> {
        let reserve = |temp: &TempFile| {
            let reserved = space::reserve(temp.file(), nbytes);
            reserved.map_err(|error| Error::io(format!("cannot reserve {nbytes} bytes"), error))
        };
        self.fill(nbytes, reserve).map(|(temp, ())| temp)
    }

    /// Makes a file that `write` then writes, about `nbytes`, in the first root that has room for it. Where that has not
    /// after all, `write` does it again, from the start, in the next.
    ///
    /// Nothing is reserved, which would write everything twice: a file that is written before anybody maps it runs out of
    /// space with an error, not by a signal.
    pub(super) fn fill<T>(
        self: &Arc<Self>,
        nbytes: u64,
        mut write: impl FnMut(&TempFile) -> Result<T>,
    ) -> Result<(TempFile, T)> {
        let mut refused = Vec::new();
        let mut usable = true;
        for (index, root) in (0..=u8::MAX).zip(&self.roots) {
            // The one before it is in the same place. Where that could be entered, this one has nothing else to offer.
            if root.is_own() && usable {
                continue;
            }
            match self.fill_in(index, root, nbytes, &mut write) {
                Ok((temp, written)) => {
                    trace::event!(TRACE, "made a temp file", path = %temp.path().display(), bytes = nbytes);
                    return Ok((temp, written));
                }
                // Where neither could be entered, the first knows the reason.
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
        // Not as a member, so that leaving need not wait for it: a file that is swept meanwhile has only lost its name.
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

    /// Names a file, then makes it.
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

    /// Who a worker of this process is to be.
    pub(super) fn new_member(&self) -> Result<Member> {
        let line = match self.member.line() {
            0 => self.lines.fetch_add(1, Ordering::Relaxed) + 1,
            own => own,
        };
        Member::of_line(line)
    }

    /// Removes what a worker of this process had made, and neither handed over nor removed, when it died; in the session's first
    /// process also what the worker's own workers had.
    ///
    /// What it has handed over must have been adopted before.
    pub(super) fn reap(&self, member: Member) -> Result<()> {
        let membership = self.membership()?;
        for (entry, nbytes) in self.contents()?.live {
            let is_meant = match self.member.line() {
                0 => entry.name.member.line() == member.line(),
                _ => entry.name.member == member,
            };
            if is_meant && !self.own().contains_key(&entry) {
                // This process may not have used that root yet.
                let _ = self.roots.get(usize::from(entry.root)).map(Root::dir);
                self.unlink(entry, nbytes, membership.as_ref());
            }
        }
        Ok(())
    }

    /// No longer this process's to delete.
    pub(super) fn disown(&self, entry: Entry) {
        self.own().remove(&entry);
    }

    /// Removes a file of this process's own.
    pub(super) fn remove(&self, entry: Entry) {
        if !self.origin.is_here() {
            return;
        }
        let membership = self.membership.read().unwrap_or_else(PoisonError::into_inner);
        let own = self.own().remove(&entry);
        self.unlink(entry, own.unwrap_or(0), membership.as_ref());
    }

    /// Removes a file, then strikes its name. A file that cannot be removed stays registered, for whoever sweeps.
    ///
    /// Who is no member any more strikes nothing: somebody may be sweeping, and a journal that is compacted after it was
    /// removed would be in a home without a lock, which nobody sweeps.
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

    /// Ends this process's part. The last to leave takes everything along; of a session to be kept, only who has opened it.
    pub(super) fn leave(&self) {
        if !self.origin.is_here() {
            return;
        }
        let mut membership = self.membership.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = membership.take() {
            if self.keeping == Keeping::Opened {
                // Said before anybody can find the session without a process.
                let _ = self.journal.end(self.home.dir());
            }
            drop(lock);
            // From here on this process is like any that finds the session: of all that leave at once, the last to let go
            // finds nobody else, so one of them sweeps.
            let last = self.keeping != Keeping::Joined && sweep::last_out(&self.home);
            drop(membership);
            trace::event!(DEBUG, "left a session", home = %self.home.path().display(), last = last);
        }
        // Where others stay, what this process had to delete still goes; where none did, this finds nothing.
        let own = mem::take(&mut *self.own());
        if self.keeping != Keeping::Joined {
            for (entry, nbytes) in own {
                self.unlink(entry, nbytes, None);
            }
        }
    }

    /// The same where the others are ending as well.
    pub(super) fn leave_with_the_dying(&self, longest: Duration) {
        let until = Instant::now() + longest;
        self.leave();
        // A process that is killed loses what it had open piece by piece: who was told of its death by one piece may find
        // another, its lock, still held, and be the only one to look again.
        while self.keeping != Keeping::Joined && self.home.path().exists() && Instant::now() < until
        {
            thread::sleep(Duration::from_millis(1));
            sweep::last_out(&self.home);
        }
    }

    /// Keeps this process from leaving; an error where it has left.
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
        // Whoever was to be the last may have been killed on its way out, or have been told to keep what it finds.
        if self.origin.is_here() && self.keeping != Keeping::Joined && self.home.path().exists() {
            let _ = sweep::last_out(&self.home);
        }
    }
}

/// Every root, and after one in which somebody else can take this user's name, the place that the session would make there of
/// its own.
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

/// Whether only the journal would know where the files are: in the places everybody looks at, they are found without.
fn is_vital(roots: &[PathBuf]) -> bool {
    let known = Places::known().unwrap_or_default();
    let mut named = roots.iter().filter(|root| !place::is_own(root));
    named.any(|root| !known.contains(root))
}

/// One error for a file that no root has given: the one that says how much is missing, if any does, and then the others.
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
