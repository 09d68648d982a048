//! Writing a zip file of stored members: one after another, the directory at the end.

use std::io::{self, Seek, SeekFrom, Write};

use byteorder::{LittleEndian, WriteBytesExt};
use crc32fast::Hasher;

use super::{
    CENTRAL, ELSEWHERE, END, END_64, END_64_LENGTH, EXTRA_64, LOCAL, LOCAL_LENGTH, LOCATOR_64,
    STORED, UTF_8,
};

/// Every member's bytes begin at a multiple of this.
const ALIGNMENT: u64 = 64;
/// The extra field that pads to an alignment: Android's, which tools that move members keep true.
const EXTRA_ALIGNMENT: u16 = 0xD935;
/// Bytes of that field when it pads nothing.
const LEAST_PADDING: u64 = 6;
/// Version needed to extract: 2.0, and 4.5 for long numbers.
const VERSION: u16 = 20;
const VERSION_64: u16 = 45;
/// Made on Unix, where the permissions below are looked at.
const UNIX: u16 = 3 << 8;
const PERMISSIONS: u32 = 0o100_644 << 16;
/// The first of January 1980, so that equal content makes equal bytes.
const DATE: u16 = 1 << 5 | 1;

/// A zip file being written.
pub(in crate::format) struct Archive<W> {
    file: W,
    at: u64,
    directory: Vec<u8>,
    count: u64,
}

impl<W: Write + Seek> Archive<W> {
    /// A zip file at the start of `file`, which is empty.
    pub(in crate::format) fn new(file: W) -> Self {
        Self { file, at: 0, directory: Vec::new(), count: 0 }
    }

    /// Adds a member of `size` bytes, which `write` writes. The name has at most 65 535 bytes.
    pub(in crate::format) fn member(
        &mut self,
        name: &str,
        size: u64,
        write: impl FnOnce(&mut Member<'_, W>) -> io::Result<()>,
    ) -> io::Result<()> {
        let offset = self.at;
        let local = local(name, size, offset)?;
        self.file.write_all(&local)?;
        let mut member = Member { file: &mut self.file, hash: Hasher::new(), left: size };
        write(&mut member)?;
        assert_eq!(member.left, 0, "a member has the bytes that were announced");
        let crc = member.hash.finalize();
        self.at += local.len() as u64 + size;
        self.file.seek(SeekFrom::Start(offset + 14))?;
        self.file.write_u32::<LittleEndian>(crc)?;
        self.file.seek(SeekFrom::Start(self.at))?;
        self.count += 1;
        central(&mut self.directory, name, size, crc, offset)
    }

    /// Writes the directory. The file is whole after this, and not before.
    pub(in crate::format) fn finish(mut self) -> io::Result<()> {
        let end = end(self.count, self.directory.len() as u64, self.at)?;
        self.file.write_all(&self.directory)?;
        self.file.write_all(&end)?;
        self.file.flush()
    }
}

/// The bytes of a member on their way.
pub(in crate::format) struct Member<'a, W> {
    file: &'a mut W,
    hash: Hasher,
    left: u64,
}

impl<W: Write> Write for Member<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.left = self
            .left
            .checked_sub(written as u64)
            .expect("a member has the bytes that were announced");
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A number as a record has it: itself, or that it stands elsewhere.
fn short(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(ELSEWHERE)
}

fn is_long(number: u64) -> bool {
    short(number) == ELSEWHERE
}

fn version(long: bool) -> u16 {
    if long { VERSION_64 } else { VERSION }
}

