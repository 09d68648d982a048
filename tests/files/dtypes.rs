//! Elements that are no numbers: texts, times, bytes of no type, and records of any of these.

use std::path::PathBuf;

use ndferry::{
    AnyArray, DType, SharedArray,
    array::{CopyReason, Order},
    dtype::{ByteOrder, DTypeKind, TimeUnit},
    file::DumpOptions,
    ndarray::{Ix1, Ix2, Ix3, IxDyn},
};
use serde_json::{Value, json};

use crate::common::{bits, folder};

/// One file of `fixtures/dtypes` and what NumPy says of it.
#[derive(serde::Deserialize)]
pub struct Fixture {
    pub file: String,
    npy_version: [u8; 2],
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub order: Order,
    byte_order: String,
    parts: Vec<Part>,
}

/// What has no fields: the array, or a field of it.
#[derive(serde::Deserialize)]
struct Part {
    path: String,
    dtype: DType,
    shape: Vec<usize>,
    values: Vec<Value>,
}

impl Fixture {
    pub fn path(&self) -> PathBuf {
        folder().join("dtypes").join(&self.file)
    }

    pub fn any(&self) -> AnyArray {
        ndferry::open(self.path()).unwrap().read_dyn("").unwrap()
    }
}

/// Every fixture of `fixtures/dtypes`: adding a file adds a test.
pub fn fixtures() -> Vec<Fixture> {
    let entries =
        std::fs::read_dir(folder().join("dtypes")).unwrap().map(|entry| entry.unwrap().path());
    let described =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let fixtures: Vec<Fixture> = described
        .map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
        .collect();
    assert!(fixtures.len() >= 30, "the fixtures are there");
    fixtures
}

fn part(array: &AnyArray, path: &str) -> AnyArray {
    if path.is_empty() { array.clone() } else { array.field(path).unwrap() }
}

/// The values of an array without fields, as fixtures have them.
fn values(array: &AnyArray) -> Vec<Value> {
    match array.dtype().kind() {
        DTypeKind::Scalar(_) => bits(array).into_iter().map(Value::from).collect(),
        DTypeKind::Text(_) | DTypeKind::Bytes(_) => {
            array.strings().unwrap().map(|text| Value::from(text.unwrap())).collect()
        }
        DTypeKind::DateTime(_) | DTypeKind::TimeDelta(_) => array
            .timestamps_i64::<IxDyn>()
            .unwrap()
            .iter()
            .map(|&count| Value::from(count))
            .collect(),
        DTypeKind::Void(_) => {
            let hex =
                |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            array.byte_strings().unwrap().map(|bytes| Value::from(hex(bytes))).collect()
        }
        other => panic!("{other} have parts"),
    }
}

#[track_caller]
fn assert_values(array: &AnyArray, fixture: &Fixture, what: &str) {
    assert_eq!(array.shape(), fixture.shape, "{what}");
    for expected in &fixture.parts {
        let part = part(array, &expected.path);
        assert_eq!(part.shape(), expected.shape, "{what}: {}", expected.path);
        assert_eq!(part.dtype().kind(), expected.dtype.kind(), "{what}: {}", expected.path);
        assert_eq!(values(&part), expected.values, "{what}: {}", expected.path);
    }
}

/// Whether some value is NaN or NaT, which is not equal to itself.
fn has_nan(array: &AnyArray, fixture: &Fixture) -> bool {
    fixture.parts.iter().any(|expected| part(array, &expected.path) != part(array, &expected.path))
}

