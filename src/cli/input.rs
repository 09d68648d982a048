//! Opening what the arguments name: a file of a known format, or raw binary; and one array of it, or all.

use std::path::Path;

use ndferry::{ArrayFile, ArrayInfo, OpenOptions, RawLayout};

use super::failure::Failure;

/// Opens the file at `path`: as raw binary where a layout is given, else as what it says it is.
pub fn open(path: &Path, options: OpenOptions, raw: Option<RawLayout>) -> Result<ArrayFile, Failure> {
    raw.into_iter().fold(options, OpenOptions::raw).open(path).map_err(|error| Failure::of(path, &error))
}

/// The arrays of `file`: the one called `name`, or all.
pub fn select<'a>(file: &'a ArrayFile, name: Option<&str>) -> Result<Vec<&'a ArrayInfo>, Failure> {
    let Some(name) = name else {
        return Ok(file.arrays().iter().collect());
    };
    let found = file.info(name).map_err(|error| Failure::of(file.path(), &error))?;
    Ok(vec![found])
}
