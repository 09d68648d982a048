//! Hand-made files with any content and correct checksums.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::io::Write;

use serde_json::Value as Json;
use xxhash_rust::xxh3::xxh3_64;

/// A `.npy` file with this version and header.
pub fn npy(major: u8, header: &[u8], data: &[u8]) -> Vec<u8> {
    let length = header.len() as u32;
    let length = if major == 1 {
        (length as u16).to_le_bytes().to_vec()
    } else {
        length.to_le_bytes().to_vec()
    };
    [b"\x93NUMPY", &[major, 0][..], &length, header, data].concat()
}

/// A `.npy` file with a dtype and a shape as Python writes them.
pub fn npy_of(dtype: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    npy(
        3,
        format!("{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n").as_bytes(),
        data,
    )
}

/// A `.safetensors` file with this header.
pub fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// The tree of a value that is a 0-dimensional array in segment `number`.
pub fn tree_of_segment(number: u8) -> Vec<u8> {
    [&[0x83, 0xa1, b'v', 1, 0xa3][..], b"dim", &[0x90, 0xa4], b"data", &[0xd4, 1, number]].concat()
}

/// A container: `data` at byte 64, then the tree, then a header with these `segments` as JSON.
pub fn container(tree: &[u8], segments: &str, data: &[u8]) -> Vec<u8> {
    let (offset, length, xxh3) = (64 + data.len(), tree.len(), xxh3_64(tree));
    let tree_entry = format!(r#"{{"offset":{offset},"length":{length},"xxh3":"{xxh3:016x}"}}"#);
    let header = format!(
        r#"{{"created_by":"a test","path":"a.ferry","tree":{tree_entry},"segments":{segments}}}"#
    );
    container_of([&[0; 64], data, tree].concat(), header.as_bytes())
}

/// A container of everything before the header, and the header.
pub fn container_of(mut file: Vec<u8>, header: &[u8]) -> Vec<u8> {
    let offset = file.len() as u64;
    file.extend_from_slice(header);
    let mut prelude = b"\x89NDFR\r\n\x1a\x01\0\0\0\0\0\0\0".to_vec();
    for field in [file.len() as u64, offset, header.len() as u64, xxh3_64(header), 0] {
        prelude.extend_from_slice(&field.to_le_bytes());
    }
    prelude.extend_from_slice(&xxh3_64(&prelude).to_le_bytes());
    file[..64].copy_from_slice(&prelude);
    file
}

/// A container with a changed header.
pub fn changed(container: &[u8], change: impl FnOnce(&mut Json)) -> Vec<u8> {
    let field = |at: usize| u64::from_le_bytes(container[at..at + 8].try_into().unwrap()) as usize;
    let (offset, length) = (field(24), field(32));
    let mut header: Json = serde_json::from_slice(&container[offset..offset + length]).unwrap();
    change(&mut header);
    container_of(container[..offset].to_vec(), &serde_json::to_vec(&header).unwrap())
}

/// A member of a zip file.
pub struct Member {
    pub name: Vec<u8>,
    /// The bytes of the member in the file.
    pub content: Vec<u8>,
    pub method: u16,
    pub flags: u16,
    pub size: u32,
    pub crc: u32,
    /// The extra field of the member.
    pub extra: Vec<u8>,
    /// The extra field of its directory entry.
    pub central_extra: Vec<u8>,
    pub behind: Vec<u8>,
}

impl Member {
    /// A stored array with these bytes.
    pub fn new(name: &str, elements: &[u8]) -> Self {
        Self::stored(name, bytes(elements))
    }

    pub fn stored(name: &str, content: Vec<u8>) -> Self {
        let (size, crc) = (content.len() as u32, crc32fast::hash(&content));
        let name = name.as_bytes().to_vec();
        Self {
            name,
            content,
            method: 0,
            flags: 0,
            size,
            crc,
            extra: Vec::new(),
            central_extra: Vec::new(),
            behind: Vec::new(),
        }
    }

    /// The same member, deflated.
    pub fn deflated(self) -> Self {
        let mut deflated =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        deflated.write_all(&self.content).unwrap();
        Self { content: deflated.finish().unwrap(), method: 8, ..self }
    }

    pub fn local(&self) -> Vec<u8> {
        let lengths = [self.name.len() as u16, self.extra.len() as u16];
        [b"PK\x03\x04\x14\x00", &*self.common(), &shorts(&lengths), &self.name, &self.extra]
            .concat()
    }

    fn common(&self) -> Vec<u8> {
        let shorts = shorts(&[self.flags, self.method, 0, 0]);
        let longs = [self.crc, self.content.len() as u32, self.size].map(u32::to_le_bytes).concat();
        [shorts, longs].concat()
    }

    pub fn central(&self, offset: usize) -> Vec<u8> {
        let lengths = shorts(&[self.name.len() as u16, self.central_extra.len() as u16, 0, 0, 0]);
        let offset = (offset as u32).to_le_bytes();
        [
            b"PK\x01\x02\x14\x00\x14\x00",
            &*self.common(),
            &lengths,
            &[0; 4],
            &offset,
            &self.name,
            &self.central_extra,
        ]
        .concat()
    }
}

fn shorts(shorts: &[u16]) -> Vec<u8> {
    shorts.iter().flat_map(|short| short.to_le_bytes()).collect()
}

/// A `.npy` file with these bytes, as NumPy writes it.
pub fn bytes(elements: &[u8]) -> Vec<u8> {
    let header =
        format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({},), }}", elements.len());
    npy(1, format!("{header:117}\n").as_bytes(), elements)
}