// B1 F8
#[test]
fn every_dtype_reads_as_numpy_wrote_it() {
    for fixture in fixtures() {
        let file = ndferry::open(fixture.path()).unwrap();
        let info = &file.arrays()[0];
        assert_eq!(info.dtype(), &fixture.dtype, "{}", fixture.file);
        assert_eq!(
            (info.shape(), info.order()),
            (&*fixture.shape, fixture.order),
            "{}",
            fixture.file
        );
        let [major, minor] = fixture.npy_version;
        assert_eq!(file.version().unwrap(), format!("{major}.{minor}"), "{}", fixture.file);
        let byte_order = match &*fixture.byte_order {
            "little" => Some(ByteOrder::Little),
            "big" => Some(ByteOrder::Big),
            _ => None,
        };
        assert_eq!(info.dtype().byte_order(), byte_order, "{}", fixture.file);
        assert_eq!(info.dtype().is_mixed(), fixture.byte_order == "mixed", "{}", fixture.file);
        for expected in &fixture.parts {
            assert_eq!(
                part(&fixture.any(), &expected.path).dtype(),
                &expected.dtype,
                "{}",
                fixture.file
            );
        }
        assert_values(&fixture.any(), &fixture, &fixture.file);
    }
}

// B1 F5 F7 F8
#[test]
fn every_dtype_goes_through_both_formats_in_all_orders() {
    let folder = tempfile::tempdir().unwrap();
    for fixture in fixtures() {
        let any = fixture.any();
        for byte_order in [None, Some(ByteOrder::Little), Some(ByteOrder::Big)] {
            for order in [Order::C, Order::F] {
                let mut options = DumpOptions::new().order(order);
                let mut dtype = any.dtype().clone();
                if let Some(byte_order) = byte_order {
                    options = options.byte_order(byte_order);
                    dtype = dtype.with_byte_order(byte_order);
                }
                let (ferry, npy) = (folder.path().join("a.ferry"), folder.path().join("a.npy"));
                options.dump(&ferry, &any).unwrap();
                options.write_npy(&npy, &any).unwrap();
                for path in [&ferry, &npy] {
                    let what =
                        format!("{} as {byte_order:?} {order} {}", fixture.file, path.display());
                    let file = ndferry::open(path).unwrap();
                    file.verify().unwrap();
                    let info = &file.arrays()[0];
                    assert_eq!((info.dtype(), info.order()), (&dtype, order), "{what}");
                    assert_values(&file.read_dyn("").unwrap(), &fixture, &what);
                    let loaded: AnyArray = ndferry::load(path).unwrap();
                    assert_values(&loaded, &fixture, &what);
                    assert_eq!(loaded == any, !has_nan(&any, &fixture), "{what}");
                }
                let [major, minor] = fixture.npy_version;
                assert_eq!(
                    ndferry::open(&npy).unwrap().version().unwrap(),
                    format!("{major}.{minor}"),
                    "as NumPy does"
                );
            }
        }
    }
}

// B1 B2
#[test]
fn swapping_goes_field_by_field_and_keeps_the_source() {
    for fixture in fixtures() {
        let any = fixture.any();
        assert_eq!(any.copy_reason(), None, "{}", fixture.file);
        for byte_order in [ByteOrder::Little, ByteOrder::Big] {
            let swapped = any.in_byte_order(byte_order).unwrap();
            assert_eq!(
                swapped.dtype(),
                &any.dtype().with_byte_order(byte_order),
                "{}",
                fixture.file
            );
            let same = swapped.dtype() == any.dtype();
            assert_eq!(
                swapped.copy_reason(),
                (!same).then_some(CopyReason::ForeignByteOrder),
                "{}",
                fixture.file
            );
            assert_eq!(swapped.source(), any.source(), "{}", fixture.file);
            assert_values(&swapped, &fixture, &fixture.file);
        }
    }
}

fn records(name: &str) -> AnyArray {
    let order = if cfg!(target_endian = "big") { "big" } else { "little" };
    let path = folder().join("dtypes").join(format!("{name}_{order}.npy"));
    ndferry::open(path).unwrap().read_dyn("").unwrap()
}

