//! What a journal says: where the session's files go, which there are, and how many bytes they have, and had at most.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{journal::Entry, name::hex};

pub(super) const MAGIC: &[u8] = b"ndferry journal ";
pub(super) const VERSION: &[u8] = b"1";

/// A journal, read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// The places of the roots, by number.
    pub(super) roots: Vec<PathBuf>,
    /// The names registered and not struck, oldest first, each with the bytes its file was made for.
    pub(super) live: Vec<(Entry, u64)>,
    /// How many names are struck.
    pub(super) struck: usize,
    /// Written by a version that means something else by it.
    pub(super) foreign: bool,
    /// What it leaves when it dies stays, unless a sweep is asked for.
    pub(super) keep: bool,
    /// The bytes of all roots together.
    pub(super) total: Tally,
    /// The bytes of the roots that have, or had, files, by number.
    pub(super) tallies: BTreeMap<u8, Tally>,
}

/// Bytes that there are, and the most that there were at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) live: u64,
    pub(super) peak: u64,
}

impl Contents {
    /// Reads what can be read: lines of no known shape are passed over.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut contents = Self::default();
        let (mut sizes, mut struck) = (HashMap::new(), HashSet::new());
        for line in bytes.split(|&byte| byte == b'\n') {
            if line == b"keep" || line == b"end" {
                contents.keep = line == b"keep";
            } else if let Some(path) = line.strip_prefix(b"root /") {
                let path = Path::new("/").join(OsStr::from_bytes(path));
                contents.roots.push(path);
            } else if let Some(peak) = line.strip_prefix(b"peak ") {
                contents.had(peak);
            } else if let Some(version) = line.strip_prefix(MAGIC) {
                // A line that was cut after the words tells nothing of whose it was.
                contents.foreign |= !version.is_empty() && version != VERSION;
            } else if let Some((entry, nbytes)) = line.strip_prefix(b"+").and_then(registered) {
                if !struck.contains(&entry) && sizes.insert(entry, nbytes).is_none() {
                    contents.live.push((entry, nbytes));
                    contents.tallies(entry, |tally| tally.add(nbytes));
                }
            } else if let Some(entry) = line.strip_prefix(b"-").and_then(Entry::parse) {
                struck.insert(entry);
                if let Some(nbytes) = sizes.remove(&entry) {
                    contents.tallies(entry, |tally| tally.live = tally.live.saturating_sub(nbytes));
                }
            }
        }
        contents.live.retain(|(entry, _)| sizes.contains_key(entry));
        contents.struck = struck.len();
        contents
    }

    /// What an earlier journal of the session said was the most at one time.
    fn had(&mut self, text: &[u8]) -> Option<()> {
        let (root, peak) = text.split_at(text.len().saturating_sub(16));
        let peak = hex(peak, 16)?;
        let tally = match root.strip_suffix(b" ") {
            Some(root) => self.tallies.entry(u8::try_from(hex(root, 2)?).ok()?).or_default(),
            None if root.is_empty() => &mut self.total,
            None => return None,
        };
        tally.peak = tally.peak.max(peak);
        Some(())
    }

    fn tallies(&mut self, entry: Entry, change: impl Fn(&mut Tally)) {
        change(&mut self.total);
        change(self.tallies.entry(entry.root).or_default());
    }
}

impl Tally {
    fn add(&mut self, nbytes: u64) {
        // A forged journal may claim what it likes.
        self.live = self.live.saturating_add(nbytes);
        self.peak = self.peak.max(self.live);
    }
}

fn registered(text: &[u8]) -> Option<(Entry, u64)> {
    let (entry, nbytes) = text.split_at_checked(text.len().checked_sub(17)?)?;
    Some((Entry::parse(entry)?, hex(nbytes.strip_prefix(b" ")?, 16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_as_files_come_and_go() {
        let file = |number| format!("0000000000000007-{number:010x}.ferry");
        let (a, b, c) = (file(1), file(2), file(3));
        let journal = format!(
            "ndferry journal 1\nroot /a\nroot /b\npeak 00 0000000000000005\npeak 0000000000000009\
             \n+00 {a} 0000000000000004\n+01 {b} 0000000000000003\n-00 {a}\n+01 {c} 0000000000000010\n-01 {c}"
        );
        let contents = Contents::parse(journal.as_bytes());
        assert_eq!(contents.live.iter().map(|&(_, nbytes)| nbytes).collect::<Vec<_>>(), [3]);
        assert_eq!(contents.total, Tally { live: 3, peak: 0x13 });
        let expected = [(0, Tally { live: 0, peak: 5 }), (1, Tally { live: 3, peak: 0x13 })];
        assert_eq!(contents.tallies, expected.into());
    }

    #[test]
    fn no_size_a_journal_claims_is_too_much() {
        let lines: String = (1..=3)
            .map(|number| format!("\n+00 0000000000000007-{number:010x}.ferry ffffffffffffffff"))
            .collect();
        assert_eq!(
            Contents::parse(lines.as_bytes()).total,
            Tally { live: u64::MAX, peak: u64::MAX }
        );
        let struck = lines.clone()
            + "\n-00 0000000000000007-0000000001.ferry\n-00 0000000000000007-0000000002.ferry";
        assert_eq!(Contents::parse(struck.as_bytes()).total.live, 0);
    }
}
