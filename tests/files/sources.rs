//! Files that are bytes in memory, come from a reader, go to a writer; and how arrays are to be given.

use std::io::{self, Read, Write};

use ndferry::{
    DType, SharedArray,
    array::{CopyReason, Order},
    dtype::ByteOrder,
    file::{DumpOptions, MmapMode, OpenOptions, RawLayout, from_reader, from_slice, to_writer},
    ndarray::{Array1, Array2, Ix1, Ix2, ShapeBuilder, array},
};
use serde::{Deserialize, Serialize};

type Value = (String, SharedArray<f64, Ix2>, Vec<u16>);

fn value() -> Value {
    let array = Array2::from_shape_fn((30, 40).f(), |(i, j)| (i * 40 + j) as f64);
    ("value".into(), SharedArray::from(array), vec![7; 5000])
}

/// Takes, and gives, a few bytes at a time.
struct Trickle<T>(T);

impl<T: Write> Write for Trickle<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&bytes[..bytes.len().min(7)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<T: Read> Read for Trickle<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let most = bytes.len().min(7);
        self.0.read(&mut bytes[..most])
    }
}

// F12
#[test]
fn what_goes_to_a_writer_is_the_file_and_comes_back_from_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    let value = value();
    for byte_order in [ByteOrder::Little, ByteOrder::Big] {
        let options = DumpOptions::new().byte_order(byte_order);
        options.dump(&path, &value).unwrap();
        let mut written = Trickle(Vec::new());
        options.to_writer(&mut written, &value).unwrap();
        let bytes = written.0;
        // But for the name of the file, of which nothing is known.
        let named = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len() + "a.ferry".len(), named.len());
        assert_eq!(bytes[64..4096], named[64..4096]);

        assert_eq!(from_slice::<Value>(&bytes).unwrap(), value);
        assert_eq!(from_slice::<Value>(bytes.clone()).unwrap(), value);
        assert_eq!(from_reader::<Value>(Trickle(&*bytes)).unwrap(), value);
    }
}

// F12
#[test]
fn arrays_of_bytes_in_memory_are_parts_of_them_and_have_no_source() {
    let mut bytes = Vec::new();
    to_writer(&mut bytes, &value()).unwrap();
    let file = OpenOptions::new().open_slice(bytes).unwrap();
    assert_eq!(file.path().as_os_str(), "");
    let (one, other) =
        (file.read_array::<f64, Ix2>("1").unwrap(), file.read_array::<f64, Ix2>("1").unwrap());
    assert_eq!(one.as_ptr(), other.as_ptr());
    assert_eq!((one.copy_reason(), one.source()), (Some(CopyReason::Read), None));
    drop(file);
    assert_eq!(one, value().1);
    let error = OpenOptions::new().open_slice(&b"rubbish"[..]).unwrap_err().to_string();
    assert!(error.starts_with("begins with bytes"), "{error}");
}

// F1 F2
#[test]
fn bytes_are_checked_as_files_are() {
    let mut bytes = Vec::new();
    to_writer(&mut bytes, &(array![1.5, 2.5], "tree")).unwrap();
    for length in 0..bytes.len() {
        assert!(OpenOptions::new().open_slice(&bytes[..length]).is_err(), "cut to {length} bytes");
    }
    bytes[64] ^= 1;
    let file = OpenOptions::new().open_slice(&bytes).unwrap();
    let error = file.verify().unwrap_err().to_string();
    assert!(error.starts_with("array `0` is damaged: "), "{error}");
}

#[test]
fn a_writer_that_fails_and_a_value_that_changes_are_errors() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for room in [0, 63, 64, 9000] {
        let error = to_writer(Full(room), &value()).unwrap_err();
        assert_eq!(error.io_kind(), Some(io::ErrorKind::StorageFull), "{error}");
    }

    struct Changing(std::cell::Cell<u8>);
    impl serde::Serialize for Changing {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.set(self.0.get() + 1);
            serializer.serialize_u8(self.0.get())
        }
    }
    let error = to_writer(io::sink(), &Changing(std::cell::Cell::new(0))).unwrap_err().to_string();
    assert!(error.contains("something else the second time"), "{error}");
}

#[test]
fn a_required_map_is_one_or_an_error_that_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    let required = OpenOptions::new().mmap_mode(MmapMode::Required);
    let refused = |value: &dyn Fn(&DumpOptions), reason: &str| {
        value(&DumpOptions::new().byte_order(ByteOrder::NATIVE.opposite()));
        let file = required.open(&path).unwrap();
        for error in [file.read_dyn("").unwrap_err(), file.read::<u8, Ix1>().unwrap_err()] {
            let start =
                format!("{}: the array cannot be mapped, which was required: ", path.display());
            assert!(error.is_invalid_input() && error.to_string().starts_with(&start), "{error}");
            assert!(error.to_string().contains(reason), "{error}");
        }
    };
    refused(&|options| options.dump(&path, &array![1.5]).unwrap(), "byte order");
    refused(&|options| options.dump(&path, &array![true]).unwrap(), "bool");
    assert!(required.open(&path).unwrap().value::<SharedArray<bool, Ix1>>().is_err());

    ndferry::dump(&path, &array![1.5]).unwrap();
    assert_eq!(required.open(&path).unwrap().read::<f64, Ix1>().unwrap().copy_reason(), None);
    assert!(required.open_slice(std::fs::read(&path).unwrap()).unwrap_err().is_invalid_input());
    let raw = required.raw(RawLayout::new(DType::of::<u16>(), [3]).offset(1)).open(&path).unwrap();
    assert!(raw.read::<u16, Ix1>().unwrap_err().to_string().contains("alignment"));
}