/// The record before a member's bytes, which then begin at a multiple of 64. The checksum is still zero.
fn local(name: &str, size: u64, offset: u64) -> io::Result<Vec<u8>> {
    let mut extra = Vec::new();
    if is_long(size) {
        extra.write_u16::<LittleEndian>(EXTRA_64)?;
        extra.write_u16::<LittleEndian>(16)?;
        extra.write_u64::<LittleEndian>(size)?;
        extra.write_u64::<LittleEndian>(size)?;
    }
    let unpadded = offset + (LOCAL_LENGTH + name.len() + extra.len()) as u64;
    if unpadded % ALIGNMENT != 0 {
        let padding = (unpadded + LEAST_PADDING).next_multiple_of(ALIGNMENT) - unpadded;
        extra.write_u16::<LittleEndian>(EXTRA_ALIGNMENT)?;
        extra.write_u16::<LittleEndian>(padding as u16 - 4)?;
        extra.write_u16::<LittleEndian>(ALIGNMENT as u16)?;
        extra.resize(extra.len() + (padding - LEAST_PADDING) as usize, 0);
    }
    let mut record = LOCAL.to_vec();
    record.write_u16::<LittleEndian>(version(is_long(size)))?;
    common(&mut record, name, size, 0)?;
    record.write_u16::<LittleEndian>(extra.len() as u16)?;
    record.extend_from_slice(name.as_bytes());
    record.extend_from_slice(&extra);
    Ok(record)
}

/// What both records of a member have, from the flags to the length of the name.
fn common(record: &mut Vec<u8>, name: &str, size: u64, crc: u32) -> io::Result<()> {
    record.write_u16::<LittleEndian>(if name.is_ascii() { 0 } else { UTF_8 })?;
    record.write_u16::<LittleEndian>(STORED)?;
    record.write_u16::<LittleEndian>(0)?;
    record.write_u16::<LittleEndian>(DATE)?;
    record.write_u32::<LittleEndian>(crc)?;
    record.write_u32::<LittleEndian>(short(size))?;
    record.write_u32::<LittleEndian>(short(size))?;
    record.write_u16::<LittleEndian>(name.len() as u16)
}

/// Appends a member's entry to the directory.
fn central(
    directory: &mut Vec<u8>,
    name: &str,
    size: u64,
    crc: u32,
    offset: u64,
) -> io::Result<()> {
    // The size stands in the file and outside of it, and so twice.
    let long: Vec<u64> =
        [size, size, offset].into_iter().filter(|&number| is_long(number)).collect();
    directory.extend_from_slice(CENTRAL);
    directory.write_u16::<LittleEndian>(UNIX | version(!long.is_empty()))?;
    directory.write_u16::<LittleEndian>(version(!long.is_empty()))?;
    common(directory, name, size, crc)?;
    directory.write_u16::<LittleEndian>(if long.is_empty() {
        0
    } else {
        4 + 8 * long.len() as u16
    })?;
    // No comment, the first disk, no attributes of its own.
    directory.extend_from_slice(&[0; 6]);
    directory.write_u32::<LittleEndian>(PERMISSIONS)?;
    directory.write_u32::<LittleEndian>(short(offset))?;
    directory.extend_from_slice(name.as_bytes());
    if !long.is_empty() {
        directory.write_u16::<LittleEndian>(EXTRA_64)?;
        directory.write_u16::<LittleEndian>(8 * long.len() as u16)?;
        long.into_iter().try_for_each(|number| directory.write_u64::<LittleEndian>(number))?;
    }
    Ok(())
}

