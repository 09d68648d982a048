//! `--slice`: a part of an array in NumPy's syntax.

use std::{fmt, ops::Range, str::FromStr};

use ndferry::AnyArray;

use crate::text;

/// A part of an array, parsed from text such as `0:3, ::2, -1`.
#[derive(Clone)]
pub struct Slice {
    parts: Vec<Part>,
}

/// The text of a part, and its meaning.
#[derive(Clone)]
struct Part {
    /// Counts from 1.
    number: usize,
    text: String,
    meaning: Meaning,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Meaning {
    /// An integer selects one element and removes the axis.
    Index(i64),
    Range {
        start: Option<i64>,
        stop: Option<i64>,
        step: i64,
    },
    /// `...` stands for the axes that no other part selects from.
    Rest,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "part {} (`{}`)", self.number, self.text)
    }
}

impl FromStr for Slice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Python accepts a comma at the end.
        let trimmed = text.trim();
        let parts = trimmed.strip_suffix(',').unwrap_or(trimmed).split(',').zip(1..);
        let part = |(text, number): (&str, usize)| {
            let text = text.trim();
            let meaning = Meaning::parse(text)
                .map_err(|reason| format!("part {number} (`{text}`): {reason}"))?;
            Ok(Part { number, text: text.to_owned(), meaning })
        };
        let parts = parts.map(part).collect::<Result<Vec<_>, String>>()?;
        let mut rests = parts.iter().filter(|part| part.meaning == Meaning::Rest);
        if let (Some(_), Some(second)) = (rests.next(), rests.next()) {
            return Err(format!("{second}: expected `...` at most once, found it again"));
        }
        Ok(Self { parts })
    }
}

impl Meaning {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "..." {
            return Ok(Self::Rest);
        }
        let malformed = |found: &str| {
            let found = if found.is_empty() { "nothing".to_owned() } else { format!("`{found}`") };
            format!("found {found}, expected an integer, a slice such as 0:3 or ::2, or `...`")
        };
        let integer = |text: &str| text.trim().parse::<i64>().map_err(|_| malformed(text.trim()));
        let bound = |text: &str| match text.trim() {
            "" => Ok(None),
            text => integer(text).map(Some),
        };
        let bounds: Vec<_> = text.split(':').collect();
        match *bounds {
            [index] => integer(index).map(Self::Index),
            [start, stop] => Ok(Self::Range { start: bound(start)?, stop: bound(stop)?, step: 1 }),
            [start, stop, step] => match bound(step)?.unwrap_or(1) {
                0 => Err("found a step of 0, expected another integer".to_owned()),
                step => Ok(Self::Range { start: bound(start)?, stop: bound(stop)?, step }),
            },
            _ => Err(format!("found {} colons, expected at most 2", bounds.len() - 1)),
        }
    }
}

impl Slice {
    /// The part of `array`, without a copy. `Err` has the reason why it has no
    /// such part.
    pub fn of(&self, array: &AnyArray) -> Result<AnyArray, String> {
        let axes = array.shape().len();
        let used = self.parts.iter().filter(|part| part.meaning != Meaning::Rest).count();
        if used > axes {
            return Err(format!(
                "found {} that each select from an axis, expected at most {axes}: the shape is {}",
                text::count(used as u64, "part"),
                text::shape(array.shape())
            ));
        }
        let mut part_of = array.clone();
        // The axis in the array, and in the part, which has fewer.
        let (mut axis, mut kept) = (0, 0);
        for part in &self.parts {
            let length = array.shape().get(axis).copied().unwrap_or(0);
            let selected = match part.meaning {
                Meaning::Rest => {
                    axis += axes - used;
                    kept += axes - used;
                    continue;
                }
                Meaning::Index(index) => {
                    let index = position(index, length).ok_or_else(|| {
                        format!("{part}: found index {index}, {}", expected(axis, length))
                    })?;
                    part_of.index_axis(kept, index)
                }
                Meaning::Range { start, stop, step } => {
                    let range = range(start, stop, step, length);
                    let step = isize::try_from(step).unwrap_or(isize::MAX);
                    kept += 1;
                    part_of
                        .slice_axis(kept - 1, range)
                        .and_then(|part| part.step_axis(kept - 1, step))
                }
            };
            part_of = selected.map_err(|error| format!("{part}: {}", error.message()))?;
            axis += 1;
        }
        Ok(part_of)
    }
}

/// The position of an index that may count from the end.
fn position(index: i64, length: usize) -> Option<usize> {
    let from_start = if index < 0 { i128::from(index) + length as i128 } else { index.into() };
    usize::try_from(from_start).ok().filter(|&position| position < length)
}

