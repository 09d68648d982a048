//! Frames: the unit in which a job and its workers talk.
//!
//! A frame is a head of fixed size and a payload. An error in a payload does not affect the
//! transport: the head still says which tasks it belongs to.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use byteorder::{ByteOrder as _, LittleEndian};

use crate::{AnyArray, Error, Result, bytes::map::Buffer};

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FrameKind {
    /// To a worker, first: the session and the worker's settings.
    Hello,
    /// From a worker: it is ready.
    Ready,
    /// To a worker: the context of a job.
    Context,
    /// To a worker: tasks.
    Tasks,
    /// To a worker: the job has ended, and its data can be released.
    End,
    /// From a worker: results of tasks.
    Results,
    /// From a worker: tasks that it was asked to return and has not started.
    Returned,
    /// From a worker: the reason why it cannot work.
    Failed,
}

impl FrameKind {
    const ALL: [Self; 8] = [
        Self::Hello,
        Self::Ready,
        Self::Context,
        Self::Tasks,
        Self::End,
        Self::Results,
        Self::Returned,
        Self::Failed,
    ];
}

/// The part of a frame with a fixed size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) kind: FrameKind,
    /// The job that the frame belongs to.
    pub(crate) job: u64,
    /// For tasks, the index of the payload's first item. For returned tasks, the number of
    /// frames with tasks that had arrived.
    pub(crate) index: u64,
    /// For tasks, the range of the payload's items.
    pub(crate) span: (u32, u32),
    /// For tasks, their functions ([`RemoteFunction`](super::remote::RemoteFunction)). For
    /// results, the nanoseconds that they took, the bytes mapped and the bytes copied.
    pub(crate) facts: [u64; 3],
}

impl FrameHead {
    pub(crate) fn new(kind: FrameKind, job: u64, index: u64) -> Self {
        Self { kind, job, index, span: (0, 0), facts: [0; 3] }
    }

    /// Encodes the head of a frame with a payload of `length` bytes and `files` open files.
    pub(crate) fn encode(&self, files: usize, length: usize) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        bytes[0] = self.kind as u8;
        LittleEndian::write_u32(&mut bytes[4..], files as u32);
        LittleEndian::write_u64(&mut bytes[8..], self.job);
        LittleEndian::write_u64(&mut bytes[16..], self.index);
        LittleEndian::write_u32(&mut bytes[24..], self.span.0);
        LittleEndian::write_u32(&mut bytes[28..], self.span.1);
        LittleEndian::write_u64_into(&self.facts, &mut bytes[32..56]);
        LittleEndian::write_u64(&mut bytes[56..], length as u64);
        bytes
    }
}

/// The length of a head: kind (1), zero (3), descriptors (4), job (8), index (8), span (2 × 4),
/// facts (3 × 8), payload length (8).
pub(crate) const HEAD_LEN: usize = 64;

/// A payload and the open files that it refers to.
#[derive(Clone, Default)]
pub(crate) struct Payload {
    /// Shared, because a context is sent to many workers.
    pub(crate) bytes: Arc<Vec<u8>>,
    pub(crate) files: Vec<Arc<dyn AsFd + Send + Sync>>,
    /// Arrays that are passed on within one process.
    pub(crate) arrays: Vec<AnyArray>,
}

impl Payload {
    /// Returns a payload without files.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self { bytes: Arc::new(bytes), files: Vec::new(), arrays: Vec::new() }
    }
}

/// A received frame.
pub(crate) struct Frame {
    pub(crate) head: FrameHead,
    pub(crate) payload: Buffer,
    pub(crate) descriptors: Vec<OwnedFd>,
    /// The number of descriptors that were lost, because this process cannot open more.
    pub(crate) missing: usize,
    pub(crate) arrays: Vec<AnyArray>,
}

impl Frame {
    /// Returns the frame that arrives within one process.
    ///
    /// # Errors
    ///
    /// Returns an error if there is not enough memory, or this process cannot open more
    /// descriptors.
    pub(crate) fn handed_over(head: FrameHead, payload: &Payload) -> Result<Self> {
        let descriptors = payload
            .files
            .iter()
            .map(|file| file.as_fd().try_clone_to_owned())
            .collect::<io::Result<_>>();
        Ok(Self {
            head,
            payload: Buffer::copy_of(&payload.bytes)?,
            descriptors: descriptors
                .map_err(|error| Error::io("cannot hand over an open file", error))?,
            missing: 0,
            arrays: payload.arrays.clone(),
        })
    }
}

/// A received head.
#[derive(Clone, Copy)]
pub(crate) struct ParsedHead {
    pub(crate) head: FrameHead,
    /// The number of open files sent with the frame.
    pub(crate) files: usize,
    /// The length of the payload.
    pub(crate) length: usize,
}

impl ParsedHead {
    /// Decodes the head at the start of `bytes`, if it is complete.
    ///
    /// # Errors
    ///
    /// Returns an error if `bytes` do not start with a frame.
    pub(crate) fn decode(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some(bytes) = bytes.get(..HEAD_LEN) else {
            return Ok(None);
        };
        let Some(kind) = FrameKind::ALL.into_iter().find(|kind| *kind as u8 == bytes[0]) else {
            return Err(io::Error::other(format!(
                "received bytes that are not a frame: they start with {:02X?}",
                &bytes[..8]
            )));
        };
        let mut facts = [0; 3];
        LittleEndian::read_u64_into(&bytes[32..56], &mut facts);
        let head = FrameHead {
            kind,
            job: LittleEndian::read_u64(&bytes[8..]),
            index: LittleEndian::read_u64(&bytes[16..]),
            span: (LittleEndian::read_u32(&bytes[24..]), LittleEndian::read_u32(&bytes[28..])),
            facts,
        };
        let length =
            usize::try_from(LittleEndian::read_u64(&bytes[56..])).map_err(io::Error::other)?;
        Ok(Some(Self { head, files: LittleEndian::read_u32(&bytes[4..]) as usize, length }))
    }
}
