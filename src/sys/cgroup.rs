//! The directories of this process's control groups, whose files contain its
//! limits.
//!
//! Versions 1 and 2 are supported, also at the same time.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// Returns the directories of the groups that limit `controller` (`memory` or
/// `cpu`) for this process.
///
/// The group of the process is first, followed by the groups that contain it.
/// The list is empty without control groups.
pub(crate) fn directories(controller: &str) -> Vec<PathBuf> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    find(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"), controller)
}

fn find(groups: &str, mounts: &str, controller: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in groups.lines() {
        // The format is `number:controllers:path`. Version 2 has no controllers
        // here.
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(group)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let kind = match controllers {
            "" => "cgroup2",
            list if list.split(',').any(|one| one == controller) => "cgroup",
            _ => continue,
        };
        if let Some(mount) = mounts.lines().find_map(|line| Mount::parse(line, kind, controller)) {
            found.extend(mount.ancestors(Path::new(group)));
        }
    }
    found
}

/// A mounted hierarchy of control groups.
struct Mount {
    /// The group that is mounted. In a container it is not the outermost one.
    root: PathBuf,
    /// The mount point.
    at: PathBuf,
}

impl Mount {
    /// Parses a line of `/proc/self/mountinfo` (see `proc(5)`). Returns `None`
    /// if it is another kind of mount.
    fn parse(line: &str, kind: &str, controller: &str) -> Option<Self> {
        let (mount, system) = line.split_once(" - ")?;
        let mut system = system.split(' ');
        let options = (system.next()? == kind).then(|| system.nth(1))??;
        if kind == "cgroup" && !options.split(',').any(|one| one == controller) {
            return None;
        }
        let mut mount = mount.split(' ').skip(3);
        Some(Self { root: mount.next()?.into(), at: mount.next()?.into() })
    }

    /// Returns the directories of `group` and of the groups that contain it, up
    /// to the mount point.
    fn ancestors(&self, group: &Path) -> Vec<PathBuf> {
        // A group outside of the mounted one (`/../..`) is not visible, but the
        // mounted one limits it too.
        let is_visible = !group.components().any(|part| part == Component::ParentDir);
        let inside = group.strip_prefix(&self.root).ok().filter(|_| is_visible);
        let inside = inside.unwrap_or(Path::new(""));
        inside.ancestors().map(|part| self.at.join(part)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION_2: &str =
        "41 31 0:38 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate";
    const VERSION_1: &str = "34 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                             35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";

    #[test]
    fn cgroup_directories_are_found_inside_out() {
        for (groups, mounts, controller, expected) in [
            (
                "0::/user.slice/a.scope",
                VERSION_2,
                "memory",
                &[
                    "/sys/fs/cgroup/user.slice/a.scope",
                    "/sys/fs/cgroup/user.slice",
                    "/sys/fs/cgroup/",
                ][..],
            ),
            ("0::/", VERSION_2, "memory", &["/sys/fs/cgroup/"]),
            ("0::/../../elsewhere", VERSION_2, "cpu", &["/sys/fs/cgroup/"]),
            (
                "5:memory:/docker/abc/inner\n4:cpu,cpuacct:/docker/abc",
                VERSION_1,
                "memory",
                &["/sys/fs/cgroup/memory/inner", "/sys/fs/cgroup/memory/"],
            ),
            ("5:memory:/elsewhere", VERSION_1, "memory", &["/sys/fs/cgroup/memory/"]),
            ("4:cpuset:/a\n3:name=systemd:/b", VERSION_1, "cpu", &[]),
            ("garbage\n::\n\n7:memory:/a", "garbage", "memory", &[]),
            ("", "", "memory", &[]),
        ] {
            let found = find(groups, mounts, controller);
            let expected: Vec<_> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(found, expected, "{groups}");
        }
    }
}
