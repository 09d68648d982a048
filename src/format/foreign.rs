//! Files of other formats: recognizing them, and what to do with each.
//!
//! To recognize another format, add a row to [`FORMATS`]. A row names the format, tests the
//! bytes of a file, and advises the user. Most tests compare the first bytes. They are those
//! of the formats' specifications: RFC 1952 (gzip), RFC 8878 (zstd), the bzip2 manual, "The
//! .xz File Format", "LZ4 Frame Format Description", "HDF5 File Format Specification",
//! "NetCDF Classic Format Specification", "MAT-File Format" of MATLAB, "Parquet File Format",
//! "Arrow Columnar Format", "GGUF" of ggml, "Git LFS Specification", TIFF 6.0, BigTIFF, PNG
//! and JFIF. Pickles follow Python's module `pickletools`, and PyTorch files its module
//! `torch.serialization`.
//!
//! Headers of NIfTI and FITS describe an array that can be read as raw binary. The advice
//! then contains the arguments.

use std::{collections::BTreeSet, fmt, path::Path};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};

use super::inflate::Inflater;
use crate::{Error, error::Cause, near};

/// A format of other programs.
struct ForeignFormat {
    /// The name after "cannot read".
    name: &'static str,
    test: Test,
    advice: Advice,
}

/// How a format is recognized.
enum Test {
    /// The file begins with one of these.
    Start(&'static [&'static [u8]]),
    /// The bytes of the file pass this test. They may be only its first bytes.
    Bytes(fn(&[u8]) -> bool),
    /// The file is JSON with one of these names.
    JsonNamed(&'static [&'static str]),
}