fn expected(axis: usize, length: usize) -> String {
    match length {
        0 => format!("but axis {axis} has no elements"),
        _ => format!("expected -{length} to {} on axis {axis}", length - 1),
    }
}

/// The positions from the first to the last that Python's slice selects. Bounds
/// outside of the axis are moved to its ends.
fn range(start: Option<i64>, stop: Option<i64>, step: i64, length: usize) -> Range<usize> {
    let length = length as i128;
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let bound = |bound: Option<i64>, default: i128| match bound.map(i128::from) {
        None => default,
        Some(bound) if bound < 0 => (bound + length).clamp(low, high.max(low)),
        Some(bound) => bound.clamp(low, high.max(low)),
    };
    let (first, last) = if step > 0 { (low, high) } else { (high, low) };
    let (start, stop) = (bound(start, first), bound(stop, last));
    // A negative step starts at the end of the range.
    let (start, end) = if step > 0 { (start, stop) } else { (stop + 1, start + 1) };
    let position = |position: i128| usize::try_from(position).unwrap_or(0);
    position(start)..position(end.max(start))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, IxDyn};
    use ndferry::SharedArray;

    use super::*;

    /// The elements of a part of an array of 3×4, which counts from 0.
    fn part(slice: &str) -> Result<(Vec<usize>, Vec<i64>), String> {
        let all = Array2::from_shape_fn((3, 4), |(i, j)| (i * 4 + j) as i64);
        let part = slice.parse::<Slice>()?.of(&SharedArray::from(all).to_any())?;
        let elements = part.to_array::<i64, IxDyn>().unwrap();
        Ok((part.shape().to_vec(), elements.iter().copied().collect()))
    }

    // The expected elements were printed by NumPy 2.4.
    #[test]
    fn show_slice_selects_the_elements_of_numpy() {
        for (slice, shape, elements) in [
            ("0", &[4][..], &[0, 1, 2, 3][..]),
            ("-1,", &[4], &[8, 9, 10, 11]),
            ("1, 2", &[], &[6]),
            ("...", &[3, 4], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
            ("..., 1", &[3], &[1, 5, 9]),
            ("2, ...", &[4], &[8, 9, 10, 11]),
            ("1, ..., -1", &[], &[7]),
            ("0:2, ::2", &[2, 2], &[0, 2, 4, 6]),
            (":, 3", &[3], &[3, 7, 11]),
            ("::-1, 0", &[3], &[8, 4, 0]),
            ("0, 3:0:-2", &[2], &[3, 1]),
            ("0, -2::-1", &[3], &[2, 1, 0]),
            ("0, :1:-1", &[2], &[3, 2]),
            ("0, -100:100:3", &[2], &[0, 3]),
            ("0, 100:-100:-3", &[2], &[3, 0]),
            ("0, 2:1", &[0], &[]),
            ("0, 1:2:-1", &[0], &[]),
            (" 1 : 3 , 0 : 1 ", &[2, 1], &[4, 8]),
            ("0, ::9223372036854775807", &[1], &[0]),
            ("0, ::-9223372036854775808", &[1], &[3]),
        ] {
            assert_eq!(part(slice), Ok((shape.to_vec(), elements.to_vec())), "{slice}");
        }
    }

    #[test]
    fn show_slice_errors_name_the_part() {
        let kinds = "expected an integer, a slice such as 0:3 or ::2, or `...`";
        for (slice, message) in [
            ("", format!("part 1 (``): found nothing, {kinds}")),
            ("0, x", format!("part 2 (`x`): found `x`, {kinds}")),
            ("1:y", format!("part 1 (`1:y`): found `y`, {kinds}")),
            ("1.5", format!("part 1 (`1.5`): found `1.5`, {kinds}")),
            ("0,,1", format!("part 2 (``): found nothing, {kinds}")),
            ("::0", "part 1 (`::0`): found a step of 0, expected another integer".to_owned()),
            ("1:2:3:4", "part 1 (`1:2:3:4`): found 3 colons, expected at most 2".to_owned()),
            ("..., ...", "part 2 (`...`): expected `...` at most once, found it again".to_owned()),
            ("3", "part 1 (`3`): found index 3, expected -3 to 2 on axis 0".to_owned()),
            ("0, -5", "part 2 (`-5`): found index -5, expected -4 to 3 on axis 1".to_owned()),
            ("..., 4", "part 2 (`4`): found index 4, expected -4 to 3 on axis 1".to_owned()),
            (
                "0, 0, 0",
                "found 3 parts that each select from an axis, expected at most 2: the shape is 3×4"
                    .to_owned(),
            ),
        ] {
            assert_eq!(part(slice), Err(message), "{slice}");
        }
    }
}
