//! What others read of our files. Needs Python with NumPy, as `scripts/python-env` sets it up: `NDFERRY_PYTHON` names it.

use std::{collections::BTreeMap, path::Path, process::Command};

use ndferry::{
    AnyArray, SharedArray,
    array::Order,
    dtype::ByteOrder,
    file::DumpOptions,
    ndarray::{Array2, Array3, IxDyn, ShapeBuilder, s},
};

use crate::{
    common::{bits, fixtures, folder as fixture_folder},
    dtypes,
    named::content,
};

/// Runs a Python program; `None` where there is no Python to run it.
fn python(arguments: &[&str]) -> Option<String> {
    let python = std::env::var_os("NDFERRY_PYTHON")?;
    let output = Command::new(python).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// What `scripts/read_ferry.py` prints of a file; `None` where there is no Python to run it.
fn seen(path: &Path) -> Option<serde_json::Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/read_ferry.py");
    let Some(printed) = python(&[script, path.to_str().unwrap()]) else {
        eprintln!("left out: NDFERRY_PYTHON is not set");
        return None;
    };
    Some(serde_json::from_str(&printed).unwrap())
}

/// The sum that `scripts/read_ferry.py` gives: of all elements' bytes, which is the same in any byte order.
fn sum(array: &AnyArray) -> u64 {
    let bytes = |hex: &String| {
        (0..hex.len() / 2)
            .map(|at| u64::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .sum::<u64>()
    };
    bits(array).iter().map(bytes).sum::<u64>() % (1 << 32)
}

// F8
#[test]
fn an_independent_reader_reads_what_we_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    for byte_order in [ByteOrder::Little, ByteOrder::Big] {
        let shared = SharedArray::from(Array2::from_shape_fn((30, 7).f(), |(i, j)| {
            i as f64 / (j + 1) as f64
        }));
        let value =
            (shared.clone(), "größe", Some(vec![5u16; 3000]), vec![1i8, -2, 3], None::<f32>);
        let options = DumpOptions::new().byte_order(byte_order);
        #[cfg(all(feature = "zstd", feature = "lz4"))]
        let options = match byte_order {
            ByteOrder::Little => options
                .compress_array("0", ndferry::file::Compression::Zstd(3))
                .compress_array("2", ndferry::file::Compression::Lz4),
            ByteOrder::Big => options,
        };
        options.dump(&path, &value).unwrap();
        let Some(seen) = seen(&path) else { return };
        assert_eq!(
            seen["value"],
            serde_json::json!([{"array": 0}, "größe", {"array": 1}, [1, -2, 3], null])
        );
        let arrays = seen["arrays"].as_array().unwrap();
        assert_eq!(arrays[0]["order"], "F");
        assert_eq!(arrays[0]["sum_of_bytes"], sum(&shared.to_any()));
        assert_eq!(arrays[1]["name"], "2");
        assert_eq!(arrays[1]["sum_of_bytes"], 5 * 3000);
        let file = ndferry::open(&path).unwrap();
        for (seen, info) in arrays.iter().zip(file.arrays()) {
            assert_eq!(seen["offset"], info.offset());
            assert_eq!(seen["dtype"], info.dtype().to_string());
            assert_eq!(seen["shape"], serde_json::json!(info.shape()));
        }
    }
}