// B2
#[test]
fn a_field_is_a_view_where_it_can_be_and_says_why_where_not() {
    let why = |name: &str, field: &str| match field {
        "x" => records(name).field(field).unwrap().to_array::<f64, IxDyn>().unwrap().copy_reason(),
        "last" => {
            records(name).field(field).unwrap().to_array::<i16, IxDyn>().unwrap().copy_reason()
        }
        "flag" => {
            records(name).field(field).unwrap().to_array::<bool, IxDyn>().unwrap().copy_reason()
        }
        "at" => {
            records(name).field(field).unwrap().timestamps_i64::<IxDyn>().unwrap().copy_reason()
        }
        other => panic!("{other}"),
    };
    for (name, field, expected) in [
        ("aligned", "x", None),
        ("aligned", "last", None),
        ("aligned", "at", None),
        ("aligned", "flag", Some(CopyReason::Bool)),
        // Records of 77 bytes.
        ("flat", "x", Some(CopyReason::Distance)),
        ("flat", "last", Some(CopyReason::Distance)),
        ("flat_0d", "x", Some(CopyReason::Misaligned)),
    ] {
        assert_eq!(why(name, field), expected, "{field} of {name}");
    }

    let aligned = records("aligned");
    let x = aligned.field("x").unwrap();
    let (one, other) = (x.to_array::<f64, Ix2>().unwrap(), x.to_array::<f64, Ix2>().unwrap());
    assert_eq!(one.as_ptr(), other.as_ptr(), "two arrays over one map");
    assert_eq!(one.strides()[0], aligned.dtype().item_size() as isize / 8);
    let source = one.source().unwrap();
    assert_eq!(
        (source.byte_order(), source.path()),
        (Some(ByteOrder::NATIVE), aligned.source().unwrap().path())
    );
}

#[test]
fn distances_that_are_never_stepped_do_not_forbid_a_view() {
    let dtype: DType = "[('a', '<u4'), ('b', '|u1')]".parse().unwrap();
    let records =
        AnyArray::from_bytes(dtype.with_byte_order(ByteOrder::NATIVE), &[3, 1], Order::C, &[7; 15])
            .unwrap();
    let a = |rows| {
        let field = records.slice_axis(0, 0..rows).unwrap().field("a").unwrap();
        (field.to_array::<u32, Ix2>().unwrap(), field.to_array::<u32, Ix2>().unwrap())
    };
    let ((first, again), (three, _)) = (a(1), a(3));
    assert_eq!((first.as_ptr(), first[(0, 0)]), (again.as_ptr(), 0x0707_0707));
    assert_eq!(three.copy_reason(), Some(CopyReason::Distance));
    assert_eq!(three.column(0).to_vec(), [0x0707_0707; 3]);
}

#[test]
fn fields_of_records_know_the_byte_order_they_were_recorded_in() {
    let mixed = ndferry::open(folder().join("dtypes/mixed.npy")).unwrap().read_dyn("").unwrap();
    for (field, byte_order) in
        [("a", ByteOrder::Little), ("b", ByteOrder::Big), ("c.d", ByteOrder::Big)]
    {
        assert_eq!(
            mixed.field(field).unwrap().source().unwrap().byte_order(),
            Some(byte_order),
            "{field}"
        );
    }
    assert_eq!(mixed.source().unwrap().byte_order(), None);
    let foreign = if cfg!(target_endian = "big") { "a" } else { "b" };
    let native = mixed.in_byte_order(ByteOrder::NATIVE).unwrap().field(foreign).unwrap();
    assert!(native.dtype().is_native());
    assert_eq!(native.copy_reason(), Some(CopyReason::ForeignByteOrder));
}

