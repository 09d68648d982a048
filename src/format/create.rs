//! A file of one array that is made in its final size, filled where it lies, and then put in place.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{DumpOptions, Format, atomic::Aside, atomic::cannot_write, ferry, npy};
use crate::{
    DType, Error, Result,
    array::{ArraySource, Order},
    bytes::map::FileMap,
    codec,
    sys::space,
};

/// Such a file, before it is put in place. Dropped, it is gone.
pub(crate) struct Unfilled {
    aside: Aside,
    path: PathBuf,
    offset: u64,
    nbytes: usize,
    dtype: DType,
    shape: Vec<usize>,
    order: Order,
    /// What is written around the array when it is filled; nothing of `.npy`, whose header has nothing to say of that.
    container: Option<ferry::Container<File>>,
}

impl Unfilled {
    /// An array of zeros for `path`, whose extension says the format. All its space is reserved.
    ///
    /// # Errors
    ///
    /// Where the extension is no known one, `options` ask for what cannot be, or the file cannot be made: for want of space, too.
    pub(crate) fn new(
        options: &DumpOptions,
        path: &Path,
        dtype: DType,
        shape: &[usize],
        order: Order,
    ) -> Result<Self> {
        Self::make(options, path, dtype, shape, order).map_err(|error| error.at(path))
    }

    fn make(
        options: &DumpOptions,
        path: &Path,
        dtype: DType,
        shape: &[usize],
        order: Order,
    ) -> Result<Self> {
        let format = format(path)?;
        options.check_filled_in_place(format)?;
        if format == Format::Npy {
            npy::check_dtype(&dtype)?;
        }
        let nbytes = shape.iter().product::<usize>() * dtype.item_size();
        let header = npy::header_bytes(&dtype, order, shape);
        let offset = match format {
            Format::Ferry => ferry::first_offset(nbytes, options),
            _ => header.len() as u64,
        };

        let aside = Aside::new(path)?;
        space::reserve(aside.file(), offset + nbytes as u64).map_err(|error| {
            let needed = offset + nbytes as u64;
            let free = space::free(aside.file())
                .map_or_else(|_| "unknown".to_owned(), |free| free.to_string());
            Error::io(format!("cannot reserve {needed} bytes, {free} are free"), error)
        })?;
        let container = match format {
            Format::Ferry => {
                let file = aside
                    .file()
                    .try_clone()
                    .map_err(|error| Error::io("cannot open once more", error))?;
                let mut container =
                    ferry::Container::new(file, ferry::Target::User(path), options.clone())?;
                container.begin_blank(dtype.clone(), nbytes)?;
                Some(container)
            }
            _ => {
                std::io::Write::write_all(&mut aside.file(), &header).map_err(cannot_write)?;
                None
            }
        };
        let (path, shape) = (path.to_path_buf(), shape.to_vec());
        Ok(Self { aside, path, offset, nbytes, dtype, shape, order, container })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &File {
        self.aside.file()
    }

    /// Where in the file the array begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Completes the file, which nobody fills any more, and puts it in place; gives a map of it.
    ///
    /// # Errors
    ///
    /// Where the rest of the file cannot be written, or the file not be put in place. It is then gone, and what was there before is there.
    pub(crate) fn publish(self) -> Result<(Arc<FileMap>, ArraySource)> {
        let Self { aside, path, offset, nbytes, dtype, shape, order, container } = self;
        let file = aside
            .file()
            .try_clone()
            .map_err(|error| Error::io("cannot open once more", error).at(&path))?;
        let map = FileMap::of(file, path)?;
        let complete = || {
            if let Some(mut container) = container {
                let start = offset as usize;
                container.end_blank(
                    &map.as_ref().as_ref()[start..start + nbytes],
                    &shape,
                    order,
                )?;
                container.finish(&codec::tree_of(&shape)?)?;
            }
            aside.publish()
        };
        complete().map_err(|error| error.at(map.path()))?;
        let source =
            ArraySource { path: map.path().to_path_buf(), offset, byte_order: dtype.byte_order() };
        Ok((map, source))
    }
}

/// The format that a file of this name has.
fn format(path: &Path) -> Result<Format> {
    let extension =
        path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    match extension.as_deref() {
        Some("npy") => Ok(Format::Npy),
        Some("ferry") => Ok(Format::Ferry),
        _ => Err(Error::invalid_input("ends neither in .npy nor in .ferry")),
    }
}
