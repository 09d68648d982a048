//! `ndferry info`: what arrays a file holds.

use std::collections::BTreeMap;

use indicatif::BinaryBytes;
use ndferry::{
    DType,
    array::{CopyReason, Order},
    dtype::{ByteOrder, Field},
    file::{ArrayFile, ArrayInfo, Format, OpenOptions, UnsupportedEntry},
};
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
    text::{self, OneLine, brief},
    tree::{Node, tree},
};

pub fn run(args: &InfoArgs) -> Result<(), Failure> {
    let file = input::open(&args.file, OpenOptions::new(), args.input.layout())?;
    let text = if args.json { json(&file) } else { told(&file, terminal::width()) };
    terminal::print(&text)
}

/// The file, as `--json` tells it.
#[derive(Serialize)]
struct File<'a> {
    path: String,
    format: String,
    version: Option<&'a str>,
    /// Where there is some.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<String, String>,
    arrays: Vec<Array<'a>>,
    /// What cannot be given as an array, where there is such a thing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<Other<'a>>,
}

#[derive(Serialize)]
struct Other<'a> {
    name: &'a str,
    offset: u64,
    stored: u64,
    reason: &'a str,
}

impl<'a> From<&'a UnsupportedEntry> for Other<'a> {
    fn from(other: &'a UnsupportedEntry) -> Self {
        let (name, reason) = (other.name(), other.reason());
        Self { name, offset: other.offset(), stored: other.compressed_nbytes(), reason }
    }
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
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not_mappable: Option<&'static str>,
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
            mappable: array.is_mappable(),
            why_not_mappable: why_not_mappable(array),
            codec: array.codec(),
            stored: array.codec().map(|_| array.compressed_nbytes()),
        }
    }
}

/// The rule that keeps an array from being mapped, in a word or two.
fn why_not_mappable(array: &ArrayInfo) -> Option<&'static str> {
    array.copy_reason().map(|why| match why {
        CopyReason::ForeignByteOrder => "byte order",
        CopyReason::Bool => "bool",
        CopyReason::Misaligned => "misaligned",
        CopyReason::Compressed => "compressed",
        _ => "unknown",
    })
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
        metadata: file.metadata(),
        arrays: file.arrays().iter().map(Array::from).collect(),
        unreadable: file.unsupported_entries().iter().map(Other::from).collect(),
    };
    serde_json::to_string(&file).expect("strings and numbers are JSON") + "\n"
}

/// What people are told: the file, what it says of itself, and the tree of its arrays.
fn told(file: &ArrayFile, width: Option<usize>) -> String {
    heading(file, width)
        + &metadata(file.metadata(), width)
        + &listing(file, width)
        + &unreadable(file)
}

