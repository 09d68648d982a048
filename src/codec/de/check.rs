//! Looking at a tree without a type to decode it to.

use super::{DATA, DIM, Decoder, Item, NoSegments, VERSION, shape};
use crate::{Error, Result, array::Short};

/// The shape of the segment of that number, where there is one.
type Shapes<'a> = dyn Fn(u64) -> Option<&'a [usize]> + 'a;

/// Whether `tree` is the tree of some value whose segments have these shapes: that it can be gone through to its end, refers to segments that
/// are there, to each once, and says of arrays the shapes they have.
pub(crate) fn check(tree: &[u8], shapes: &Shapes<'_>) -> Result<()> {
    let mut decoder = Decoder::new(tree, &NoSegments);
    decoder.check(shapes)?;
    decoder.end()
}

impl Decoder<'_, '_> {
    /// One value, which may be a segment: its shape then.
    fn check<'a>(&mut self, shapes: &Shapes<'a>) -> Result<Option<&'a [usize]>> {
        match self.next()? {
            Item::Array(count) => self.deeper(|decoder| {
                (0..count).try_for_each(|_| decoder.check(shapes).map(drop))?;
                Ok(None)
            }),
            Item::Map(count) => {
                self.deeper(|decoder| decoder.check_map(count, shapes)).map(|()| None)
            }
            Item::Segment(index) => {
                self.refer(index)?;
                let found = shapes(index);
                found.map(Some).ok_or_else(|| {
                    Error::invalid_data(format!(
                        "the tree refers to segment {index}, which is not there"
                    ))
                })
            }
            _ => Ok(None),
        }
    }

    fn check_map(&mut self, count: usize, shapes: &Shapes<'_>) -> Result<()> {
        let (mut version, mut said, mut found) = (false, None, None);
        for _ in 0..count {
            let start = self.at;
            self.check(shapes)?;
            let key = &self.input[start..self.at];
            let start = self.at;
            let segment = self.check(shapes)?;
            let value = &self.input[start..self.at];
            match key {
                VERSION => version = true,
                DIM => said = Some(value),
                DATA => found = segment,
                _ => {}
            }
        }
        // An array is a map of just these three. Where serde was in between, its elements are a row.
        let (3, true, Some(said), Some(found)) = (count, version, said.and_then(shape), found)
        else {
            return Ok(());
        };
        let is_row = found.len() == 1
            && said.iter().try_fold(1_usize, |all, &axis| all.checked_mul(axis)) == Some(found[0]);
        if said == found || is_row {
            return Ok(());
        }
        Err(Error::invalid_data(format!(
            "the tree has an array of shape {} where the segment has {}",
            Short(&said),
            Short(found)
        )))
    }
}