/// The end of a zip directory.
pub fn zip_end(count: u16, size: usize, offset: usize, comment: &[u8]) -> Vec<u8> {
    let counts = shorts(&[0, 0, count, count]);
    let lengths = [size as u32, offset as u32].map(u32::to_le_bytes).concat();
    [b"PK\x05\x06", &*counts, &lengths, &(comment.len() as u16).to_le_bytes(), comment].concat()
}

/// Members and their directory, without its end.
pub fn zip_parts(members: &[Member]) -> (Vec<u8>, Vec<u8>) {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for member in members {
        directory.extend(member.central(file.len()));
        file.extend([member.local(), member.content.clone(), member.behind.clone()].concat());
    }
    (file, directory)
}

pub fn zip(members: &[Member]) -> Vec<u8> {
    let (file, directory) = zip_parts(members);
    let end = zip_end(members.len() as u16, directory.len(), file.len(), b"");
    [file, directory, end].concat()
}

/// The header of a NIfTI file, in either byte order.
#[derive(Clone, Copy)]
pub struct Nifti<'a> {
    pub version: u8,
    pub is_big: bool,
    /// The magic without its ends, such as `n+1`.
    pub magic: &'a [u8],
    /// The number of axes, and their lengths.
    pub axes: &'a [i16],
    pub datatype: i16,
    pub offset: f32,
    pub slope: f32,
    pub inter: f32,
}

impl Default for Nifti<'_> {
    fn default() -> Self {
        let axes = &[3, 33, 41, 25];
        let (magic, datatype, offset) = (b"n+1", 4, 352.0);
        Self { version: 1, is_big: false, magic, axes, datatype, offset, slope: 1.0, inter: 0.0 }
    }
}

impl Nifti<'_> {
    pub fn header(&self) -> Vec<u8> {
        let mut header = vec![0; if self.version == 1 { 348 } else { 540 }];
        let mut put = |at: usize, bytes: &[u8]| {
            let place = &mut header[at..at + bytes.len()];
            place.copy_from_slice(bytes);
            if self.is_big {
                place.reverse();
            }
        };
        if self.version == 1 {
            put(0, &348_i32.to_le_bytes());
            for (axis, length) in self.axes.iter().enumerate() {
                put(40 + 2 * axis, &length.to_le_bytes());
            }
            put(70, &self.datatype.to_le_bytes());
            for (at, number) in [(108, self.offset), (112, self.slope), (116, self.inter)] {
                put(at, &number.to_le_bytes());
            }
            header[344..347].copy_from_slice(self.magic);
        } else {
            put(0, &540_i32.to_le_bytes());
            put(12, &self.datatype.to_le_bytes());
            for (axis, length) in self.axes.iter().enumerate() {
                put(16 + 8 * axis, &i64::from(*length).to_le_bytes());
            }
            put(168, &(self.offset as i64).to_le_bytes());
            for (at, number) in [(176, self.slope), (184, self.inter)] {
                put(at, &f64::from(number).to_le_bytes());
            }
            header[4..7].copy_from_slice(self.magic);
            header[7..12].copy_from_slice(b"\0\r\n\x1a\n");
        }
        header
    }
}

/// The header of a FITS file with these cards after the first, padded to 2880 bytes.
pub fn fits(cards: &[&str]) -> Vec<u8> {
    let cards = ["SIMPLE  =                    T / standard"].iter().chain(cards).chain(&["END"]);
    let mut header: String = cards.map(|card| format!("{card:80}")).collect();
    let length = header.len().next_multiple_of(2880);
    header += &" ".repeat(length - header.len());
    header.into_bytes()
}

