//! Writing a zip file of stored members.

use std::io::{self, Seek, SeekFrom, Write};

use byteorder::{LittleEndian, WriteBytesExt};
use crc32fast::Hasher;

use super::{
    CENTRAL, END, END_64, END_64_LENGTH, EXTRA_64, IN_EXTRA_FIELD, LOCAL, LOCAL_LENGTH, LOCATOR_64,
    STORED, UTF_8,
};

/// The bytes of each member begin at a multiple of this.
const ALIGNMENT: u64 = 64;
/// The extra field for alignment, as defined by Android. Tools that move members update
/// it.
const EXTRA_ALIGNMENT: u16 = 0xD935;
/// The length of that field without padding.
const MIN_PADDING: u64 = 6;
/// The version needed to extract: 2.0, or 4.5 for 64-bit numbers.
const VERSION: u16 = 20;
const VERSION_64: u16 = 45;
/// Marks the file as made on Unix, so that the permissions below are used.
const UNIX: u16 = 3 << 8;
const PERMISSIONS: u32 = 0o100_644 << 16;
/// 1 January 1980, so that equal content makes equal files.
const DATE: u16 = 1 << 5 | 1;

/// A writer of a zip file.
pub(in crate::format) struct Archive<W> {
    file: W,
    at: u64,
    directory: Vec<u8>,
    count: u64,
}

impl<W: Write + Seek> Archive<W> {
    /// Begins a zip file at the start of `file`, which must be empty.
    pub(in crate::format) fn new(file: W) -> Self {
        Self { file, at: 0, directory: Vec::new(), count: 0 }
    }

    /// Adds a member of `size` bytes, which `write` writes. The name must have at most 65,535
    /// bytes.
    pub(in crate::format) fn member(
        &mut self,
        name: &str,
        size: u64,
        write: impl FnOnce(&mut MemberWriter<'_, W>) -> io::Result<()>,
    ) -> io::Result<()> {
        let offset = self.at;
        let local = local(name, size, offset)?;
        self.file.write_all(&local)?;
        let mut member = MemberWriter { file: &mut self.file, hash: Hasher::new(), left: size };
        write(&mut member)?;
        assert_eq!(member.left, 0, "a member has the announced size");
        let crc = member.hash.finalize();
        self.at += local.len() as u64 + size;
        self.file.seek(SeekFrom::Start(offset + 14))?;
        self.file.write_u32::<LittleEndian>(crc)?;
        self.file.seek(SeekFrom::Start(self.at))?;
        self.count += 1;
        central(&mut self.directory, name, size, crc, offset)
    }

    /// Writes the directory, which completes the file.
    pub(in crate::format) fn finish(mut self) -> io::Result<()> {
        let end = end(self.count, self.directory.len() as u64, self.at)?;
        self.file.write_all(&self.directory)?;
        self.file.write_all(&end)?;
        self.file.flush()
    }
}

/// A writer of the bytes of a member.
pub(in crate::format) struct MemberWriter<'a, W> {
    file: &'a mut W,
    hash: Hasher,
    left: u64,
}

impl<W: Write> Write for MemberWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.left = self.left.checked_sub(written as u64).expect("a member has the announced size");
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Returns a number as it is stored in a record: itself, or the mark that it is stored in
/// an extra field.
fn short(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(IN_EXTRA_FIELD)
}

fn is_long(number: u64) -> bool {
    short(number) == IN_EXTRA_FIELD
}

fn version(long: bool) -> u16 {
    if long { VERSION_64 } else { VERSION }
}

/// Returns the record before a member's bytes, padded so that they are aligned. The
/// checksum is still zero.
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
        let padding = (unpadded + MIN_PADDING).next_multiple_of(ALIGNMENT) - unpadded;
        extra.write_u16::<LittleEndian>(EXTRA_ALIGNMENT)?;
        extra.write_u16::<LittleEndian>(padding as u16 - 4)?;
        extra.write_u16::<LittleEndian>(ALIGNMENT as u16)?;
        extra.resize(extra.len() + (padding - MIN_PADDING) as usize, 0);
    }
    let mut record = LOCAL.to_vec();
    record.write_u16::<LittleEndian>(version(is_long(size)))?;
    common(&mut record, name, size, 0)?;
    record.write_u16::<LittleEndian>(extra.len() as u16)?;
    record.extend_from_slice(name.as_bytes());
    record.extend_from_slice(&extra);
    Ok(record)
}

/// Appends the common part of both records of a member, from the flags to the length of
/// the name.
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

/// Appends a member to the directory.
fn central(
    directory: &mut Vec<u8>,
    name: &str,
    size: u64,
    crc: u32,
    offset: u64,
) -> io::Result<()> {
    // Both sizes are stored: compressed and uncompressed.
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
    // No comment, the first disk, no internal attributes.
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

/// Returns the end record of a directory, preceded by a zip64 end record if necessary.
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
    fn zip_members_are_aligned_for_any_name() {
        // Names of all lengths modulo the alignment need all lengths of padding.
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
    fn zip_counts_many_members_in_zip64_record() {
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
    fn zip_reads_lengths_above_four_gibibytes() {
        let (size, offset) = (5 << 30, 64_u64);
        let local = local("a", size, 0).unwrap();
        assert_eq!(local.len() % 64, 0);
        // A sparse file: only the records are written.
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
