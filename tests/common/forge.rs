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
