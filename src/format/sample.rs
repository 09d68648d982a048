//! A format that exists only in unit tests. It shows that a new format takes one file and
//! one row of the table.

use std::io::Write;

use super::{
    entry::{ArrayInfo, Index, Tree},
    interface::{FileFormat, Output, Writer, cannot_write},
    options::DumpOptions,
};
use crate::{
    AnyArray, DType, Error, Result,
    array::Order,
    dtype::{ByteOrder, Scalar},
};

const MAGIC: &[u8] = b"SAMPLE";

/// Files of bytes after a magic text.
pub(super) struct Sample;

impl FileFormat for Sample {
    fn name(&self) -> &'static str {
        "sample"
    }

    fn detect(&self, start: &[u8]) -> bool {
        start.starts_with(MAGIC)
    }

    fn index(&self, file: &[u8]) -> Result<Index> {
        let shape = [file.len() - MAGIC.len()];
        let dtype = DType::new(Scalar::U8, ByteOrder::NATIVE);
        let offset = MAGIC.len() as u64;
        let info = ArrayInfo::plain(String::new(), dtype, &shape, Order::C, offset, file.len())?;
        Ok(Index::new(vec![info], Tree::OneArray))
    }

    fn writer(&self) -> Option<Writer> {
        Some(Writer::Array(write))
    }
}

fn write(file: Output<'_, '_>, array: &AnyArray, _: &DumpOptions) -> Result<()> {
    if array.dtype().scalar() != Some(Scalar::U8) {
        return Err(Error::invalid_input("the sample format has only u8"));
    }
    file.write_all(MAGIC).map_err(cannot_write)?;
    file.write_all(&array.bytes_in(Order::C)).map_err(cannot_write)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Ix1, array};

    use crate::format::{Compression, DumpOptions, Format};

    #[test]
    fn format_of_one_file_and_one_row_works() {
        let folder = tempfile::tempdir().unwrap();
        let (ferry, sample) = (folder.path().join("a.ferry"), folder.path().join("a.sample"));
        crate::format::dump(&ferry, &array![1u8, 2, 3]).unwrap();
        let file = crate::format::open(&ferry).unwrap();
        crate::format::convert(&file, None, &sample, &DumpOptions::new()).unwrap();

        let file = crate::format::open(&sample).unwrap();
        assert_eq!((file.format(), file.format().to_string()), (Format::Sample, "sample".into()));
        assert_eq!(file.read::<u8, Ix1>().unwrap().to_vec(), [1, 2, 3]);
        assert_eq!(crate::format::load::<Array1<u8>>(&sample).unwrap().to_vec(), [1, 2, 3]);

        let unknown =
            crate::format::convert(&file, None, folder.path().join("a.xyz"), &DumpOptions::new());
        let message = unknown.unwrap_err().to_string();
        assert!(
            message.ends_with(
                "the extension `.xyz` is not one of .ferry, .npy, .npz, .safetensors, .sample"
            ),
            "{message}"
        );
        let options = DumpOptions::new().compress(Compression::Lz4);
        let refused =
            crate::format::convert(&file, None, &sample, &options).unwrap_err().to_string();
        assert!(
            refused.ends_with(
                "`.sample` output does not support compression; write a `.ferry` file instead"
            ),
            "{refused}"
        );
        let dumped = crate::format::dump(&sample, &array![1u8]).unwrap_err().to_string();
        assert!(dumped.contains("`dump` does not write `.sample` files"), "{dumped}");
    }
}
