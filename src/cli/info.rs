//! `ndferry info`: what arrays a file holds.

use ndferry::{ArrayFile, ArrayInfo, ByteOrder, DType, Fields, OpenOptions};
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
    let file = input::open(&args.file, OpenOptions::new(), args.input.layout())?;
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
    /// These two of compressed arrays alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    codec: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<u64>,
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
            codec: array.codec(),
            stored: array.codec().map(|_| array.stored_nbytes()),
        }
    }
}

/// The byte order of a dtype, in the word that JSON has for it.
pub fn byte_order(dtype: &DType) -> &'static str {
    match dtype.byte_order() {
        None if dtype.is_mixed() => "mixed",
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

/// A dtype in a table: the type string, or what the list of fields would be too long for.
fn short(dtype: &DType) -> String {
    match dtype.fields() {
        Some(fields) => text::count(fields.len() as u64, "field"),
        None => dtype.to_string(),
    }
}

/// The fields of an array's elements, those of a field below it.
fn fields(array: &str, fields: &Fields, width: Option<usize>) -> String {
    fn rows(table: &mut Table, fields: &Fields, start: usize, depth: usize) {
        for field in fields.iter() {
            let count: usize = field.shape().iter().product();
            let (offset, dtype) = (start + field.offset(), field.dtype());
            table.row([
                "  ".repeat(depth) + field.name(),
                short(dtype),
                if field.shape().is_empty() { String::new() } else { text::shape(field.shape()) },
                byte_order(dtype).to_owned(),
                offset.to_string(),
                (count * dtype.item_size()).to_string(),
            ]);
            if let Some(inner) = dtype.fields() {
                rows(table, inner, offset, depth + 1);
            }
        }
    }

    let columns =
        [("field", Left), ("dtype", Left), ("shape", Left), ("byte order", Left), ("offset", Right), ("bytes", Right)];
    let mut table = Table::new(columns);
    rows(&mut table, fields, 0, 0);
    let name = if array.is_empty() { String::new() } else { format!(" of {}", OneLine(array)) };
    format!("\nfields{name}:\n{}", table.render(width))
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
    let compressed = file.arrays().iter().any(|array| array.codec().is_some());
    let more = compressed.then_some([("codec", Left), ("stored", Right)]).into_iter().flatten();
    let mut table = Table::new(named.then_some(("array", Left)).into_iter().chain(columns).chain(more));
    for array in file.arrays().iter().map(Array::from) {
        let cells = [
            short(array.dtype),
            text::shape(array.shape),
            array.order,
            array.byte_order.to_owned(),
            array.offset.to_string(),
            array.nbytes.to_string(),
            array.alignment.to_string(),
            if array.mappable { "yes" } else { "no" }.to_owned(),
        ];
        let more = compressed
            .then(|| [array.codec.unwrap_or("-").to_owned(), array.stored.unwrap_or(array.nbytes).to_string()]);
        let name = named.then(|| array.name.to_owned());
        table.row(name.into_iter().chain(cells).chain(more.into_iter().flatten()));
    }
    let version = file.version().map(|version| format!(" {version}")).unwrap_or_default();
    let path = file.path().display().to_string();
    let arrays = text::count(file.arrays().len() as u64, "array");
    let heading = format!("{}: {}{version}, {arrays}\n", OneLine(&path), file.format());
    let structured = file.arrays().iter().filter_map(|array| Some((array.name(), array.dtype().fields()?)));
    let listed: String = structured.map(|(name, structure)| fields(name, structure, width)).collect();
    heading + &table.render(width) + &listed
}
