//! `.npz`: writing, inflating, and zip files that contradict themselves.

use std::{collections::BTreeMap, path::Path};

use ndferry::{
    AnyArray, SharedArray,
    array::{CopyReason, Order},
    dtype::ByteOrder,
    file::{ArrayFile, ArrayInfo, DumpOptions, OpenOptions},
    ndarray::{Array2, Ix1, Ix2, ShapeBuilder},
};

use crate::{
    broken::{flip, write},
    common::{bits, folder},
    forge::{self, Member, zip, zip_end as end, zip_parts as parts},
    named::content,
};

fn open(path: &Path, bytes: &[u8]) -> ndferry::Result<ArrayFile> {
    write(path, bytes);
    ndferry::open(path)
}

fn sample() -> Vec<(&'static str, AnyArray)> {
    vec![
        ("bytes", SharedArray::from(vec![1u8, 2, 3]).into()),
        (
            "matrix",
            SharedArray::from(Array2::from_shape_fn((4, 3).f(), |(i, j)| (10 * i + j) as f64))
                .into(),
        ),
        ("flags", SharedArray::from(vec![true, false, true]).into()),
        ("größe", SharedArray::from(vec![num_complex::Complex::new(1.5f64, -0.0)]).into()),
        ("nothing", SharedArray::from(Array2::<i32>::zeros((0, 4))).into()),
    ]
}

// F5 F8
#[test]
fn npz_round_trips_aligned_and_mapped() {
    let folder = tempfile::tempdir().unwrap();
    let (path, again) = (folder.path().join("a.npz"), folder.path().join("b.npz"));
    for byte_order in [ByteOrder::Little, ByteOrder::Big] {
        for order in [None, Some(Order::C), Some(Order::F)] {
            let options = DumpOptions::new().byte_order(byte_order);
            let options = order.into_iter().fold(options, DumpOptions::order);
            options.write_npz(&path, sample()).unwrap();
            let file = ndferry::open(&path).unwrap();
            file.verify().unwrap();
            for ((name, array), info) in sample().iter().zip(file.arrays()) {
                assert_eq!(info.name(), *name);
                assert_eq!(info.dtype(), &array.dtype().with_byte_order(byte_order), "{name}");
                assert_eq!(info.order(), order.or(array.order()).unwrap(), "{name}");
                assert!(info.alignment() >= 64 && info.codec().is_none(), "{info:?}");
                assert_eq!(bits(&file.read_dyn(name).unwrap()), bits(array), "{name}");
            }
            let matrix = file.read_array::<f64, Ix2>("matrix").unwrap();
            assert_eq!(matrix.copy_reason().is_none(), byte_order == ByteOrder::NATIVE);
            options.write_npz(&again, sample()).unwrap();
            assert_eq!(
                std::fs::read(&path).unwrap(),
                std::fs::read(&again).unwrap(),
                "equal content, equal bytes"
            );
        }
    }
}

// F4 F8
#[test]
fn npz_refused_content_keeps_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    std::fs::write(&path, "old").unwrap();
    let bytes = || SharedArray::from(vec![1u8]).to_any();
    let bf16 = SharedArray::from(vec![half::bf16::ONE]).to_any();
    let options = DumpOptions::new();
    for (written, reason) in [
        (
            options.write_npz(&path, [("a", bytes()), ("b", bf16)]),
            "array `b`: NumPy has no dtype `",
        ),
        (options.write_npz(&path, [("a", bytes()), ("a", bytes())]), "two arrays are named `a`"),
        (options.write_npz(&path, [("a\0b", bytes())]), "at most 65531 bytes, none of them zero"),
        (options.write_npz(&path, [("a".repeat(65_532), bytes())]), "at most 65531 bytes"),
        (options.dump(&path, &vec![1.0]), "write_npz"),
    ] {
        let error = written.unwrap_err();
        assert!(error.is_invalid_input() && error.path() == Some(&path), "{error}");
        assert!(error.to_string().contains(reason), "{reason}: {error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old", "{reason}");
    }
    options.write_npz(&path, [("a".repeat(65_531), bytes())]).unwrap();
    assert_eq!(ndferry::open(&path).unwrap().arrays()[0].name().len(), 65_531);
}