// B5
#[test]
fn records_are_cut_and_turned_without_a_copy() {
    for fixture in
        fixtures().iter().filter(|fixture| fixture.shape.len() == 2 && !fixture.shape.contains(&0))
    {
        let any = fixture.any();
        let (rows, columns) = (fixture.shape[0], fixture.shape[1]);
        let turned = any.reversed_axes();
        assert_eq!((turned.shape(), turned.copy_reason()), (&[columns, rows][..], None));
        let cut =
            turned.slice_axis(0, columns - 1..columns).unwrap().slice_axis(1, 0..rows).unwrap();
        for expected in &fixture.parts {
            let each: usize = expected.shape[2..].iter().product();
            let last: Vec<_> = expected
                .values
                .chunks(each.max(1))
                .skip(columns - 1)
                .step_by(columns)
                .flatten()
                .collect();
            let found = values(&part(&cut, &expected.path));
            assert_eq!(
                found.iter().collect::<Vec<_>>(),
                last,
                "{}: {}",
                fixture.file,
                expected.path
            );
            let swapped = cut.in_byte_order(ByteOrder::NATIVE.opposite()).unwrap();
            assert_eq!(
                values(&part(&swapped, &expected.path)),
                found,
                "{}: {}",
                fixture.file,
                expected.path
            );
        }
    }
}

#[test]
fn a_field_of_fields_of_arrays_has_the_axes_of_all() {
    let nested = records("array_of_nested");
    let y = nested.field("inner.at.y").unwrap();
    assert_eq!(y.shape(), [2, 3, 2, 2, 2, 2]);
    let step_by_step =
        nested.field("inner").unwrap().slice_axis(3, 1..2).unwrap().field("at").unwrap();
    let step_by_step = step_by_step.slice_axis(0, 1..2).unwrap().field("y").unwrap();
    let at_once = y.slice_axis(0, 1..2).unwrap().slice_axis(3, 1..2).unwrap();
    assert_eq!(values(&step_by_step), values(&at_once));
    assert_eq!(
        nested.field("none").unwrap().to_array::<f64, ndferry::ndarray::Ix4>().unwrap().len(),
        0
    );
}

#[test]
fn what_is_asked_of_the_wrong_elements_is_an_error_that_names_them() {
    let flat = records("flat");
    let code = flat.field("code").unwrap();
    for (error, reason) in [
        (flat.field("y").err(), "has no field `y`, expected one of `flag`, `id`, `x`"),
        (flat.field("x.y").err(), "holds f64, which have no field `y`"),
        (flat.strings().err(), "holds structs of 11 fields"),
        (code.timestamps_i64::<Ix1>().err(), "holds strings of 5 bytes (|S5), not times"),
        (
            code.to_array::<u8, Ix1>().err(),
            "holds elements of dtype |S5 (strings of 5 bytes), expected u8",
        ),
        (flat.field("x").unwrap().byte_strings().err(), "not strings of bytes"),
        (flat.field("at").unwrap().to_array::<i64, Ix1>().err(), "(datetimes), expected i64"),
        (flat.field("x").unwrap().to_array::<f64, Ix3>().err(), "has 1 axes"),
    ] {
        let message = error.expect("an error").to_string();
        assert!(message.contains(reason), "{message}");
    }
    let not_json = serde_json::to_string(&flat).unwrap_err().to_string();
    assert!(not_json.contains("structs of 11 fields"), "{not_json}");
}

#[test]
fn what_is_no_text_is_an_error_of_its_own() {
    let of = |dtype: &str, shape: usize, bytes: &[u8]| {
        AnyArray::from_bytes(dtype.parse().unwrap(), &[shape], Order::C, bytes).unwrap()
    };
    let bytes = of("|S2", 3, b"a\0\xff\xfe\0b");
    let texts: Vec<_> =
        bytes.strings().unwrap().map(|text| text.map_err(|error| error.to_string())).collect();
    assert_eq!((texts[0].as_deref(), texts[2].as_deref()), (Ok("a"), Ok("\0b")));
    assert!(texts[1].as_ref().unwrap_err().contains("element 1 is not text"), "{texts:?}");
    let surrogate = of(">U1", 2, &[0, 0, 0xd8, 0, 0, 0, 0, 65]);
    let texts: Vec<_> =
        surrogate.strings().unwrap().map(|text| text.map_err(|error| error.to_string())).collect();
    assert_eq!(texts[0].as_ref().unwrap_err(), "element 0 is not text: 0xd800 is not a character");
    assert_eq!(texts[1].as_deref(), Ok("A"));
}

