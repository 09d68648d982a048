//! Converting a file to another format.

use std::path::Path;

use super::{
    entry::Tree,
    file::ArrayFile,
    interface::Writer,
    named::{Named, NamedEntry},
    options::DumpOptions,
    registry::Format,
};
use crate::{Error, Result, codec, dtype};

/// Writes the arrays of `file` to another file.
///
/// The extension of `out` decides the [format](Format::from_path). If `array` is a name, only
/// this array is written.
///
/// Nothing is left out without [`DumpOptions::allow_loss`]. Between `.ferry` files the whole value is
/// kept. A `.ferry` file that is made from another
/// format contains a map from names to arrays. A `.npy` file takes only one array. Byte order
/// and memory order are kept, unless `options` or the format require otherwise.
///
/// Checksums and `bool` values are verified, so that damage is not copied. `out` may be the
/// path of `file`.
///
/// # Examples
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let (ferry, npz) = (folder.path().join("a.ferry"), folder.path().join("a.npz"));
/// use ndferry::{file::DumpOptions, ndarray::array};
///
/// ndferry::dump(&ferry, &(array![1.5, 2.5], array![3u8]))?;
/// ndferry::convert(&ndferry::open(&ferry)?, None, &npz, &DumpOptions::new())?;
/// let names: Vec<_> = ndferry::open(&npz)?.arrays().iter().map(|info| info.name().to_owned()).collect();
/// assert_eq!(names, ["0", "1"]);
/// # Ok::<(), ndferry::Error>(())
/// ```
///
/// # Errors
///
/// Returns an error if:
///
/// - the extension of `out` is unknown.
/// - `file` contains no array named `array`, or several arrays for a `.npy` file.
/// - the format does not support a dtype or an option.
/// - all arrays are written, and `file` has something else that the format cannot contain: bytes
///   after the array of a `.npy` file, metadata, or values of a `.ferry` file that are not in an
///   array.
/// - `file` is damaged, or `out` cannot be written.
pub fn convert(
    file: &ArrayFile,
    array: Option<&str>,
    out: impl AsRef<Path>,
    options: &DumpOptions,
) -> Result<()> {
    let out = out.as_ref();
    if array.is_none() {
        file.check_supported()?;
    }
    let format = Format::from_path(out)?;
    let is_one = matches!(format.writer(), Some(Writer::Array(_)));
    // Without a name, a file of several arrays gets another error below.
    if array.is_none() && !options.allows_loss && (!is_one || file.arrays().len() == 1) {
        check_loss(file, format).map_err(|error| error.at(file.path()))?;
    }
    match (format.writer(), array) {
        (Some(Writer::Array(_)), _) => {
            let info = match (array, file.arrays()) {
                (Some(name), _) => file.entry(name)?,
                (None, [only]) => only,
                (None, arrays) => {
                    return Err(Error::invalid_input(format!(
                        "the file contains {} arrays, but a `.{format}` file takes one; give its name",
                        arrays.len()
                    ))
                    .at(file.path()));
                }
            };
            options.write_array(format, out, &file.read_verified(info)?)
        }
        (Some(Writer::Arrays(_)), _) => {
            options.write_arrays(format, out, &named_arrays(file, array)?, file.metadata())
        }
        (_, Some(name)) => options.dump(out, &file.read_verified(file.entry(name)?)?),
        (_, None) => keep_metadata(options, file).write_value(format, out, &mut |sink| {
            file.check_tree().map_err(|error| error.at(file.path()))?;
            for info in file.arrays() {
                let name = match file.format().escapes_names() {
                    true => info.name().to_owned(),
                    false => dtype::escape_name(info.name()),
                };
                sink.array(name, &file.read_verified(info)?)?;
            }
            Ok(file.tree().map_err(|error| error.at(file.path()))?.into_owned())
        }),
    }
}

/// Returns the options with the metadata of a file.
fn keep_metadata(options: &DumpOptions, file: &ArrayFile) -> DumpOptions {
    let mut options = options.clone();
    options.metadata.clone_from(file.metadata());
    options
}

/// Checks that nothing of `file` is lost in a file of `format`.
fn check_loss(file: &ArrayFile, format: Format) -> Result<()> {
    let mut lost = Vec::new();
    if file.trailing_nbytes() > 0 {
        lost.push(format!("the {} bytes after the array", file.trailing_nbytes()));
    }
    if !format.capabilities().metadata && !file.metadata().is_empty() {
        let (count, s) = (file.metadata().len(), if file.metadata().len() == 1 { "" } else { "s" });
        lost.push(format!("the metadata ({count} key{s})"));
    }
    let keeps_values = matches!(format.writer(), Some(Writer::Value(_)));
    if !keeps_values && matches!(file.index_tree(), Tree::InFile(_)) {
        file.check_tree()?;
        lost.extend(codec::others(&file.tree()?)?.map(|(count, path, what)| {
            let values = if count == 1 { "value that is" } else { "values that are" };
            format!("{count} {values} not in an array, such as `{path}` ({what})")
        }));
    }
    match &*lost {
        [] => Ok(()),
        lost => Err(Error::invalid_input(format!(
            "converting to `.{format}` would lose {}; to leave this out, set \
             `DumpOptions::allow_loss` or `--drop`",
            lost.join(" and ")
        ))),
    }
}

/// Returns the arrays of a file, or only the one named `array`, by their unescaped names.
fn named_arrays<'a>(file: &'a ArrayFile, array: Option<&str>) -> Result<Named<'a>> {
    let infos = match array {
        Some(name) => vec![file.entry(name)?],
        None => file.arrays().iter().collect(),
    };
    let entries = infos
        .iter()
        .enumerate()
        .map(|(number, info)| {
            NamedEntry::new(file.unescaped_name(info), number, info.dtype(), info.shape())
        })
        .collect();
    Named::new(entries, move |index| file.read_verified(infos[index]))
        .map_err(|error| error.at(file.path()))
}
