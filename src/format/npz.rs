//! NumPy's `.npz`: a zip file whose members are `.npy` files, as they are or deflated.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.savez.html>. The zip file is [`zip`](super::zip)'s, the
//! members' content [`npy`]'s.

use std::{collections::HashSet, ops::Range, path::Path, sync::Arc};

use crc32fast::Hasher;
use flate2::{Decompress, FlushDecompress, Status};

use super::{
    DumpOptions,
    atomic::{self, cannot_write},
    file::{ArrayFile, ArrayInfo, Format, Tree, UnsupportedEntry},
    named::Named,
    npy, zip,
};
use crate::{
    AnyArray, Error, Result,
    bytes::map::{Buffer, FileMap},
    dtype::Quoted,
};

/// What NumPy appends to an array's name.
const SUFFIX: &str = ".npy";
/// Bytes of the header of a deflated array, at the most: it is inflated when the file is opened. NumPy itself reads 10 000.
const LONGEST_HEADER: usize = 1 << 20;
/// How many bytes deflate can make of one: 258 of two bits.
const MOST: u64 = 1032;
/// Bytes inflated at a time where they are not kept.
const BLOCK: usize = 64 << 10;

/// Whether a file that begins so is a zip file, with members or without.
pub(super) fn is_begun(start: &[u8]) -> bool {
    start.starts_with(zip::LOCAL) || start.starts_with(zip::END)
}

pub(super) fn read(map: Arc<FileMap>) -> Result<ArrayFile> {
    let file: &[u8] = map.as_ref().as_ref();
    let (mut arrays, mut unreadable) = (Vec::new(), Vec::new());
    for member in zip::members(file)? {
        // A folder is no array that is missing.
        if member.size == 0 && member.name.ends_with('/') {
            continue;
        }
        let wrong = |error: Error| error.within(format_args!("member {}", Quoted(&member.name)));
        match header(file, &member).map_err(wrong)? {
            Ok(header) => arrays.push(array(&member, header).map_err(wrong)?),
            Err(reason) => {
                let whole = Member::new(&member, 0);
                unreadable.push(UnsupportedEntry::new(
                    member.array_name(),
                    member.data,
                    Some(whole),
                    &reason,
                ));
            }
        }
    }
    let mut names = HashSet::with_capacity(arrays.len());
    let mut all =
        arrays.iter().map(ArrayInfo::name).chain(unreadable.iter().map(UnsupportedEntry::name));
    if let Some(twice) = all.find(|name| !names.insert(*name)) {
        return Err(Error::invalid_data(format!("two arrays are called {}", Quoted(twice))));
    }
    Ok(ArrayFile::new(map, Format::Npz, None, arrays, Tree::OfNamed, false)
        .with_unreadable(unreadable))
}

impl zip::Member {
    fn array_name(&self) -> String {
        self.name.strip_suffix(SUFFIX).unwrap_or(&self.name).to_owned()
    }
}

/// The `.npy` header that a member begins with, or why that is none.
fn header(file: &[u8], member: &zip::Member) -> Result<Result<npy::Header>> {
    let content = &file[member.data.clone()];
    if !member.deflated {
        return Ok(npy::header(content));
    }
    if member.size > MOST.saturating_mul(content.len() as u64) {
        let (from, to) = (content.len(), member.size);
        return Err(Error::invalid_data(format!(
            "is said to inflate from {from} bytes to {to}, more than deflate can make"
        )));
    }
    Ok(inflated_header(content, member.size).and_then(|header| npy::header(&header)))
}

/// The array that a member is.
fn array(member: &zip::Member, header: npy::Header) -> Result<ArrayInfo> {
    let &zip::Member { ref data, deflated, size, .. } = member;
    let npy::Header { dtype, order, shape, length: header, .. } = header;
    let name = member.array_name();
    let mut info = if deflated {
        ArrayInfo::unplaced(name, dtype, &shape, order, data.start as u64)?
    } else {
        ArrayInfo::checked(name, dtype, &shape, order, (data.start + header) as u64, data.end)?
    };
    if (header as u64).checked_add(info.nbytes()) != Some(size) {
        return Err(Error::invalid_data(format!(
            "has {size} bytes; its header has {header}, and its shape and dtype make {}",
            info.nbytes()
        )));
    }
    info.member = Some(Member::new(member, header));
    Ok(info)
}

/// The header of a deflated member.
fn inflated_header(content: &[u8], size: u64) -> Result<Vec<u8>> {
    let start = size.min(12) as usize;
    let mut header = vec![0; start];
    let mut inflater = Inflater::new(content);
    inflater.fill(&mut header)?;
    let (.., length) = npy::extent(&header)?;
    if length > LONGEST_HEADER || length as u64 > size {
        let message = format!(
            "its npy header is said to have {length} bytes; {} are allowed",
            (LONGEST_HEADER as u64).min(size)
        );
        return Err(Error::invalid_data(message));
    }
    if length > start {
        header.resize(length, 0);
        inflater.fill(&mut header[start..])?;
    }
    Ok(header)
}

/// Where an array's bytes lie as part of a member, and what they must come to.
#[derive(Clone, Debug)]
pub(super) struct Member {
    data: Range<usize>,
    deflated: bool,
    /// Bytes of the npy header.
    header: usize,
    /// Bytes of header and elements.
    size: u64,
    crc: u32,
}

impl Member {
    fn new(member: &zip::Member, header: usize) -> Self {
        let &zip::Member { ref data, deflated, size, crc, .. } = member;
        Self { data: data.clone(), deflated, header, size, crc }
    }

    pub(super) fn is_deflated(&self) -> bool {
        self.deflated
    }

