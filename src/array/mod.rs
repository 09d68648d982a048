//! Arrays that are shared, not copied: [`SharedArray`] with its element type known at compile time, [`AnyArray`] with it
//! known at run time.
//!
//! Both are immutable, cheap to clone, and stand on a [`Memory`]: a mapped file, an owned buffer, or a vector that an
//! ndarray `Array` brought along. This module does not know files' formats nor the store; a memory carries a plain slot in
//! which others note where its bytes already lie.

mod any;
#[allow(unsafe_code)]
mod cast;
mod gather;
mod layout;
mod memory;
#[cfg(target_os = "linux")]
mod private;
mod records;
mod shared;
mod source;
mod wire;

pub use any::AnyArray;
#[cfg(target_os = "linux")]
pub(crate) use cast::KeptMut;
pub(crate) use cast::{as_element, as_lent, identical};
pub use layout::Order;
pub(crate) use layout::{Layout, Short};
pub(crate) use memory::{Memory, Note, Storage};
#[cfg(target_os = "linux")]
pub use private::CowArray;
pub use shared::SharedArray;
pub(crate) use shared::in_bytes;
pub use source::{ArraySource, CopyReason};
pub(crate) use wire::{ARRAY, Elements, HANDOVER, Handover};
