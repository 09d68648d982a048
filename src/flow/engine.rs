//! The internals of the pool that flows are built on, imported in one place.

pub(super) use crate::{
    dtype::Quoted,
    pool::{Arguments, Entry, Gives, MayFail, Packer, Reading, Remote, Returns, Work},
};