#[test]
fn records_are_equal_by_value() {
    let of = |dtype: &str, bytes: &[u8]| {
        AnyArray::from_bytes(dtype.parse().unwrap(), &[1], Order::C, bytes).unwrap()
    };
    let one =
        of("[('a', '<u2'), ('b', '<U1'), ('c', '<M8[s]')]", b"\x01\0A\0\0\0\x07\0\0\0\0\0\0\0");
    let padded = of(
        "[('a', '>u2'), ('', '|V1'), ('b', '>U1'), ('c', '>M8[s]')]",
        b"\0\x01\xff\0\0\0A\0\0\0\0\0\0\0\x07",
    );
    assert_eq!(one, padded);
    for other in [
        of("[('a', '<u2'), ('b', '<U1'), ('c', '<M8[s]')]", b"\x01\0B\0\0\0\x07\0\0\0\0\0\0\0"),
        of("[('z', '<u2'), ('b', '<U1'), ('c', '<M8[s]')]", b"\x01\0A\0\0\0\x07\0\0\0\0\0\0\0"),
        of("[('a', '<u2'), ('b', '<U1'), ('c', '<M8[D]')]", b"\x01\0A\0\0\0\x07\0\0\0\0\0\0\0"),
        of("[('a', '<u2'), ('b', '<U1')]", b"\x01\0A\0\0\0"),
    ] {
        assert_ne!(one, other);
    }
    let nat = of("<m8[s]", &TimeUnit::NAT.to_le_bytes());
    assert_ne!(nat, nat.clone(), "as NaN, NaT equals nothing");
}

// F7
#[test]
fn records_stand_in_a_value_beside_other_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    let value = (
        records("flat"),
        "text",
        SharedArray::from(vec![1.5; 10]),
        vec![records("nested").slice_axis(0, 1..3).unwrap()],
    );
    ndferry::dump(&path, &value).unwrap();
    let file = ndferry::open(&path).unwrap();
    let names: Vec<_> = file.arrays().iter().map(ndferry::file::ArrayInfo::name).collect();
    assert_eq!(names, ["0", "2", "3.0"]);
    let (flat, text, numbers, cut): (AnyArray, String, SharedArray<f64, Ix1>, Vec<AnyArray>) =
        file.value().unwrap();
    assert_eq!((text.as_str(), numbers.sum()), ("text", 15.0));
    assert_eq!(values(&flat.field("id").unwrap()), values(&value.0.field("id").unwrap()));
    assert_eq!(cut[0].shape(), [2]);
    assert_eq!(
        values(&cut[0].field("inner.at.x").unwrap()),
        values(&value.3[0].field("inner.at.x").unwrap())
    );
    let wrong = file
        .value::<(SharedArray<f64, Ix1>, String, AnyArray, Vec<AnyArray>)>()
        .unwrap_err()
        .to_string();
    assert!(wrong.contains("structs of 11 fields"), "{wrong}");
}

// F7
#[test]
fn containers_written_before_are_read_for_ever() {
    for name in ["mixed", "flat_big", "names_not_latin_little"] {
        let ferry: AnyArray =
            ndferry::load(folder().join("ferry").join(format!("{name}.ferry"))).unwrap();
        let npy = ndferry::open(folder().join("dtypes").join(format!("{name}.npy")))
            .unwrap()
            .read_dyn("")
            .unwrap();
        assert_eq!(ferry.dtype(), npy.dtype(), "{name}");
        for fixture in fixtures().iter().filter(|fixture| fixture.file == format!("{name}.npy")) {
            assert_values(&ferry, fixture, name);
        }
    }
}