#[test]
fn npz_of_other_zip_writers_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let check = |title: &str, bytes: &[u8], names: &[&str]| {
        let file = open(&path, bytes).unwrap_or_else(|error| panic!("{title}: {error}"));
        assert_eq!(
            file.arrays().iter().map(|info| info.name()).collect::<Vec<_>>(),
            names,
            "{title}"
        );
        file.verify().unwrap();
        for name in names {
            assert_eq!(file.read_array::<u8, Ix1>(name).unwrap().to_vec(), [1, 2, 3], "{title}");
        }
    };
    let member = |name: &str| Member::new(name, &[1, 2, 3]);
    check("plain", &zip(&[member("a.npy"), member("b")]), &["a", "b"]);
    check("mixed", &zip(&[member("a.npy").deflated(), member("b.npy")]), &["a", "b"]);
    // Info-ZIP adds the time only to the local header. Short padding follows.
    let timed = Member { extra: b"UT\x05\x00\x01\0\0\0\0\0\0\0".to_vec(), ..member("a.npy") };
    check("extra field of its own", &zip(&[timed]), &["a"]);
    let (file, directory) = parts(&[member("a.npy")]);
    let commented =
        [file.clone(), directory.clone(), end(1, directory.len(), file.len(), b"a comment")]
            .concat();
    check("comment", &commented, &["a"]);
    // The four forms of a data descriptor, which a writer without seek appends.
    for deflated in [false, true] {
        let whole = || if deflated { member("a.npy").deflated() } else { member("a.npy") };
        let numbers = [whole().crc, whole().content.len() as u32, whole().size];
        let short = numbers.map(u32::to_le_bytes).concat();
        let long = [&short[..8], &[0; 4], &short[8..], &[0; 4]].concat();
        let marked = |numbers: &[u8]| [b"PK\x07\x08", numbers].concat();
        for behind in [marked(&short), marked(&long), short, long] {
            check(
                "descriptor",
                &zip(&[Member { flags: 8, behind, ..whole() }, member("b.npy")]),
                &["a", "b"],
            );
        }
    }
}

