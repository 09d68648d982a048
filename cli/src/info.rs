//! `ndferry info`: lists the arrays of a file.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use clap::Args;
use indicatif::BinaryBytes;
use ndferry::{
    DType,
    array::{CopyReason, Order},
    dtype::{ByteOrder, Field},
    file::{ArrayFile, ArrayInfo, Format, OpenOptions, UnsupportedEntry},
};
use serde::Serialize;

use crate::{
    args::{ArrayArgs, InputArgs},
    failure::{Failure, Failures},
    input::{self, Selected},
    table::Table,
    terminal,
    text::{
        self,
        Align::{Left, Right},
        OneLine, Trailing, pad, shorten,
    },
    tree::{Node, tree},
};

/// List the arrays of files without reading their elements
#[derive(Args)]
#[command(
    long_about = "List the arrays of files without reading their elements\n\n\
        Arrays are shown as a tree of their names, with the number of arrays and the bytes of \
        each branch. The fields of records are listed below their array, each with its bytes and \
        its offset within a record. On a narrow terminal, names are shortened and columns left \
        out. Bytes after the array of a .npy file, such as another array, are reported. The JSON \
        has one line for each file.",
    after_help = "\
Examples:
  ndferry info survey.npy
  ndferry info model.ferry --json
  ndferry info model.ferry --array model.weight
  ndferry info shard-*.safetensors --array '*.bias'
  ndferry info --raw '>i2' --shape 33,41,25 --order F --offset 352 brain.nii
  ndferry info --raw \"[('id', '<u4'), ('x', '<f8')]\" --shape 1000 stars.dat

Exit codes:
  0  Success
  1  A file could not be read, or has no such array
  2  The arguments are invalid"
)]
pub struct InfoArgs {
    /// Files to inspect
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    #[command(flatten)]
    arrays: ArrayArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    input: InputArgs,
}

pub fn run(args: &InfoArgs, failures: &mut Failures) -> Result<(), Failure> {
    let mut shown = Vec::new();
    for path in &args.files {
        match one(path, args) {
            Ok(text) => shown.push(text),
            Err(failure) => failures.report(&failure),
        }
    }
    terminal::print(&shown.join(if args.json { "" } else { "\n" }))
}

/// The text or JSON of one file.
fn one(path: &Path, args: &InfoArgs) -> Result<String, Failure> {
    let file = input::open(path, OpenOptions::new(), args.input.layout())?;
    let shown = Shown::of(&file, &args.arrays.arrays)?;
    Ok(if args.json { shown.json() } else { shown.text(terminal::width()) })
}

/// The part of a file that is shown.
struct Shown<'a> {
    file: &'a ArrayFile,
    arrays: Vec<&'a ArrayInfo>,
    unsupported: &'a [UnsupportedEntry],
    /// The paths of the fields that are shown of each array. An empty path stands for all.
    fields: HashMap<*const ArrayInfo, Vec<String>>,
}

/// The JSON of a file.
#[derive(Serialize)]
struct File<'a> {
    path: String,
    format: String,
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<String, String>,
    arrays: Vec<Array<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<Unsupported<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trailing: Option<Trailing>,
}

/// The JSON of an entry that is not a supported array.
#[derive(Serialize)]
struct Unsupported<'a> {
    name: &'a str,
    offset: u64,
    stored: u64,
    reason: &'a str,
}

impl<'a> From<&'a UnsupportedEntry> for Unsupported<'a> {
    fn from(entry: &'a UnsupportedEntry) -> Self {
        Self {
            name: entry.name(),
            offset: entry.offset(),
            stored: entry.compressed_nbytes(),
            reason: entry.reason(),
        }
    }
}

/// The JSON of an array.
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
    /// Compressed arrays have the next two.
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