/// What to do with a file.
enum Advice {
    Text(&'static str),
    /// The advice depends on the header. If the header is incomplete or unusual, the text is
    /// the advice.
    Header(fn(&[u8]) -> Option<String>, &'static str),
}

impl ForeignFormat {
    fn recognizes(&self, bytes: &[u8], path: &Path) -> bool {
        match self.test {
            Test::Start(starts) => starts.iter().any(|start| bytes.starts_with(start)),
            Test::Bytes(test) => test(bytes),
            Test::JsonNamed(names) => {
                let name = path.file_name().and_then(|name| name.to_str());
                name.is_some_and(|name| names.contains(&name)) && bytes.starts_with(b"{")
            }
        }
    }

    fn error(&self, bytes: &[u8]) -> Error {
        match self.advice {
            Advice::Text(text) => refusal(self.name, text),
            Advice::Header(advice, otherwise) => {
                refusal(self.name, advice(bytes).as_deref().unwrap_or(otherwise))
            }
        }
    }
}

/// Returns the error for a file of another format.
fn refusal(name: &str, advice: &str) -> Error {
    Error::invalid_data(format!("cannot read {name}: {advice}")).with_cause(Cause::ForeignFormat)
}

const PICKLE: &str = "ndferry never runs code from a file; load it in Python and save it as .npy";
const PYTORCH: &str = "ndferry never runs code from a file; load it with `torch.load` and save it \
                       with `safetensors.torch.save_file`";
const ZARR: &str = "open the store with the package zarr in Python and save its arrays as .npy";
const HDF5: &str = "read it with h5py in Python and save its arrays as .npy or .npz";
const NETCDF: &str = "read it with xarray or netCDF4 in Python and save its arrays as .npy or .npz";
const MATLAB: &str = "read it with `scipy.io.loadmat` in Python and save its arrays as .npz";
const NIFTI: &str = "its header is incomplete or describes elements that ndferry does not support; \
                     load it with nibabel in Python and save it as .npy";
const FITS: &str = "its header is incomplete or unusual; load it with astropy in Python and save \
                    it as .npy";
const IMAGE: &str = "load it in Python, for example with Pillow, and save it as .npy";

/// The table of other formats. The first row that recognizes a file counts.
const FORMATS: &[ForeignFormat] = &[
    ForeignFormat {
        name: "the metadata of a zarr store",
        test: Test::JsonNamed(ZARR_FILES),
        advice: Advice::Text(ZARR),
    },
    ForeignFormat {
        name: "the index of a sharded model",
        test: Test::Bytes(|bytes| shards(bytes).is_some()),
        advice: Advice::Header(shards, "open its shards instead"),
    },
    ForeignFormat {
        name: "a PyTorch file of the old format, which is a Python pickle",
        test: Test::Start(&[
            b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.",
        ]),
        advice: Advice::Text(PYTORCH),
    },
    ForeignFormat {
        name: "a Python pickle",
        test: Test::Bytes(is_pickle),
        advice: Advice::Text(PICKLE),
    },
    ForeignFormat {
        name: "a Python pickle compressed with zlib, such as a joblib dump",
        test: Test::Bytes(is_zlib_pickle),
        advice: Advice::Text(PICKLE),
    },
    ForeignFormat {
        name: "a gzip file",
        test: Test::Start(&[b"\x1f\x8b\x08"]),
        advice: Advice::Text("decompress it first, for example with `gunzip`"),
    },
    ForeignFormat {
        name: "a zstd file",
        test: Test::Start(&[b"\x28\xb5\x2f\xfd"]),
        advice: Advice::Text("decompress it first, for example with `unzstd`"),
    },
    ForeignFormat {
        name: "a bzip2 file",
        test: Test::Bytes(is_bzip2),
        advice: Advice::Text("decompress it first, for example with `bunzip2`"),
    },
    ForeignFormat {
        name: "an xz file",
        test: Test::Start(&[b"\xfd7zXZ\0"]),
        advice: Advice::Text("decompress it first, for example with `unxz`"),
    },
    ForeignFormat {
        name: "an LZ4 file",
        test: Test::Start(&[b"\x04\x22\x4d\x18", b"\x02\x21\x4c\x18"]),
        advice: Advice::Text("decompress it first, for example with `unlz4`"),
    },
    ForeignFormat {
        name: "a MATLAB v7.3 file, which is HDF5",
        test: Test::Start(&[b"MATLAB 7.3 MAT-file"]),
        advice: Advice::Text(HDF5),
    },
    ForeignFormat {
        name: "an HDF5 file (also NetCDF-4 and MATLAB v7.3)",
        test: Test::Bytes(is_hdf5),
        advice: Advice::Text(HDF5),
    },
    ForeignFormat {
        name: "a NetCDF-3 file",
        test: Test::Start(&[b"CDF\x01", b"CDF\x02", b"CDF\x05"]),
        advice: Advice::Text(NETCDF),
    },
    ForeignFormat {
        name: "a MATLAB v5 file",
        test: Test::Start(&[b"MATLAB 5.0 MAT-file"]),
        advice: Advice::Text(MATLAB),
    },
    ForeignFormat {
        name: "a MATLAB v4 file",
        test: Test::Bytes(is_matlab_4),
        advice: Advice::Text(MATLAB),
    },
    ForeignFormat {
        name: "a NIfTI-1 image",
        test: Test::Bytes(|bytes| Nifti::of(bytes, 1).is_some()),
        advice: Advice::Header(|bytes| Nifti::of(bytes, 1)?.advice(), NIFTI),
    },
    ForeignFormat {
        name: "a NIfTI-2 image",
        test: Test::Bytes(|bytes| Nifti::of(bytes, 2).is_some()),
        advice: Advice::Header(|bytes| Nifti::of(bytes, 2)?.advice(), NIFTI),
    },
    ForeignFormat {
        name: "a FITS file",
        test: Test::Start(&[b"SIMPLE  ="]),
        advice: Advice::Header(fits, FITS),
    },
    ForeignFormat {
        name: "a Parquet file",
        test: Test::Start(&[b"PAR1", b"PARE"]),
        advice: Advice::Text("read it with pyarrow in Python and save its columns as .npz"),
    },
    ForeignFormat {
        name: "an Arrow IPC (Feather) file",
        test: Test::Start(&[b"ARROW1\0\0", b"FEA1"]),
        advice: Advice::Text("read it with pyarrow in Python and save its columns as .npz"),
    },
    ForeignFormat {
        name: "a GGUF file",
        test: Test::Start(&[b"GGUF"]),
        advice: Advice::Text(
            "read it with the package gguf in Python and save its tensors as .safetensors",
        ),
    },
    ForeignFormat {
        name: "a Git LFS pointer",
        test: Test::Start(&[b"version https://git-lfs"]),
        advice: Advice::Text("run `git lfs pull` to download the file itself"),
    },
    ForeignFormat {
        name: "a web page",
        test: Test::Bytes(is_web_page),
        advice: Advice::Text("it is probably an error page of a download; download the file again"),
    },
    ForeignFormat {
        name: "a TIFF image",
        test: Test::Start(&[b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"]),
        advice: Advice::Text("load it in Python, for example with tifffile, and save it as .npy"),
    },
    ForeignFormat {
        name: "a PNG image",
        test: Test::Start(&[b"\x89PNG\r\n\x1a\n"]),
        advice: Advice::Text(IMAGE),
    },
    ForeignFormat {
        name: "a JPEG image",
        test: Test::Start(&[b"\xff\xd8\xff"]),
        advice: Advice::Text(IMAGE),
    },
];

/// Returns the error for a file of one of these formats. `bytes` are the bytes of the file,
/// or the first of them. `path` may be empty.
pub(super) fn in_file(bytes: &[u8], path: &Path) -> Option<Error> {
    let format = FORMATS.iter().find(|format| format.recognizes(bytes, path))?;
    Some(format.error(bytes))
}

/// The files that describe a zarr store or one of its arrays.
const ZARR_FILES: &[&str] = &[".zarray", ".zgroup", ".zmetadata", ".zattrs", "zarr.json"];

/// Returns the error for a folder that is a zarr store or an array in it.
pub(super) fn in_folder(path: &Path) -> Option<Error> {
    let is_zarr = ZARR_FILES.iter().any(|name| path.join(name).is_file());
    is_zarr.then(|| refusal("a zarr store", ZARR))
}

/// Returns the error for a zip file with members of these names, if it is not a `.npz` file.
pub(super) fn in_zip<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<Error> {
    let any = |test: fn(&str) -> bool| names.clone().any(test);
    if any(|name| name.ends_with(".npy")) {
        return None;
    }
    let last = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
    if names.clone().any(|name| last(name) == "data.pkl") {
        return Some(refusal("a PyTorch file, which is a zip file with a Python pickle", PYTORCH));
    }
    let is_zarr = names.clone().any(|name| ZARR_FILES.contains(&&*last(name)));
    is_zarr.then(|| refusal("a zarr store in a zip file", ZARR))
}

/// The bytes that are searched for the end of a line or of space. A file may have no such end.
const MAX_LINE_LEN: usize = 4096;

/// Returns at most `length` bytes from the start.
fn first(bytes: &[u8], length: usize) -> &[u8] {
    &bytes[..bytes.len().min(length)]
}

/// Reports whether a file begins like a pickle. From protocol 2 on, a pickle begins with its
/// protocol and another opcode. Older ones begin with the object itself.
fn is_pickle(bytes: &[u8]) -> bool {
    const OPCODES: &[u8] = b"(.012BCFGIJKLMNPQRSTUVXabcdeghijlopqrstu}])%";
    // The number of an object, by which the pickle refers to it later.
    let is_memo = |bytes: &[u8]| match bytes {
        [b'p', digit, ..] => digit.is_ascii_digit(),
        [b'q', number, ..] => *number < b' ',
        _ => false,
    };
    if let [0x80, 2..=5, opcode, ..] = bytes {
        return OPCODES.contains(opcode) || matches!(opcode, 0x80..=0x97);
    }
    let text = first(bytes.strip_prefix(b"(").unwrap_or(bytes), MAX_LINE_LEN);
    let mut lines = text.splitn(3, |&byte| byte == b'\n');
    let [first, second, rest] = [(); 3].map(|()| lines.next().unwrap_or_default());
    let is_path = |line: &[u8]| {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.".contains(byte);
        (1..=200).contains(&line.len()) && line.iter().all(is_part)
    };
    let is_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eEL".contains(byte);
    match first {
        // A list, a dictionary or a tuple.
        [b'}' | b']' | b')', memo @ ..] => is_memo(memo),
        [b'l' | b'd' | b't', memo @ ..] if bytes[0] == b'(' => is_memo(memo),
        // A function: its module and its name.
        [b'c' | b'i', module @ ..] if is_path(module) && is_path(second) => {
            is_memo(rest) || matches!(rest, [b'(' | b')', ..])
        }
        [b'I' | b'F' | b'L', number @ ..] if !number.is_empty() => {
            number.iter().all(is_number) && matches!(second, b"." | [b'I' | b'F' | b'L', ..])
        }
        [b'V', ..] | [b'S', b'\'' | b'"', ..] => is_memo(second) && rest.starts_with(b"."),
        _ => is_pickle_of_numbers(bytes),
    }
}

/// The longest pickle that [`is_pickle_of_numbers`] reads.
const MAX_NUMBERS_LEN: usize = 1 << 20;

/// Reports whether a whole file is a pickle of protocol 1 of a number, a text, `None` or a tuple
/// of them.
fn is_pickle_of_numbers(bytes: &[u8]) -> bool {
    if bytes.len() > MAX_NUMBERS_LEN {
        return false;
    }
    let (is_tuple, mut rest) = match bytes {
        [b'(', rest @ ..] => (true, rest),
        _ => (false, bytes),
    };
    let mut is_complete = false;
    loop {
        rest = match rest {
            [b'.'] => return is_complete,
            _ if is_complete => return false,
            [b'N', rest @ ..] | [b'K', _, rest @ ..] => rest,
            [b'M', _, _, rest @ ..] | [b'J', _, _, _, _, rest @ ..] => rest,
            [b'G', _, _, _, _, _, _, _, _, rest @ ..] => rest,
            [b'X', a, b, c, d, rest @ ..] => {
                let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
                match rest.get(length..) {
                    Some([b'q', _, rest @ ..]) => rest,
                    _ => return false,
                }
            }
            [b't', b'q', _, rest @ ..] if is_tuple => {
                is_complete = true;
                rest
            }
            _ => return false,
        };
        is_complete |= !is_tuple;
    }
}

/// Reports whether the bytes are compressed with zlib (RFC 1950) and are a pickle.
fn is_zlib_pickle(bytes: &[u8]) -> bool {
    let [method, flags, deflated @ ..] = bytes else { return false };
    let mut start = [0; 3];
    method & 0x0f == 8
        && u16::from_be_bytes([*method, *flags]) % 31 == 0
        && Inflater::new(deflated).fill(&mut start).is_ok()
        && is_pickle(&start)
}

fn is_bzip2(bytes: &[u8]) -> bool {
    let Some([b'B', b'Z', b'h', b'1'..=b'9', magic @ ..]) = bytes.first_chunk::<10>() else {
        return false;
    };
    // A block, or the end of an empty file.
    matches!(magic, b"\x31\x41\x59\x26\x53\x59" | b"\x17\x72\x45\x38\x50\x90")
}

/// Reports whether the bytes contain the signature of HDF5 at byte 0, 512, 1024, 2048 ...
fn is_hdf5(bytes: &[u8]) -> bool {
    let places = std::iter::successors(Some(512_usize), |place| place.checked_mul(2));
    let mut places = [0].into_iter().chain(places).take_while(|&place| place < bytes.len());
    places.any(|place| bytes[place..].starts_with(b"\x89HDF\r\n\x1a\n"))
}

/// Reports whether a file begins with the header of a matrix: five integers and its name.
fn is_matlab_4(bytes: &[u8]) -> bool {
    [false, true].into_iter().any(|is_big| {
        let fields = Fields { bytes, is_big };
        let header = || {
            let [kind, rows, columns, imaginary, name] =
                [0, 4, 8, 12, 16].map(|at| fields.get(at).map(u32::from_le_bytes));
            let (kind, name) = (kind?, usize::try_from(name?).ok()?);
            let [order, zero, number, form] = [kind / 1000, kind / 100, kind / 10, kind];
            let name = bytes.get(20..20_usize.checked_add(name)?)?;
            let (last, name) = name.split_last()?;
            let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            let is_matrix = order == u32::from(is_big)
                && (zero % 10, number % 10 <= 5, form % 10 <= 2) == (0, true, true)
                && rows?.max(columns?) <= i32::MAX as u32
                && imaginary? <= 1
                && *last == 0
                && name.first().is_some_and(u8::is_ascii_alphabetic)
                && name.iter().all(is_name);
            Some(is_matrix)
        };
        header().unwrap_or(false)
    })
}

fn is_web_page(bytes: &[u8]) -> bool {
    let text = first(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes), MAX_LINE_LEN);
    let text = text.trim_ascii_start();
    let begins = |text: &[u8], start: &str| {
        text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start.as_bytes()))
    };
    if begins(text, "<!doctype html") || begins(text, "<html") {
        return true;
    }
    // Servers of files, such as S3, report errors as XML.
    let Some(rest) = text.strip_prefix(b"<?xml") else { return false };
    let end = rest.windows(2).position(|end| end == b"?>").map_or(rest.len(), |at| at + 2);
    let root = rest[end..].trim_ascii_start();
    begins(root, "<Error>") || begins(root, "<!doctype html") || begins(root, "<html")
}

/// The longest index of a sharded model that is read.
const MAX_SHARD_INDEX_LEN: usize = 32 << 20;
/// The most bytes of the names of all shards.
const MAX_SHARD_NAMES_LEN: usize = 1 << 20;

/// Returns advice that names the shards if the bytes are the index of a sharded model: JSON
/// with a map from the names of tensors to the names of files.
fn shards(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct ShardIndex {
        weight_map: ShardNames,
    }
    if bytes.len() > MAX_SHARD_INDEX_LEN || !bytes.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let ShardIndex { weight_map: ShardNames(names) } = serde_json::from_slice(bytes).ok()?;
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    (!names.is_empty()).then(|| format!("its arrays are in {}; open these", near::list(&names)))
}

/// The different values of a map.
struct ShardNames(BTreeSet<String>);

impl<'de> Deserialize<'de> for ShardNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShardNamesVisitor;