// F1 F2
#[test]
fn npz_contradictory_zip_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let member = |name: &str| Member::new(name, &[1, 2, 3]);
    let plain = || zip(&[member("a.npy")]);
    let (file, directory) = parts(&[member("a.npy")]);
    let (length, at) = (directory.len(), file.len());
    // Returns the file with bytes changed in the directory entry or in the local header.
    let changed = |start: usize, offset: usize, bytes: &[u8]| {
        let mut file = plain();
        file[start + offset..][..bytes.len()].copy_from_slice(bytes);
        file
    };
    let (entry, local) = (at, 0);
    let far = u32::MAX.to_le_bytes();
    for (title, bytes, reason) in [
        ("no end", [file.clone(), directory.clone()].concat(), "no end record"),
        ("appended to", [plain(), vec![0]].concat(), "no end record"),
        ("two files, one after the other", [plain(), plain()].concat(), "(bytes inserted?)"),
        (
            "a second directory behind the first",
            [&*file, &*directory, &*directory, &end(1, length, at + length, b"")].concat(),
            "directly after its bytes, found",
        ),
        (
            "a second directory of which the end knows nothing",
            [&*file, &*directory, &*directory, &end(1, length, at, b"")].concat(),
            "(bytes inserted?)",
        ),
        (
            "an end within the comment of another",
            [&*file, &*directory, &end(1, length, at, &end(0, 0, 0, b""))].concat(),
            "expected one end record in the zip file, found two",
        ),
        (
            "a member before the first",
            {
                let (file, _) = parts(&[member("hidden.npy"), member("a.npy")]);
                let directory = member("a.npy").central(parts(&[member("hidden.npy")]).0.len());
                [&*file, &*directory, &end(1, directory.len(), file.len(), b"")].concat()
            },
            "expected a member at the start of the zip file",
        ),
        (
            "bytes between members",
            zip(&[Member { behind: vec![0; 7], ..member("a.npy") }]),
            "found 7 bytes between",
        ),
        (
            "a descriptor that says something else",
            zip(&[Member { flags: 8, behind: vec![0; 12], ..member("a.npy") }]),
            "found 12 bytes between",
        ),
        (
            "too high a count",
            [&*file, &*directory, &end(2, length, at, b"")].concat(),
            "entry 1 of the directory: expected 46 bytes, found 0",
        ),
        ("too low a count", [&*file, &*directory, &end(0, length, at, b"")].concat(), "more bytes"),
        (
            "a directory elsewhere",
            [&*file, &*directory, &end(1, length, at - 1, b"")].concat(),
            "expected a directory of ",
        ),
        (
            "a directory beyond",
            [&*file, &*directory, &end(1, length, usize::MAX, b"")].concat(),
            "expected a directory of ",
        ),
        (
            "an offset beyond",
            changed(entry, 42, &1_000_000_u32.to_le_bytes()),
            "expected a member at the start of the zip file",
        ),
        (
            "an offset elsewhere that is nowhere",
            changed(entry, 42, &far),
            "in the zip64 extra field, found none",
        ),
        (
            "a size elsewhere that is nowhere",
            changed(entry, 24, &far),
            "in the zip64 extra field, found none",
        ),
        ("one size of two", changed(entry, 20, &[9]), "the same two lengths for a stored member"),
        (
            "a name in the member alone",
            changed(local, 30, b"b"),
            "differs from its directory entry",
        ),
        (
            "a method in the member alone",
            changed(local, 8, &[8]),
            "differs from its directory entry",
        ),
        (
            "a checksum in the member alone",
            changed(local, 14, &[0; 4]),
            "differs from its directory entry",
        ),
        ("a patch", zip(&[Member { flags: 1 << 5, ..member("a.npy") }]), "patches"),
        ("a name twice", zip(&[member("a.npy"), member("a.npy")]), "two arrays are named `a`"),
        (
            "a name with and without suffix",
            zip(&[member("a.npy"), member("a")]),
            "two arrays are named `a`",
        ),
        (
            "a name that is no UTF-8",
            zip(&[Member { name: b"\xff.npy".into(), flags: 1 << 11, ..member("a") }]),
            "UTF-8",
        ),
        ("a name with a zero", zip(&[member("a.npy\0.txt")]), "without zeros"),
        ("no name", zip(&[member("")]), "found ``"),
        (
            "more bytes than the array",
            zip(&[Member {
                content: [forge::bytes(&[1]), vec![0]].concat(),
                size: 130,
                ..member("a")
            }]),
            "expected 128 bytes of header and",
        ),
        (
            "fewer bytes than the array",
            zip(&[Member { content: forge::bytes(&[1])[..128].into(), size: 128, ..member("a") }]),
            "(truncated?)",
        ),
        (
            "two members in one place",
            {
                let directory = [member("a.npy").central(0), member("b.npy").central(0)].concat();
                [&*file, &*directory, &end(2, directory.len(), at, b"")].concat()
            },
            "expected 30 bytes, found 0",
        ),
        (
            "a member within another",
            {
                let outer = Member::new("a.npy", &zip(&[member("b.npy")]));
                let inner = outer.local().len() + 128;
                let (file, _) = parts(std::slice::from_ref(&outer));
                let directory = [outer.central(0), member("b.npy").central(inner)].concat();
                [&*file, &*directory, &end(2, directory.len(), file.len(), b"")].concat()
            },
            "reaches beyond byte",
        ),
    ] {
        let error = match open(&path, &bytes) {
            Ok(file) => panic!("{title}: {file:?}"),
            Err(error) => error,
        };
        assert!(error.is_invalid_data() && error.path() == Some(&path), "{title}: {error}");
        let message = error.to_string();
        assert!(message.contains(reason) && message.len() < 400, "{title}: {message}");
    }
    // A zip file within an array is only data.
    let inner = Member::new("a.npy", &plain());
    assert_eq!(open(&path, &zip(&[inner])).unwrap().arrays().len(), 1);
}

/// Returns a zip64 end record with its locator.
fn long_end(counts: [u64; 2], size: usize, offset: usize) -> Vec<u8> {
    let numbers = [counts[0], counts[1], size as u64, offset as u64].map(u64::to_le_bytes).concat();
    let record =
        [b"PK\x06\x06".as_slice(), &44_u64.to_le_bytes(), b"\x2d\0\x2d\0", &[0; 8], &numbers]
            .concat();
    let at = ((offset + size) as u64).to_le_bytes();
    [&*record, b"PK\x06\x07", &[0; 4], &at, &[1, 0, 0, 0]].concat()
}

