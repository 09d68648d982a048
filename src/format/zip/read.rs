//! Reading the directory. Every number in it is checked before it is used.

use std::ops::Range;

use byteorder::{ByteOrder as _, LittleEndian};

use super::{
    CENTRAL, CENTRAL_LENGTH, DEFLATED, DESCRIBED_AFTER, DESCRIPTOR, END, END_64, END_64_LENGTH,
    END_LENGTH, EXTRA_64, IN_EXTRA_FIELD, LOCAL, LOCAL_LENGTH, LOCATOR_64, LOCATOR_64_LENGTH,
    STORED, UTF_8,
};
use crate::{Error, Result, dtype::Quoted, error::Cause};

/// The flags of encrypted members.
const ENCRYPTED: u16 = 1 | 1 << 6;
/// The flags of patches, and of records whose numbers are hidden.
const UNSUPPORTED_FLAGS: u16 = 1 << 5 | 1 << 13;
/// The extra field with a name in UTF-8, beside one in the code page of the writer.
const UNICODE_NAME: u16 = 0x7075;

/// A member. Its bytes are within the file, and belong to no other member.
#[derive(Clone, Debug)]
pub(in crate::format) struct ZipMember {
    pub(in crate::format) name: String,
    /// The range of its bytes in the file, which may be deflated.
    pub(in crate::format) data: Range<usize>,
    pub(in crate::format) deflated: bool,
    /// The number of bytes when inflated.
    pub(in crate::format) size: u64,
    /// The CRC-32 of the inflated bytes.
    pub(in crate::format) crc: u32,
    /// Why the content cannot be read, if it is encrypted or compressed in another way.
    pub(in crate::format) unsupported: Option<String>,
}

/// Returns all members, in the order of their bytes.
pub(in crate::format) fn members(file: &[u8]) -> Result<Vec<ZipMember>> {
    let directory = directory(file)?;
    let start = directory.range.start;
    let mut records = Records { bytes: &file[directory.range.clone()] };
    // A wrong count ends in an error when the records are used up.
    let mut entries = Vec::new();
    for number in 0..directory.count {
        let entry = records
            .next()
            .map_err(|error| error.within(format_args!("entry {number} of the directory")))?;
        entries.push(entry);
    }
    if !records.bytes.is_empty() {
        return Err(Error::invalid_data(format!(
            "expected {} entries in the directory, found {} more bytes",
            directory.count,
            records.bytes.len()
        )));
    }
    entries.sort_by_key(|entry| entry.offset);
    // Each member ends at the start of the next, and the last one at the directory.
    let mut edges = entries
        .iter()
        .map(|entry| entry.offset)
        .chain([start as u64])
        .collect::<Vec<_>>()
        .into_iter();
    if let Some(first) = edges.next().filter(|&first| first != 0) {
        return Err(Error::invalid_data(format!(
            "expected a member at the start of the zip file, found {first} bytes before the first one"
        )));
    }
    let members =
        entries.into_iter().zip(edges).map(|(entry, end)| match entry.data(file, end, start) {
            Ok(data) => Ok(entry.member(data)),
            Err(error) => Err(error.within(format_args!("member {}", Quoted(&entry.name)))),
        });
    members.collect()
}

/// The range of the directory, and the number of its entries.
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
        None if disk != 0 => return Err(multi_part()),
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
                    "the zip file has a zip64 end record that differs from its end record",
                ));
            }
            (start, long.counts, long.size, long.offset)
        }
    };
    if counts[0] != counts[1] {
        return Err(multi_part());
    }
    if offset.checked_add(size) != Some(start as u64) {
        return Err(Error::invalid_data(format!(
            "expected a directory of {size} bytes from byte {offset}, but its end record begins at byte \
             {start} (bytes inserted?)"
        )));
    }
    Ok(Directory { range: offset as usize..start, count: counts[0] })
}

fn multi_part() -> Error {
    Error::invalid_data("the zip file is one part of several").with_cause(Cause::Unsupported)
}

/// Returns the offset of the end record. Only a comment, whose length it contains, follows.
fn end(file: &[u8]) -> Result<usize> {
    let none = || Error::invalid_data("the zip file has no end record (truncated or appended to?)");
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
            "expected one end record in the zip file, found two, at bytes {one} and {other}"
        ))),
    }
}

/// The zip64 end record, with numbers that do not fit into the end record.
struct End64 {
    counts: [u64; 2],
    size: u64,
    offset: u64,
}