        impl<'de> Visitor<'de> for ShardNamesVisitor {
            type Value = ShardNames;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from names of tensors to names of files")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ShardNames, A::Error> {
                let (mut names, mut len) = (BTreeSet::new(), 0);
                while let Some((IgnoredAny, name)) = map.next_entry::<_, String>()? {
                    len += if names.contains(&name) { 0 } else { name.len() };
                    if len > MAX_SHARD_NAMES_LEN {
                        return Err(A::Error::custom("the names of the files are too long"));
                    }
                    names.insert(name);
                }
                Ok(ShardNames(names))
            }
        }

        deserializer.deserialize_map(ShardNamesVisitor)
    }
}

/// Returns the advice to read the array `name` as raw binary.
fn raw_advice(name: &str, dtype: &str, shape: &[u64], order: char, offset: u64) -> String {
    let shape: Vec<_> = shape.iter().map(u64::to_string).collect();
    let shape = shape.join(",");
    format!(
        "read {name} as raw binary with `--raw '{dtype}' --shape {shape} --order {order} \
         --offset {offset}` (in Rust, with `RawLayout`)"
    )
}

/// Returns the end of the advice if the elements are not the values themselves.
fn scaling(scale: &str, zero: &str, keys: &str) -> String {
    format!("; each value is then an element × {scale} + {zero} ({keys})")
}

