//! What is done with bytes of unknown origin: a function for each fuzz target, which says whether the bytes were accepted.
//!
//! None may panic, hang, or need memory that the bytes do not account for. `tests/files/corpus.rs` calls them as well.

use ndferry::{
    DType,
    array::Order,
    file::{ArrayFile, OpenOptions, RawLayout},
    ndarray::IxDyn,
};

/// Bytes that anything may be decompressed to.
const LIMIT: u64 = 1 << 20;

/// A target: bytes in, whether they were accepted out.
pub type Target = fn(&[u8]) -> bool;

/// Every target by its name, which is that of its corpus and of its file in `fuzz_targets` as well.
pub const TARGETS: [(&str, Target); 4] =
    [("file", file), ("container", container), ("dtype", dtype), ("raw", raw)];

/// A file of any format that is recognised by its content.
pub fn file(bytes: &[u8]) -> bool {
    OpenOptions::new()
        .max_decompressed_bytes(LIMIT)
        .open_slice(bytes)
        .map(|file| look(&file))
        .is_ok()
}

/// A `.ferry` file whose checksums are right: two bytes say how long its header is (little-endian), then comes all that is behind the prelude. Without
/// it nothing of a changed file but its checksums would ever be tested.
pub fn container(bytes: &[u8]) -> bool {
    let Some((length, body)) = bytes.split_first_chunk::<2>() else { return false };
    let length = usize::from(u16::from_le_bytes(*length)).min(body.len());
    let (rest, header) = body.split_at(body.len() - length);
    let mut file = [&[0; 64], rest].concat();
    let header = with_tree_sum(&file, header);
    let offset = file.len() as u64;
    file.extend_from_slice(&header);

    let whole = file.len() as u64;
    file[..12].copy_from_slice(b"\x89NDFR\r\n\x1a\x01\0\0\0");
    for (at, value) in [(16, whole), (24, offset), (32, header.len() as u64), (40, sum(&header))] {
        file[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    let prelude = sum(&file[..56]);
    file[56..64].copy_from_slice(&prelude.to_le_bytes());
    self::file(&file)
}

/// The header, with the checksum of the tree as it is, if the header says where there is one.
fn with_tree_sum(file: &[u8], header: &[u8]) -> Vec<u8> {
    let corrected = || {
        let mut header: serde_json::Value = serde_json::from_slice(header).ok()?;
        let tree = header.get_mut("tree")?.as_object_mut()?;
        let start = usize::try_from(tree.get("offset")?.as_u64()?).ok()?;
        let end = start.checked_add(usize::try_from(tree.get("length")?.as_u64()?).ok()?)?;
        let sum = sum(file.get(start..end)?);
        tree.insert("xxh3".into(), format!("{sum:016x}").into());
        serde_json::to_vec(&header).ok()
    };
    corrected().unwrap_or_else(|| header.to_vec())
}

fn sum(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// The text of a dtype.
pub fn dtype(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(dtype) = text.parse::<DType>() else { return false };
    assert_eq!(dtype.to_string().parse::<DType>().expect("what is printed is read"), dtype);
    true
}

/// Raw binary: a line of dtype, memory order, offset and lengths with spaces between them, then the bytes.
pub fn raw(bytes: &[u8]) -> bool {
    let parsed = || {
        let end = bytes.iter().position(|&byte| byte == b'\n')?;
        let mut words = std::str::from_utf8(&bytes[..end]).ok()?.split(' ');
        let dtype = words.next()?.parse().ok()?;
        let order = if words.next()? == "F" { Order::F } else { Order::C };
        let offset = words.next()?.parse().ok()?;
        let shape: Vec<usize> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
        let layout = RawLayout::new(dtype, shape).order(order).offset(offset);
        OpenOptions::new().raw(layout).open_slice(&bytes[end + 1..]).ok()
    };
    parsed().map(|file| look(&file)).is_some()
}

/// Asks for everything that can be asked of a file.
fn look(file: &ArrayFile) {
    file.check().for_each(drop);
    for info in file.arrays() {
        let Ok(array) = file.read_entry(info) else { continue };
        macro_rules! ask {
            ($($type:ty)*) => {$(
                if let Ok(array) = array.to_array::<$type, IxDyn>() {
                    assert_eq!(array.shape(), info.shape());
                    assert_eq!(array.iter().count(), array.len());
                }
            )*};
        }
        // Each type that is not the array's is refused.
        ask!(bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);
        if let Some(last) = info.shape().len().checked_sub(1) {
            let _ = array.slice_axis(last, 0..1);
        }
        let _ = file.read_array::<f64, IxDyn>(info.name());
    }
    let _ = file.value::<serde_json::Value>();
    let _ = file.value::<Vec<f32>>();
}
