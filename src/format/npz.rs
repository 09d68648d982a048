//! NumPy's `.npz` format: a zip file whose members are `.npy` files, stored or deflated.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.savez.html>. The
//! module [`zip`] reads the directory, and [`npy`] the members.

use std::collections::{BTreeMap, HashSet};

use super::{
    encoding::{Checksum, Encoding},
    entry::{ArrayInfo, Index, Tree, UnsupportedEntry},
    foreign,
    inflate::Inflater,
    interface::{Capabilities, FileFormat, Output, Writer, cannot_write},
    named::Named,
    npy::{self, NpyArray},
    options::DumpOptions,
    zip::{self, ZipMember},
};
use crate::{Error, Result, dtype::Quoted, error::Cause};

/// NumPy appends this to the name of each array.
const SUFFIX: &str = ".npy";
/// The longest header of a deflated array. Opening the file inflates the header. NumPy
/// accepts at most 10,000 bytes.
const MAX_HEADER_LEN: usize = 1 << 20;
/// The most bytes that deflate can make of one byte: 258 from two bits.
const MAX_INFLATION: u64 = 1032;
/// The longest name of an array: zip allows 65,535 bytes with the suffix.
const MAX_NAME_LEN: usize = u16::MAX as usize - SUFFIX.len();

/// The format `.npz`.
pub(super) struct Npz;

impl FileFormat for Npz {
    fn name(&self) -> &'static str {
        "npz"
    }

    fn detect(&self, start: &[u8]) -> bool {
        zip::is_start(start)
    }

    fn index(&self, file: &[u8]) -> Result<Index> {
        let (mut arrays, mut unsupported) = (Vec::new(), Vec::new());
        let members = zip::members(file)?;
        if let Some(error) = foreign::in_zip(members.iter().map(|member| &*member.name)) {
            return Err(error);
        }
        for member in members {
            // Folders are members, too.
            if member.size == 0 && member.name.ends_with('/') {
                continue;
            }
            if let Some(reason) = &member.unsupported {
                let reason = Error::invalid_data(reason.clone()).with_cause(Cause::Unsupported);
                let name = array_name(&member);
                unsupported.push(UnsupportedEntry::new(name, member.data.clone(), &reason));
                continue;
            }
            let at_member =
                |error: Error| error.within(format_args!("member {}", Quoted(&member.name)));
            match header(file, &member).map_err(at_member)? {
                Ok(header) => arrays.push(array(&member, header).map_err(at_member)?),
                Err(reason) => {
                    let entry =
                        UnsupportedEntry::new(array_name(&member), member.data.clone(), &reason);
                    unsupported.push(entry.with_checksum(encoding(&member, 0), checksum(&member)));
                }
            }
        }
        check_names(&arrays, &unsupported)?;
        Ok(Index { unsupported, ..Index::new(arrays, Tree::NamedArrays) })
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { no_checksums: false, ..Capabilities::default() }
    }

    fn writer(&self) -> Option<Writer> {
        Some(Writer::Arrays(write))
    }
}

fn check_names(arrays: &[ArrayInfo], unsupported: &[UnsupportedEntry]) -> Result<()> {
    let mut names = HashSet::with_capacity(arrays.len());
    let unsupported = unsupported.iter().map(UnsupportedEntry::name);
    let mut all = arrays.iter().map(ArrayInfo::name).chain(unsupported);
    match all.find(|name| !names.insert(*name)) {
        None => Ok(()),
        Some(name) => Err(Error::invalid_data(format!("two arrays are named {}", Quoted(name)))),
    }
}

/// Returns a member's name without the suffix.
fn array_name(member: &ZipMember) -> String {
    member.name.strip_suffix(SUFFIX).unwrap_or(&member.name).to_owned()
}

fn encoding(member: &ZipMember, header_len: usize) -> Encoding {
    match member.deflated {
        true => Encoding::Deflated { header_len, size: member.size },
        false => Encoding::Plain,
    }
}

fn checksum(member: &ZipMember) -> Checksum {
    Checksum::Crc32 { member: member.data.clone(), crc: member.crc }
}

/// Parses the `.npy` header of a member. The inner error is the reason why the member is
/// not an array; the outer one means that the file is damaged.
fn header(file: &[u8], member: &ZipMember) -> Result<Result<npy::Header>> {
    let content = &file[member.data.clone()];
    if !member.deflated {
        return Ok(npy::header(content));
    }
    if member.size > MAX_INFLATION.saturating_mul(content.len() as u64) {
        let (from, to) = (content.len(), member.size);
        return Err(Error::invalid_data(format!(
            "declares {to} bytes from {from} deflated bytes, which deflate cannot make \
             (corrupt or malicious file)"
        )));
    }
    Ok(inflated_header(content, member.size).and_then(|header| npy::header(&header)))
}

/// Describes the array in a member.
fn array(member: &ZipMember, header: npy::Header) -> Result<ArrayInfo> {
    let &ZipMember { ref data, deflated, size, .. } = member;
    let npy::Header { dtype, order, shape, length: header_len, .. } = header;
    let name = array_name(member);
    let info = if deflated {
        let encoding = encoding(member, header_len);
        ArrayInfo::compressed(name, dtype, &shape, order, data.clone(), encoding)?
    } else {
        let offset = (data.start + header_len) as u64;
        ArrayInfo::plain(name, dtype, &shape, order, offset, data.end)?
    };
    if (header_len as u64).checked_add(info.nbytes()) != Some(size) {
        return Err(Error::invalid_data(format!(
            "expected {header_len} bytes of header and {} bytes of elements, found {size} bytes",
            info.nbytes()
        )));
    }
    Ok(info.with_checksum(Some(checksum(member))))
}

/// Inflates the header of a deflated member.
fn inflated_header(content: &[u8], size: u64) -> Result<Vec<u8>> {
    let start = size.min(npy::PREFIX_LEN as u64) as usize;
    let mut header = vec![0; start];
    let mut inflater = Inflater::new(content);
    inflater.fill(&mut header)?;
    let (.., length) = npy::extent(&header)?;
    if length > MAX_HEADER_LEN || length as u64 > size {
        return Err(Error::invalid_data(format!(
            "expected at most {} bytes of npy header, found {length}",
            (MAX_HEADER_LEN as u64).min(size)
        )));
    }
    if length > start {
        header.resize(length, 0);
        inflater.fill(&mut header[start..])?;
    }
    Ok(header)
}

fn write(
    file: Output<'_, '_>,
    arrays: &Named<'_>,
    _: &BTreeMap<String, String>,
    options: &DumpOptions,
) -> Result<()> {
    let mut archive = zip::Archive::new(file);
    for (index, entry) in arrays.entries.iter().enumerate() {
        let at_array = |error: Error| error.within(format_args!("array {}", Quoted(&entry.name)));
        if entry.name.contains('\0') || entry.name.len() > MAX_NAME_LEN {
            return Err(at_array(Error::invalid_input(format!(
                "a name in a `.npz` file must have at most {MAX_NAME_LEN} bytes, none of them zero"
            ))));
        }
        let array = arrays.get(index)?;
        let array = NpyArray::new(&array, options).map_err(at_array)?;
        archive
            .member(&format!("{}{SUFFIX}", entry.name), array.size(), |member| array.write(member))
            .map_err(cannot_write)?;
    }
    archive.finish().map_err(cannot_write)
}