/// Numbers at fixed places of a header.
#[derive(Clone, Copy)]
struct Fields<'a> {
    bytes: &'a [u8],
    is_big: bool,
}

impl Fields<'_> {
    /// Returns the bytes of the number at byte `at`, least significant first.
    fn get<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        let mut bytes: [u8; N] = *self.bytes.get(at..)?.first_chunk()?;
        if self.is_big {
            bytes.reverse();
        }
        Some(bytes)
    }

    fn short(self, at: usize) -> Option<i16> {
        self.get(at).map(i16::from_le_bytes)
    }
}

/// A NIfTI file. The header is described by the files `nifti1.h` and `nifti2.h` of the NIfTI
/// Data Format Working Group.
struct Nifti<'a> {
    fields: Fields<'a>,
    version: u8,
    /// Whether another file contains the elements.
    is_pair: bool,
}

impl<'a> Nifti<'a> {
    /// Returns the file if it begins like NIfTI of this version, in either byte order.
    fn of(bytes: &'a [u8], version: u8) -> Option<Self> {
        let (size, magic_at, end): (i32, _, &[u8]) =
            if version == 1 { (348, 344, b"\0") } else { (540, 4, b"\0\r\n\x1a\n") };
        let fields = [false, true].map(|is_big| Fields { bytes, is_big });
        let is_size = |fields: &Fields<'_>| fields.get(0).map(i32::from_le_bytes) == Some(size);
        let fields = fields.into_iter().find(is_size)?;
        let (magic, rest) = bytes.get(magic_at..)?.split_first_chunk::<3>()?;
        if !rest.starts_with(end) || magic[2] != b'0' + version {
            return None;
        }
        let is_pair = match &magic[..2] {
            b"n+" => false,
            b"ni" => true,
            _ => return None,
        };
        Some(Self { fields, version, is_pair })
    }

