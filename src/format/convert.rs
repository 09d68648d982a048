//! From one file format to another.

use std::path::Path;

use super::{ArrayFile, DumpOptions, Format};
use crate::{AnyArray, Error, Result};

/// Writes what `file` holds to `out`, as `.npy` or `.ferry` by the extension: the array called `array`, or else everything.
///
/// A `.ferry` file becomes another with its value kept, arrays and all; a `.npy` file takes one array. Byte order and memory
/// order stay as they are unless `options` says otherwise. `out` may be the file itself.
///
/// # Errors
///
/// Where the extension is neither, there is no such array, a `.npy` file would have to hold several, or writing fails.
pub fn convert(file: &ArrayFile, array: Option<&str>, out: impl AsRef<Path>, options: &DumpOptions) -> Result<()> {
    let out = out.as_ref();
    let extension = out.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    match (extension.as_deref(), array) {
        (Some("npy"), _) => options.write_npy(out, &only(file, array)?),
        (Some("ferry"), None) if file.format() == Format::Ferry => options.write_ferry(out, |container| {
            for info in file.arrays() {
                container.array(info.name().to_owned(), &file.any_of(info)?)?;
            }
            Ok(file.tree().map_err(|error| error.at(file.path()))?.into_owned())
        }),
        (Some("ferry"), _) => options.dump(out, &only(file, array)?),
        _ => Err(Error::usage("ends neither in .npy nor in .ferry").at(out)),
    }
}

fn only(file: &ArrayFile, array: Option<&str>) -> Result<AnyArray> {
    match (array, file.arrays()) {
        (Some(name), _) => file.any(name),
        (None, [info]) => file.any_of(info),
        (None, arrays) => {
            Err(Error::usage(format!("holds {} arrays, a .npy file holds one: name it", arrays.len())).at(file.path()))
        }
    }
}
