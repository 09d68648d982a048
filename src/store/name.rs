//! Names of sessions, their directories and their files. They have fixed shapes, so that a name
//! shows what it belongs to.
//!
//! Other names were not made by this crate and are left alone.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    os::unix::ffi::OsStrExt,
};

use crate::{Error, Result, sys};

const HOME: &str = "session-";
const DATA: &str = "data-";
const FILE: &str = ".ferry";

/// The identity of a session, a random number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct SessionId(u64);

impl SessionId {
    /// Returns a new, unpredictable identity.
    pub(super) fn new() -> Result<Self> {
        random().map(Self)
    }

    /// Returns the session whose directory has this name.
    pub(super) fn of_home(name: &OsStr) -> Option<Self> {
        hex(name.as_bytes().strip_prefix(HOME.as_bytes())?, 16).map(Self)
    }

    /// Returns the name of the session's directory.
    pub(super) fn home(self) -> OsString {
        format!("{HOME}{self}").into()
    }

    /// Returns the name of the session's directory in a root.
    pub(super) fn data(self) -> OsString {
        format!("{DATA}{self}").into()
    }

    pub(super) fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A process in a session. Its *line* is the worker of the session's first process that it
/// descends from.
///
/// The files of a line are known when that worker has died, also those of its own workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Member(pub(crate) u64);

impl Member {
    /// Returns the identity of the first process of a session, which belongs to no line.
    pub(super) fn first() -> Result<Self> {
        Self::of_line(0)
    }

    /// Returns the identity of a process of `line`. It is random, because process ids are
    /// reused.
    pub(super) fn of_line(line: u32) -> Result<Self> {
        Ok(Self(u64::from(line) << 32 | random()? >> 32))
    }

    pub(super) fn line(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// The name of a temporary file: the process that made it, and a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileName {
    pub(super) member: Member,
    pub(super) number: u64,
}

impl FileName {
    pub(super) fn parse(name: &[u8]) -> Option<Self> {
        let (member, number) = name.strip_suffix(FILE.as_bytes())?.split_at_checked(16)?;
        Some(Self {
            member: Member(hex(member, 16)?),
            number: hex(number.strip_prefix(b"-")?, 10)?,
        })
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:010x}{FILE}", self.member.0, self.number)
    }
}

fn random() -> Result<u64> {
    sys::random::number().map_err(|error| Error::io("cannot get a random number", error))
}

/// Parses exactly `digits` hexadecimal digits.
pub(super) fn hex(text: &[u8], digits: usize) -> Option<u64> {
    let proper =
        text.len() == digits && text.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    u64::from_str_radix(std::str::from_utf8(text).ok().filter(|_| proper)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_round_trips_and_others_are_rejected() {
        let id = SessionId(0x1f);
        assert_eq!(id.home(), "session-000000000000001f");
        assert!(SessionId::of_home(&id.home()) == Some(id));
        let name = FileName { member: Member(u64::MAX), number: 0xabc };
        assert_eq!(name.to_string(), "ffffffffffffffff-0000000abc.ferry");
        assert_eq!(FileName::parse(name.to_string().as_bytes()), Some(name));
        for other in [
            "",
            ".ferry",
            "lock",
            "ffffffffffffffff-0000000abc",
            "ffffffffffffffff-0000000ab.ferry",
            "ffffffffffffffff-0000000abcd.ferry",
            "FFFFFFFFFFFFFFFF-0000000abc.ferry",
            "+fffffffffffffff-0000000abc.ferry",
            "../ffffffffffff-0000000abc.ferry",
            "ffffffffffffffff-0000000abc.ferry\n",
            "фффффффффффффффф",
        ] {
            assert_eq!(FileName::parse(other.as_bytes()), None, "{other}");
        }
        for other in
            ["session-", "session-1f", "data-000000000000001f", "session-000000000000001f/"]
        {
            assert!(SessionId::of_home(other.as_ref()).is_none(), "{other}");
        }
    }
}
