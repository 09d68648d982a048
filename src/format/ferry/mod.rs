//! The `.ferry` container, version 1: prelude, segments, tree, header.
//!
//! `docs/format.md` describes the format.

mod layout;
mod read;
mod two_pass;
mod write;

use std::path::Path;

pub(super) use two_pass::DryRun;
pub(crate) use write::{Container, Target};

use self::layout::MAGIC;
use super::{
    entry::Index,
    interface::{Blank, Capabilities, Encode, FileFormat, Filler, Frame, Output, Writer},
    options::DumpOptions,
};
use crate::{Result, codec};

/// The format `.ferry`.
pub(super) struct Ferry;

impl FileFormat for Ferry {
    fn name(&self) -> &'static str {
        "ferry"
    }

    fn detect(&self, start: &[u8]) -> bool {
        start.starts_with(MAGIC)
    }

    fn length(&self, start: &[u8]) -> Result<Option<u64>> {
        read::length(start).map(Some)
    }

    fn index(&self, file: &[u8]) -> Result<Index> {
        read::index(file)
    }

    fn escapes_names(&self) -> bool {
        true
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            compression: true,
            alignment: true,
            min_segment_bytes: true,
            metadata: true,
            ..Capabilities::default()
        }
    }

    fn writer(&self) -> Option<Writer> {
        Some(Writer::Value(write_value))
    }

    fn filler(&self) -> Option<Filler> {
        Some(filler)
    }
}

fn write_value(
    file: Output<'_, '_>,
    path: &Path,
    options: &DumpOptions,
    encode: Encode<'_>,
) -> Result<()> {
    let mut container = Container::new(file, Target::User(path), options.clone())?;
    let tree = encode(&mut container)?;
    container.finish(&tree).map(drop)
}

/// Prepares a container of one array. Everything around the array is written when the
/// array is filled.
fn filler(blank: &Blank<'_>, path: &Path, options: &DumpOptions) -> Result<Frame> {
    let Blank { dtype, shape, order, nbytes } = *blank;
    let offset = write::first_offset(nbytes, options);
    let (dtype, shape, path) = (dtype.clone(), shape.to_vec(), path.to_path_buf());
    let options = options.clone();
    let finish = move |file: &std::fs::File, bytes: &[u8]| {
        let mut container = Container::new(file, Target::User(&path), options)?;
        container.begin_blank(dtype, nbytes)?;
        container.end_blank(bytes, &shape, order)?;
        container.finish(&codec::tree_of(&shape)?).map(drop)
    };
    Ok(Frame { offset, header: Vec::new(), finish: Some(Box::new(finish)) })
}
