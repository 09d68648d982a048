//! Checks of a tree without a type to decode.

use super::{
    decoder::decode_shape,
    reader::{ARRAY_DATA_KEY, ARRAY_DIM_KEY, ARRAY_VERSION_KEY, Item, Reader, key_text},
};
use crate::{Error, Result, array::ShortShape};

/// Returns the shape of the segment with an index.
type ShapeOf<'a> = dyn Fn(u64) -> Option<&'a [usize]> + 'a;

/// Checks that `tree` is the complete tree of a value.
///
/// # Errors
///
/// Returns an error if the tree is damaged, refers to a segment that does not
/// exist, refers to a segment twice, or if the shape of an array differs from
/// that of its segment.
pub(crate) fn check(tree: &[u8], shape_of: &ShapeOf<'_>) -> Result<()> {
    let mut reader = Reader::new(tree);
    check_value(&mut reader, shape_of)?;
    reader.end()
}

/// Checks a value. If it is a segment, returns its shape.
fn check_value<'a>(reader: &mut Reader<'_>, shape_of: &ShapeOf<'a>) -> Result<Option<&'a [usize]>> {
    match reader.next()? {
        Item::Array(count) => {
            reader.enter()?;
            for _ in 0..count {
                check_value(reader, shape_of)?;
            }
            reader.leave();
            Ok(None)
        }
        Item::Map(count) => {
            reader.enter()?;
            check_map(reader, count, shape_of)?;
            reader.leave();
            Ok(None)
        }
        Item::Segment(index) => {
            reader.refer_to(index)?;
            let shape = shape_of(index);
            shape.map(Some).ok_or_else(|| {
                Error::invalid_data(format!("the tree refers to segment {index}, which is missing"))
            })
        }
        _ => Ok(None),
    }
}

fn check_map(reader: &mut Reader<'_>, count: usize, shape_of: &ShapeOf<'_>) -> Result<()> {
    let (mut has_version, mut dim, mut data) = (false, None, None);
    for _ in 0..count {
        let start = reader.position();
        check_value(reader, shape_of)?;
        let key = reader.since(start);
        let start = reader.position();
        let segment = check_value(reader, shape_of)?;
        let value = reader.since(start);
        match key {
            ARRAY_VERSION_KEY => has_version = true,
            ARRAY_DIM_KEY => dim = Some(value),
            ARRAY_DATA_KEY => data = segment,
            _ => {}
        }
    }
    // A map of exactly these three keys is an array.
    let (3, true, Some(dim), Some(shape)) = (count, has_version, dim.and_then(decode_shape), data)
    else {
        return Ok(());
    };
    // If serde has buffered the array, its segment has a single axis.
    let is_flat = shape.len() == 1
        && dim.iter().try_fold(1_usize, |product, &axis| product.checked_mul(axis))
            == Some(shape[0]);
    if dim == shape || is_flat {
        return Ok(());
    }
    Err(Error::invalid_data(format!(
        "the tree has an array of shape {}, but its segment has shape {}",
        ShortShape(&dim),
        ShortShape(shape)
    )))
}

/// Counts the values that are not in an array. Returns the number with the path of the first and
/// its kind in words, or `None` if all are. `tree` must have passed [`check`].
pub(crate) fn others(tree: &[u8]) -> Result<Option<(usize, String, &'static str)>> {
    let (mut count, mut first) = (0, None);
    count_others(&mut Reader::new(tree), &mut Vec::new(), &mut |path, what| {
        count += 1;
        first.get_or_insert_with(|| (path.join("."), what));
    })?;
    Ok(first.map(|(path, what)| (count, path, what)))
}

/// Calls `found` with the path and kind of each value that is not in an array.
fn count_others(
    reader: &mut Reader<'_>,
    path: &mut Vec<String>,
    found: &mut dyn FnMut(&[String], &'static str),
) -> Result<()> {
    let item = reader.next()?;
    match item {
        Item::Segment(_) => {}
        Item::Array(count) if count > 0 => {
            for index in 0..count {
                path.push(index.to_string());
                count_others(reader, path, found)?;
                path.pop();
            }
        }
        Item::Map(count) if count > 0 => {
            let start = reader.position();
            if count == 3 && is_array(reader)? {
                return Ok(());
            }
            reader.rewind(start);
            for _ in 0..count {
                let start = reader.position();
                reader.skip()?;
                path.push(key_text(reader.since(start)).into_owned());
                count_others(reader, path, found)?;
                path.pop();
            }
        }
        // A value without arrays.
        Item::Map(0) if path.is_empty() => {}
        other => found(path, other.describe()),
    }
    Ok(())
}

/// Reports whether a map of three keys is an array whose elements are a segment, and moves past it.
fn is_array(reader: &mut Reader<'_>) -> Result<bool> {
    let mut keys = 0;
    for _ in 0..3 {
        let start = reader.position();
        reader.skip()?;
        keys += match reader.since(start) {
            ARRAY_VERSION_KEY | ARRAY_DIM_KEY => 1,
            ARRAY_DATA_KEY if matches!(reader.peek()?, Item::Segment(_)) => 1,
            _ => 0,
        };
        reader.skip()?;
    }
    Ok(keys == 3)
}
