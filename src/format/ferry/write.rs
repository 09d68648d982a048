//! Writing a container in one pass: the segments, the tree, the header, and at last the
//! prelude.

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use byteorder::{ByteOrder as _, LittleEndian};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use super::layout::{
    ALIGNMENT, Checksum, Header, MAGIC, MIN_PAGE_ALIGNED_LEN, PAGE_LEN, PRELUDE_LEN, SegmentEntry,
    TreeEntry, VERSION,
};
use crate::{
    AnyArray, DType, Error, Result,
    array::Order,
    bytes::swap::Change,
    codec::Sink,
    dtype::{ByteOrder, Scalar},
    format::{
        blocks::for_each_block,
        compress::{Codec, Encoder},
        interface::cannot_write,
        options::DumpOptions,
        safetensors::Strings,
    },
};

/// The kind of file that a container is written to. It decides the path in the header.
#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    /// A user's file. The header records only its name, so that equal content makes equal
    /// files in all folders.
    User(&'a Path),
    /// A writer without a path.
    Nameless,
    #[cfg(all(feature = "store", target_os = "linux"))]
    /// A temporary file of a store. The header records its full path.
    Store(&'a Path),
}

/// A writer of a container.
pub(crate) struct Container<W> {
    file: W,
    at: u64,
    path: String,
    options: DumpOptions,
    segments: Vec<SegmentEntry>,
    open: Option<Segment>,
    scratch: Vec<u8>,
}

/// A segment that is being written.
struct Segment {
    name: String,
    dtype: DType,
    offset: u64,
    nbytes: u64,
    encoder: Option<(Codec, Encoder)>,
    hash: Option<Xxh3Default>,
}

impl<W: Write + Seek> Container<W> {
    /// Begins a container at the start of `file`, which must be empty.
    pub(crate) fn new(mut file: W, target: Target<'_>, options: DumpOptions) -> Result<Self> {
        let path = match target {
            Target::User(path) => path.file_name().map(Path::new),
            #[cfg(all(feature = "store", target_os = "linux"))]
            Target::Store(path) => Some(path),
            Target::Nameless => None,
        };
        let path = path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        file.write_all(&[0; PRELUDE_LEN]).map_err(cannot_write)?;
        let at = PRELUDE_LEN as u64;
        Ok(Self { file, at, path, options, segments: Vec::new(), open: None, scratch: Vec::new() })
    }

    /// Returns dtype, offset and size of the only segment.
    #[cfg(all(feature = "store", target_os = "linux"))]
    pub(crate) fn only_segment(&self) -> (&DType, u64, u64) {
        let segment = &self.segments[0];
        (&segment.dtype, segment.offset, segment.nbytes)
    }

    /// Writes tree, header and prelude. Returns the length of the file, which is complete
    /// only now.
    pub(crate) fn finish(mut self, tree: &[u8]) -> Result<u64> {
        self.options
            .check_named_arrays(|name| self.segments.iter().any(|segment| segment.name == name))?;
        let header = Header {
            created_by: concat!("ndferry ", env!("CARGO_PKG_VERSION")).into(),
            path: std::mem::take(&mut self.path),
            tree: TreeEntry {
                offset: self.at,
                length: tree.len() as u64,
                xxh3: Checksum(xxh3_64(tree)),
            },
            segments: std::mem::take(&mut self.segments),
            metadata: Strings(std::mem::take(&mut self.options.metadata)),
        };
        let header = serde_json::to_vec(&header)
            .map_err(|error| Error::invalid_data(format!("cannot write the header: {error}")))?;
        let header_offset = self.at + tree.len() as u64;

        let mut prelude = [0; PRELUDE_LEN];
        prelude[..8].copy_from_slice(MAGIC);
        LittleEndian::write_u32(&mut prelude[8..], VERSION);
        let length = header_offset + header.len() as u64;
        LittleEndian::write_u64(&mut prelude[16..], length);
        LittleEndian::write_u64(&mut prelude[24..], header_offset);
        LittleEndian::write_u64(&mut prelude[32..], header.len() as u64);
        LittleEndian::write_u64(&mut prelude[40..], xxh3_64(&header));
        let checksum = xxh3_64(&prelude[..56]);
        LittleEndian::write_u64(&mut prelude[56..], checksum);

        let mut write = || {
            self.file.write_all(tree)?;
            self.file.write_all(&header)?;
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(&prelude)?;
            self.file.flush()
        };
        write().map_err(cannot_write)?;
        Ok(length)
    }

    /// Begins a segment. If the size is known in advance, it is about `nbytes`. It is exact
    /// for an `array`.
    fn begin_at(
        &mut self,
        name: String,
        dtype: DType,
        nbytes: Option<usize>,
        array: bool,
    ) -> Result<()> {
        let offset = self.at.next_multiple_of(alignment(nbytes, &self.options));
        let padding = io::repeat(0).take(offset - self.at);
        io::copy(&mut { padding }, &mut self.file).map_err(cannot_write)?;
        self.at = offset;
        let encoder = self.options.compression_of(&name).map(|compression| {
            let known = nbytes.filter(|_| array).map(|nbytes| nbytes as u64);
            Ok::<_, Error>((compression.codec(), Encoder::new(compression, known)?))
        });
        let (encoder, hash) = (encoder.transpose()?, self.options.checksums.then(Xxh3Default::new));
        self.open = Some(Segment { name, dtype, offset, nbytes: 0, encoder, hash });
        Ok(())
    }

    /// Begins a segment whose bytes are filled in the file by other code. Returns its offset.
    pub(crate) fn begin_blank(&mut self, dtype: DType, nbytes: usize) -> Result<u64> {
        self.begin_at(String::new(), dtype, Some(nbytes), true)?;
        let offset = self.at;
        self.at += nbytes as u64;
        self.file.seek(SeekFrom::Start(self.at)).map_err(cannot_write)?;
        self.open.as_mut().expect("a segment was begun").nbytes = nbytes as u64;
        Ok(offset)
    }

    /// Ends a segment that was filled in the file. Only its checksum, if there is one,
    /// needs the `bytes`.
    pub(crate) fn end_blank(&mut self, bytes: &[u8], shape: &[usize], order: Order) -> Result<()> {
        if let Some(hash) = &mut self.open.as_mut().expect("a segment was begun").hash {
            hash.update(bytes);
        }
        self.end_at(shape, order).map(drop)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let segment = self.open.as_mut().expect("a segment was begun");
        segment.nbytes += bytes.len() as u64;
        let mut hashed = Hashed { file: &mut self.file, hash: segment.hash.as_mut() };
        self.at += match &mut segment.encoder {
            Some((_, encoder)) => encoder.write(bytes, &mut hashed)?,
            None => hashed.write_all(bytes).map(|()| bytes.len() as u64)?,
        };
        Ok(())
    }

    fn end_at(&mut self, shape: &[usize], order: Order) -> Result<usize> {
        let mut segment = self.open.take().expect("a segment was begun");
        let codec = match segment.encoder {
            Some((codec, encoder)) => {
                let mut hashed = Hashed { file: &mut self.file, hash: segment.hash.as_mut() };
                self.at += encoder.finish(&mut hashed).map_err(cannot_write)?;
                Some(codec)
            }
            None => None,
        };
        self.segments.push(SegmentEntry {
            name: segment.name,
            dtype: segment.dtype,
            shape: shape.to_vec(),
            order,
            offset: segment.offset,
            nbytes: segment.nbytes,
            codec,
            stored: codec.map(|_| self.at - segment.offset),
            xxh3: segment.hash.map(|hash| Checksum(hash.digest())),
        });
        Ok(self.segments.len() - 1)
    }
}

/// Returns the alignment of a segment, whose size may be unknown.
fn alignment(nbytes: Option<usize>, options: &DumpOptions) -> u64 {
    let minimum = if nbytes.is_none_or(|nbytes| nbytes >= MIN_PAGE_ALIGNED_LEN) {
        PAGE_LEN
    } else {
        ALIGNMENT
    };
    minimum.max(options.alignment)
}

/// Returns the offset of the first segment of a container.
pub(super) fn first_offset(nbytes: usize, options: &DumpOptions) -> u64 {
    (PRELUDE_LEN as u64).next_multiple_of(alignment(Some(nbytes), options))
}

/// A writer that hashes the bytes it passes on.
struct Hashed<'a, W> {
    file: &'a mut W,
    hash: Option<&'a mut Xxh3Default>,
}