/// Returns the zip64 end record and its offset, if there is one. Its locator follows it,
/// directly before the end record at `end`.
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
        Error::invalid_data(format!(
            "expected a zip64 end record from byte {start} to byte {locator}, found something else"
        ))
    };
    let start =
        usize::try_from(start).ok().filter(|&at| at < locator && locator - at >= END_64_LENGTH);
    let start = start.ok_or_else(misplaced)?;
    let record = &file[start..locator];
    // The recorded length excludes the first twelve bytes, which contain it.
    if !record.starts_with(END_64)
        || LittleEndian::read_u64(&record[4..]) != (record.len() - 12) as u64
    {
        return Err(misplaced());
    }
    if disks.0 != 0 || disks.1 > 1 || record[16..24] != [0; 8] {
        return Err(multi_part());
    }
    let field = |at: usize| LittleEndian::read_u64(&record[at..]);
    Ok(Some((start, End64 { counts: [field(24), field(32)], size: field(40), offset: field(48) })))
}

/// An entry of the directory.
struct DirectoryEntry {
    name: String,
    /// The name as the file contains it.
    raw_name: Vec<u8>,
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    offset: u64,
}

/// Records that are not yet read.
struct Records<'a> {
    bytes: &'a [u8],
}

impl<'a> Records<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or_else(|| {
            Error::invalid_data(format!("expected {length} bytes, found {}", self.bytes.len()))
        })?;
        self.bytes = rest;
        Ok(taken)
    }

    fn next(&mut self) -> Result<DirectoryEntry> {
        let record = self.take(CENTRAL_LENGTH)?;
        if !record.starts_with(CENTRAL) {
            return Err(Error::invalid_data("expected the start of an entry, found other bytes"));
        }
        let short = |at: usize| LittleEndian::read_u16(&record[at..]);
        let long = |at: usize| LittleEndian::read_u32(&record[at..]);
        let raw_name = self.take(short(28).into())?;
        let extra = self.take(short(30).into())?;
        self.take(short(32).into())?;
        let name = name(raw_name, short(8), extra)?;
        let [size, packed, offset] = lengths([long(24), long(20), long(42)], extra)?;
        if !matches!(short(34), 0 | u16::MAX) {
            return Err(multi_part());
        }
        Ok(DirectoryEntry {
            name,
            raw_name: raw_name.to_vec(),
            flags: short(8),
            method: short(10),
            crc: long(16),
            packed,
            size,
            offset,
        })
    }
}

/// Decodes the name of a member.
///
/// A name that is not marked as UTF-8 is in the code page of the writer, which is UTF-8 on most
/// systems. An extra field may contain it in UTF-8 too. Otherwise it is in code page 437, as
/// the format says.
fn name(raw: &[u8], flags: u16, extra: &[u8]) -> Result<String> {
    let is_marked = flags & UTF_8 != 0;
    let in_extra = extra_field(extra, UNICODE_NAME)?.and_then(|field| {
        let (head, text) = field.split_at_checked(5)?;
        // The field is of another name if a program renamed the member without knowing it.
        let is_current = head[0] == 1 && LittleEndian::read_u32(&head[1..]) == crc32fast::hash(raw);
        std::str::from_utf8(text).ok().filter(|_| is_current && !is_marked)
    });
    let name = match in_extra.map_or_else(|| std::str::from_utf8(raw), Ok) {
        Ok(text) => text.to_owned(),
        Err(_) if !is_marked => raw.iter().map(|&byte| code_page_437(byte)).collect(),
        Err(_) => {
            let name = String::from_utf8_lossy(raw);
            return Err(Error::invalid_data(format!(
                "expected a name in UTF-8, which it is marked as, found {}",
                Quoted(&name)
            )));
        }
    };
    if name.is_empty() || name.contains('\0') {
        return Err(Error::invalid_data(format!(
            "expected a name without zeros, found {}",
            Quoted(&name)
        )));
    }
    Ok(name)
}

/// Returns the character that `byte` is in the code page of MS-DOS.
fn code_page_437(byte: u8) -> char {
    const UPPER_HALF: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
                              └┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";
    match byte.checked_sub(128) {
        None => byte.into(),
        Some(at) => UPPER_HALF.chars().nth(at.into()).expect("128 characters"),
    }
}

/// Returns lengths and offsets. The extra field contains those that do not fit into the
/// record, in the same order.
fn lengths<const N: usize>(recorded: [u32; N], extra: &[u8]) -> Result<[u64; N]> {
    let mut field = extra_field(extra, EXTRA_64)?;
    let mut lengths = recorded.map(u64::from);
    for length in &mut lengths {
        if *length == u64::from(IN_EXTRA_FIELD) {
            let (number, rest) =
                field.and_then(|field| field.split_at_checked(8)).ok_or_else(|| {
                    Error::invalid_data("expected a number in the zip64 extra field, found none")
                })?;
            *length = LittleEndian::read_u64(number);
            field = Some(rest);
        }
    }
    Ok(lengths)
}