// F8 F9
#[test]
fn an_independent_reader_knows_what_neither_numpy_nor_python_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    let bytes: Vec<u8> = (0..40).collect();
    let dtype = "[('half', '<bf2', (2,)), ('none', '|V0'), ('', '|V1'), ('text', '|S0'), ('texts', '<U0', (2,)), \
                 ('in', [('b', '|u1'), ('half', '>bf2')]), ('many', '|S0', (3,)), ('n', '<u2')]";
    // No sum of all bytes, as padding has none.
    let padding: u64 = (0..4).map(|record| u64::from(bytes[10 * record + 4])).sum();
    let records = AnyArray::from_bytes(dtype.parse().unwrap(), &[4], Order::C, &bytes).unwrap();
    let half = SharedArray::from(Array2::from_shape_fn((3, 5).f(), |(i, j)| {
        half::bf16::from_f32((5 * i + j) as f32)
    }));
    let nothing = AnyArray::from_bytes("|V0".parse().unwrap(), &[2, 3], Order::F, &[]).unwrap();
    let options = [None, Some(None), Some(Some(None)), Some(Some(Some(())))];
    for (byte_order, is) in [(ByteOrder::Little, "<bf2"), (ByteOrder::Big, ">bf2")] {
        let value = (options, half.clone(), records.clone(), nothing.clone());
        DumpOptions::new().byte_order(byte_order).dump(&path, &value).unwrap();
        let Some(seen) = seen(&path) else { return };
        let somes = serde_json::json!([null, {"somes": 1}, {"somes": 2}, {"somes": 3}]);
        assert_eq!(
            seen["value"],
            serde_json::json!([somes, {"array": 0}, {"array": 1}, {"array": 2}])
        );
        let found = [0, 1, 2].map(|at| &seen["arrays"][at]["sum_of_bytes"]);
        let expected = [
            sum(&half.to_any()),
            bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>() - padding,
            0,
        ];
        assert_eq!(
            (found.map(|sum| sum.as_u64().unwrap()), &seen["arrays"][0]["dtype"]),
            (expected, &is.into())
        );
    }
}

// F8
#[test]
fn numpy_reads_what_we_write() {
    let folder = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    for fixture in fixtures() {
        let any = ndferry::open(fixture.path()).unwrap().read_dyn("").unwrap();
        for byte_order in [ByteOrder::Little, ByteOrder::Big] {
            let name = folder.path().join(format!("{byte_order}-{}", fixture.file));
            DumpOptions::new().byte_order(byte_order).write_npy(&name, &any).unwrap();
            names.push((
                name.to_str().unwrap().to_owned(),
                fixture.path().to_str().unwrap().to_owned(),
            ));
        }
    }
    let list = folder.path().join("list.json");
    std::fs::write(&list, serde_json::to_vec(&names).unwrap()).unwrap();
    let program = "\
import json, sys, numpy as np
pairs = json.load(open(sys.argv[1]))
for ours, theirs in pairs:
    a, b = np.load(ours), np.load(theirs)
    assert a.shape == b.shape and a.dtype.newbyteorder('=') == b.dtype.newbyteorder('='), ours
    big = a.dtype.newbyteorder('>')
    same = lambda x: (x.byteswap() if x.dtype.newbyteorder('=').newbyteorder('>') != x.dtype else x).tobytes()
    assert same(a) == same(b), ours
print(len(pairs))";
    match python(&["-c", program, list.to_str().unwrap()]) {
        Some(printed) => assert_eq!(printed.trim(), names.len().to_string()),
        None => eprintln!("left out: NDFERRY_PYTHON is not set"),
    }
}

/// Every array of these files against what its name says, as Python.
const LAYOUTS: &str = "\
import json, sys, numpy as np, safetensors.numpy
a = np.arange(120, dtype='f4').reshape(4, 5, 6)
seen = 0
for path, name in json.load(open(sys.argv[1])):
    read = safetensors.numpy.load_file if path.endswith('.safetensors') else np.load
    arrays = {name: read(path)} if name else dict(read(path))
    for expression, array in arrays.items():
        expected = np.asarray(eval(expression))
        assert array.shape == expected.shape and (array == expected).all(), (path, expression)
    seen += len(arrays)
print(seen)";

