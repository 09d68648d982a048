//! Reading a directory: nothing it says is believed before it is checked.

use std::ops::Range;

use byteorder::{ByteOrder as _, LittleEndian};

use super::{
    CENTRAL, CENTRAL_LENGTH, DEFLATED, DESCRIBED_AFTER, DESCRIPTOR, ELSEWHERE, END, END_64,
    END_64_LENGTH, END_LENGTH, EXTRA_64, LOCAL, LOCAL_LENGTH, LOCATOR_64, LOCATOR_64_LENGTH,
    STORED, UTF_8,
};
use crate::{Error, Result, dtype::Quoted};

/// Flags of what no reader here can undo: encryption, three ways, and patches.
const UNREADABLE: u16 = 1 | 1 << 5 | 1 << 6 | 1 << 13;

/// A member, whose bytes are within the file and nobody else's.
#[derive(Clone, Debug)]
pub(in crate::format) struct Member {
    pub(in crate::format) name: String,
    /// Where in the file its bytes lie, as they are or deflated.
    pub(in crate::format) data: Range<usize>,
    pub(in crate::format) deflated: bool,
    /// Bytes of it, when inflated.
    pub(in crate::format) size: u64,
    /// CRC-32 of these.
    pub(in crate::format) crc: u32,
}

/// Every member, in the order in which they lie.
pub(in crate::format) fn members(file: &[u8]) -> Result<Vec<Member>> {
    let directory = directory(file)?;
    let start = directory.range.start;
    let mut records = Records { bytes: &file[directory.range.clone()] };
    // The count is checked against what is there as the records are read.
    let mut entries = Vec::new();
    for number in 0..directory.count {
        let entry = records
            .next()
            .map_err(|error| error.within(format_args!("entry {number} of the directory")))?;
        entries.push(entry);
    }
    if !records.bytes.is_empty() {
        return Err(Error::invalid_data(format!(
            "the directory is said to have {} entries; {} bytes come after them",
            directory.count,
            records.bytes.len()
        )));
    }
    entries.sort_by_key(|entry| entry.offset);
    // Each ends where the next begins, the last where the directory does.
    let mut edges = entries
        .iter()
        .map(|entry| entry.offset)
        .chain([start as u64])
        .collect::<Vec<_>>()
        .into_iter();
    if let Some(first) = edges.next().filter(|&first| first != 0) {
        return Err(Error::invalid_data(format!(
            "the first {first} bytes of the zip file belong to no member"
        )));
    }
    let placed =
        entries.into_iter().zip(edges).map(|(entry, end)| match entry.placed(file, end, start) {
            Ok(data) => Ok(entry.member(data)),
            Err(error) => Err(error.within(format_args!("member {}", Quoted(&entry.name)))),
        });
    placed.collect()
}

/// Where the directory lies, and how many entries it has.
struct Directory {
    range: Range<usize>,
    count: u64,
}

fn directory(file: &[u8]) -> Result<Directory> {
    let end = end(file)?;
    let record = &file[end..];
    let (disk, count, size, offset) = (
        u32::from(LittleEndian::read_u16(&record[4..]))
            | u32::from(LittleEndian::read_u16(&record[6..])),
        [LittleEndian::read_u16(&record[8..]), LittleEndian::read_u16(&record[10..])],
        LittleEndian::read_u32(&record[12..]),
        LittleEndian::read_u32(&record[16..]),
    );
    let (start, counts, size, offset) = match end_64(file, end)? {
        None if disk != 0 => return Err(parts()),
        None => (end, count.map(u64::from), size.into(), offset.into()),
        Some((start, long)) => {
            let agree =
                |short: u32, most: u32, long: u64| short == most || u64::from(short) == long;
            let most = u16::MAX.into();
            let alike = (0..2).all(|at| agree(count[at].into(), most, long.counts[at]))
                && agree(size, u32::MAX, long.size)
                && agree(offset, u32::MAX, long.offset);
            if !alike {
                return Err(Error::invalid_data(
                    "the directory's two ends, the short one and the long one, differ",
                ));
            }
            (start, long.counts, long.size, long.offset)
        }
    };
    if counts[0] != counts[1] {
        return Err(parts());
    }
    if offset.checked_add(size) != Some(start as u64) {
        return Err(Error::invalid_data(format!(
            "the directory is said to be {size} bytes from byte {offset} on, its end begins at byte {start}: bytes were put before it, or \
             between"
        )));
    }
    Ok(Directory { range: offset as usize..start, count: counts[0] })
}

fn parts() -> Error {
    Error::invalid_data("the zip file is one of several parts")
}