// F1 F2
#[test]
fn npz_zip64_end_record_must_agree() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let (file, directory) = parts(&[Member::new("a.npy", &[1])]);
    let (length, at) = (directory.len(), file.len());
    let zip = |long: &[u8], short: &[u8]| [&*file, &*directory, long, short].concat();
    let elsewhere = end(u16::MAX, u32::MAX as usize, u32::MAX as usize, b"");
    let short = end(1, length, at, b"");
    let long = long_end([1, 1], length, at);
    for short in [&elsewhere, &short] {
        assert_eq!(open(&path, &zip(&long, short)).unwrap().arrays().len(), 1);
    }
    let changed = |at: usize, byte: u8| {
        let mut long = long.clone();
        long[at] = byte;
        long
    };
    for (title, bytes, reason) in [
        ("no long end", zip(&[], &elsewhere), "(bytes inserted?)"),
        ("another count", zip(&long, &end(2, length, at, b"")), "differs from its end record"),
        ("another place", zip(&long, &end(1, length, at - 1, b"")), "differs from its end record"),
        ("two counts", zip(&long_end([1, 2], length, at), &elsewhere), "one part of several"),
        (
            "too high a count",
            zip(&long_end([u64::MAX; 2], length, at), &elsewhere),
            "entry 1 of the directory: expected 46 bytes, found 0",
        ),
        ("a size beyond", zip(&changed(47, 0xFF), &elsewhere), "(bytes inserted?)"),
        ("an offset beyond", zip(&changed(55, 0xFF), &elsewhere), "(bytes inserted?)"),
        ("a length of its own", zip(&changed(4, 45), &elsewhere), "expected a zip64 end record"),
        (
            "a locator that points elsewhere",
            zip(&changed(64, 0), &elsewhere),
            "expected a zip64 end record",
        ),
        (
            "a locator that points beyond",
            zip(&changed(71, 0xFF), &elsewhere),
            "expected a zip64 end record",
        ),
        ("another disk", zip(&changed(16, 1), &elsewhere), "one part of several"),
    ] {
        let error = open(&path, &bytes).map(|file| panic!("{title}: {file:?}")).unwrap_err();
        assert!(error.is_invalid_data() && error.to_string().contains(reason), "{title}: {error}");
    }
}

// F1
#[test]
fn npz_bomb_is_refused_before_allocation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let zeros = || Member::new("a.npy", &vec![0; 1 << 20]).deflated();
    // A member of the declared size, within the limit or above it.
    let file = zip(&[zeros()]);
    assert!(file.len() < 4096);
    std::fs::write(&path, &file).unwrap();
    let limited =
        |bytes: u64| OpenOptions::new().max_decompressed_bytes(bytes).open(&path).unwrap();
    let array = limited(1 << 20).read::<u8, Ix1>().unwrap();
    assert_eq!((array.len(), array.copy_reason()), (1 << 20, Some(CopyReason::Compressed)));
    let error = limited((1 << 20) - 1).read::<u8, Ix1>().unwrap_err();
    assert!(
        error.is_invalid_input()
            && error.to_string().contains("expected at most 1048575 decompressed bytes"),
        "{error}"
    );
    assert!(limited(0).verify().is_ok(), "verifying needs no memory for the array");
    // The arrays of a value are added.
    let pair = [zeros(), Member { name: b"b.npy".into(), ..zeros() }];
    std::fs::write(&path, zip(&pair)).unwrap();
    assert!(limited(1 << 20).read_array::<u8, Ix1>("b").is_ok());
    let value = |bytes: u64| limited(bytes).value::<BTreeMap<String, AnyArray>>();
    assert_eq!(value(2 << 20).unwrap().len(), 2);
    let error = value((2 << 20) - 1).unwrap_err();
    assert!(
        error.is_invalid_input() && error.to_string().contains("decompressed bytes, found 2097152"),
        "{error}"
    );

    // A declared size that deflate cannot make.
    let huge = Member { size: 2_000_000_000, ..zeros() };
    let error = open(&path, &zip(&[huge])).unwrap_err();
    assert!(
        error.is_invalid_data() && error.to_string().contains("which deflate cannot make"),
        "{error}"
    );

    // More or fewer bytes than declared.
    let large = forge::bytes(&vec![0; 1 << 20]);
    for (said, reason) in [((1 << 20) - 1, "continue after"), ((1 << 20) + 1, "end before")] {
        let mut header = forge::bytes(&[]);
        header.truncate(10);
        let text = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({said},), }}");
        let content = [&*header, format!("{text:117}\n").as_bytes(), &large[128..]].concat();
        let lying = Member { crc: crc32fast::hash(&content), content, ..zeros() }.deflated();
        let file = open(&path, &zip(&[Member { size: 128 + said, ..lying }])).unwrap();
        for error in [file.verify().unwrap_err(), file.read::<u8, Ix1>().unwrap_err()] {
            assert!(error.is_invalid_data() && error.to_string().contains(reason), "{error}");
        }
    }

    // A header of 1 GiB, which would be inflated when the file is opened.
    let header =
        [b"\x93NUMPY\x02\x00".as_slice(), &(1_u32 << 30).to_le_bytes(), &vec![b' '; 1 << 21]]
            .concat();
    let long = Member { content: header, size: 1 << 30, ..zeros() }.deflated();
    let file = open(&path, &zip(&[Member { size: 2_000_000, ..long }])).unwrap();
    let reason = file.unsupported_entries()[0].reason();
    assert!(
        reason.contains("expected at most 1048576 bytes of npy header, found 1073741836"),
        "{reason}"
    );
}