    /// Bytes that it takes in the file.
    pub(super) fn compressed_nbytes(&self) -> usize {
        self.data.len()
    }

    /// Compares header and elements with their checksum.
    pub(super) fn check(&self, file: &[u8]) -> Result<()> {
        let content = &file[self.data.clone()];
        if !self.deflated {
            return self.compare(crc32fast::hash(content));
        }
        let mut inflater = Inflater::new(content);
        let mut block = vec![0; BLOCK];
        let mut left = self.size;
        while left > 0 {
            let part = left.min(BLOCK as u64) as usize;
            inflater.fill(&mut block[..part])?;
            left -= part as u64;
        }
        self.compare(inflater.end()?)
    }

    /// The `nbytes` of the elements, inflated and compared with their checksum.
    pub(super) fn inflate(&self, file: &[u8], nbytes: u64) -> Result<Buffer> {
        let mut inflater = Inflater::new(&file[self.data.clone()]);
        inflater.fill(&mut vec![0; self.header])?;
        let mut buffer = Buffer::zeroed(nbytes as usize)?;
        inflater.fill(buffer.as_mut())?;
        self.compare(inflater.end()?)?;
        Ok(buffer)
    }

    fn compare(&self, found: u32) -> Result<()> {
        if found == self.crc {
            return Ok(());
        }
        Err(Error::invalid_data(format!(
            "is damaged: its CRC-32 is {found:08x}, {:08x} was recorded",
            self.crc
        )))
    }
}

/// A deflated member on its way: never more of it at once than there is room for.
struct Inflater<'a> {
    stream: Decompress,
    content: &'a [u8],
    hash: Hasher,
    ended: bool,
}

impl<'a> Inflater<'a> {
    fn new(content: &'a [u8]) -> Self {
        Self { stream: Decompress::new(false), content, hash: Hasher::new(), ended: false }
    }

    /// The next bytes, as many as `to` has room for.
    fn fill(&mut self, to: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < to.len() {
            match self.some(&mut to[filled..])? {
                0 => {
                    return Err(Error::invalid_data(
                        "its deflated bytes end before its length is reached",
                    ));
                }
                more => filled += more,
            }
        }
        self.hash.update(to);
        Ok(())
    }

    /// The CRC-32 of all bytes, of which there are no more.
    fn end(mut self) -> Result<u32> {
        if self.some(&mut [0])? != 0 || !self.ended || !self.content.is_empty() {
            return Err(Error::invalid_data(
                "its deflated bytes go on after its length is reached, or have no end",
            ));
        }
        Ok(self.hash.finalize())
    }

    /// Some bytes more; none where there are no more.
    fn some(&mut self, to: &mut [u8]) -> Result<usize> {
        while !self.ended {
            let before = (self.stream.total_in(), self.stream.total_out());
            let status = self.stream.decompress(self.content, to, FlushDecompress::None);
            let status =
                status.map_err(|_| Error::invalid_data("its deflated bytes are damaged"))?;
            let (read, made) =
                (self.stream.total_in() - before.0, (self.stream.total_out() - before.1) as usize);
            self.content = &self.content[read as usize..];
            self.ended = status == Status::StreamEnd;
            if made > 0 {
                return Ok(made);
            }
            if read == 0 {
                break;
            }
        }
        Ok(0)
    }
}

impl DumpOptions {
    /// Writes named arrays to a `.npz` file, not compressed, the elements of each at a multiple of 64: what NumPy reads, and
    /// [`open`](crate::open) maps. An array without a name is called `arr_` and its number, as NumPy calls it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("survey.npz");
    /// use ndarray::{Ix1, array};
    /// use ndferry::{file::DumpOptions, SharedArray};
    ///
    /// let (depth, flags) = (SharedArray::from(array![1.5, 2.5]), SharedArray::from(array![1u8]));
    /// DumpOptions::new().write_npz(&path, [("depth", depth.to_any()), ("flags", flags.to_any())])?;
    /// let depth = ndferry::open(&path)?.read_array::<f64, Ix1>("depth")?;
    /// assert_eq!((depth[1], depth.copy_reason()), (2.5, None));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where a name stands twice, has a zero or more than 65 531 bytes, some array's elements are none that [`write_npy`](Self::write_npy) writes, or the file
    /// cannot be written. What was at `path` then stays as it was.
    pub fn write_npz<N: Into<String>, A: Into<AnyArray>>(
        &self,
        path: impl AsRef<Path>,
        arrays: impl IntoIterator<Item = (N, A)>,
    ) -> Result<()> {
        let path = path.as_ref();
        let arrays = Named::of(arrays).map_err(|error| error.at(path))?;
        self.npz(path, &arrays)
    }

    pub(super) fn npz(&self, path: &Path, arrays: &Named<'_>) -> Result<()> {
        self.check_plain(Format::Npz).map_err(|error| error.at(path))?;
        atomic::write(path, |file| {
            let mut archive = zip::Archive::new(file);
            for (index, entry) in arrays.entries.iter().enumerate() {
                let name = format!("{}{SUFFIX}", entry.name);
                if name.contains('\0') || name.len() > u16::MAX.into() {
                    let message = "no member of a zip file can have that name: it has a zero, or more than 65531 bytes";
                    return Err(Error::invalid_input(message)
                        .within(format_args!("array {}", Quoted(&entry.name))));
                }
                let array = arrays.get(index)?;
                let outgoing = npy::Outgoing::new(&array, self)
                    .map_err(|error| error.within(format_args!("array {}", Quoted(&entry.name))))?;
                archive
                    .member(&name, outgoing.size(), |member| outgoing.write(member))
                    .map_err(cannot_write)?;
            }
            archive.finish().map_err(cannot_write)
        })
    }
}