/// Where the end record begins: it ends with the file, but for a comment whose length it tells.
fn end(file: &[u8]) -> Result<usize> {
    let none = || {
        Error::invalid_data("the zip file has no end of its directory: truncated or appended to")
    };
    let last = file.len().checked_sub(END_LENGTH).ok_or_else(none)?;
    let first = last.saturating_sub(u16::MAX.into());
    let mut found = (first..=last).filter(|&at| {
        file[at..].starts_with(END)
            && at + END_LENGTH + usize::from(LittleEndian::read_u16(&file[at + 20..])) == file.len()
    });
    match (found.next(), found.next()) {
        (Some(at), None) => Ok(at),
        (None, _) => Err(none()),
        (Some(one), Some(other)) => Err(Error::invalid_data(format!(
            "the zip file has two ends of its directory, at bytes {one} and {other}: which is meant cannot be told"
        ))),
    }
}

/// What the long end record says, for numbers that the short one has no room for.
struct End64 {
    counts: [u64; 2],
    size: u64,
    offset: u64,
}

/// The long end record, where there is one, and where it begins. It lies right before its locator, that before the end at `end`.
fn end_64(file: &[u8], end: usize) -> Result<Option<(usize, End64)>> {
    let Some(locator) =
        end.checked_sub(LOCATOR_64_LENGTH).filter(|&at| file[at..].starts_with(LOCATOR_64))
    else {
        return Ok(None);
    };
    let start = LittleEndian::read_u64(&file[locator + 8..]);
    let disks = (
        LittleEndian::read_u32(&file[locator + 4..]),
        LittleEndian::read_u32(&file[locator + 16..]),
    );
    let misplaced = || {
        let message = format!(
            "the long end of the directory, said to be at byte {start}, does not end before byte {locator}"
        );
        Error::invalid_data(message)
    };
    let start =
        usize::try_from(start).ok().filter(|&at| at < locator && locator - at >= END_64_LENGTH);
    let start = start.ok_or_else(misplaced)?;
    let record = &file[start..locator];
    // The length that the record tells leaves out the twelve bytes up to and with itself.
    if !record.starts_with(END_64)
        || LittleEndian::read_u64(&record[4..]) != (record.len() - 12) as u64
    {
        return Err(misplaced());
    }
    if disks.0 != 0 || disks.1 > 1 || record[16..24] != [0; 8] {
        return Err(parts());
    }
    let field = |at: usize| LittleEndian::read_u64(&record[at..]);
    Ok(Some((start, End64 { counts: [field(24), field(32)], size: field(40), offset: field(48) })))
}

/// What the directory says of a member.
struct Entry {
    name: String,
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    offset: u64,
}

/// The entries not yet read.
struct Records<'a> {
    bytes: &'a [u8],
}

impl<'a> Records<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or_else(|| {
            Error::invalid_data(format!(
                "needs {length} bytes more, there are {}",
                self.bytes.len()
            ))
        })?;
        self.bytes = rest;
        Ok(taken)
    }

    fn next(&mut self) -> Result<Entry> {
        let record = self.take(CENTRAL_LENGTH)?;
        if !record.starts_with(CENTRAL) {
            return Err(Error::invalid_data("does not begin as an entry does"));
        }
        let short = |at: usize| LittleEndian::read_u16(&record[at..]);
        let long = |at: usize| LittleEndian::read_u32(&record[at..]);
        let name = self.take(short(28).into())?;
        let extra = self.take(short(30).into())?;
        self.take(short(32).into())?;
        let name = text(name, short(8))?;
        let [size, packed, offset] = lengths([long(24), long(20), long(42)], extra)?;
        if !matches!(short(34), 0 | u16::MAX) {
            return Err(parts());
        }
        Ok(Entry { name, flags: short(8), method: short(10), crc: long(16), packed, size, offset })
    }
}

/// A member's name.
fn text(name: &[u8], flags: u16) -> Result<String> {
    match std::str::from_utf8(name) {
        // Without the flag a letter beyond ASCII is one of the writer's own code page.
        Ok(text)
            if (flags & UTF_8 != 0 || text.is_ascii())
                && !text.is_empty()
                && !text.contains('\0') =>
        {
            Ok(text.into())
        }
        _ => {
            let name = String::from_utf8_lossy(name);
            Err(Error::invalid_data(format!(
                "has the name {}; a name is UTF-8, says so, and has no zeros",
                Quoted(&name)
            )))
        }
    }
}

/// Lengths and offsets, from the extra field where they do not fit the record: those alone, in this order.
fn lengths<const N: usize>(recorded: [u32; N], extra: &[u8]) -> Result<[u64; N]> {
    let mut field = long_field(extra)?;
    let mut lengths = recorded.map(u64::from);
    for length in &mut lengths {
        if *length == u64::from(ELSEWHERE) {
            let (number, rest) =
                field.and_then(|field| field.split_at_checked(8)).ok_or_else(|| {
                    Error::invalid_data("refers to a number in an extra field that is not there")
                })?;
            *length = LittleEndian::read_u64(number);
            field = Some(rest);
        }
    }
    Ok(lengths)
}

