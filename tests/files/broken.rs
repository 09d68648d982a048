//! Damaged and truncated files, and values of another type.

use std::path::Path;

use ndferry::ndarray::Array2;

/// Writes a new file. Some file systems wait for the disk when an old file is truncated and
/// written again.
pub fn write(path: &Path, bytes: &[u8]) {
    let _ = std::fs::remove_file(path);
    std::fs::write(path, bytes).unwrap();
}

/// Flips each bit of the first `bytes` of a file. Each must be an error of the file, or have
/// no effect on the result of `read`. Returns how many are errors, and how many have no
/// effect.
pub fn flip<T: PartialEq + std::fmt::Debug>(
    path: &Path,
    whole: &[u8],
    bytes: usize,
    read: impl Fn(&ndferry::file::ArrayFile) -> ndferry::Result<T>,
) -> (usize, usize) {
    write(path, whole);
    let expected = read(&ndferry::open(path).unwrap()).unwrap();
    let (mut refused, mut same) = (0, 0);
    for (byte, bit) in (0..bytes).flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
        let mut broken = whole.to_vec();
        broken[byte] ^= 1 << bit;
        write(path, &broken);
        match ndferry::open(path).and_then(|file| read(&file)) {
            Ok(found) => {
                assert_eq!(found, expected, "bit {bit} of byte {byte}");
                same += 1;
            }
            Err(error) => {
                assert!(error.is_invalid_data(), "bit {bit} of byte {byte}: {error}");
                refused += 1;
            }
        }
    }
    (refused, same)
}

fn sample(path: &Path) -> Vec<u8> {
    let value = (Array2::<f64>::ones((7, 5)), "tree", vec![3u8; 2000]);
    ndferry::dump(path, &value).unwrap();
    std::fs::read(path).unwrap()
}

// F2
#[test]
fn ferry_truncated_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    let whole = sample(&path);
    for length in 0..whole.len() {
        write(&path, &whole[..length]);
        assert!(ndferry::open(&path).is_err(), "cut to {length} bytes");
    }
    write(&path, &[&*whole, &[0]].concat());
    assert!(ndferry::open(&path).unwrap_err().to_string().contains("appended"));
}

// F2
#[test]
fn ferry_flipped_bit_of_header_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    let whole = sample(&path);
    let end = ndferry::open(&path)
        .unwrap()
        .arrays()
        .iter()
        .map(|info| info.offset() + info.nbytes())
        .max()
        .unwrap();
    for byte in (0..64).chain(end as usize..whole.len()) {
        for bit in 0..8 {
            let mut broken = whole.clone();
            broken[byte] ^= 1 << bit;
            write(&path, &broken);
            assert!(ndferry::open(&path).is_err(), "bit {bit} of byte {byte}");
        }
    }
}

// F2
#[test]
fn ferry_flipped_bit_of_array_fails_verify() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    let whole = sample(&path);
    let arrays = ndferry::open(&path).unwrap();
    arrays.verify().unwrap();
    for info in arrays.arrays() {
        let mut broken = whole.clone();
        broken[(info.offset() + info.nbytes() / 2) as usize] ^= 1;
        let other = folder.path().join("b.ferry");
        write(&other, &broken);
        let error = ndferry::open(&other).unwrap().verify().unwrap_err().to_string();
        assert!(error.contains(&format!("array `{}`: damaged: ", info.name())), "{error}");
    }
}

// F2
#[test]
fn npy_truncated_is_an_error_longer_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let array: ndferry::AnyArray = ndferry::SharedArray::from(Array2::<u16>::zeros((3, 5))).into();
    ndferry::file::DumpOptions::new().write_npy(&path, &array).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        write(&path, &whole[..length]);
        assert!(ndferry::open(&path).is_err(), "cut to {length} bytes");
    }
    write(&path, &[&*whole, b"more"].concat());
    assert!(ndferry::open(&path).is_ok(), "NumPy appends one array to another in a file");
}

// F3
#[test]
fn open_never_changes_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    let whole = sample(&path);
    for bytes in [&*whole, &whole[..100], b"rubbish"] {
        write(&path, bytes);
        let _ = ndferry::open(&path).map(|file| file.value::<String>().is_err());
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn load_wrong_type_names_the_element() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    sample(&path);
    // Elements are converted for a plain `Array`, but not for a shared one.
    ndferry::load::<(Array2<f32>, String, Vec<u8>)>(&path).unwrap();
    let error =
        ndferry::load::<(ndferry::SharedArray<f32, ndferry::ndarray::Ix2>, String, Vec<u8>)>(&path)
            .unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with(&format!("{}: element 0: ", path.display())), "{message}");
    assert!(message.contains("(f64), expected f32"), "{message}");
    let error = ndferry::open(&path).unwrap().read::<f64, ndferry::ndarray::Ix2>().unwrap_err();
    assert!(
        error.to_string().contains("the file contains 2 arrays; give the name of one: `0`, `2`"),
        "{error}"
    );
}