// F8
#[test]
fn npz_unsupported_member_leaves_others_readable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let objects = forge::npy_of("'|O'", "(1,)", b"pickled");
    for (title, other, reason) in [
        ("Python objects", Member::stored("other.npy", objects.clone()), "Python objects"),
        (
            "Python objects, deflated",
            Member::stored("other.npy", objects).deflated(),
            "Python objects",
        ),
        ("a text", Member::stored("other", b"readme".into()), "of npy header, found"),
        (
            "a longer text",
            Member::stored("other", vec![b'x'; 99]),
            "expected the start of a .npy file",
        ),
        (
            "a long text, deflated",
            Member::stored("other", vec![b'x'; 9999]).deflated(),
            "expected the start of a .npy file",
        ),
    ] {
        let folders = [Member::stored("sub/", Vec::new()), Member::new("sub/b.npy", &[4])];
        let members: Vec<_> =
            [Member::new("a.npy", &[1, 2, 3]), other].into_iter().chain(folders).collect();
        let file = open(&path, &zip(&members)).unwrap();
        let names = file.arrays().iter().map(ArrayInfo::name).collect::<Vec<_>>();
        assert_eq!(names, ["a", "sub/b"], "{title}");
        assert_eq!(file.read_array::<u8, Ix1>("a").unwrap().to_vec(), [1, 2, 3], "{title}");
        let [unreadable] = file.unsupported_entries() else { panic!("{title}") };
        assert_eq!(
            (unreadable.name(), unreadable.compressed_nbytes()),
            ("other", members[1].content.len() as u64)
        );
        assert!(unreadable.reason().contains(reason), "{title}: {}", unreadable.reason());
        // Reading the whole value is refused.
        let out = folder.path().join("out.npz");
        for error in [
            file.read_dyn("other").unwrap_err(),
            file.value::<BTreeMap<String, AnyArray>>().unwrap_err(),
            ndferry::convert(&file, None, &out, &DumpOptions::new()).unwrap_err(),
            file.verify().unwrap_err(),
        ] {
            assert!(error.is_invalid_input() && error.path() == Some(&path), "{title}: {error}");
            assert!(
                error.message().contains("cannot read `other`: ")
                    && error.message().contains(reason),
                "{title}: {error}"
            );
        }
        ndferry::convert(&file, Some("sub/b"), &out, &DumpOptions::new()).unwrap();
        // Its checksum can still be verified.
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[unreadable.offset() as usize + 2] ^= 8;
        let damaged = open(&path, &bytes).unwrap().verify().unwrap_err();
        assert!(
            damaged.is_invalid_data() && damaged.message().contains("`other`: "),
            "{title}: {damaged}"
        );
    }
}

