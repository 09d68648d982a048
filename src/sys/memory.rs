//! How much memory this process can still allocate, by the limits of its
//! control groups and of the machine.
//!
//! The kernel kills a process that exceeds a limit, and usage figures lag
//! behind. So a margin below each limit is left unused.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::cgroup;

/// The memory limits of this process.
pub(crate) struct MemoryLimits {
    groups: Vec<Group>,
}

struct Group {
    limit: PathBuf,
    used: PathBuf,
    details: PathBuf,
}

impl MemoryLimits {
    /// Finds the control groups of this process.
    pub(crate) fn new() -> Self {
        let directories = cgroup::directories("memory");
        let groups = directories.iter().filter_map(|path| Group::at(path));
        Self { groups: groups.collect() }
    }

    /// Returns how many bytes can still be allocated.
    pub(crate) fn free(&self) -> u64 {
        let groups = self.groups.iter().filter_map(Group::free);
        groups.chain(machine()).min().unwrap_or(u64::MAX)
    }
}

impl Group {
    fn at(path: &Path) -> Option<Self> {
        [("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")]
            .into_iter()
            .map(|(limit, used)| Self {
                limit: path.join(limit),
                used: path.join(used),
                details: path.join("memory.stat"),
            })
            .find(|group| group.limit.exists())
    }

    /// Returns how many bytes the group allows, or `None` if it has no limit.
    fn free(&self) -> Option<u64> {
        let limit = number(&fs::read_to_string(&self.limit).ok()?)?;
        // In version 1, a huge number means that there is no limit.
        if limit >= 1 << 60 {
            return None;
        }
        let used = number(&fs::read_to_string(&self.used).ok()?)?;
        // The usage includes cached files, which the kernel can drop.
        let details = fs::read_to_string(&self.details).unwrap_or_default();
        let reclaimable = ["total_inactive_file", "inactive_file"]
            .into_iter()
            .find_map(|name| field(&details, name))
            .unwrap_or(0);
        Some(limit.saturating_sub(used.saturating_sub(reclaimable)).saturating_sub(margin(limit)))
    }
}

/// Returns how many bytes the machine has available.
fn machine() -> Option<u64> {
    let memory = fs::read_to_string("/proc/meminfo").ok()?;
    let bytes = |name| field(&memory, name).map(|kib| kib.saturating_mul(1024));
    let free = bytes("MemAvailable:")?.saturating_add(bytes("SwapFree:").unwrap_or(0));
    Some(free.saturating_sub(margin(bytes("MemTotal:")?)))
}

/// Returns how many bytes below `limit` are left unused.
fn margin(limit: u64) -> u64 {
    (limit / 32).clamp(4 << 20, 256 << 20)
}

/// Returns the number on the line that begins with `name`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some(name)).then(|| number(words.next()?))?
    })
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(files: &[(&str, &str)]) -> Option<u64> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        Group::at(dir.path())?.free()
    }

    #[test]
    fn memory_group_counts_caches_as_free() {
        let (mib, stat) =
            (1 << 20, ("memory.stat", "anon 9\ninactive_file 1048576\nactive_file 7\n"));
        for (files, expected) in [
            (
                &[("memory.max", "67108864\n"), ("memory.current", "33554432\n"), stat][..],
                Some(29 * mib),
            ),
            (&[("memory.max", "67108864\n"), ("memory.current", "67108864\n")][..], Some(0)),
            (&[("memory.max", "max\n"), ("memory.current", "5\n")], None),
            (
                &[
                    ("memory.limit_in_bytes", "67108864\n"),
                    ("memory.usage_in_bytes", "1048576\n"),
                    stat,
                ],
                Some(60 * mib),
            ),
            (
                &[
                    ("memory.limit_in_bytes", "9223372036854771712\n"),
                    ("memory.usage_in_bytes", "5\n"),
                ],
                None,
            ),
            (&[], None),
        ] {
            assert_eq!(group(files), expected, "{files:?}");
        }
    }

    #[test]
    fn memory_free_is_not_zero() {
        assert!(MemoryLimits::new().free() > 0);
    }
}
