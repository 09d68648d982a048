//! Values between a parent and a worker: a tree, and references to where its arrays lie.
//!
//! An array below the threshold lies in the message itself. One from a user's file goes as that file, open. Any other lies
//! in the store: what a parent sends is written once and stays as long as the array lives; what a worker sends is given
//! away with the message, and the parent takes the file over.

mod pack;
mod unpack;

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

pub(super) use pack::{Side, pack};
use serde::{Deserialize, Serialize};
pub(super) use unpack::{Incoming, Maps};

use super::channel::Payload;
use crate::store::{Placed, Segment};

/// Inline arrays begin at a multiple of this.
const ALIGNMENT: usize = 64;

/// An array of a message.
#[derive(Serialize, Deserialize)]
struct Reference {
    shape: Vec<usize>,
    strides: Vec<isize>,
    start: usize,
    segment: Segment,
    place: Place,
    source: Option<Origin>,
}

/// Where the bytes of an array lie.
#[derive(Serialize, Deserialize)]
enum Place {
    /// In the message, from the first inline byte on.
    Inline,
    /// In a file of the store; `given` where the receiver is to take it over.
    Stored { path: Vec<u8>, given: bool },
    /// In the file that came along in this place of the list.
    File { slot: usize, path: Vec<u8> },
}

/// A [`Source`] on its way.
#[derive(Serialize, Deserialize)]
struct Origin {
    path: Vec<u8>,
    offset: u64,
    big_endian: Option<bool>,
}

fn path_bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().to_os_string().into_vec()
}

fn path_of(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}

/// A value ready to be sent.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) payload: Payload,
    /// What must stay in the store until the receiver is done.
    pub(super) kept: Vec<Arc<Placed>>,
}

/// A worker's note on an array of the parent's: valid until the task it came with, or the call, is over.
struct Lent {
    path: PathBuf,
    segment: Segment,
    until: Weak<()>,
}