impl<W: Write> Write for Hashed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        if let Some(hash) = &mut self.hash {
            hash.update(&bytes[..written]);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl<W: Write + Seek> Sink for Container<W> {
    fn begin(&mut self, name: String, scalar: Scalar, expected: Option<usize>) -> Result<()> {
        let byte_order = self.options.byte_order.unwrap_or(ByteOrder::NATIVE);
        self.begin_at(name, DType::new(scalar, byte_order), expected, false)
    }

    fn write(&mut self, elements: &[u8]) -> Result<()> {
        let dtype = &self.open.as_ref().expect("a segment was begun").dtype;
        if dtype.is_native() {
            return self.put(elements).map_err(cannot_write);
        }
        let change = Change::to_order(dtype, ByteOrder::NATIVE);
        let mut swapped = std::mem::take(&mut self.scratch);
        swapped.clear();
        swapped.extend_from_slice(elements);
        change.in_place(&mut swapped);
        let put = self.put(&swapped);
        self.scratch = swapped;
        put.map_err(cannot_write)
    }

    fn end(&mut self, shape: &[usize]) -> Result<usize> {
        self.end_at(shape, Order::C)
    }

    fn array(&mut self, name: String, array: &AnyArray) -> Result<usize> {
        let (dtype, order) = (self.options.dtype_of(array), self.options.order_of(array));
        self.begin_at(name, dtype.clone(), Some(array.nbytes()), true)?;
        for_each_block(array, &dtype, order, |block| self.put(block)).map_err(cannot_write)?;
        self.end_at(array.shape(), order)
    }

    fn restart(&mut self) -> Result<()> {
        // Segments written so far remain in the file as unused bytes, because the container
        // is only written forwards.
        self.open = None;
        self.segments.clear();
        Ok(())
    }
}