/// The end of a directory of `count` entries and `size` bytes at `offset`, with the long one before it where it takes that.
fn end(count: u64, size: u64, offset: u64) -> io::Result<Vec<u8>> {
    let short_count = u16::try_from(count).unwrap_or(u16::MAX);
    let mut record = Vec::new();
    if short_count == u16::MAX || is_long(size) || is_long(offset) {
        record.extend_from_slice(END_64);
        record.write_u64::<LittleEndian>(END_64_LENGTH as u64 - 12)?;
        record.write_u16::<LittleEndian>(UNIX | VERSION_64)?;
        record.write_u16::<LittleEndian>(VERSION_64)?;
        record.extend_from_slice(&[0; 8]);
        [count, count, size, offset]
            .into_iter()
            .try_for_each(|number| record.write_u64::<LittleEndian>(number))?;
        record.extend_from_slice(LOCATOR_64);
        record.write_u32::<LittleEndian>(0)?;
        record.write_u64::<LittleEndian>(offset + size)?;
        record.write_u32::<LittleEndian>(1)?;
    }
    record.extend_from_slice(END);
    record.extend_from_slice(&[0; 4]);
    record.write_u16::<LittleEndian>(short_count)?;
    record.write_u16::<LittleEndian>(short_count)?;
    record.write_u32::<LittleEndian>(short(size))?;
    record.write_u32::<LittleEndian>(short(offset))?;
    record.write_u16::<LittleEndian>(0)?;
    Ok(record)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::format::zip::members;

    fn written(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let mut archive = Archive::new(&mut bytes);
        for (name, content) in members {
            archive.member(name, content.len() as u64, |member| member.write_all(content)).unwrap();
        }
        archive.finish().unwrap();
        bytes.into_inner()
    }

    // F5
    #[test]
    fn what_is_written_is_read_and_aligned_whatever_the_name() {
        // Names of every length modulo the alignment: paddings of every length, and none.
        let names: Vec<String> =
            (1..140).map(|length| "n".repeat(length)).chain(["größe".into()]).collect();
        let content: Vec<(&str, &[u8])> =
            names.iter().map(|name| (name.as_str(), name.as_bytes())).collect();
        let file = written(&content);
        let found = members(&file).unwrap();
        assert_eq!(found.len(), names.len());
        for (member, name) in found.iter().zip(&names) {
            assert_eq!((&member.name, &file[member.data.clone()]), (name, name.as_bytes()));
            assert_eq!(member.data.start as u64 % ALIGNMENT, 0, "{name}");
            assert_eq!((member.crc, member.deflated), (crc32fast::hash(name.as_bytes()), false));
        }
        assert!(members(&written(&[])).unwrap().is_empty());
    }

    #[test]
    fn more_members_than_a_short_count_can_tell_are_told_by_a_long_one() {
        for count in [65_534, 65_535, 65_536] {
            let names: Vec<String> = (0..count).map(|number| format!("{number:05}")).collect();
            let content: Vec<(&str, &[u8])> =
                names.iter().map(|name| (name.as_str(), &b""[..])).collect();
            let file = written(&content);
            assert_eq!(members(&file).unwrap().len(), count);
            let is_long = file.windows(4).any(|bytes| bytes == END_64);
            assert_eq!(is_long, count >= 65_535);
        }
    }

    #[test]
    fn lengths_and_offsets_beyond_four_gibibytes_are_read_back() {
        let (size, offset) = (5 << 30, 64_u64);
        let local = local("a", size, 0).unwrap();
        assert_eq!(local.len() % 64, 0);
        // A file of nothing but holes, the records apart.
        let file = tempfile::tempfile().unwrap();
        let directory_at = local.len() as u64 + size;
        let (mut directory, mut far) = (Vec::new(), Vec::new());
        central(&mut directory, "a", size, 0, 0).unwrap();
        let next = super::local("b", 0, directory_at).unwrap();
        central(&mut directory, "b", 0, 0, directory_at).unwrap();
        far.extend_from_slice(&next);
        far.extend_from_slice(&directory);
        far.extend_from_slice(
            &end(2, directory.len() as u64, directory_at + next.len() as u64).unwrap(),
        );
        let mut file = &file;
        file.write_all(&local).unwrap();
        file.seek(SeekFrom::Start(directory_at)).unwrap();
        file.write_all(&far).unwrap();
        let map =
            crate::bytes::map::FileMap::of(file.try_clone().unwrap(), "holes.zip".into()).unwrap();
        let found = members(map.as_ref().as_ref()).unwrap();
        assert_eq!(
            (found[0].size, found[0].data.start as u64, found[1].name.as_str()),
            (size, offset, "b")
        );
        assert_eq!(found[1].data.start as u64 % 64, 0);
    }
}