/// Returns the content of the extra field of this kind.
fn extra_field(mut extra: &[u8], wanted: u16) -> Result<Option<&[u8]>> {
    let mut found = None;
    // Fewer than four bytes are padding.
    while extra.len() >= 4 {
        let (kind, length) = (LittleEndian::read_u16(extra), LittleEndian::read_u16(&extra[2..]));
        let (field, rest) = extra[4..].split_at_checked(length.into()).ok_or_else(|| {
            Error::invalid_data("an extra field reaches beyond the end of its record")
        })?;
        if kind == wanted && found.replace(field).is_some() {
            return Err(Error::invalid_data(format!(
                "expected one extra field of kind {wanted:#06x}, found two"
            )));
        }
        extra = rest;
    }
    Ok(found)
}

impl DirectoryEntry {
    /// Checks the member, which ends at byte `end`, before the directory at `limit`.
    /// Returns the range of its bytes.
    fn data(&self, file: &[u8], end: u64, limit: usize) -> Result<Range<usize>> {
        if self.flags & UNSUPPORTED_FLAGS != 0 {
            let message = "patches and hidden records are not supported";
            return Err(Error::invalid_data(message).with_cause(Cause::Unsupported));
        }
        if self.method == STORED && self.unsupported().is_none() && self.packed != self.size {
            return Err(Error::invalid_data(format!(
                "expected the same two lengths for a stored member, found {} and {}",
                self.packed, self.size
            )));
        }
        let outside = || {
            Error::invalid_data(format!("reaches beyond byte {end}, where the next part begins"))
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
        self.check_descriptor(&file[data.end..end])?;
        Ok(data)
    }

    /// Returns why the content cannot be read, although the member is in order.
    fn unsupported(&self) -> Option<String> {
        if self.flags & ENCRYPTED != 0 {
            return Some("it is encrypted".into());
        }
        let name = match self.method {
            STORED | DEFLATED => return None,
            9 => " (deflate64)",
            12 => " (bzip2)",
            14 => " (LZMA)",
            93 => " (zstd)",
            95 => " (xz)",
            _ => "",
        };
        Some(format!(
            "expected compression method 0 (stored) or 8 (deflate), found {}{name}",
            self.method
        ))
    }

    fn member(self, data: Range<usize>) -> ZipMember {
        ZipMember {
            unsupported: self.unsupported(),
            name: self.name,
            data,
            deflated: self.method == DEFLATED,
            size: self.size,
            crc: self.crc,
        }
    }

    /// Compares the record before the member's bytes with the directory.
    fn check(&self, local: &mut Records<'_>) -> Result<()> {
        let record = local.take(LOCAL_LENGTH)?;
        let short = |at: usize| LittleEndian::read_u16(&record[at..]);
        let long = |at: usize| LittleEndian::read_u32(&record[at..]);
        let name = local.take(short(26).into())?;
        let [size, packed] = lengths([long(22), long(18)], local.take(short(28).into())?)?;
        let flags = ENCRYPTED | UNSUPPORTED_FLAGS | DESCRIBED_AFTER | UTF_8;
        // If they follow the data, they may be zero here.
        let after = self.flags & DESCRIBED_AFTER != 0;
        let alike = |here: u64, there: u64| here == there || after && here == 0;
        let agree = record.starts_with(LOCAL)
            && name == self.raw_name
            && short(6) & flags == self.flags & flags
            && short(8) == self.method
            && alike(long(14).into(), self.crc.into())
            && alike(packed, self.packed)
            && alike(size, self.size);
        if agree {
            Ok(())
        } else {
            Err(Error::invalid_data("its header differs from its directory entry"))
        }
    }

    /// Checks that nothing follows the member's bytes, or only a data descriptor: checksum and
    /// lengths, the latter of four or eight bytes, with or without a signature.
    fn check_descriptor(&self, bytes: &[u8]) -> Result<()> {
        if self.flags & DESCRIBED_AFTER == 0 && bytes.is_empty() {
            return Ok(());
        }
        let crc = self.crc.to_le_bytes();
        let (packed, size) = (self.packed.to_le_bytes(), self.size.to_le_bytes());
        let fits = self.packed.max(self.size) <= u32::MAX.into();
        let long = [&crc[..], &packed, &size].concat();
        let short = [&crc[..], &packed[..4], &size[..4]].concat();
        let signature = DESCRIPTOR.as_slice();
        let described = [&long, &short].into_iter().any(|numbers| {
            (fits || numbers.len() == long.len())
                && (bytes == numbers || bytes == [signature, numbers].concat())
        });
        if self.flags & DESCRIBED_AFTER != 0 && described {
            return Ok(());
        }
        Err(Error::invalid_data(format!(
            "expected the next part directly after its bytes, found {} bytes between them",
            bytes.len()
        )))
    }
}
