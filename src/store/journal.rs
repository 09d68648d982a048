//! The registry: a journal in the session's directory that names every temporary file of the
//! session.
//!
//! ```text
//! ndferry journal 1
//! opener 4711                                                 the process that began the session
//! root /dev/shm
//! root /tmp
//! keep                                                        keep the files if the session dies
//! +00 0f1e2d3c4b5a6978-0000000000.ferry 0000000000100040      registered: may exist; size in hex
//! -00 0f1e2d3c4b5a6978-0000000000.ferry                       struck: no longer exists
//! end                                                         do not keep the files any more
//! ```
//!
//! The journal is text, and every process of the session only appends to it. Roots are recorded
//! before any of their directories is created, and a name before its file is created. A name is
//! struck after its file was removed. Whenever a process dies, the journal therefore names at
//! least the files that exist.
//!
//! A record *begins* with its line break. A writer that dies, or finds the disk full, may leave
//! part of a record. The next record still starts on its own line, and the part is ignored,
//! because records have a fixed shape.
//!
//! If struck names outnumber the others, the journal is written anew and replaces the old one.
//! Lines `peak 00 …` and `peak …` keep the largest size of the files in each root and in total.
//! A process that appends locks the journal first, and then checks that it still is the current
//! one. Readers need no lock, because a journal that they have opened is complete.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::{ffi::OsStrExt, fs::FileExt},
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use rustix::io::Errno;

use super::contents::{Contents, Entry, MAGIC, VERSION};
use crate::sys::{
    dir::{self, Dir, Identity},
    lock,
    unshared::Unshared,
};

pub(super) const NAME: &str = "journal";
/// The name of a new journal while it is written.
pub(super) const NEXT: &str = "journal.next";

/// The number of struck names from which the journal is compacted.
const FEW: usize = 64;

/// The journal of a session that this process belongs to.
pub(super) struct Journal(Mutex<Open>);

struct Open {
    /// A forked process must not hold its lock, because no process could ask it to unlock.
    file: Unshared<File>,
    identity: Identity,
    /// Whether the journal must survive a power failure.
    vital: bool,
    /// The number of records that this process has appended since it last read the journal.
    appended: usize,
    /// The number of appended records after which to read it again.
    patience: usize,
}

impl Journal {
    /// Creates the journal of a session with these `roots`. If `keep` is set, files are kept
    /// when the session dies. A `vital` journal survives a power failure, because only it knows
    /// where the files are.
    pub(super) fn create(
        home: &Dir,
        roots: &[PathBuf],
        keep: bool,
        vital: bool,
    ) -> io::Result<Self> {
        let mut file = home.create(NAME)?;
        let opener = Some(std::process::id());
        let contents = Contents { opener, roots: roots.to_vec(), keep, ..Contents::default() };
        file.write_all(&text(&contents))?;
        if vital {
            file.sync_all()?;
            rustix::fs::fsync(home)?;
        }
        Self::open(home, vital)
    }

    /// Opens the journal of a session that another process began.
    pub(super) fn open(home: &Dir, vital: bool) -> io::Result<Self> {
        let (file, identity) = newest(home)?;
        Ok(Self(Mutex::new(Open { file, identity, vital, appended: 0, patience: 2 * FEW })))
    }

    /// Registers a file of `nbytes` bytes that is about to be created.
    pub(super) fn register(&self, home: &Dir, entry: Entry, nbytes: u64) -> io::Result<()> {
        self.append(home, &registered(entry, nbytes))
    }

    /// Strikes the name of a removed file.
    pub(super) fn strike(&self, home: &Dir, entry: Entry) -> io::Result<()> {
        self.append(home, &format!("\n-{entry}"))
    }

    /// Records that a session to be kept was closed.
    pub(super) fn end(&self, home: &Dir) -> io::Result<()> {
        self.append(home, "\nend")
    }

    fn append(&self, home: &Dir, record: &str) -> io::Result<()> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = open.hold(home).and_then(|()| open.write(home, record));
        let _ = lock::unlock(&open.file);
        written
    }
}

impl Open {
    /// Locks the current journal.
    fn hold(&mut self, home: &Dir) -> io::Result<()> {
        loop {
            lock::exclusive(&self.file)?;
            if home.status_of(NAME).map(|named| named.identity) == Ok(self.identity) {
                return Ok(());
            }
            (self.file, self.identity) = newest(home)?;
        }
    }

    /// Appends a record. The journal is locked.
    fn write(&mut self, home: &Dir, record: &str) -> io::Result<()> {
        self.file.write_all(record.as_bytes())?;
        self.appended += 1;
        if self.appended >= self.patience {
            // A journal that cannot be compacted is longer than necessary, but correct.
            let _ = self.look(home);
        }
        Ok(())
    }

