//! The parts of other modules that flows are built on, imported in one place.

pub(super) use crate::{
    dtype::Quoted,
    pool::{
        Arguments, Entry as MessageEntry, FailFast, Gives, MayFail, Mode as OnError, NoContext,
        Packer, Reading, Remote as RemoteFunction, Returns, Work,
    },
};