/// The start of a file of each format of other programs, and a part of the message.
pub fn foreign() -> Vec<(Vec<u8>, &'static str)> {
    let pytorch = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.";
    let mut hdf5 = vec![b' '; 512];
    hdf5.extend(b"\x89HDF\r\n\x1a\n\x00");
    let mat_4 = |order: u32, integer: fn(u32) -> [u8; 4]| {
        [&[order * 1000, 3, 2, 0, 5].map(integer).concat()[..], b"data\0", &[0; 48]].concat()
    };
    let zip = |name: &str| zip(&[Member::stored(name, b"\x80\x02}q\x00.".to_vec())]);
    let zlib = {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Default::default());
        encoder.write_all(b"\x80\x04\x95\x05\0\0\0\0\0\0\0]\x94.").unwrap();
        encoder.finish().unwrap()
    };
    let index = br#"{"metadata":{"total_size":9},"weight_map":{"a.w":"m-1-of-2.safetensors",
        "a.b":"m-1-of-2.safetensors","b.w":"m-2-of-2.safetensors"}}"#;
    let shards = "the index of a sharded model: its arrays are in `m-1-of-2.safetensors`, \
                  `m-2-of-2.safetensors`; open these";
    let pickle = "a Python pickle: ndferry never runs code from a file; load it in Python and save \
                  it as .npy";
    let fits_cards =
        ["BITPIX  =                  -32", "NAXIS   =                    0"].as_slice();
    let starts: [(&[u8], &str); 58] = [
        (b"cnumpy.core.multiarray\n_reconstruct\np0\n(cnumpy\nndarray\np1\n", pickle),
        (b"(dp0\nS'a'\np1\nI1\ns.", pickle),
        (b"(lp1\nI1\na.", pickle),
        (b"(I1\nI2\nI3\nI4\ntp0\n.", pickle),
        (b"I5\n.", pickle),
        (b"Vabc\np0\n.", pickle),
        (b"cnumpy.core.multiarray\n_reconstruct\nq\x00(cnumpy\n", pickle),
        (b"}q\x00(X\x01\x00\x00\x00aq\x01K\x01u.", pickle),
        (b"]q\x00(K\x01K\x02e.", pickle),
        (b"N.", pickle),
        (b"K\x05.", pickle),
        (b"G\x3f\xf8\0\0\0\0\0\0.", pickle),
        (b"X\x01\0\0\0aq\x00.", pickle),
        (b"(K\x01K\x02M\0\x01J\0\0\0\x80tq\x00.", pickle),
        (b"\x80\x02}q\x00.", pickle),
        (b"\x80\x03]q\x00.", pickle),
        (b"\x80\x03C\x03abcq\x00.", pickle),
        (b"\x80\x04\x95\x05\0\0\0\0\0\0\0]\x94.", pickle),
        (b"\x80\x05\x95\x05\0\0\0\0\0\0\0]\x94.", pickle),
        (&zlib, "a Python pickle compressed with zlib"),
        (pytorch, "`torch.load`"),
        (&zip("archive/data.pkl"), "a PyTorch file, which is a zip file"),
        (&zip("a/.zarray"), "a zarr store in a zip file"),
        (b"\x1f\x8b\x08\0", "`gunzip`"),
        (b"\x28\xb5\x2f\xfd\x04", "`unzstd`"),
        (b"BZh91AY&SY", "`bunzip2`"),
        (b"\xfd7zXZ\0", "`unxz`"),
        (b"\x04\x22\x4d\x18", "`unlz4`"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (&hdf5, "an HDF5 file"),
        (b"MATLAB 7.3 MAT-file, Platform", "a MATLAB v7.3 file"),
        (b"MATLAB 5.0 MAT-file, Platform", "a MATLAB v5 file"),
        (&mat_4(0, u32::to_le_bytes), "a MATLAB v4 file"),
        (&mat_4(1, u32::to_be_bytes), "a MATLAB v4 file"),
        (b"CDF\x01", "a NetCDF-3 file"),
        (b"CDF\x02", "a NetCDF-3 file"),
        (b"CDF\x05", "a NetCDF-3 file"),
        (&Nifti::default().header(), "a NIfTI-1 image"),
        (&Nifti { is_big: true, magic: b"ni1", ..Nifti::default() }.header(), "a NIfTI-1 image"),
        (&Nifti { version: 2, magic: b"n+2", ..Nifti::default() }.header(), "a NIfTI-2 image"),
        (&fits(fits_cards), "a FITS file: its primary image is empty"),
        (b"PAR1\x15", "a Parquet file"),
        (b"ARROW1\0\0", "an Arrow IPC (Feather) file"),
        (b"FEA1", "an Arrow IPC (Feather) file"),
        (b"GGUF\x03\0\0\0", "a GGUF file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "run `git lfs pull`"),
        (b"<!DOCTYPE html>\n<html>", "a web page: it is probably an error page of a download"),
        (b"\n <HTML><body>", "a web page"),
        (b"<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied", "a web page"),
        (index, shards),
        (b"II*\0\x08", "a TIFF image"),
        (b"MM\0*\x08", "a TIFF image"),
        (b"II+\0\x08", "a TIFF image"),
        (b"MM\0+\x08", "a TIFF image"),
        (b"\x89PNG\r\n\x1a\n\0", "a PNG image"),
        (b"\xff\xd8\xff\xe0", "a JPEG image"),
        (b"", "not an array file: the file is empty"),
        (b"hello", "not an array file: it begins with bytes [68, 65, 6C, 6C, 6F]"),
    ];
    starts.into_iter().map(|(bytes, message)| (bytes.to_vec(), message)).collect()
}
