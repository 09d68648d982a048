//! `ndferry info`: what arrays a file holds.

use ndferry::{ArrayFile, ArrayInfo, ByteOrder, DType, OpenOptions};
use serde::Serialize;

use super::{
    args::InfoArgs,
    failure::Failure,
    input,
    table::{
        Align::{Left, Right},
        Table,
    },
    terminal,
    text::{self, OneLine},
};

pub fn run(args: &InfoArgs) -> Result<(), Failure> {
    let file = input::open(&args.file, &OpenOptions::new(), &args.raw, args.order)?;
    let text = if args.json { json(&file) } else { table(&file, terminal::width()) };
    terminal::print(&text)
}

/// The file, as `--json` tells it.
#[derive(Serialize)]
struct File<'a> {
    path: String,
    format: String,
    version: Option<&'a str>,
    arrays: Vec<Array<'a>>,
}

#[derive(Serialize)]
struct Array<'a> {
    name: &'a str,
    dtype: &'a DType,
    shape: &'a [usize],
    order: String,
    byte_order: &'static str,
    offset: u64,
    nbytes: u64,
    alignment: u64,
    mappable: bool,
}

impl<'a> From<&'a ArrayInfo> for Array<'a> {
    fn from(array: &'a ArrayInfo) -> Self {
        Self {
            name: array.name(),
            dtype: array.dtype(),
            shape: array.shape(),
            order: array.order().to_string(),
            byte_order: byte_order(array.dtype()),
            offset: array.offset(),
            nbytes: array.nbytes(),
            alignment: array.alignment(),
            mappable: array.mappable(),
        }
    }
}

/// The byte order of a dtype, in the word that JSON has for it.
pub fn byte_order(dtype: &DType) -> &'static str {
    match dtype.byte_order() {
        None => "none",
        Some(ByteOrder::Little) => "little",
        Some(ByteOrder::Big) => "big",
    }
}

fn json(file: &ArrayFile) -> String {
    let file = File {
        path: file.path().display().to_string(),
        format: file.format().to_string(),
        version: file.version(),
        arrays: file.arrays().iter().map(Array::from).collect(),
    };
    serde_json::to_string(&file).expect("strings and numbers are JSON") + "\n"
}

fn table(file: &ArrayFile, width: Option<usize>) -> String {
    let named = file.arrays().iter().any(|array| !array.name().is_empty());
    let columns = [
        ("dtype", Left),
        ("shape", Left),
        ("order", Left),
        ("byte order", Left),
        ("offset", Right),
        ("bytes", Right),
        ("alignment", Right),
        ("mappable", Left),
    ];
    let mut table = Table::new(named.then_some(("array", Left)).into_iter().chain(columns));
    for array in file.arrays().iter().map(Array::from) {
        let cells = [
            array.dtype.to_string(),
            text::shape(array.shape),
            array.order,
            array.byte_order.to_owned(),
            array.offset.to_string(),
            array.nbytes.to_string(),
            array.alignment.to_string(),
            if array.mappable { "yes" } else { "no" }.to_owned(),
        ];
        table.row(named.then(|| array.name.to_owned()).into_iter().chain(cells));
    }
    let version = file.version().map(|version| format!(" {version}")).unwrap_or_default();
    let path = file.path().display().to_string();
    let arrays = text::count(file.arrays().len() as u64, "array");
    let heading = format!("{}: {}{version}, {arrays}\n", OneLine(&path), file.format());
    heading + &table.render(width)
}
