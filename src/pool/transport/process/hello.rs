//! The first message to a worker process.

use serde::{Deserialize, Serialize};

use super::{launch::CoreShare, stdio::StdioSetup};

/// What a worker is told first. Open files come along: the page it shares with its parent, the
/// process slots, its own slot, and those of its streams.
#[derive(Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) session_dir: Vec<u8>,
    /// The process that began the session.
    pub(crate) first_process: u32,
    /// The worker's part in the session.
    pub(crate) member: u64,
    pub(crate) big_endian_store: bool,
    pub(crate) is_memfd_store: bool,
    pub(crate) threshold: Option<usize>,
    /// Device and inode of the executable.
    pub(crate) executable: (u64, u64),
    pub(crate) stdio: StdioSetup,
    pub(crate) share: CoreShare,
    /// The signals that the parent had blocked before it started the worker, one bit each.
    pub(crate) blocked: u64,
}