/// Why an array cannot be mapped, in a word or two.
fn why_not_mappable(array: &ArrayInfo) -> Option<&'static str> {
    array.copy_reason().map(|why| match why {
        CopyReason::ForeignByteOrder => "byte order",
        CopyReason::Bool => "bool",
        CopyReason::Misaligned => "misaligned",
        CopyReason::Compressed => "compressed",
        _ => "unknown",
    })
}

/// The byte order of a dtype, as the JSON has it.
pub fn byte_order(dtype: &DType) -> &'static str {
    match dtype.byte_order() {
        None if dtype.is_mixed() => "mixed",
        None => "none",
        Some(ByteOrder::Little) => "little",
        Some(ByteOrder::Big) => "big",
    }
}

/// Columns of a part of an array's name.
const MAX_STEP_WIDTH: usize = 64;
/// Columns of a key of the metadata.
const MAX_KEY_WIDTH: usize = 30;
/// Columns of a line without a terminal.
const MAX_LINE_WIDTH: usize = 200;
/// Smaller sizes are also shown in bytes in the heading, if the line has room.
const MAX_EXACT_NBYTES: u64 = 10_000_000;

impl<'a> Shown<'a> {
    fn of(file: &'a ArrayFile, names: &[String]) -> Result<Self, Failure> {
        let unsupported = if names.is_empty() { file.unsupported_entries() } else { &[] };
        let (mut arrays, mut fields) = (Vec::new(), HashMap::<_, Vec<_>>::new());
        for Selected { array, field } in input::select(file, names)? {
            let paths = fields.entry(std::ptr::from_ref(array)).or_insert_with(|| {
                arrays.push(array);
                Vec::new()
            });
            paths.push(field.unwrap_or_default());
        }
        Ok(Self { file, arrays, unsupported, fields })
    }

    fn json(&self) -> String {
        let file = File {
            path: self.file.path().display().to_string(),
            format: self.file.format().to_string(),
            version: self.file.version(),
            metadata: self.file.metadata(),
            arrays: self.arrays.iter().copied().map(Array::from).collect(),
            unreadable: self.unsupported.iter().map(Unsupported::from).collect(),
            trailing: Trailing::of(self.file),
        };
        serde_json::to_string(&file).expect("strings and numbers are JSON") + "\n"
    }

    /// The heading, the metadata and the tree of arrays.
    fn text(&self, columns: Option<usize>) -> String {
        self.heading(columns)
            + &metadata(self.file.metadata(), columns)
            + &self.listing(columns)
            + &self.unsupported()
            + &Trailing::of(self.file).map_or_else(String::new, |bytes| format!("\n{bytes}\n"))
    }

    fn heading(&self, columns: Option<usize>) -> String {
        let file = self.file;
        let version = file.version().map(|version| format!(" {version}")).unwrap_or_default();
        let (shown, all) = (self.arrays.len(), file.arrays().len());
        let arrays = text::count(all as u64, "array");
        let arrays = if shown < all { format!("{shown} of {arrays}") } else { arrays };
        let sum = self.arrays.iter().copied().map(Sum::from).fold(Sum::default(), Sum::and);
        let size = BinaryBytes(sum.nbytes);
        let exact = if (1024..MAX_EXACT_NBYTES).contains(&sum.nbytes) {
            format!(" ({} bytes)", sum.nbytes)
        } else {
            String::new()
        };
        let stored = if sum.compressed {
            format!(", compressed to {}", BinaryBytes(sum.stored))
        } else {
            String::new()
        };
        let mappable = match self.arrays.iter().filter(|array| array.is_mappable()).count() {
            0 => String::new(),
            all if all == shown => ", mappable".to_owned(),
            some => format!(", {some} of {shown} mappable"),
        };
        let path = file.path().display().to_string();
        let heading = |exact: &str| {
            let (path, format) = (OneLine(&path), file.format());
            format!("{path}: {format}{version}, {arrays}, {size}{exact}{stored}{mappable}")
        };
        let whole = heading(&exact);
        let fits = columns.is_none_or(|columns| text::width(&whole) <= columns);
        (if fits { whole } else { heading("") }) + "\n"
    }

