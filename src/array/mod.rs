//! Arrays that are shared instead of copied.
//!
//! # Which type to use
//!
//! | type | element type | writable | where the elements are |
//! |---|---|---|---|
//! | [`SharedArray`] | known at compile time | no | in a mapped file or in memory |
//! | [`AnyArray`] | known at run time | no | in a mapped file or in memory |
//! | [`CowArray`] | known at compile time | yes, the file stays as it is | in a copy-on-write map |
//! | [`SharedArrayMut`] | known at compile time | yes, until it is frozen | in the store or in a new file |
//! | [`ndarray::Array`] | known at compile time | yes | in memory of this process |
//!
//! - Use [`SharedArray`] for arrays that you read, clone, or pass to worker processes. A clone
//!   takes constant time, and a worker maps the same bytes instead of receiving a copy. It
//!   dereferences to [`ndarray::ArrayRef`].
//! - Use [`AnyArray`] if the element type comes from a file or a command line, or has no Rust
//!   type (records, texts, datetimes). [`AnyArray::to_array`] converts it to a [`SharedArray`].
//! - Use [`CowArray`] to change the elements of a file's array in this process only. A page is
//!   copied when you first write to it.
//! - Use [`SharedArrayMut`] to compute a large array that workers then read. It
//!   is filled in the memory or file that they will map, so sharing it needs no copy.
//! - Use [`ndarray::Array`] for everything else. `SharedArray::from` takes it over without a
//!   copy, and [`SharedArray::into_owned`] returns it.
//!
//! # Examples
//!
//! ```
//! use ndarray::{Ix1, array};
//! use ndferry::{AnyArray, SharedArray};
//!
//! let shared = SharedArray::from(array![1.0, 2.0, 3.0]);
//! let clone = shared.clone(); // the same elements
//! assert_eq!(clone.sum(), 6.0);
//!
//! let any: AnyArray = shared.into();
//! assert_eq!(any.dtype().to_string(), ndferry::DType::of::<f64>().to_string());
//! assert_eq!(any.to_array::<f64, Ix1>()?, clone);
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! An array that was read from a file remembers it ([`SharedArray::source`]). If it could not
//! be mapped, [`SharedArray::copy_reason`] returns the reason.

mod any;
#[allow(unsafe_code)]
mod cast;
mod cow;
mod gather;
mod layout;
mod memory;
mod operators;
mod records;
mod shared;
mod shared_mut;
mod source;
#[allow(unsafe_code)]
mod view;
mod wire;

pub use any::AnyArray;
pub(crate) use cast::{WholeArray, as_array_elements, as_element};
pub use cow::CowArray;
pub use layout::Order;
pub(crate) use layout::{Layout, ShortShape};
pub(crate) use memory::{Memory, PlacementNote, Storage};
pub use shared::SharedArray;
pub(crate) use shared_mut::FillTarget;
pub use shared_mut::SharedArrayMut;
pub use source::{ArraySource, CopyReason};
#[cfg(all(feature = "store", target_os = "linux"))]
pub(crate) use view::OwnedViewMut;
pub(crate) use wire::{ARRAY_STRUCT, Number, WHOLE_ARRAY_NEWTYPE};
