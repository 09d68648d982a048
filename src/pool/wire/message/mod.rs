//! Values exchanged between a parent and a worker: trees, and references to their arrays.
//!
//! A message is a list of entries, each with the index of its task: a value, or a report why
//! there is none. Its layout, with little-endian integers: the number of entries and the length
//! of the list of references (8 bytes each); for each entry its index and its length (8 each;
//! the highest bit of the length marks a report); the bytes of the entries; the references as
//! JSON; and, from the next multiple of 64, the inline arrays.
//!
//! Arrays below the threshold are in the message. An array of a user's file, or in a memory
//! file, is sent as that open file. Other arrays are in the store: a parent writes an array
//! once and keeps it as long as the array lives, and a worker gives the file to the parent with
//! the message.

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

/// Marks the length of an entry that is a report.
pub(crate) const REPORT_FLAG: u64 = 1 << 63;

/// Returns the number of bytes of an entry with this flagged length.
pub(crate) fn entry_len(marked: u64) -> usize {
    usize::try_from(marked & !REPORT_FLAG).unwrap_or(usize::MAX)
}

/// Inline arrays begin at multiples of this.
const ALIGNMENT: usize = 64;

/// The references of a message, by number.
#[derive(Default, Serialize, Deserialize)]
struct MessageContents {
    arrays: Vec<ArrayReference>,
    /// Files that parts of the value refer to, by their position among the attached files.
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

/// The location of an array's bytes.
#[derive(Serialize, Deserialize)]
enum ArrayPlace {
    /// In the message, counted from the first inline byte.
    Inline,
    /// In a file of the store. If `given` is set, the receiver takes it over.
    Stored { path: Vec<u8>, given: bool },
    /// In the attached file at this position.
    File { slot: usize, path: Vec<u8> },
    /// Attached as an array at this position, within one process.
    Here { slot: usize },
}

/// The encoded form of an [`ArraySource`].
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
    /// Arrays that must stay in the store until the receiver has finished.
    pub(crate) kept: Vec<Arc<Placed>>,
    /// The bytes of arrays sent by reference, and the bytes in the message.
    pub(crate) moved: BytesMoved,
}

/// Numbers of bytes by kind of transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BytesMoved {
    pub(crate) mapped: u64,
    pub(crate) copied: u64,
}

/// Marks an array that the parent has lent to this worker. It is valid until its task or its
/// job ends.
struct LentArray {
    path: PathBuf,
    segment: Segment,
    until: Weak<()>,
}