    /// The tree of arrays. Arrays of records have their fields below them.
    fn listing(&self, columns: Option<usize>) -> String {
        let headings = [
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
        let arrays = &self.arrays;
        if arrays.is_empty() {
            return String::new();
        }
        let mut listing = Listing {
            table: Table::new(headings),
            shows_order: arrays.iter().any(|array| array.order() == Order::F && has_order(array)),
            shows_mappable: arrays.iter().any(|array| !array.is_mappable()),
            shows_no_name: arrays.len() > 1
                || arrays.iter().any(|array| array.dtype().fields().is_some()),
            fields: &self.fields,
        };
        let named = arrays.iter().map(|&array| (array.name(), array));
        listing.nodes(&tree(named, self.file.format() == Format::Ferry), None);
        format!("\n{}", listing.table.render_lines(columns, &["bytes", "offset", "align"]))
    }

    /// One line for each entry that is not a supported array.
    fn unsupported(&self) -> String {
        let line = |entry: &UnsupportedEntry| {
            let (offset, size) = (entry.offset(), BinaryBytes(entry.compressed_nbytes()));
            let name = shorten(entry.name(), MAX_STEP_WIDTH);
            let reason = shorten(entry.reason(), MAX_LINE_WIDTH);
            format!("cannot be read: {name} ({size} at {offset}), {reason}\n")
        };
        let lines: String = self.unsupported.iter().map(line).collect();
        if lines.is_empty() { lines } else { format!("\n{lines}") }
    }
}

fn metadata(metadata: &BTreeMap<String, String>, columns: Option<usize>) -> String {
    if metadata.is_empty() {
        return String::new();
    }
    let keys: Vec<_> = metadata.keys().map(|key| shorten(key, MAX_KEY_WIDTH)).collect();
    let widest = keys.iter().map(|key| text::width(key)).max().unwrap_or(0);
    let columns = columns.unwrap_or(MAX_LINE_WIDTH);
    let room = columns.saturating_sub(widest + 2).max(MAX_KEY_WIDTH);
    let line = |(key, value): (&String, &String)| {
        format!("{}  {}\n", pad(key, Left, widest), shorten(value, room))
    };
    let lines: String = keys.iter().zip(metadata.values()).map(line).collect();
    format!("\n{lines}")
}

/// Whether C and F order of the elements differ.
fn has_order(array: &ArrayInfo) -> bool {
    array.nbytes() > 0 && array.shape().iter().filter(|&&length| length > 1).count() > 1
}

/// A dtype in the listing. Records show the number of their fields.
fn short_dtype(dtype: &DType) -> String {
    match dtype.fields() {
        Some(fields) => text::count(fields.len() as u64, "field"),
        None => dtype.to_string(),
    }
}

/// A number of bytes, unless the size beside it is exact as well.
fn exact_nbytes(nbytes: u64) -> String {
    if nbytes < 1024 { String::new() } else { nbytes.to_string() }
}

/// The table of arrays, branches and fields.
struct Listing<'a> {
    table: Table,
    /// Whether an array is in F order.
    shows_order: bool,
    /// Whether an array cannot be mapped.
    shows_mappable: bool,
    /// Whether an array without a name needs a placeholder.
    shows_no_name: bool,
    /// The paths of the fields to show of each array.
    fields: &'a HashMap<*const ArrayInfo, Vec<String>>,
}