// F7 F8
#[test]
fn others_read_what_we_write_of_every_layout() {
    let folder = tempfile::tempdir().unwrap();
    let base = SharedArray::from(Array3::from_shape_fn((4, 5, 6), |(i, j, k)| {
        (i * 30 + j * 6 + k) as f32
    }));
    let of = |view: SharedArray<f32, IxDyn>| view.to_any();
    let views = [
        ("a", of(base.subview(|view| view.into_dyn()))),
        ("a.T", of(base.subview(|view| view.reversed_axes().into_dyn()))),
        ("a[::2, 1::3]", of(base.subview(|view| view.slice_move(s![..;2, 1..;3, ..]).into_dyn()))),
        (
            "a[::-1, :, ::-2]",
            of(base.subview(|view| view.slice_move(s![..;-1, .., ..;-2]).into_dyn())),
        ),
        ("a[1, 2, 3]", of(base.subview(|view| view.slice_move(s![1, 2, 3]).into_dyn()))),
        ("a[2:2]", of(base.subview(|view| view.slice_move(s![2..2, .., ..]).into_dyn()))),
        (
            "a[1:2, 2:3, 3:4]",
            of(base.subview(|view| view.slice_move(s![1..2, 2..3, 3..4]).into_dyn())),
        ),
        ("a[:, 2, 3]", of(base.subview(|view| view.slice_move(s![.., 2, 3]).into_dyn()))),
    ];
    let path = |name: String| folder.path().join(name).to_str().unwrap().to_owned();
    let mut files = vec![(path("a.safetensors".into()), "")];
    DumpOptions::new().write_safetensors(&files[0].0, views.clone(), &BTreeMap::new()).unwrap();
    for byte_order in [ByteOrder::Little, ByteOrder::Big] {
        for order in [None, Some(Order::C), Some(Order::F)] {
            let options = DumpOptions::new().byte_order(byte_order);
            let options = order.into_iter().fold(options, DumpOptions::order);
            let name = format!("{byte_order}-{order:?}");
            let npz = path(format!("{name}.npz"));
            options.write_npz(&npz, views.clone()).unwrap();
            files.push((npz, ""));
            for (at, (python, view)) in views.iter().enumerate() {
                let npy = path(format!("{name}-{at}.npy"));
                options.write_npy(&npy, view).unwrap();
                files.push((npy, python));
            }
        }
    }
    let list = path("list.json".into());
    std::fs::write(&list, serde_json::to_vec(&files).unwrap()).unwrap();
    match python(&["-c", LAYOUTS, &list]) {
        Some(printed) => assert_eq!(printed.trim(), ((1 + 2 * 6) * views.len()).to_string()),
        None => eprintln!("left out: NDFERRY_PYTHON is not set"),
    }
}

/// Compares both kinds of files that we wrote with those NumPy wrote, field by field and bit by bit; dtypes, too, after a change of
/// byte order.
const COMPARE: &str = "\
import json, sys, numpy as np
sys.path.insert(0, sys.argv[2])
import read_ferry
def same(a, b):
    if a.dtype.names is not None:
        return all(same(a[name], b[name]) for name in b.dtype.names)
    if a.dtype.str[0] != b.dtype.str[0]:
        a = a.byteswap().view(b.dtype)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
pairs = json.load(open(sys.argv[1]))
for npy, ferry, theirs, order in pairs:
    b = np.load(theirs)
    expected = b.dtype.newbyteorder(order) if order else b.dtype
    for a in np.load(npy), read_ferry.read(ferry):
        assert a.dtype == expected, (npy, a.dtype, expected)
        assert a.shape == b.shape and same(a, b), (npy, a.dtype)
print(len(pairs))";

