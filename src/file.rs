//! Files of arrays: opening, reading, writing and converting them.
//!
//! # Should I use `open` or `load`?
//!
//! Use [`load`] to read a whole value that was written with [`dump`], such as a struct with
//! arrays in it. Use [`open`] to look into a file first, or to read only some of its
//! arrays. Both map arrays instead of reading them; see [`OpenOptions::mmap_mode`].
//!
//! # Which format should I use?
//!
//! | format | contents | use it for |
//! |---|---|---|
//! | `.ferry` | any serde value with arrays | your own data: checksums, compression, structs |
//! | `.npy` | one array | exchange with NumPy; arrays larger than memory |
//! | `.npz` | named arrays | exchange with NumPy |
//! | `.safetensors` | named arrays, metadata | weights of models |
//! | raw binary | one array | reading files of other programs ([`RawLayout`]) |
//!
//! # Examples
//!
//! ```
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("a.ferry");
//! use ndferry::ndarray::{Array1, Ix1, array};
//!
//! ndferry::file::dump(&path, &("weights", array![0.5, 0.25]))?;
//! let (name, weights): (String, Array1<f64>) = ndferry::file::load(&path)?;
//! assert_eq!((name.as_str(), weights[1]), ("weights", 0.25));
//!
//! let weights = ndferry::file::open(&path)?.read_array::<f64, Ix1>("1")?; // a map of the file
//! assert_eq!(weights[1], 0.25);
//! # Ok::<(), ndferry::Error>(())
//! ```

pub use crate::format::{
    ArrayFile, ArrayInfo, Compression, DumpOptions, Format, MmapMode, OpenOptions, RawLayout,
    UnsupportedEntry, convert, create, dump, from_reader, from_slice, load, open, to_writer,
};