#[test]
fn a_forbidden_map_keeps_what_the_file_held() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    ndferry::dump(&path, &array![1.5, 2.5]).unwrap();
    let file = OpenOptions::new().mmap_mode(MmapMode::Forbidden).open(&path).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    let array = file.read::<f64, Ix1>().unwrap();
    assert_eq!((array.to_vec(), array.copy_reason()), (vec![1.5, 2.5], Some(CopyReason::Read)));
    assert_eq!(array.source().unwrap().path(), path);
}

// F2
#[test]
fn an_array_is_verified_when_it_is_asked_for_and_has_a_checksum_then() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    let verifying = OpenOptions::new().verify(true);
    ndferry::dump(&path, &(array![1.5], array![2.5])).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[64] ^= 1;
    for file in [verifying.open_slice(&bytes).unwrap(), verifying.open(&path).unwrap()] {
        let damaged = file.path().as_os_str().is_empty();
        assert_eq!(file.read_dyn("0").is_err(), damaged);
        assert_eq!(file.read_array::<f64, Ix1>("1").unwrap()[0], 2.5);
        assert_eq!(file.value::<[SharedArray<f64, Ix1>; 2]>().is_err(), damaged);
    }
    DumpOptions::new().checksums(false).dump(&path, &array![1.5]).unwrap();
    let error = verifying.open(&path).unwrap().read_dyn("").unwrap_err();
    assert!(error.is_invalid_input() && error.message().contains("no checksum"), "{error}");
}

#[test]
fn raw_bytes_are_what_they_are_said_to_be_wherever_they_come_from() {
    let bytes: Vec<u8> = (0..13).collect();
    let layout = RawLayout::new(">u2".parse().unwrap(), [2, 3]).order(Order::F).offset(1);
    let file = OpenOptions::new().raw(layout.clone()).open_reader(&*bytes).unwrap();
    assert_eq!(
        *file.read::<u16, Ix2>().unwrap(),
        array![[0x0102, 0x0506, 0x090a], [0x0304, 0x0708, 0x0b0c]]
    );
    assert!(OpenOptions::new().raw(layout).open_slice(&bytes[..12]).is_err());
}

// F9
#[test]
fn a_required_map_is_an_error_where_serde_buffers_the_array() {
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        One { array: SharedArray<f64, Ix1> },
    }
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        One { array: SharedArray<f64, Ix1>, list: Vec<f64> },
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    let array = || SharedArray::from(vec![1.5; 1000]);
    let required = || OpenOptions::new().mmap_mode(MmapMode::Required).open(&path).unwrap();
    let refused = |error: ndferry::Error| {
        assert!(
            error.is_invalid_input() && error.to_string().contains("but a map is required"),
            "{error}"
        );
    };
    ndferry::dump(&path, &Tagged::One { array: array() }).unwrap();
    refused(required().value::<Tagged>().unwrap_err());
    let Tagged::One { array: copy } = ndferry::load(&path).unwrap();
    assert_eq!(copy.copy_reason(), Some(CopyReason::InMemory));
    ndferry::dump(&path, &Untagged::One { array: array(), list: vec![2.5; 1000] }).unwrap();
    refused(required().value::<Untagged>().unwrap_err());
    // What is no shared array is a copy by its type, whatever is required.
    #[derive(Debug, Serialize, Deserialize)]
    struct Grid {
        dim: (usize, usize),
        data: Vec<f64>,
    }
    let grid = || Grid { dim: (20, 50), data: vec![2.5; 1000] };
    ndferry::dump(&path, &(array(), vec![2.5; 1000], array().to_owned(), grid())).unwrap();
    let (_, list, plain, grid) =
        required().value::<(SharedArray<f64, Ix1>, Vec<f64>, Array1<f64>, Grid)>().unwrap();
    assert_eq!((list.len(), plain.len(), grid.dim, grid.data.len()), (1000, 1000, (20, 50), 1000));
}

// F9
#[test]
fn what_serde_buffers_or_looks_like_an_array_is_sound_and_converted() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        One(Array2<f64>),
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Flat {
        #[serde(flatten)]
        array: Array2<f64>,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Grid {
        v: u8,
        dim: (usize, usize),
        data: Vec<f64>,
        more: bool,
    }
    let array = || Array2::from_shape_fn((20, 50), |(i, j)| (i * j) as f64);
    let grid = Grid { v: 1, dim: (7, 7), data: vec![2.5; 1000], more: true };
    let value = (Tagged::One(array()), Flat { array: array() }, grid);
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("a.ferry"), folder.path().join("b.ferry"));
    ndferry::dump(&path, &value).unwrap();
    let file = ndferry::open(&path).unwrap();
    file.verify().unwrap();
    ndferry::convert(&file, None, &other, &DumpOptions::new()).unwrap();
    assert_eq!(ndferry::load::<(Tagged, Flat, Grid)>(&other).unwrap(), value);
}

// F1
#[test]
fn a_reader_without_end_is_read_no_further_than_its_start_says() {
    let error = ndferry::file::from_reader::<Value>(io::repeat(0)).unwrap_err();
    assert!(error.is_invalid_data() && error.to_string().contains("none of .ferry"), "{error}");
    let mut bytes = Vec::new();
    ndferry::file::to_writer(&mut bytes, &value()).unwrap();
    assert_eq!(ndferry::file::from_reader::<Value>(&*bytes).unwrap(), value());
    let error = ndferry::file::from_reader::<Value>(bytes.chain(io::repeat(0))).unwrap_err();
    assert!(error.to_string().contains("appended to"), "{error}");
    let raw = OpenOptions::new().raw(RawLayout::new("<u2".parse().unwrap(), [3]).offset(1));
    assert_eq!(
        raw.open_reader(io::repeat(1)).unwrap().read::<u16, Ix1>().unwrap().to_vec(),
        [0x0101; 3]
    );
}