/// Arrays of random dtypes: fields of any kind, packed, aligned or with holes, nested, of sub-arrays, in mixed orders.
const MAKE: &str = "\
import random, sys, numpy as np
draw = random.Random(7)
def order(): return draw.choice('<>')
def leaf():
    return draw.choice([
        lambda: draw.choice(['b1', 'i1', 'u1', f'S{draw.randrange(1, 6)}', f'V{draw.randrange(1, 6)}']),
        lambda: order() + draw.choice(['i2', 'i4', 'i8', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8', 'c8', 'c16']),
        lambda: order() + f'U{draw.randrange(1, 4)}',
        lambda: order() + draw.choice(['M8', 'm8']) + draw.choice(['', '[s]', '[25us]', '[D]', '[3W]', '[as]']),
    ])()
def dtype(depth):
    if depth == 0 or draw.random() < 0.4:
        return np.dtype(leaf())
    fields = []
    for at in range(draw.randrange(1, 5)):
        name = draw.choice(['a', 'x y', 'größe', '数', '.', 'q\\'\"']) + str(at)
        name = ('title ' + name, name) if draw.random() < 0.1 else name
        shape = draw.choice([(), (), (2,), (1,), (2, 3), (0,)])
        fields.append((name, dtype(depth - 1), shape) if shape else (name, dtype(depth - 1)))
    made = np.dtype(fields, align=draw.random() < 0.3)
    if draw.random() < 0.2:
        parts = [made.fields[name] for name in made.names]
        offsets = [part[1] + 3 * at for at, part in enumerate(parts)]
        made = np.dtype({'names': list(made.names), 'formats': [part[0] for part in parts], 'offsets': offsets,
                         'itemsize': made.itemsize + 3 * len(parts) + 2})
    return made
for at in range(200):
    made = dtype(3)
    shape = draw.choice([(), (0,), (5,), (3, 4), (2, 1, 3)])
    count = int(np.prod(shape))
    # No characters and truth values but such as there are; all else may be any bytes.
    data = np.zeros(shape, made)
    def fill(part):
        if part.dtype.names is not None:
            for name in part.dtype.names: fill(part[name])
        elif part.dtype.kind == 'U': part[...] = np.array(['', 'µ', '数a'])[np.arange(part.size).reshape(part.shape) % 3]
        elif part.dtype.kind == 'b': part[...] = np.arange(part.size).reshape(part.shape) % 2 == 0
        else: part[...] = np.frombuffer(draw.randbytes(part.nbytes), part.dtype, part.size).reshape(part.shape)
    fill(data)
    np.save(f'{sys.argv[1]}/{at}.npy', np.asfortranarray(data) if draw.random() < 0.5 else data)";

// B1 F8
#[test]
fn numpy_reads_every_dtype_that_we_write_and_we_what_it_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    if python(&["-W", "ignore", "-c", MAKE, folder.path().to_str().unwrap()]).is_none() {
        eprintln!("left out: NDFERRY_PYTHON is not set");
        return;
    }
    let random = (0..200).map(|at| path(&format!("{at}.npy")));
    let fixed =
        dtypes::fixtures().into_iter().map(|fixture| fixture.path().to_str().unwrap().to_owned());
    let mut pairs = Vec::new();
    for (at, theirs) in random.chain(fixed).enumerate() {
        let any = ndferry::open(&theirs).unwrap().read_dyn("").unwrap();
        for (name, byte_order) in
            [("", None), ("<", Some(ByteOrder::Little)), (">", Some(ByteOrder::Big))]
        {
            let options = byte_order
                .map_or_else(DumpOptions::new, |order| DumpOptions::new().byte_order(order));
            // By way of a container, so that its list of fields is as good.
            let (ferry, npy) =
                (path(&format!("{at}{name}.ferry")), path(&format!("{at}{name}.ours.npy")));
            options.dump(&ferry, &any).unwrap();
            let through: AnyArray = ndferry::load(&ferry).unwrap();
            DumpOptions::new().write_npy(&npy, &through).unwrap();
            pairs.push((npy, ferry, theirs.clone(), name));
        }
    }
    std::fs::write(path("list.json"), serde_json::to_vec(&pairs).unwrap()).unwrap();
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");
    let printed = python(&["-c", COMPARE, &path("list.json"), scripts]).unwrap();
    assert_eq!(printed.trim(), pairs.len().to_string());
}

/// Reads every array of the first file with NumPy and writes them to the others: as they are, and deflated.
const THROUGH_NUMPY: &str = "\
import sys, zipfile, numpy as np
ours, plain, deflated = sys.argv[1:]
assert zipfile.ZipFile(ours).testzip() is None
assert all(member.compress_type == zipfile.ZIP_STORED for member in zipfile.ZipFile(ours).infolist())
with np.load(ours, allow_pickle=False) as read:
    arrays = {name: read[name] for name in read.files}
np.savez(plain, **arrays)
np.savez_compressed(deflated, **arrays)
print(len(arrays))";

// F8
#[test]
fn numpy_reads_the_npz_we_write_and_we_read_what_it_makes_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let [ours, plain, deflated] = ["ours.npz", "plain.npz", "deflated.npz"].map(path);
    let given = ndferry::open(fixture_folder().join("npz/deflated.npz")).unwrap();
    let new = DumpOptions::new;
    for options in [
        new(),
        new().byte_order(ByteOrder::Big).order(Order::F),
        new().byte_order(ByteOrder::Little).order(Order::C),
    ] {
        ndferry::convert(&given, None, &ours, &options).unwrap();
        let Some(printed) = python(&["-c", THROUGH_NUMPY, &ours, &plain, &deflated]) else {
            eprintln!("left out: NDFERRY_PYTHON is not set");
            return;
        };
        assert_eq!(printed.trim(), given.arrays().len().to_string());
        let [ours, plain, deflated] =
            [&ours, &plain, &deflated].map(|path| ndferry::open(path).unwrap());
        for (file, compressed) in [(&plain, false), (&deflated, true)] {
            assert_eq!(content(file).unwrap(), content(&given).unwrap());
            for (ours, theirs) in ours.arrays().iter().zip(file.arrays()) {
                assert_eq!((ours.name(), ours.dtype()), (theirs.name(), theirs.dtype()));
                assert_eq!(theirs.codec().is_some(), compressed);
            }
        }
    }
}

/// Compares two files with the reference library, byte by byte; writes the arrays that NumPy has types for to a third, from big-endian
/// memory.
const THROUGH_SAFETENSORS: &str = "\
import sys, numpy as np, safetensors, safetensors.numpy
ours, theirs, back = sys.argv[1:]
read = lambda path: {name: (a['shape'], a['dtype'], bytes(a['data'])) for name, a in safetensors.deserialize(open(path, 'rb').read())}
assert read(ours) == read(theirs)
with safetensors.safe_open(ours, 'np') as a, safetensors.safe_open(theirs, 'np') as b:
    assert a.metadata() == b.metadata()
    arrays = {name: a.get_tensor(name) for name in a.keys() if not name.startswith('bf2')}
big = {name: array.astype(array.dtype.newbyteorder('>')) for name, array in arrays.items()}
safetensors.numpy.save_file(big, back)
print(len(arrays))";

// F8
#[test]
fn safetensors_reads_what_we_write_and_we_read_what_it_makes_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (ours, back) = (path("ours.safetensors"), path("back.safetensors"));
    let theirs = fixture_folder().join("safetensors/every.safetensors");
    let given = ndferry::open(&theirs).unwrap();
    ndferry::convert(&given, None, &ours, &DumpOptions::new()).unwrap();
    let Some(printed) =
        python(&["-c", THROUGH_SAFETENSORS, &ours, theirs.to_str().unwrap(), &back])
    else {
        eprintln!("left out: NDFERRY_PYTHON is not set");
        return;
    };
    let mut expected = content(&given).unwrap();
    expected.retain(|name, _| !name.starts_with("bf2"));
    assert_eq!(printed.trim(), expected.len().to_string());
    assert_eq!(content(&ndferry::open(&back).unwrap()).unwrap(), expected);
}
