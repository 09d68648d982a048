//! The files that other programs wrote, with what a reader has to find in them; and the elements of any file, byte by byte.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ndferry::{DType, array::Order, dtype::ByteOrder};
use serde_json::Value;

/// A file and its description.
pub struct Fixture {
    pub path: PathBuf,
    pub description: Value,
}

impl Fixture {
    pub fn text(&self, key: &str) -> &str {
        self.description[key].as_str().expect("a text")
    }

    pub fn dtype(&self) -> DType {
        self.text("dtype").parse().expect("a dtype")
    }

    pub fn order(&self) -> Order {
        if self.text("order") == "F" { Order::F } else { Order::C }
    }

    /// The figures; `None` for elements that have none.
    pub fn stats(&self) -> Option<&Value> {
        Some(&self.description["stats"]).filter(|stats| !stats.is_null())
    }

    /// The bytes of each element in logical order, as hexadecimal digits, most significant first.
    pub fn elements(&self) -> Vec<&str> {
        let elements = self.description["elements"].as_array().expect("a list");
        elements.iter().map(|element| element.as_str().expect("a text")).collect()
    }
}

/// Every file of a folder of fixtures, by name.
pub fn fixtures(folder: &str) -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(folder);
    let entries = fs::read_dir(&folder).expect("the folder of fixtures");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut descriptions: Vec<_> =
        paths.filter(|path| path.extension() == Some("json".as_ref())).collect();
    assert!(!descriptions.is_empty(), "{} holds no fixtures", folder.display());
    descriptions.sort();
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a description");
        let description: Value = serde_json::from_str(&text).expect("a description in JSON");
        let path = folder.join(description["file"].as_str().expect("a file name"));
        Fixture { path, description }
    };
    descriptions.iter().map(read).collect()
}

/// A field of the records of a fixture that holds numbers, as `stats` is to tell it.
pub struct Column<'a> {
    pub name: &'a str,
    pub described: &'a Value,
}

impl Fixture {
    /// The fields that have figures.
    pub fn columns(&self) -> Vec<Column<'_>> {
        let parts = self.description["parts"].as_array().expect("a list");
        let told = parts.iter().filter(|part| !part["stats"].is_null());
        told.map(|part| Column { name: part["path"].as_str().expect("a path"), described: part })
            .collect()
    }
}

/// The real volume that is read as raw binary.
pub fn volume() -> Fixture {
    fixtures("nifti").pop().expect("a volume")
}

/// The arguments that describe a raw file.
pub fn raw_arguments(fixture: &Fixture) -> Vec<String> {
    let shape = fixture.description["shape"].as_array().expect("a shape");
    let shape: Vec<_> = shape.iter().map(Value::to_string).collect();
    let offset = fixture.description["offset"].to_string();
    let options = [
        ("--raw", fixture.text("dtype")),
        ("--shape", &shape.join(",")),
        ("--order", fixture.text("order")),
        ("--offset", &offset),
    ];
    options.iter().flat_map(|(option, value)| [(*option).to_owned(), (*value).to_owned()]).collect()
}

/// The elements of the only array of a file, in the form of [`Fixture::elements`]: picked from the bytes of the file, with
/// nothing of the library but where they lie.
pub fn elements_of(path: &Path) -> Vec<String> {
    let file = ndferry::open(path).expect("a file that was just written");
    let [array] = file.arrays() else {
        panic!("{} arrays in {}", file.arrays().len(), path.display())
    };
    let (size, shape) = (array.dtype().item_size(), array.shape());
    let start = array.offset() as usize;
    let bytes = fs::read(path).expect("the file");
    let count: usize = shape.iter().product();
    let element = |at: usize| {
        let place = match array.order() {
            Order::C => at,
            Order::F => transposed(at, shape),
        };
        hexadecimal(&bytes[start + place * size..][..size], array.dtype())
    };
    (0..count).map(element).collect()
}

/// Where the element that is number `at` in C order lies in F order.
fn transposed(at: usize, shape: &[usize]) -> usize {
    let (mut rest, mut stride) = (at, shape.iter().product::<usize>());
    let mut place = 0;
    for &length in shape.iter().rev() {
        stride /= length;
        place += rest % length * stride;
        rest /= length;
    }
    place
}

fn hexadecimal(element: &[u8], dtype: &DType) -> String {
    let parts = element.chunks(dtype.scalar().expect("a number").swap_width());
    let digits = |part: &[u8]| {
        let mut part = part.to_vec();
        if dtype.byte_order() == Some(ByteOrder::Little) {
            part.reverse();
        }
        part.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    parts.map(digits).collect()
}
