//! The parts of other modules that flows are built on, imported in one place.

pub(super) use crate::{
    dtype::Quoted,
    pool::{
        Arguments, MessageEntry, Packer, Reading, RemoteFunction, Work,
        marker::{FailFast, NoContext, OnError, Returns, ReturnsResult, ReturnsValue},
    },
};