    /// Returns the arguments to read the elements. The first axis varies fastest.
    fn advice(&self) -> Option<String> {
        let fields = self.fields;
        let single = |at| fields.get(at).map(|bytes| f64::from(f32::from_le_bytes(bytes)));
        let double = |at| fields.get(at).map(f64::from_le_bytes);
        let (datatype, axes, offset, slope, inter) = if self.version == 1 {
            let axes: Vec<_> =
                (0..8).map(|axis| fields.short(40 + 2 * axis).map(i64::from)).collect();
            (fields.short(70)?, axes, single(108)?, single(112)?, single(116)?)
        } else {
            let axes = (0..8).map(|axis| fields.get(16 + 8 * axis).map(i64::from_le_bytes));
            let offset = fields.get(168).map(i64::from_le_bytes)? as f64;
            (fields.short(12)?, axes.collect(), offset, double(176)?, double(184)?)
        };
        let count = usize::try_from(axes[0]?).ok().filter(|count| (1..=7).contains(count))?;
        let lengths = axes[1..=count].iter();
        let shape: Vec<u64> =
            lengths.map(|length| u64::try_from((*length)?).ok()).collect::<Option<_>>()?;
        // The header ends at byte 348 or 540, and elements do not begin before.
        let first = if self.is_pair { 0.0 } else { [348.0, 540.0][usize::from(self.version - 1)] };
        let is_offset = offset.fract() == 0.0 && (first..=2_f64.powi(53)).contains(&offset);
        let order = if fields.is_big { '>' } else { '<' };
        let dtype = match datatype {
            2 => "|u1".to_owned(),
            128 => "[('r', '|u1'), ('g', '|u1'), ('b', '|u1')]".to_owned(),
            256 => "|i1".to_owned(),
            2304 => "[('r', '|u1'), ('g', '|u1'), ('b', '|u1'), ('a', '|u1')]".to_owned(),
            _ => {
                let numbers = [
                    (4, "i2"),
                    (8, "i4"),
                    (16, "f4"),
                    (32, "c8"),
                    (64, "f8"),
                    (512, "u2"),
                    (768, "u4"),
                    (1024, "i8"),
                    (1280, "u8"),
                    (1792, "c16"),
                ];
                let (_, code) = numbers.into_iter().find(|(number, _)| *number == datatype)?;
                format!("{order}{code}")
            }
        };
        // The RGB types are records, whose quotes would end those of the shell.
        let dtype = dtype.replace('\'', "\"");
        let name = if self.is_pair { "the .img file beside it" } else { "its elements" };
        let offset = is_offset.then_some(offset as u64)?;
        let mut advice = raw_advice(name, &dtype, &shape, 'F', offset);
        // A slope of zero means that values are not scaled.
        let is_scaled = slope != 0.0 && slope.is_finite() && (slope != 1.0 || inter != 0.0);
        if is_scaled {
            // The shortest text of a number depends on its type.
            let shown = |number: f64| match self.version {
                1 => (number as f32).to_string(),
                _ => number.to_string(),
            };
            advice += &scaling(&shown(slope), &shown(inter), "scl_slope, scl_inter");
        }
        Some(advice)
    }
}