/// What cannot be given as an array, a line each.
fn unreadable(file: &ArrayFile) -> String {
    let line = |other: &UnsupportedEntry| {
        let (name, size) = (brief(other.name(), STEP), BinaryBytes(other.compressed_nbytes()));
        format!(
            "cannot be read: {name} ({size} at {}), {}\n",
            other.offset(),
            brief(other.reason(), WIDTH)
        )
    };
    let lines: String = file.unsupported_entries().iter().map(line).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

fn heading(file: &ArrayFile, width: Option<usize>) -> String {
    let version = file.version().map(|version| format!(" {version}")).unwrap_or_default();
    let arrays = text::count(file.arrays().len() as u64, "array");
    let sum = file.arrays().iter().map(Sum::from).fold(Sum::default(), Sum::and);
    let size = BinaryBytes(sum.nbytes);
    let exact = if (1024..EXACT).contains(&sum.nbytes) {
        format!(" ({} bytes)", sum.nbytes)
    } else {
        String::new()
    };
    let stored = if sum.compressed {
        format!(", compressed to {}", BinaryBytes(sum.stored))
    } else {
        String::new()
    };
    let mappable = file.arrays().iter().filter(|array| array.is_mappable()).count();
    let mappable = match (mappable, file.arrays().len()) {
        (0, _) => String::new(),
        (all, of) if all == of => ", mappable".to_owned(),
        (some, of) => format!(", {some} of {of} mappable"),
    };
    let path = file.path().display().to_string();
    let heading = |exact: &str| {
        format!(
            "{}: {}{version}, {arrays}, {size}{exact}{stored}{mappable}",
            OneLine(&path),
            file.format()
        )
    };
    let whole = heading(&exact);
    let fits = width.is_none_or(|width| whole.chars().count() <= width);
    (if fits { whole } else { heading("") }) + "\n"
}

/// Sizes below this are told to the byte in the heading as well, where the terminal has room for it.
const EXACT: u64 = 10_000_000;

fn metadata(metadata: &BTreeMap<String, String>, width: Option<usize>) -> String {
    if metadata.is_empty() {
        return String::new();
    }
    let keys: Vec<_> = metadata.keys().map(|key| brief(key, KEY)).collect();
    let widest = keys.iter().map(|key| key.chars().count()).max().unwrap_or(0);
    let room = width.unwrap_or(WIDTH).saturating_sub(widest + 2).max(KEY);
    let line =
        |(key, value): (&String, &String)| format!("{key:widest$}  {}\n", brief(value, room));
    let lines: String = keys.iter().zip(metadata.values()).map(line).collect();
    format!("\n{lines}")
}

/// Characters of a key of the metadata, at most, and of a line of them off a terminal.
const KEY: usize = 30;
const WIDTH: usize = 200;

/// The tree of arrays, and beneath each array of records its fields.
fn listing(file: &ArrayFile, width: Option<usize>) -> String {
    let columns = [
        ("array", Left),
        ("dtype", Left),
        ("shape", Left),
        ("order", Left),
        ("size", Right),
        ("bytes", Right),
        ("offset", Right),
        ("align", Right),
        ("stored", Right),
        ("mappable", Left),
    ];
    let arrays = file.arrays();
    if arrays.is_empty() {
        return String::new();
    }
    let mut listing = Listing {
        table: Table::new(columns),
        ordered: arrays.iter().any(|array| array.order() == Order::F && has_order(array)),
        maps: arrays.iter().any(|array| !array.is_mappable()),
        named: arrays.len() > 1 || arrays.iter().any(|array| array.dtype().fields().is_some()),
    };
    let nodes =
        tree(arrays.iter().map(|array| (array.name(), array)), file.format() == Format::Ferry);
    listing.nodes(&nodes, None);
    format!("\n{}", listing.table.squeezed(width, &["bytes", "offset", "align"]))
}

/// Whether it matters in which order the elements lie.
fn has_order(array: &ArrayInfo) -> bool {
    array.nbytes() > 0 && array.shape().iter().filter(|&&length| length > 1).count() > 1
}

/// A dtype in the listing: the type string, or how many fields stand beneath it.
fn short(dtype: &DType) -> String {
    match dtype.fields() {
        Some(fields) => text::count(fields.len() as u64, "field"),
        None => dtype.to_string(),
    }
}

/// A number of bytes where the size in units does not tell it already.
fn exact(nbytes: u64) -> String {
    if nbytes < 1024 { String::new() } else { nbytes.to_string() }
}

/// Characters of a step of a name, at most.
const STEP: usize = 64;

struct Listing {
    table: Table,
    /// Whether some array's order is not the usual one.
    ordered: bool,
    /// Whether some array cannot be mapped.
    maps: bool,
    /// Whether an array without a name needs something in its place.
    named: bool,
}

impl Listing {
    /// A row for each node, and those below it. `lines` are those of what they are of; `None` where that is the file.
    fn nodes(&mut self, nodes: &[Node<'_, &ArrayInfo>], lines: Option<&str>) {
        for (at, node) in nodes.iter().enumerate() {
            let [before, below] = drawn(lines, ["├─ ", "│  ", "└─ "], at + 1 == nodes.len());
            match node {
                Node::Leaf { steps, item: array } => {
                    let name = self.name(before, steps);
                    self.array(name, array);
                    if let Some(fields) = array.dtype().fields() {
                        self.fields(fields, 0, &below);
                    }
                }
                Node::Branch { steps, nodes } => {
                    let name = self.name(before, steps);
                    self.branch(name, nodes);
                    self.nodes(nodes, Some(&below));
                }
            }
        }
    }

    fn name(&self, before: String, steps: &str) -> String {
        let unnamed = if self.named { "(no name)" } else { "" };
        before + &if steps.is_empty() { unnamed.into() } else { brief(steps, STEP) }
    }

    fn array(&mut self, name: String, array: &ArrayInfo) {
        let order = if self.ordered && has_order(array) {
            array.order().to_string()
        } else {
            String::new()
        };
        let stored = array
            .codec()
            .map(|codec| format!("{codec} {}", BinaryBytes(array.compressed_nbytes())));
        let mappable = match why_not_mappable(array) {
            Some(_) if array.dtype().is_mixed() => "no: mixed byte orders".to_owned(),
            Some("byte order") => format!("no: {}-endian", byte_order(array.dtype())),
            Some(why) => format!("no: {why}"),
            None if self.maps => "yes".to_owned(),
            None => String::new(),
        };
        self.table.row([
            name,
            short(array.dtype()),
            text::shape(array.shape()),
            order,
            BinaryBytes(array.nbytes()).to_string(),
            exact(array.nbytes()),
            array.offset().to_string(),
            array.alignment().to_string(),
            stored.unwrap_or_default(),
            mappable,
        ]);
    }

    fn branch(&mut self, name: String, nodes: &[Node<'_, &ArrayInfo>]) {
        let sum = Sum::of(nodes);
        let stored =
            if sum.compressed { BinaryBytes(sum.stored).to_string() } else { String::new() };
        let arrays = text::count(sum.arrays, "array");
        let [size, bytes] = [BinaryBytes(sum.nbytes).to_string(), exact(sum.nbytes)];
        let [none, order, offset, align, maps] = [const { String::new() }; 5];
        self.table.row([name, none, arrays, order, size, bytes, offset, align, stored, maps]);
    }

    /// The fields of an array's elements, those of a field below it: their sizes are those within one element.
    fn fields(&mut self, fields: &[Field], start: usize, lines: &str) {
        for (at, field) in fields.iter().enumerate() {
            let [before, below] = drawn(Some(lines), ["├╌ ", "┆  ", "└╌ "], at + 1 == fields.len());
            let count: usize = field.shape().iter().product();
            let (offset, dtype) = (start + field.offset(), field.dtype());
            let nbytes = (count * dtype.item_size()) as u64;
            let [order, align, stored, maps] = [const { String::new() }; 4];
            self.table.row([
                self.name(before, &field.escaped_name()),
                short(dtype),
                if field.shape().is_empty() { String::new() } else { text::shape(field.shape()) },
                order,
                BinaryBytes(nbytes).to_string(),
                exact(nbytes),
                format!("+{offset}"),
                align,
                stored,
                maps,
            ]);
            if let Some(inner) = dtype.fields() {
                self.fields(inner, offset, &below);
            }
        }
    }
}

/// What the arrays of some nodes come to.
#[derive(Default)]
struct Sum {
    arrays: u64,
    nbytes: u64,
    stored: u64,
    compressed: bool,
}

impl From<&ArrayInfo> for Sum {
    fn from(array: &ArrayInfo) -> Self {
        let compressed = array.codec().is_some();
        Self { arrays: 1, nbytes: array.nbytes(), stored: array.compressed_nbytes(), compressed }
    }
}

impl Sum {
    fn of(nodes: &[Node<'_, &ArrayInfo>]) -> Self {
        nodes.iter().fold(Self::default(), |sum, node| match node {
            Node::Leaf { item: array, .. } => sum.and(Self::from(*array)),
            Node::Branch { nodes, .. } => sum.and(Self::of(nodes)),
        })
    }

    fn and(self, other: Self) -> Self {
        Self {
            arrays: self.arrays + other.arrays,
            nbytes: self.nbytes.saturating_add(other.nbytes),
            stored: self.stored.saturating_add(other.stored),
            compressed: self.compressed || other.compressed,
        }
    }
}

/// What stands before a node and before those below it, drawn with what goes on, what passes by and what ends.
fn drawn(lines: Option<&str>, [on, by, end]: [&str; 3], last: bool) -> [String; 2] {
    match lines {
        None => [String::new(), String::new()],
        Some(lines) if last => [format!("{lines}{end}"), format!("{lines}   ")],
        Some(lines) => [format!("{lines}{on}"), format!("{lines}{by}")],
    }
}
