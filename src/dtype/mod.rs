//! Element types and byte orders: [`DType`] and its parts.
//!
//! A [`DType`] describes the elements of an array. It is written like in NumPy: `<f8` is a
//! little-endian `f64`, `>i2` a big-endian `i16`, and `|u1` a `u8`.
//!
//! # Scalars
//!
//! A scalar is a boolean or a number. Each has a Rust type that implements [`Element`], and a
//! variant of [`Scalar`].
//!
//! | Rust | NumPy | bytes |
//! |---|---|--:|
//! | `bool` | `b1` | 1 |
//! | `i8`, `i16`, `i32`, `i64` | `i1`, `i2`, `i4`, `i8` | 1, 2, 4, 8 |
//! | `u8`, `u16`, `u32`, `u64` | `u1`, `u2`, `u4`, `u8` | 1, 2, 4, 8 |
//! | [`half::f16`] | `f2` | 2 |
//! | [`half::bf16`] | none, `bf2` here | 2 |
//! | `f32`, `f64` | `f4`, `f8` | 4, 8 |
//! | [`num_complex::Complex`] of `f32`, `f64` | `c8`, `c16` | 8, 16 |
//!
//! # Other elements
//!
//! Elements without a Rust type have no [`Element`]. Read them with the methods of
//! [`AnyArray`](crate::AnyArray) in the last column.
//!
//! | elements | NumPy | method |
//! |---|---|---|
//! | byte strings | `S5` | [`byte_strings`](crate::AnyArray::byte_strings) |
//! | texts | `U5` | [`strings`](crate::AnyArray::strings) |
//! | points in time, time spans | `M8[ns]`, `m8[s]` | [`timestamps_i64`](crate::AnyArray::timestamps_i64) |
//! | bytes of unknown meaning | `V5` | [`byte_strings`](crate::AnyArray::byte_strings) |
//! | records | list of fields | [`field`](crate::AnyArray::field) |
//!
//! # Parsing and building dtypes
//!
//! Parse a dtype from its text, or build it from a scalar and a [`ByteOrder`]. [`DType::of`]
//! returns the dtype of a Rust type in native byte order.
//!
//! ```
//! use ndferry::{DType, dtype::{ByteOrder, Scalar}};
//!
//! let dtype: DType = ">f4".parse()?;
//! assert_eq!(dtype, DType::new(Scalar::F32, ByteOrder::Big));
//! assert_eq!(dtype.with_byte_order(ByteOrder::NATIVE), DType::of::<f32>());
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! # Structured dtypes
//!
//! The elements of a structured dtype are records with named fields. Its text is NumPy's
//! `descr`: a list of `(name, dtype)` or `(name, dtype, shape)`. A field of void without a name
//! is padding. Use [`DType::structured`] to build one from [`Field`]s.
//!
//! ```
//! use ndferry::DType;
//!
//! let star: DType = "[('name', '|S8'), ('magnitude', '<f4'), ('position', '<f8', (3,))]".parse()?;
//! assert_eq!(star.item_size(), 36);
//! let position = star.field("position").unwrap();
//! assert_eq!((position.offset(), position.dtype().to_string()), (12, "<f8".to_owned()));
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! This module only describes elements. The module [`swap`](crate::swap) reverses their bytes.

mod byte_order;
mod data_type;
mod descr;
mod element;
mod escape;
mod fields;
mod kind;
mod literal;
mod scalar;
mod time;

pub use byte_order::ByteOrder;
pub use data_type::DType;
pub use element::{CastError, Element};
pub(crate) use escape::{Escaped, Quoted, escape_name};
pub use fields::Field;
pub use kind::DTypeKind;
pub(crate) use literal::Literals;
pub use scalar::Scalar;
pub(crate) use scalar::{dispatch, dispatch_rows, scalars};
pub use time::{TimeBase, TimeUnit};

#[cfg(test)]
mod tests;
