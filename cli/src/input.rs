//! Opens input files, and finds arrays and fields in them by name.

use std::{collections::HashSet, path::Path};

use glob::Pattern;
use ndferry::{
    AnyArray, DType,
    array::Order,
    dtype::Field,
    file::{ArrayFile, ArrayInfo, OpenOptions, RawLayout},
};

use crate::{
    failure::{Failure, reason},
    text::of_array,
};

/// Opens the file at `path`, as raw binary if `raw` is given.
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

/// The entries of a file that cannot be read as arrays, each as a failure.
pub fn unsupported(file: &ArrayFile) -> impl Iterator<Item = Failure> {
    file.unsupported_entries().iter().map(|entry| {
        let message = of_array(entry.name(), &format!("cannot be read: {}", entry.reason()));
        Failure::new(file.path(), message)
    })
}

/// An array, or a field of an array of records.
#[derive(Clone)]
pub struct Selected<'a> {
    pub array: &'a ArrayInfo,
    /// The path of the field within the array.
    pub field: Option<String>,
}

impl<'a> Selected<'a> {
    pub fn array(array: &'a ArrayInfo) -> Self {
        Self { array, field: None }
    }

    /// The name of the array and the path of the field, joined by a dot.
    pub fn name(&self) -> String {
        self.name_in(self.array.name())
    }

    /// The name if that of the array is `array`.
    pub fn name_in(&self, array: &str) -> String {
        match &self.field {
            Some(path) => join_path(array, path),
            None => array.to_owned(),
        }
    }

    /// What distinguishes it from everything else in open files.
    pub fn id(&self) -> (*const ArrayInfo, Option<String>) {
        (self.array, self.field.clone())
    }

    /// Reads the array or the field.
    pub fn read(&self, file: &ArrayFile) -> Result<AnyArray, Failure> {
        let array = file.read_entry(self.array);
        let array = match &self.field {
            Some(path) => array.and_then(|array| array.field(path)),
            None => array,
        };
        array.map_err(|error| Failure::of(file.path(), &error))
    }
}

/// The arrays and fields that `names` select, each once, or all arrays if there are no names.
pub fn select<'a>(file: &'a ArrayFile, names: &[String]) -> Result<Vec<Selected<'a>>, Failure> {
    if names.is_empty() {
        return Ok(file.arrays().iter().map(Selected::array).collect());
    }
    let (mut selected, mut seen) = (Vec::new(), HashSet::new());
    for name in names {
        let found = matching(file, name)?;
        if found.is_empty() {
            return Err(no_match(file, name));
        }
        selected.extend(found.into_iter().filter(|found| seen.insert(found.id())));
    }
    Ok(selected)
}

/// The failure of a pattern that nothing matches.
pub fn no_match(file: &ArrayFile, pattern: &str) -> Failure {
    Failure::new(file.path(), format!("no array or field matches `{pattern}`"))
}

/// The array or field of this name, or all that match it as a pattern, if nothing has the name and
/// it contains `*`, `?` or `[`. There may be none.
pub fn matching<'a>(file: &'a ArrayFile, name: &str) -> Result<Vec<Selected<'a>>, Failure> {
    let failure = match find(file, name) {
        Ok(found) => return Ok(vec![found]),
        Err(failure) => failure,
    };
    if !is_pattern(name) {
        return Err(failure);
    }
    let pattern = Pattern::new(name)
        .map_err(|error| Failure::new(file.path(), format!("the pattern `{name}`: {error}")))?;
    check_field_paths(file)?;
    let mut found = Vec::new();
    for array in file.arrays() {
        if pattern.matches(array.name()) || pattern.matches(&file.unescaped_name(array)) {
            found.push(Selected::array(array));
        } else {
            matching_fields(array, array.dtype(), "", &pattern, &mut found);
        }
    }
    Ok(found)
}

/// Whether a name that nothing has is a pattern.
pub fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// Adds the fields below `path` whose whole names match.
fn matching_fields<'a>(
    array: &'a ArrayInfo,
    dtype: &DType,
    path: &str,
    pattern: &Pattern,
    found: &mut Vec<Selected<'a>>,
) {
    for field in dtype.fields().into_iter().flat_map(|fields| fields.iter()) {
        let path = join_path(path, &field.escaped_name());
        if pattern.matches(&join_path(array.name(), &path)) {
            found.push(Selected { array, field: Some(path) });
        } else {
            matching_fields(array, field.dtype(), &path, pattern, found);
        }
    }
}

/// Finds an array or a field by name. An array may also be named without the
/// escapes of its format. A field is named by its array and its path, joined by
/// a dot.
fn find<'a>(file: &'a ArrayFile, name: &str) -> Result<Selected<'a>, Failure> {
    let unknown = match file.entry(name) {
        Ok(array) => return Ok(Selected::array(array)),
        Err(error) => error,
    };
    let arrays = || file.arrays().iter();
    let mut unescaped = arrays().filter(|array| file.unescaped_name(array) == name);
    if let (Some(only), None) = (unescaped.next(), unescaped.next()) {
        return Ok(Selected::array(only));
    }
    let mut no_field = None;
    for array in arrays().filter(|array| array.dtype().fields().is_some()) {
        let path = match array.name() {
            "" => Some(name),
            array => name.strip_prefix(array).and_then(|rest| rest.strip_prefix('.')),
        };
        let Some(path) = path else { continue };
        match check_field(array.dtype(), path) {
            Ok(()) => return Ok(Selected { array, field: Some(path.to_owned()) }),
            Err(error) => no_field = Some(of_array(array.name(), &reason(&error))),
        }
    }
    // An array or entry of exactly this name explains more than a field does.
    let is_known = arrays().any(|array| array.name() == name)
        || file.unsupported_entries().iter().any(|entry| entry.name() == name);
    Err(match no_field.filter(|_| !is_known) {
        Some(message) => Failure::new(file.path(), message),
        None => Failure::of(file.path(), &unknown),
    })
}

/// Returns an error if records of this dtype have no field at `path`.
fn check_field(dtype: &DType, path: &str) -> ndferry::Result<()> {
    AnyArray::from_bytes(dtype.clone(), &[0], Order::C, &[])?.field(path).map(drop)
}

/// Bytes of the paths and shapes of all fields of a file that can be listed. A
/// small header can nest many fields in one long name, which the path of each
/// of them repeats.
const MAX_FIELD_PATHS_LEN: u64 = 64 << 20;

/// Returns a failure if the paths of the file's fields are too long to list.
pub fn check_field_paths(file: &ArrayFile) -> Result<(), Failure> {
    let array = |array: &ArrayInfo| {
        paths_len(array.dtype(), (array.name().len() + 8 * array.shape().len()) as u64)
    };
    let len = file.arrays().iter().map(array).fold(0, u64::saturating_add);
    if len <= MAX_FIELD_PATHS_LEN {
        return Ok(());
    }
    let message = format!(
        "the paths and shapes of its fields have {len} bytes, the limit is {MAX_FIELD_PATHS_LEN}"
    );
    Err(Failure::new(file.path(), message))
}

/// Bytes of the paths and shapes of all fields below a path of `outer` bytes.
fn paths_len(dtype: &DType, outer: u64) -> u64 {
    let fields = dtype.fields().into_iter().flat_map(|fields| fields.iter());
    let of_field = |field: &Field| {
        let own = outer + (field.name().len() + 8 * field.shape().len()) as u64;
        own.saturating_add(paths_len(field.dtype(), own))
    };
    fields.map(of_field).fold(0, u64::saturating_add)
}

/// Appends a step to a path.
pub fn join_path(path: &str, step: &str) -> String {
    if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") }
}
