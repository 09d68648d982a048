//! The content of a journal: the roots, the registered files, and their current and largest
//! sizes.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsStr,
    fmt,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::name::{FileName, hex};

pub(super) const MAGIC: &[u8] = b"ndferry journal ";
pub(super) const VERSION: &[u8] = b"1";

/// A file of the session: its root and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) root: u8,
    pub(super) name: FileName,
}

/// A parsed journal.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// The roots, by number.
    pub(super) roots: Vec<PathBuf>,
    /// The registered names that were not struck, oldest first, with the sizes of their files.
    pub(super) live: Vec<(Entry, u64)>,
    /// The number of struck names.
    pub(super) struck: usize,
    /// Whether another version wrote the journal.
    pub(super) foreign: bool,
    /// The process that began the session.
    pub(super) opener: Option<u32>,
    /// Whether the files are kept if the session dies.
    pub(super) keep: bool,
    /// The bytes in all roots.
    pub(super) total: Tally,
    /// The bytes in each root that was used, by number.
    pub(super) tallies: BTreeMap<u8, Tally>,
}

/// Current bytes, and the largest number at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) live: u64,
    pub(super) peak: u64,
}

impl Contents {
    /// Parses a journal. Lines of unknown shape are ignored.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut contents = Self::default();
        let (mut sizes, mut struck) = (HashMap::new(), HashSet::new());
        for line in bytes.split(|&byte| byte == b'\n') {
            if line == b"keep" || line == b"end" {
                contents.keep = line == b"keep";
            } else if let Some(opener) = line.strip_prefix(b"opener ") {
                contents.opener = std::str::from_utf8(opener).ok().and_then(|id| id.parse().ok());
            } else if let Some(path) = line.strip_prefix(b"root /") {
                let path = Path::new("/").join(OsStr::from_bytes(path));
                contents.roots.push(path);
            } else if let Some(peak) = line.strip_prefix(b"peak ") {
                contents.had(peak);
            } else if let Some(version) = line.strip_prefix(MAGIC) {
                // A line that is cut after the words does not tell the version.
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

    /// Reads the largest size that a previous journal of the session recorded.
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
        // A forged journal may contain any numbers.
        self.live = self.live.saturating_add(nbytes);
        self.peak = self.peak.max(self.live);
    }
}

fn registered(text: &[u8]) -> Option<(Entry, u64)> {
    let (entry, nbytes) = text.split_at_checked(text.len().checked_sub(17)?)?;
    Some((Entry::parse(entry)?, hex(nbytes.strip_prefix(b" ")?, 16)?))
}

impl Entry {
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (root, name) = text.split_at_checked(3)?;
        Some(Self {
            root: u8::try_from(hex(root.strip_suffix(b" ")?, 2)?).ok()?,
            name: FileName::parse(name)?,
        })
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x} {}", self.root, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_count_current_and_peak_bytes() {
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
    fn contents_accept_any_claimed_size() {
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