/// The most bytes of a FITS header that are searched for its end.
const MAX_FITS_HEADER_LEN: usize = 16 << 20;
/// The most axes of an array in the advice.
const MAX_FITS_AXES: i64 = 16;

/// Returns the arguments to read the primary image of a FITS file, by the "Definition of the
/// Flexible Image Transport System (FITS)", version 4.0. The header consists of cards of 80
/// bytes. Header and image are padded to a multiple of 2880 bytes.
fn fits(bytes: &[u8]) -> Option<String> {
    const CARD: usize = 80;
    let header = first(bytes, MAX_FITS_HEADER_LEN);
    let end = header.chunks_exact(CARD).position(|card| card.trim_ascii_end() == b"END")?;
    let value = |keyword: &str| {
        let keyword = format!("{keyword:8}= ");
        let mut cards = header.chunks_exact(CARD).take(end);
        let card = cards.find(|card| card.starts_with(keyword.as_bytes()))?;
        let text = std::str::from_utf8(&card[keyword.len()..]).ok()?;
        Some(text.split('/').next()?.trim())
    };
    let integer = |keyword: &str| value(keyword)?.parse::<i64>().ok();
    let axes = integer("NAXIS")?;
    let lengths = |count| (1..=count).map(|axis| integer(&format!("NAXIS{axis}")));
    if axes == 0 || integer("NAXIS1") == Some(0) {
        let text = "its primary image is empty, because its data are in extensions; load it with \
                    astropy in Python and save them as .npy";
        return Some(text.to_owned());
    }
    let count = (1..=MAX_FITS_AXES).contains(&axes).then_some(axes)?;
    // The first axis varies fastest. In C order, it is the last.
    let shape = lengths(count).rev().map(|length| u64::try_from(length?).ok());
    let shape = shape.collect::<Option<Vec<_>>>()?;
    let dtype = match integer("BITPIX")? {
        8 => "|u1",
        16 => ">i2",
        32 => ">i4",
        64 => ">i8",
        -32 => ">f4",
        -64 => ">f8",
        _ => return None,
    };
    let offset = ((end + 1) * CARD).next_multiple_of(2880) as u64;
    let name = match count {
        1 => "its primary image".to_owned(),
        _ => format!("its primary image, with the axes NAXIS{count} to NAXIS1,"),
    };
    let mut advice = raw_advice(&name, dtype, &shape, 'C', offset);
    let number = |keyword, default| match value(keyword) {
        Some(text) => text.replace(['D', 'd'], "E").parse::<f64>().ok(),
        None => Some(default),
    };
    let (scale, zero) = (number("BSCALE", 1.0)?, number("BZERO", 0.0)?);
    if scale != 1.0 || zero != 0.0 {
        advice += &scaling(&scale.to_string(), &zero.to_string(), "BSCALE, BZERO");
    }
    Some(advice)
}