    /// Reads the journal, and compacts it if necessary. The journal is locked.
    fn look(&mut self, home: &Dir) -> io::Result<()> {
        (self.appended, self.patience) = (0, self.patience.saturating_mul(2));
        let contents = Contents::parse(&read(&self.file)?);
        if contents.struck > FEW.max(contents.live.len()) && !contents.foreign {
            home.remove(NEXT)?;
            let mut next = home.create(NEXT)?;
            next.write_all(&text(&contents))?;
            if self.vital {
                next.sync_data()?;
            }
            home.rename(NEXT, NAME)?;
            (self.file, self.identity) = newest(home)?;
        }
        self.patience = 2 * FEW.max(contents.live.len());
        Ok(())
    }
}

/// Opens the current journal.
fn newest(home: &Dir) -> io::Result<(Unshared<File>, Identity)> {
    let file = home.open_log(NAME)?.ok_or(Errno::INVAL)?;
    let identity = dir::status(&file)?.identity;
    Ok((Unshared::new(file), identity))
}

/// Reads the journal of a session. A missing journal has no content.
pub(super) fn contents(home: &Dir) -> io::Result<Contents> {
    match home.open_log(NAME) {
        Ok(Some(file)) => Ok(Contents::parse(&read(&file)?)),
        Ok(None) => Err(Errno::INVAL.into()),
        Err(Errno::NOENT) => Ok(Contents::default()),
        Err(error) => Err(error.into()),
    }
}

