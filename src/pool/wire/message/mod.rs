//! Values between a parent and a worker: trees, and references to where their arrays lie.
//!
//! A message is a list of entries, each with the index of the task it is about: a value, or the
//! decode_report why there is none. It is laid out as follows, integers little-endian: the
//! number of entries and the length of the list of references (8 bytes each); for each entry
//! the index and the length of its bytes (8 each), the highest bit of the latter set for a
//! decode_report; the entries' bytes; the references, as JSON; and from the next multiple of 64
//! on the arrays that travel inside.
//!
//! An array below the threshold lies in the message itself. One from a user's file, or in
//! sealed memory, goes as that file, open. Any other lies in the store: what a parent sends is
//! written once and stays as long as the array lives; what a worker sends is given away with
//! the message, and the parent takes the file over.

mod pack;
mod unpack;

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use serde::{Deserialize, Serialize};

use crate::{
    pool::wire::frame::Payload,
    store::{Placed, Role, Segment},
};

pub(crate) use pack::{Packer, Sender};
pub(crate) use unpack::{FileMaps, IncomingMessage, MessageEntry, decode_report};

/// What marks an entry's length as that of a decode_report.
pub(crate) const REPORT_FLAG: u64 = 1 << 63;

/// Bytes of an entry with this marked length.
pub(crate) fn entry_len(marked: u64) -> usize {
    usize::try_from(marked & !REPORT_FLAG).unwrap_or(usize::MAX)
}

/// Inline arrays begin at a multiple of this.
const ALIGNMENT: usize = 64;

/// What a message's tree refers to, by number.
#[derive(Default, Serialize, Deserialize)]
struct MessageContents {
    arrays: Vec<ArrayReference>,
    /// Files that parts of the value stand for, by their place among those that came along.
    attached: Vec<(Role, usize)>,
}

/// An array of a message.
#[derive(Serialize, Deserialize)]
struct ArrayReference {
    shape: Vec<usize>,
    strides: Vec<isize>,
    start: usize,
    segment: Segment,
    place: ArrayPlace,
    source: Option<SourceRef>,
}

/// Where the bytes of an array lie.
#[derive(Serialize, Deserialize)]
enum ArrayPlace {
    /// In the message, from the first inline byte on.
    Inline,
    /// In a file of the store; `given` where the receiver is to take it over.
    Stored { path: Vec<u8>, given: bool },
    /// In the file that came along in this place of the list.
    File { slot: usize, path: Vec<u8> },
    /// It came along as it is, in this place of the list: sender and receiver are one process.
    Here { slot: usize },
}

/// A [`Source`] on its way.
#[derive(Serialize, Deserialize)]
struct SourceRef {
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
pub(crate) struct OutgoingMessage {
    pub(crate) payload: Payload,
    /// What must stay in the store until the receiver is done.
    pub(crate) kept: Vec<Arc<Placed>>,
    /// Bytes of arrays that the receiver maps, or gets as they are, and bytes that travel inside.
    pub(crate) moved: BytesMoved,
}

/// How many bytes went which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BytesMoved {
    pub(crate) mapped: u64,
    pub(crate) copied: u64,
}

/// A worker's note on an array of the parent's: valid until the task it came with, or the call,
/// is over.
struct LentArray {
    path: PathBuf,
    segment: Segment,
    until: Weak<()>,
}
