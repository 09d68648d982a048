//! From one file format to another.

use std::path::Path;

use super::{ArrayFile, DumpOptions, Format, named::Named};
use crate::{Error, Result, dtype};

/// Writes what `file` holds to `out`, as `.npy`, `.npz`, `.safetensors` or `.ferry` by the extension: the array called `array`,
/// or else everything.
///
/// A `.ferry` file becomes another with its value kept, arrays and all. `.npz` and `.safetensors` take every array by its name, and
/// an array without one as `arr_` and its number; from such a file to a `.ferry` file they become a map. A `.npy` file takes one array.
/// What is damaged is not carried on: every array with a checksum is compared with it, and `bool` are looked at.
/// Byte order and memory order stay as they are unless `options` says otherwise or the format has but one. `out` may be the file
/// itself.
///
/// # Errors
///
/// Where the extension is none of these, there is no such array, a `.npy` file would have to hold several, the format has no type
/// for some array's elements, `file` is damaged, or writing fails.
pub fn convert(
    file: &ArrayFile,
    array: Option<&str>,
    out: impl AsRef<Path>,
    options: &DumpOptions,
) -> Result<()> {
    let out = out.as_ref();
    if array.is_none() {
        file.check_readable()?;
    }
    let extension =
        out.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    match (extension.as_deref(), array) {
        (Some("npy"), _) => {
            let array = match (array, file.arrays()) {
                (Some(name), _) => file.sound(file.entry(name)?)?,
                (None, [only]) => file.sound(only)?,
                (None, arrays) => {
                    let message =
                        format!("holds {} arrays, a .npy file holds one: name it", arrays.len());
                    return Err(Error::invalid_input(message).at(file.path()));
                }
            };
            options.write_npy(out, &array)
        }
        (Some("npz"), _) => options.npz(out, &Named::of_file(file, array)?),
        (Some("safetensors"), _) => {
            options.safetensors(out, &Named::of_file(file, array)?, file.metadata())
        }
        (Some("ferry"), Some(name)) => options.dump(out, &file.sound(file.entry(name)?)?),
        (Some("ferry"), None) => options.write_ferry(out, |container| {
            file.check_tree().map_err(|error| error.at(file.path()))?;
            for info in file.arrays() {
                let name = match file.format() {
                    Format::Ferry => info.name().to_owned(),
                    _ => dtype::escape_name(info.name()),
                };
                container.array(name, &file.sound(info)?)?;
            }
            Ok(file.tree().map_err(|error| error.at(file.path()))?.into_owned())
        }),
        _ => {
            Err(Error::invalid_input("ends in none of .npy, .npz, .safetensors and .ferry").at(out))
        }
    }
}
