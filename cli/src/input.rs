//! Opening what the arguments name: a file of a known format, or raw binary; and one array of it, or a field of one.

use std::path::Path;

use ndferry::{
    DType,
    dtype::Field,
    file::{ArrayFile, ArrayInfo, OpenOptions, RawLayout},
};

use super::{
    failure::Failure,
    text::{brief, count, of_array},
};

/// Opens the file at `path`: as raw binary where a layout is given, else as what it says it is.
pub fn open(
    path: &Path,
    options: OpenOptions,
    raw: Option<RawLayout>,
) -> Result<ArrayFile, Failure> {
    raw.into_iter()
        .fold(options, OpenOptions::raw)
        .open(path)
        .map_err(|error| Failure::of(path, &error))
}

/// What in a file cannot be given as an array, each as the failure to do so.
pub fn unreadable(file: &ArrayFile) -> impl Iterator<Item = Failure> {
    file.unsupported_entries().iter().map(|other| {
        let message = of_array(other.name(), &format!("cannot be read: {}", other.reason()));
        Failure::new(file.path(), message)
    })
}

/// What a name is the name of.
pub enum Found<'a> {
    Array(&'a ArrayInfo),
    /// A field of an array of records, with the path that it has there.
    Field(&'a ArrayInfo, String),
}

/// What is called `name`: an array, the one that another format would call so, or a field by the names of its array and its own, joined by
/// a dot.
pub fn find<'a>(file: &'a ArrayFile, name: &str) -> Result<Found<'a>, Failure> {
    let arrays = || file.arrays().iter();
    if let Ok(array) = file.entry(name) {
        return Ok(Found::Array(array));
    }
    let mut plain = arrays().filter(|array| file.unescaped_name(array) == name);
    if let (Some(only), None) = (plain.next(), plain.next()) {
        return Ok(Found::Array(only));
    }
    let field = |array: &'a ArrayInfo| {
        let path = match array.name() {
            "" => name,
            array => name.strip_prefix(array)?.strip_prefix('.')?,
        };
        is_field(array.dtype(), path).then(|| Found::Field(array, path.to_owned()))
    };
    if let Some(found) = arrays().find_map(field) {
        return Ok(found);
    }
    let is_known = arrays().any(|array| array.name() == name)
        || file.unsupported_entries().iter().any(|other| other.name() == name);
    if is_known || arrays().all(|array| array.dtype().fields().is_none()) {
        // The library tells which arrays there are.
        file.entry(name).map(Found::Array).map_err(|error| Failure::of(file.path(), &error))
    } else {
        check_paths(file)?;
        Err(Failure::new(file.path(), unknown(file, name)))
    }
}

/// Bytes that the paths and shapes of all fields of a file may come to: each field has those of all that it is in, and a small header can nest many in one long name.
const PATHS: u64 = 64 << 20;

/// Whether each field of the file's arrays can be told of by its path.
pub fn check_paths(file: &ArrayFile) -> Result<(), Failure> {
    let array = |array: &ArrayInfo| {
        weight(array.dtype(), (array.name().len() + 8 * array.shape().len()) as u64)
    };
    let weight = file.arrays().iter().map(array).fold(0, u64::saturating_add);
    if weight <= PATHS {
        return Ok(());
    }
    let message = format!(
        "its fields have paths and shapes of {weight} bytes in all, {PATHS} are the most that are told"
    );
    Err(Failure::new(file.path(), message))
}

/// Bytes of the paths and shapes of all fields, in an element whose own come to `outer`.
fn weight(dtype: &DType, outer: u64) -> u64 {
    let fields = dtype.fields().into_iter().flat_map(|fields| fields.iter());
    let of_field = |field: &Field| {
        let own = outer + (field.name().len() + 8 * field.shape().len()) as u64;
        own.saturating_add(weight(field.dtype(), own))
    };
    fields.map(of_field).fold(0, u64::saturating_add)
}

/// Whether records have a field of this path.
fn is_field(dtype: &DType, path: &str) -> bool {
    let fields = dtype.fields().into_iter().flat_map(|fields| fields.iter());
    fields.into_iter().any(|field| match path.strip_prefix(&field.escaped_name()) {
        Some("") => true,
        Some(rest) => rest.strip_prefix('.').is_some_and(|rest| is_field(field.dtype(), rest)),
        None => false,
    })
}

/// Names that a message lists, and characters of each, at most.
const LISTED: usize = 5;
const NAME: usize = 60;

/// That neither an array nor a field is called `name`, with the nearest names there are.
fn unknown(file: &ArrayFile, name: &str) -> String {
    let mut names = Vec::new();
    for array in file.arrays() {
        if !array.name().is_empty() {
            names.push(array.name().to_owned());
        }
        collect(array.dtype(), array.name(), &mut names);
    }
    // Names beyond any that somebody types are not measured.
    let typed = |name: &str| name.len() <= 4 * NAME;
    let distance = |other: &String| {
        if typed(name) && typed(other) {
            strsim::damerau_levenshtein(name, other)
        } else {
            usize::MAX
        }
    };
    names.sort_by_cached_key(distance);
    let more = names.len().saturating_sub(LISTED);
    let listed: Vec<_> =
        names.iter().take(LISTED).map(|name| format!("`{}`", brief(name, NAME))).collect();
    let others =
        if more > 0 { format!(" and {}", count(more as u64, "other")) } else { String::new() };
    format!(
        "no array or field `{}`: the file holds {}{others}",
        brief(name, NAME),
        listed.join(", ")
    )
}

/// The paths of all fields of a dtype, behind that of what they are of.
fn collect(dtype: &DType, path: &str, paths: &mut Vec<String>) {
    for field in dtype.fields().into_iter().flat_map(|fields| fields.iter()) {
        let path = joined(path, &field.escaped_name());
        collect(field.dtype(), &path, paths);
        paths.push(path);
    }
}

/// A path with a step more.
pub fn joined(path: &str, step: &str) -> String {
    if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") }
}
