//! Files written by a machine of one byte order and read by one of the other.
//!
//! By itself, this program reads what it has written. `NDFERRY_TEST_WRITE` names a folder to write to instead, `NDFERRY_TEST_READ` folders to read,
//! as `PATH` has them: `scripts/exchange` lets two machines do their halves, and NumPy and safetensors theirs (`others.py`).

#[path = "../common/mod.rs"]
mod common;
mod value;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use ndferry::{
    AnyArray, DType,
    array::Order,
    dtype::{ByteOrder, Scalar},
    file::{Compression, DumpOptions},
};
use serde_json::Value as Json;
use value::Value;

const WRITE: &str = "NDFERRY_TEST_WRITE";
const READ: &str = "NDFERRY_TEST_READ";

// B4
#[test]
fn files_are_read_whoever_wrote_them() {
    if let Some(folder) = env::var_os(WRITE) {
        write(folder.as_ref());
    } else if let Some(folders) = env::var_os(READ) {
        env::split_paths(&folders).for_each(|folder| read(&folder));
    } else {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path());
        read(folder.path());
    }
}

// F8
#[test]
fn numpy_and_safetensors_read_what_is_written_and_what_they_write_is_read() {
    if common::emulated() || env::var_os(WRITE).or(env::var_os(READ)).is_some() {
        return eprintln!("left out: scripts/exchange does it, with files of another machine");
    }
    let Some(python) = env::var_os("NDFERRY_PYTHON") else {
        return eprintln!("left out: NDFERRY_PYTHON is not set");
    };
    let folder = tempfile::tempdir().unwrap();
    let [ours, theirs] = ["ours", "theirs"].map(|name| folder.path().join(name));
    write(&ours);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/exchange/others.py");
    let output = Command::new(python)
        .args(["-W", "ignore", script])
        .args([&ours, &theirs])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    read(&theirs);
}

/// An array that goes to and fro.
struct Passenger {
    array: AnyArray,
    /// As its fixture has them; of records it has others.
    elements: Option<Vec<String>>,
}

/// Every dtype, recorded in either byte order, by name.
fn passengers() -> BTreeMap<String, Passenger> {
    let mut passengers = BTreeMap::new();
    let mut enter = |name: &str, array: AnyArray, elements: Option<Vec<String>>| {
        let twice = passengers
            .insert(name.trim_end_matches(".npy").to_owned(), Passenger { array, elements });
        assert!(twice.is_none(), "two are called {name}");
    };
    for fixture in common::fixtures() {
        enter(&fixture.file, open(&fixture.path()), Some(fixture.elements));
    }
    for entry in fs::read_dir(common::folder().join("dtypes")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "npy") {
            enter(path.file_name().unwrap().to_str().unwrap(), open(&path), None);
        }
    }
    // The one dtype that NumPy has not.
    let safetensors = common::folder().join("safetensors");
    let described: Json =
        serde_json::from_slice(&fs::read(safetensors.join("every.json")).unwrap()).unwrap();
    let file = ndferry::open(safetensors.join("every.safetensors")).unwrap();
    for described in described["arrays"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|described| described["dtype"] == "<bf2")
    {
        let name = described["name"].as_str().unwrap();
        let elements: Vec<String> = serde_json::from_value(described["elements"].clone()).unwrap();
        let array = file.read_dyn(name).unwrap();
        enter(
            &format!("{name}.big"),
            array.in_byte_order(ByteOrder::Big).unwrap(),
            Some(elements.clone()),
        );
        enter(name, array, Some(elements));
    }
    assert!(passengers.len() > 200, "the fixtures are there");
    passengers
}

fn open(npy: &Path) -> AnyArray {
    ndferry::open(npy).unwrap().read_dyn("").unwrap()
}

fn numpy_has(dtype: &DType) -> bool {
    dtype.scalar() != Some(Scalar::BF16)
}

fn safetensors_has(dtype: &DType) -> bool {
    dtype.scalar().is_some_and(|scalar| scalar != Scalar::C128)
}

/// One way to write all arrays.
struct Way {
    /// As the arrays are recorded, or brought into this one.
    byte_order: Option<ByteOrder>,
    order: Order,
}