/// The extra field with the numbers that do not fit.
fn long_field(mut extra: &[u8]) -> Result<Option<&[u8]>> {
    let mut found = None;
    // What is too short for a field is padding.
    while extra.len() >= 4 {
        let (kind, length) = (LittleEndian::read_u16(extra), LittleEndian::read_u16(&extra[2..]));
        let (field, rest) = extra[4..].split_at_checked(length.into()).ok_or_else(|| {
            Error::invalid_data("has an extra field that is longer than all of them")
        })?;
        if kind == EXTRA_64 && found.replace(field).is_some() {
            return Err(Error::invalid_data("has the extra field for long numbers twice"));
        }
        extra = rest;
    }
    Ok(found)
}

impl Entry {
    /// Where the bytes of the member lie, which ends at byte `end` of the file, before the directory at `limit`.
    fn placed(&self, file: &[u8], end: u64, limit: usize) -> Result<Range<usize>> {
        if self.flags & UNREADABLE != 0 {
            return Err(Error::invalid_data("is encrypted, or a patch of something else"));
        }
        if !matches!(self.method, STORED | DEFLATED) {
            let message = format!(
                "is compressed by method {}; known are 0 (not at all) and 8 (deflate)",
                self.method
            );
            return Err(Error::invalid_data(message));
        }
        if self.method == STORED && self.packed != self.size {
            let message = format!(
                "is not compressed, but has {} bytes in the file and {} outside",
                self.packed, self.size
            );
            return Err(Error::invalid_data(message));
        }
        let outside = || {
            Error::invalid_data(format!("reaches beyond byte {end}, where what follows it begins"))
        };
        let end = usize::try_from(end).ok().filter(|&end| end <= limit).ok_or_else(outside)?;
        let start =
            usize::try_from(self.offset).ok().filter(|&start| start <= end).ok_or_else(outside)?;
        let mut local = Records { bytes: &file[start..end] };
        self.check(&mut local)?;
        let start = end - local.bytes.len();
        let packed =
            usize::try_from(self.packed).ok().filter(|&packed| packed <= local.bytes.len());
        let data = start..start + packed.ok_or_else(outside)?;
        self.check_behind(&file[data.end..end])?;
        Ok(data)
    }

    fn member(self, data: Range<usize>) -> Member {
        Member {
            name: self.name,
            data,
            deflated: self.method == DEFLATED,
            size: self.size,
            crc: self.crc,
        }
    }

    /// Reads the record before the member's bytes and holds it against the directory.
    fn check(&self, local: &mut Records<'_>) -> Result<()> {
        let record = local.take(LOCAL_LENGTH)?;
        let short = |at: usize| LittleEndian::read_u16(&record[at..]);
        let long = |at: usize| LittleEndian::read_u32(&record[at..]);
        let name = local.take(short(26).into())?;
        let [size, packed] = lengths([long(22), long(18)], local.take(short(28).into())?)?;
        let flags = UNREADABLE | DESCRIBED_AFTER | UTF_8;
        // Where they stand behind the data, they may be zero here.
        let after = self.flags & DESCRIBED_AFTER != 0;
        let alike = |here: u64, there: u64| here == there || after && here == 0;
        let agree = record.starts_with(LOCAL)
            && name == self.name.as_bytes()
            && short(6) & flags == self.flags & flags
            && short(8) == self.method
            && alike(long(14).into(), self.crc.into())
            && alike(packed, self.packed)
            && alike(size, self.size);
        if agree {
            Ok(())
        } else {
            Err(Error::invalid_data("is not what the directory says of it"))
        }
    }

    /// What lies behind the member's bytes: nothing, or checksum and lengths once more, the latter of four or eight bytes, with a
    /// mark before them or without.
    fn check_behind(&self, bytes: &[u8]) -> Result<()> {
        if self.flags & DESCRIBED_AFTER == 0 && bytes.is_empty() {
            return Ok(());
        }
        let crc = self.crc.to_le_bytes();
        let (packed, size) = (self.packed.to_le_bytes(), self.size.to_le_bytes());
        let fits = self.packed.max(self.size) <= u32::MAX.into();
        let long = [&crc[..], &packed, &size].concat();
        let short = [&crc[..], &packed[..4], &size[..4]].concat();
        let mark = DESCRIPTOR.as_slice();
        let described = [&long, &short].into_iter().any(|numbers| {
            (fits || numbers.len() == long.len())
                && (bytes == numbers || bytes == [mark, numbers].concat())
        });
        if self.flags & DESCRIBED_AFTER != 0 && described {
            return Ok(());
        }
        Err(Error::invalid_data(format!(
            "is followed by {} bytes that belong to nothing",
            bytes.len()
        )))
    }
}