#[test]
fn the_header_of_a_container_has_the_list_of_fields() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    let dtype: DType =
        "[(('t', 'a'), '>f4', (2,)), ('', '|V3'), ('b', [('c', '|S2')])]".parse().unwrap();
    ndferry::dump(&path, &AnyArray::from_bytes(dtype, &[0], Order::C, &[]).unwrap()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let header = bytes.windows(12).rposition(|window| window == b"{\"created_by").unwrap();
    let header: Value = serde_json::from_slice(&bytes[header..]).unwrap();
    let expected = json!([[["t", "a"], ">f4", [2]], ["", "|V3"], ["b", [["c", "|S2"]]]]);
    assert_eq!(header["segments"][0]["dtype"], expected);
}

// F1
#[test]
fn a_header_changed_anywhere_is_an_error_or_an_array_that_can_be_gone_through() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = 1_u64;
    let mut draw = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let (mut read, mut refused) = (0, 0);
    for fixture in fixtures() {
        let whole = std::fs::read(fixture.path()).unwrap();
        let end = whole.iter().position(|&byte| byte == b'\n').unwrap();
        for _ in 0..100 {
            let mut bytes = whole.clone();
            for _ in 0..=draw(2) {
                let at = 10 + draw(end - 10);
                // A digit for a digit often makes another header that can be.
                let letters = if bytes[at].is_ascii_digit() {
                    &b"0123456789"[..]
                } else {
                    b"'\\()[],<>|bcfiuSUVMm"
                };
                bytes[at] = letters[draw(letters.len())];
            }
            // A file that replaces another may have to wait for the disk.
            let path = folder.path().join(format!("{}.npy", read + refused));
            std::fs::write(&path, &bytes).unwrap();
            let Ok(file) = ndferry::open(&path) else {
                refused += 1;
                continue;
            };
            read += 1;
            let any = file.read_dyn("").unwrap();
            let native = any.in_byte_order(ndferry::dtype::ByteOrder::NATIVE).unwrap();
            assert_eq!(native.nbytes(), any.nbytes());
            for field in any.dtype().fields().into_iter().flat_map(|fields| fields.iter()) {
                let _ = any
                    .field(&field.escaped_name())
                    .map(|part| (part.strings().map(Iterator::count).ok(), part == part.clone()));
            }
            let again = path.with_extension("again.npy");
            DumpOptions::new().order(Order::F).write_npy(&again, &any).unwrap();
            assert_eq!(ndferry::open(&again).unwrap().arrays()[0].dtype(), any.dtype());
        }
    }
    assert!(read > 100 && refused > 100, "{read} read, {refused} refused");
}

// F8
#[test]
fn records_that_numpy_would_misread_are_not_written_for_it() {
    let folder = tempfile::tempdir().unwrap();
    for (dtype, reads) in [
        ("[('a', '|S0'), ('b', '<U0')]", true),
        ("[('a', [], (2,)), ('b', '<f4', (0,))]", true),
        ("[('a', '|S0', (2,))]", false),
        ("[('x', [('a', '<U0', (1,))])]", false),
        ("[('a', '|V0', (2,))]", false),
        ("[('', '<i4', (2,))]", false),
        ("[('a', '|u1'), ('', '<i4')]", false),
    ] {
        let dtype: DType = dtype.parse().unwrap();
        let any = AnyArray::from_bytes(dtype.clone(), &[1], Order::C, &vec![0; dtype.item_size()])
            .unwrap();
        let (npy, npz) = (folder.path().join("a.npy"), folder.path().join("a.npz"));
        let new = DumpOptions::new;
        for written in [new().write_npy(&npy, &any), new().write_npz(&npz, [("a", &any)])] {
            assert_eq!(written.is_ok(), reads, "{dtype}");
            if let Err(error) = written {
                assert!(
                    error.is_invalid_input() && error.to_string().contains("write .ferry"),
                    "{error}"
                );
            }
        }
        ndferry::dump(folder.path().join("a.ferry"), &any).unwrap();
    }
}