impl Listing<'_> {
    /// Adds a row for each node and for everything below it. `lines` are the
    /// tree lines of the parent, or `None` at the top.
    fn nodes(&mut self, nodes: &[Node<'_, &ArrayInfo>], lines: Option<&str>) {
        for (at, node) in nodes.iter().enumerate() {
            let [own, below] = tree_lines(lines, ["├─ ", "│  ", "└─ "], at + 1 == nodes.len());
            match node {
                Node::Leaf { steps, item: array } => {
                    let name = self.name(own, steps);
                    self.array(name, array);
                    if let Some(fields) = array.dtype().fields() {
                        let paths: Vec<_> = self.fields[&std::ptr::from_ref(*array)]
                            .iter()
                            .map(|path| &**path)
                            .collect();
                        self.fields(fields, 0, &below, &paths);
                    }
                }
                Node::Branch { steps, nodes } => {
                    let name = self.name(own, steps);
                    self.branch(name, nodes);
                    self.nodes(nodes, Some(&below));
                }
            }
        }
    }

    fn name(&self, lines: String, steps: &str) -> String {
        let placeholder = if self.shows_no_name { "(no name)" } else { "" };
        lines + &if steps.is_empty() { placeholder.into() } else { shorten(steps, MAX_STEP_WIDTH) }
    }

    fn array(&mut self, name: String, array: &ArrayInfo) {
        let order = if self.shows_order && has_order(array) {
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
            None if self.shows_mappable => "yes".to_owned(),
            None => String::new(),
        };
        self.table.row([
            name,
            short_dtype(array.dtype()),
            text::shape(array.shape()),
            order,
            BinaryBytes(array.nbytes()).to_string(),
            exact_nbytes(array.nbytes()),
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
        let [size, bytes] = [BinaryBytes(sum.nbytes).to_string(), exact_nbytes(sum.nbytes)];
        let [dtype, order, offset, align, mappable] = [const { String::new() }; 5];
        self.table.row([name, dtype, arrays, order, size, bytes, offset, align, stored, mappable]);
    }

    /// Adds a row for each field at `paths`. Sizes and offsets are those within one record.
    /// `start` is the offset of the outer record.
    fn fields(&mut self, fields: &[Field], start: usize, lines: &str, paths: &[&str]) {
        let shown = |field| Some((field, paths_below(paths, field)?));
        let shown: Vec<(&Field, Vec<&str>)> = fields.iter().filter_map(shown).collect();
        for (at, (field, paths)) in shown.iter().enumerate() {
            let [own, below] =
                tree_lines(Some(lines), ["├╌ ", "┆  ", "└╌ "], at + 1 == shown.len());
            let count: usize = field.shape().iter().product();
            let (offset, dtype) = (start + field.offset(), field.dtype());
            let nbytes = (count * dtype.item_size()) as u64;
            let [order, align, stored, mappable] = [const { String::new() }; 4];
            self.table.row([
                self.name(own, &field.escaped_name()),
                short_dtype(dtype),
                if field.shape().is_empty() { String::new() } else { text::shape(field.shape()) },
                order,
                BinaryBytes(nbytes).to_string(),
                exact_nbytes(nbytes),
                format!("+{offset}"),
                align,
                stored,
                mappable,
            ]);
            if let Some(inner) = dtype.fields() {
                self.fields(inner, offset, &below, paths);
            }
        }
    }
}

/// The rests of the paths that begin with this field, or `None` if none does. An empty path stands
/// for all fields.
fn paths_below<'a>(paths: &[&'a str], field: &Field) -> Option<Vec<&'a str>> {
    let name = field.escaped_name();
    let rests = paths.iter().filter_map(|path| match path.strip_prefix(&*name) {
        _ if path.is_empty() => Some(""),
        Some("") => Some(""),
        rest => rest?.strip_prefix('.'),
    });
    Some(rests.collect()).filter(|rests: &Vec<_>| !rests.is_empty())
}

/// The totals of several arrays.
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

/// The tree lines of a node and of its children. `branch`, `pass` and `end` are
/// the lines before a node, past a node and before the last node.
fn tree_lines(parent: Option<&str>, [branch, pass, end]: [&str; 3], is_last: bool) -> [String; 2] {
    match parent {
        None => [String::new(), String::new()],
        Some(lines) if is_last => [format!("{lines}{end}"), format!("{lines}   ")],
        Some(lines) => [format!("{lines}{branch}"), format!("{lines}{pass}")],
    }
}