// F2
#[test]
fn npz_truncated_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    DumpOptions::new().write_npz(&path, sample()).unwrap();
    let deflated = std::fs::read(self::folder().join("npz/streamed_deflated.npz")).unwrap();
    for whole in [std::fs::read(&path).unwrap(), deflated] {
        for length in 0..whole.len() {
            let error = open(&path, &whole[..length]).unwrap_err();
            assert!(error.is_invalid_data(), "cut to {length} bytes: {error}");
        }
    }
}

// F2: times, versions and permissions are ignored. Any other flipped bit is an error, or has no
// effect.
#[test]
fn npz_flipped_bit_is_an_error_or_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let members = || [Member::new("a.npy", &[1, 2, 3]), Member::new("b.npy", &[4; 300]).deflated()];
    let mut streamed = members();
    for member in &mut streamed {
        let numbers = [member.crc, member.content.len() as u32, member.size];
        member.behind = [b"PK\x07\x08", &*numbers.map(u32::to_le_bytes).concat()].concat();
        member.flags = 8;
    }
    DumpOptions::new()
        .write_npz(&path, [("ö", SharedArray::from(vec![1.5f64, 2.5]).to_any())])
        .unwrap();
    for whole in [std::fs::read(&path).unwrap(), zip(&members()), zip(&streamed)] {
        let (refused, same) = flip(&path, &whole, whole.len(), content);
        assert!(refused > 4 * same, "{refused} refused, {same} without effect");
    }
}

// F6
#[test]
fn npz_many_arrays_share_one_map() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let one = SharedArray::from(vec![7u8]).to_any();
    let names = (0..20_000).map(|number| (format!("layer.{number}"), &one));
    DumpOptions::new().write_npz(&path, names).unwrap();
    let file = ndferry::open(&path).unwrap();
    assert_eq!(file.arrays().len(), 20_000);
    assert_eq!(file.read_array::<u8, Ix1>("layer.19999").unwrap()[0], 7);
}

// F5
#[test]
fn npz_member_of_another_compression_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    for (other, reason) in [
        (Member { method: 12, size: 9999, ..Member::new("b.npy", &[2]) }, "found 12 (bzip2)"),
        (Member { method: 77, size: 9999, ..Member::new("b.npy", &[2]) }, "found 77"),
        (Member { flags: 1, ..Member::new("b.npy", &[2]) }, "encrypted"),
    ] {
        let file = open(&path, &zip(&[Member::new("a.npy", &[1]), other])).unwrap();
        assert_eq!(file.read_array::<u8, Ix1>("a").unwrap().to_vec(), [1]);
        let entry = &file.unsupported_entries()[0];
        assert!(entry.name() == "b" && entry.reason().contains(reason), "{entry:?}");
        let error = file.read_array::<u8, Ix1>("b").unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

// F5
#[test]
fn npz_names_are_decoded_like_their_writers_encode_them() {
    let unicode = |raw: &[u8], text: &str| {
        let field = [&[1], &crc32fast::hash(raw).to_le_bytes()[..], text.as_bytes()].concat();
        [&0x7075_u16.to_le_bytes()[..], &(field.len() as u16).to_le_bytes(), &field].concat()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    for (raw, flags, extra, name) in [
        (&b"a.npy"[..], 0, Vec::new(), "a"),
        ("größe.npy".as_bytes(), 1 << 11, Vec::new(), "größe"),
        ("größe.npy".as_bytes(), 0, Vec::new(), "größe"),
        (b"gr\x94\xe1e.npy", 0, Vec::new(), "größe"),
        (b"gr\x94\xe1e.npy", 0, unicode(b"gr\x94\xe1e.npy", "数字.npy"), "数字"),
        // The field belongs to another name.
        (b"gr\x94\xe1e.npy", 0, unicode(b"b.npy", "数字.npy"), "größe"),
    ] {
        let member =
            Member { name: raw.into(), flags, central_extra: extra, ..Member::new("", &[7]) };
        let file = open(&path, &zip(&[member])).unwrap();
        assert_eq!(file.arrays()[0].name(), name, "{raw:?}");
        assert_eq!(file.read_array::<u8, Ix1>(name).unwrap().to_vec(), [7]);
    }
}