/// Reads a whole file, independent of its position.
fn read(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut part = [0; 8192];
    loop {
        match file.read_at(&mut part, bytes.len() as u64) {
            Ok(0) => return Ok(bytes),
            Ok(length) => bytes.extend_from_slice(&part[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Returns a journal with the same content and no more records than necessary.
fn text(contents: &Contents) -> Vec<u8> {
    let mut text = [MAGIC, VERSION].concat();
    if let Some(opener) = contents.opener {
        text.extend_from_slice(format!("\nopener {opener}").as_bytes());
    }
    for root in &contents.roots {
        text.extend_from_slice(b"\nroot ");
        text.extend_from_slice(root.as_os_str().as_bytes());
    }
    if contents.keep {
        text.extend_from_slice(b"\nkeep");
    }
    for (root, tally) in &contents.tallies {
        text.extend_from_slice(format!("\npeak {root:02x} {:016x}", tally.peak).as_bytes());
    }
    if contents.total.peak > 0 {
        text.extend_from_slice(format!("\npeak {:016x}", contents.total.peak).as_bytes());
    }
    for &(entry, nbytes) in &contents.live {
        text.extend_from_slice(registered(entry, nbytes).as_bytes());
    }
    text
}

/// Returns the record of a file of `nbytes` bytes.
fn registered(entry: Entry, nbytes: u64) -> String {
    format!("\n+{entry} {nbytes:016x}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{
        super::{
            contents::Tally,
            name::{FileName, Member},
        },
        *,
    };

    fn entry(number: u64) -> Entry {
        let member = Member(7);
        let name = FileName { member, number };
        Entry { root: 1, name }
    }

    /// The size of each file in these tests.
    const NBYTES: u64 = 3;

    fn live(home: &Dir) -> Vec<Entry> {
        contents(home).unwrap().live.iter().map(|&(entry, _)| entry).collect()
    }

    /// Creates a journal in a new directory.
    fn journal() -> (tempfile::TempDir, Dir, Journal) {
        let temp = tempfile::tempdir().unwrap();
        let home = Dir::open(temp.path()).unwrap();
        let journal = Journal::create(&home, &["/a".into(), "/b c".into()], false, false).unwrap();
        (temp, home, journal)
    }

    #[test]
    fn journal_names_files_until_they_are_struck() {
        let (_temp, home, journal) = journal();
        for number in 0..3 {
            journal.register(&home, entry(number), NBYTES).unwrap();
        }
        journal.strike(&home, entry(1)).unwrap();
        let contents = contents(&home).unwrap();
        assert_eq!(contents.roots, [Path::new("/a"), Path::new("/b c")]);
        assert_eq!(contents.live, [(entry(0), NBYTES), (entry(2), NBYTES)]);
        assert_eq!((contents.struck, contents.foreign), (1, false));
        let tally = Tally { live: 2 * NBYTES, peak: 3 * NBYTES };
        assert_eq!((contents.total, contents.tallies), (tally, [(1, tally)].into()));
    }

    #[test]
    fn journal_ignores_a_record_cut_anywhere() {
        for cut in 0..registered(entry(1), NBYTES).len() {
            let (temp, home, journal) = journal();
            journal.register(&home, entry(0), NBYTES).unwrap();
            let path = temp.path().join(NAME);
            let whole = std::fs::metadata(&path).unwrap().len();
            journal.register(&home, entry(1), NBYTES).unwrap();
            File::options().write(true).open(&path).unwrap().set_len(whole + cut as u64).unwrap();
            journal.register(&home, entry(2), NBYTES).unwrap();
            assert_eq!(live(&home), [entry(0), entry(2)], "cut at {cut}");
        }
    }

    #[test]
    fn journal_ignores_garbage() {
        let (name, size) = (entry(5).name, "0000000000000003");
        for (garbage, expected) in [
            (String::new(), vec![]),
            (
                "\n\n\n\0\u{fffd}\n+\n-\n+01\n+01 \nroot\nroot \nroot relative\npeak\npeak \npeak 1\npeak 0g ".into(),
                vec![],
            ),
            (format!("+01 {name}/../x {size}"), vec![]),
            (format!("+01 ../{name} {size}"), vec![]),
            (format!("+1 {name} {size}\n+001 {name} {size}\n*01 {name} {size}\n 01 {name} {size}"), vec![]),
            (format!("+01 {name}\n+01 {name} 3\n+01 {name} {size}0\n+01 {name} {size} \n+01 {name}{size}"), vec![]),
            (format!("peak 01 {size}0\npeak 1 {size}\npeak  {size}\npeak01 {size}"), vec![]),
            (format!("+01 {name} {size}"), vec![(entry(5), NBYTES)]),
            (format!("+01 {name} {size}\n+01 {name} {size}"), vec![(entry(5), NBYTES)]),
            (format!("-01 {name}\n+01 {name} {size}"), vec![]),
        ] {
            let contents = Contents::parse(garbage.as_bytes());
            assert_eq!(contents.live, expected, "{garbage:?}");
            assert!(contents.roots.is_empty() && !contents.foreign, "{garbage:?}");
            assert_eq!(contents.total.peak, expected.len() as u64 * NBYTES, "{garbage:?}");
        }
        assert!(Contents::parse(b"ndferry journal 2\nroot /").foreign);
        let whole = text(&Contents { roots: vec!["/a".into()], ..Contents::default() });
        for cut in 0..whole.len() {
            assert!(!Contents::parse(&whole[..cut]).foreign, "cut at {cut}");
        }
    }

    #[test]
    fn journal_compaction_keeps_live_names() {
        let (temp, home, journal) = journal();
        // A second process must notice that the journal was replaced.
        let other = Journal::open(&home, false).unwrap();
        let kept: Vec<_> = (0..10).map(entry).collect();
        for &entry in &kept {
            journal.register(&home, entry, NBYTES).unwrap();
        }
        for number in 10..5000 {
            let (one, two) = if number % 2 == 0 { (&journal, &other) } else { (&other, &journal) };
            one.register(&home, entry(number), NBYTES).unwrap();
            two.strike(&home, entry(number)).unwrap();
        }
        let contents = contents(&home).unwrap();
        assert_eq!(contents.live.iter().map(|&(entry, _)| entry).collect::<Vec<_>>(), kept);
        assert_eq!(contents.roots, [Path::new("/a"), Path::new("/b c")]);
        assert!(std::fs::metadata(temp.path().join(NAME)).unwrap().len() < 64 << 10);
        assert_eq!(
            contents.total,
            Tally { live: 10 * NBYTES, peak: 11 * NBYTES },
            "also what was compacted away"
        );
        assert!(!temp.path().join(NEXT).exists());
    }

    #[test]
    fn journal_compaction_survives_a_dead_compactor() {
        let (temp, home, journal) = journal();
        std::fs::write(temp.path().join(NEXT), "ndferry jour").unwrap();
        for number in 0..500 {
            journal.register(&home, entry(number), NBYTES).unwrap();
            journal.strike(&home, entry(number)).unwrap();
        }
        assert!(contents(&home).unwrap().live.is_empty());
        assert!(!temp.path().join(NEXT).exists());
    }

    #[test]
    fn journal_concurrent_appends_lose_nothing() {
        let (_temp, home, _journal) = journal();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let home = &home;
                let journal = Journal::open(home, false).unwrap();
                scope.spawn(move || {
                    for number in (0..1000).map(|number| thread * 1000 + number) {
                        journal.register(home, entry(number), NBYTES).unwrap();
                        if number % 10 != 0 {
                            journal.strike(home, entry(number)).unwrap();
                        }
                    }
                });
            }
        });
        let mut live: Vec<_> = live(&home).iter().map(|entry| entry.name.number).collect();
        live.sort_unstable();
        assert_eq!(live, (0..4000).step_by(10).collect::<Vec<_>>());
    }
}