impl Way {
    fn all() -> impl Iterator<Item = Self> {
        let byte_orders = [None, Some(ByteOrder::Little), Some(ByteOrder::Big)].into_iter();
        byte_orders
            .flat_map(|byte_order| [Order::C, Order::F].map(|order| Self { byte_order, order }))
    }

    fn name(&self) -> String {
        let byte_order =
            self.byte_order.map_or("recorded".into(), |byte_order| byte_order.to_string());
        format!("{byte_order}-{}", self.order)
    }

    fn options(&self) -> DumpOptions {
        let options = DumpOptions::new().order(self.order);
        self.byte_order.into_iter().fold(options, DumpOptions::byte_order)
    }

    /// How arrays of this dtype are written.
    fn dtype(&self, recorded: &DType) -> DType {
        self.byte_order
            .map_or_else(|| recorded.clone(), |byte_order| recorded.with_byte_order(byte_order))
    }

    /// The containers: one for each codec that there is; of arrays as they are recorded, for either byte order is among them.
    fn containers(&self) -> impl Iterator<Item = (String, DumpOptions)> {
        let plain = (format!("{}.ferry", self.name()), self.options());
        let codecs = [
            ("zstd", Compression::Zstd(3), cfg!(feature = "zstd")),
            ("lz4", Compression::Lz4, cfg!(feature = "lz4")),
        ];
        let codecs = codecs.into_iter().filter(|(.., built)| *built && self.byte_order.is_none());
        let compressed = codecs.map(|(codec, compression, _)| {
            (format!("{}.{codec}.ferry", self.name()), self.options().compress(compression))
        });
        std::iter::once(plain).chain(compressed)
    }

    fn archive(&self) -> String {
        format!("{}.npz", self.name())
    }

    /// Where each array has a file of its own, again as they are recorded.
    fn single(&self, folder: &Path) -> Option<PathBuf> {
        self.byte_order.is_none().then(|| folder.join(self.name()))
    }
}

const SAFETENSORS: &str = "all.safetensors";
/// Says who wrote the files of a folder.
const WRITER: &str = "writer";

/// Files of one value, by the byte order that was asked for.
fn values() -> impl Iterator<Item = (String, DumpOptions)> {
    let asked = [ByteOrder::Little, ByteOrder::Big].into_iter();
    let asked =
        asked.map(|order| (format!("value.{order}.ferry"), DumpOptions::new().byte_order(order)));
    std::iter::once(("value.ferry".into(), DumpOptions::new())).chain(asked)
}

fn write(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let passengers = passengers();
    let arrays: BTreeMap<_, _> =
        passengers.iter().map(|(name, passenger)| (name, &passenger.array)).collect();
    let those = |fit: fn(&DType) -> bool| {
        let fitting = arrays.iter().filter(move |(_, array)| fit(array.dtype()));
        fitting.map(|(name, array)| (name.as_str(), AnyArray::clone(array)))
    };
    for way in Way::all() {
        for (name, options) in way.containers() {
            options.dump(folder.join(name), &arrays).unwrap();
        }
        way.options().write_npz(folder.join(way.archive()), those(numpy_has)).unwrap();
        if let Some(folder) = way.single(folder) {
            fs::create_dir(&folder).unwrap();
            for (name, array) in those(numpy_has) {
                way.options().write_npy(folder.join(format!("{name}.npy")), &array).unwrap();
            }
        }
    }
    let options = DumpOptions::new();
    options
        .write_safetensors(folder.join(SAFETENSORS), those(safetensors_has), &BTreeMap::new())
        .unwrap();
    for (name, options) in values() {
        options.dump(folder.join(name), &Value::sample()).unwrap();
    }
    // Last, as what is not whole is not to be read.
    fs::write(folder.join(WRITER), ByteOrder::NATIVE.to_string()).unwrap();
}

fn read(folder: &Path) {
    let writer = fs::read_to_string(folder.join(WRITER)).unwrap();
    println!("{} machine reads what {writer} wrote in {}", ByteOrder::NATIVE, folder.display());
    let ours = match &*writer {
        "little" | "big" => true,
        "numpy" => false,
        other => panic!("{other} wrote it"),
    };
    let passengers = passengers();
    for way in Way::all() {
        let dtype = |recorded: &DType| way.dtype(recorded);
        for (name, _) in way.containers().filter(|_| ours) {
            check_named(&folder.join(name), &passengers, |_| true, dtype);
        }
        check_named(&folder.join(way.archive()), &passengers, numpy_has, dtype);
        if let Some(folder) = way.single(folder) {
            for (name, passenger) in
                passengers.iter().filter(|(_, passenger)| numpy_has(passenger.array.dtype()))
            {
                let path = folder.join(format!("{name}.npy"));
                check(
                    &ndferry::load(&path).unwrap(),
                    passenger,
                    &dtype(passenger.array.dtype()),
                    &path,
                    name,
                );
            }
        }
    }
    let little = |recorded: &DType| recorded.with_byte_order(ByteOrder::Little);
    check_named(&folder.join(SAFETENSORS), &passengers, safetensors_has, little);
    for (name, _) in values().filter(|_| ours) {
        let file = ndferry::open(folder.join(&name)).unwrap();
        file.verify().unwrap();
        assert_eq!(file.value::<Value>().unwrap(), Value::sample(), "{name}");
        // What nobody asked for a byte order has that of the machine it was written on.
        let expected =
            if name == "value.ferry" { &writer } else { name.split('.').nth(1).unwrap() };
        let shared = file.entry("shared").unwrap();
        assert_eq!(shared.dtype().byte_order().unwrap().to_string(), expected, "{name}");
    }
}

/// A file has the arrays whose dtype fits, each of the dtype that it is written with.
fn check_named(
    path: &Path,
    passengers: &BTreeMap<String, Passenger>,
    fit: impl Fn(&DType) -> bool,
    written: impl Fn(&DType) -> DType,
) {
    ndferry::open(path).unwrap().verify().unwrap();
    let arrays: BTreeMap<String, AnyArray> = ndferry::load(path).unwrap();
    let fitting = passengers.iter().filter(|(_, passenger)| fit(passenger.array.dtype()));
    let (names, fitting): (Vec<_>, Vec<_>) = fitting.unzip();
    assert_eq!(arrays.keys().collect::<Vec<_>>(), names, "{}", path.display());
    for ((name, array), passenger) in arrays.iter().zip(fitting) {
        check(array, passenger, &written(passenger.array.dtype()), path, name);
    }
}

fn check(array: &AnyArray, passenger: &Passenger, dtype: &DType, path: &Path, name: &str) {
    let what = format!("{name} of {}", path.display());
    assert_eq!((array.dtype(), array.shape()), (dtype, passenger.array.shape()), "{what}");
    match &passenger.elements {
        Some(elements) => assert_eq!(&common::bits(array), elements, "{what}"),
        None => assert!(canonical(array) == canonical(&passenger.array), "{what}"),
    }
}

/// Every bit of an array's values, in one byte order and memory order whatever it has itself. Padding is none: NumPy loses it.
fn canonical(array: &AnyArray) -> Vec<u8> {
    if let Some(fields) = array.dtype().fields() {
        return fields
            .iter()
            .flat_map(|field| canonical(&array.field(&field.escaped_name()).unwrap()))
            .collect();
    }
    let mut bytes = Vec::new();
    DumpOptions::new()
        .byte_order(ByteOrder::Big)
        .order(Order::C)
        .to_writer(&mut bytes, array)
        .unwrap();
    bytes
}

/// The format's description and the reader in Python list the scalars by hand.
#[test]
fn exchange_documents_list_every_scalar() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let (description, reader) = (text("docs/format.md"), text("scripts/read_ferry.py"));
    let words: Vec<_> = description.split(|letter: char| !letter.is_ascii_alphanumeric()).collect();
    for scalar in Scalar::ALL {
        let code = scalar.code();
        assert!(words.contains(&code), "docs/format.md lists {code}");
        // The reader recognizes NumPy's codes by their letter. It names all others.
        let is_like_numpy = code[1..].parse::<u32>().is_ok();
        assert!(is_like_numpy || reader.contains(code), "scripts/read_ferry.py reads {code}");
    }
}
