//! Transports: where workers run, and how frames get to them and back.
//!
//! A job needs little from a worker: it sends frames, receives frames, and learns that the
//! worker is lost ([`WorkerLink`]). A [`Transport`] starts such workers. Descriptors, shared
//! memory and process ids stay inside the transports. What only a worker of this machine has is
//! an optional part of its link ([`LocalLink`]).
//!
//! | module | workers |
//! |---|---|
//! | [`process`] | processes that run this program once more |
//! | [`fork`] | forks of this process, for one job |
//! | [`thread`] | threads of this process |
//! | [`serial`] | the thread that runs the job: a link without a transport, because it belongs to one job in one thread |
//!
//! # A transport to another machine
//!
//! A node agent that runs tasks on a pool of its own, behind MPI for example, needs these
//! parts:
//!
//! ```ignore
//! struct MpiTransport { nodes: Vec<Rank> }
//!
//! impl Transport for MpiTransport {
//!     fn start(&self, _: &Store) -> Result<Box<dyn WorkerLink + Send>> {
//!         // Registers the node with the progress thread, the only thread that calls MPI.
//!         Ok(Box::new(MpiLink::connect(self.next_node()?)?))
//!     }
//!
//!     fn capabilities(&self) -> Capabilities {
//!         // The agent receives arrays inside messages and writes them to the store of its node.
//!         Capabilities { memory: MemorySharing::None, kills_single_tasks: false, ..Capabilities::default() }
//!     }
//! }
//!
//! impl WorkerLink for MpiLink {
//!     fn id(&self) -> u32 { self.rank }
//!     fn capacity(&self) -> usize { self.cores }
//!     fn send(&mut self, head: FrameHead, payload: &Payload) -> io::Result<()> {
//!         self.outgoing.push(head, Arc::clone(&payload.bytes)) // the progress thread sends it
//!     }
//!     fn receive(&mut self, _: Ready) -> Option<Result<Frame, FailureReport>> {
//!         self.incoming.pop() // a frame, or the reason why the node is lost
//!     }
//!     fn wait_source(&self) -> WaitSource<'_> { WaitSource::Waker }
//!     fn set_waker(&mut self, waker: &Arc<Waker>) {
//!         self.incoming.set_waker(waker); // the progress thread calls `wake` for each frame it receives
//!     }
//!     // is_alive, close, finish
//! }
//! ```
//!
//! The agent answers each task as soon as it has ended: results are the only sign of progress
//! that a job sees. If the agent is lost, the first [`capacity`](WorkerLink::capacity) tasks
//! without a result have failed with it, and the others go to other workers.

pub(crate) mod fork;
pub(crate) mod process;
pub(crate) mod serial;
#[cfg(test)]
mod tests;
pub(crate) mod thread;
pub(crate) mod wait;

use std::{io, sync::Arc};

use crate::{
    Result,
    bytes::map::Page,
    pool::{
        transport::wait::{Ready, WaitSource, Waker},
        wire::{
            frame::{Frame, FrameHead, Payload},
            message::Sender,
            report::{CapturedOutput, FailureReport},
            shared_page::{self, Activity, UnsentResult},
        },
    },
    store::Store,
};

/// Starts the workers of a pool.
pub(crate) trait Transport {
    /// Starts a worker of a pool that shares arrays by `store`. The worker need not be ready
    /// when this returns: frames that are sent meanwhile wait for it.
    ///
    /// # Errors
    ///
    /// Returns an error if the worker cannot be started.
    fn start(&self, store: &Store) -> Result<Box<dyn WorkerLink + Send>>;

    /// Returns what workers of this transport can do.
    fn capabilities(&self) -> Capabilities;

    /// Returns whether the calling thread is one of its workers.
    fn is_this_thread(&self) -> bool {
        false
    }
}

/// What the workers of a transport can do. A job that asks for more is refused before it starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capabilities {
    /// How arrays get to the workers.
    pub(crate) memory: MemorySharing,
    /// Whether a running task can be killed without losing others ([`LocalLink::kill`]).
    /// Timeouts need it.
    pub(crate) kills_single_tasks: bool,
    /// Whether the memory of a worker can be measured ([`LocalLink::resident_memory`]). Memory
    /// limits need it.
    pub(crate) measures_memory: bool,
    /// Whether a panic may leave changed state behind, so that its worker gets no further task.
    pub(crate) is_spoiled_by_panic: bool,
}

impl Default for Capabilities {
    /// The least that a transport must offer.
    fn default() -> Self {
        Self {
            memory: MemorySharing::None,
            kills_single_tasks: false,
            measures_memory: false,
            is_spoiled_by_panic: false,
        }
    }
}

impl Capabilities {
    /// Workers within this process.
    pub(crate) const IN_PROCESS: Self = Self {
        memory: MemorySharing::Process,
        kills_single_tasks: false,
        measures_memory: false,
        is_spoiled_by_panic: false,
    };

    /// Worker processes of this machine.
    pub(crate) const LOCAL_PROCESS: Self = Self {
        memory: MemorySharing::Files,
        kills_single_tasks: true,
        measures_memory: true,
        is_spoiled_by_panic: false,
    };
}

/// Which memory a job shares with its workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemorySharing {
    /// All of it: arrays are handed over as they are.
    Process,
    /// Files of this machine: large arrays go by reference, and open files can be passed.
    Files,
    /// None: every array travels inside a message.
    None,
}

impl MemorySharing {
    /// Returns how a job packs the messages to its workers.
    pub(crate) fn sender(self) -> Sender {
        match self {
            Self::Process => Sender::SameProcess,
            Self::Files => Sender::Parent,
            Self::None => Sender::Remote,
        }
    }
}

/// A worker, as the job that uses it sees it.
pub(crate) trait WorkerLink {
    /// Returns a number that identifies the worker in errors: its process id if it is a process
    /// of this machine.
    fn id(&self) -> u32;

    /// Returns how many tasks it runs at once.
    fn capacity(&self) -> usize {
        1
    }

    /// Sends a frame without waiting until it has arrived. The payload has open files or arrays
    /// beside its bytes only if the transport [shares memory](Capabilities::memory). A lost
    /// worker is reported by [`receive`](WorkerLink::receive), with the reason.
    ///
    /// # Errors
    ///
    /// Returns an error if the frame cannot be made.
    fn send(&mut self, head: FrameHead, payload: &Payload) -> io::Result<()>;

    /// Returns the next frame about tasks, or the reason why the worker is lost, or `None` if
    /// nothing has arrived. `ready` is the result of the latest wait for this worker.
    fn receive(&mut self, ready: Ready) -> Option<Result<Frame, FailureReport>>;

    /// Returns the source that shows when a frame arrives or the worker is lost.
    fn wait_source(&self) -> WaitSource<'_>;

    /// Sets the waker of the job that uses the worker from now on, if the source is
    /// [`WaitSource::Waker`]. The link must wake it at once if something has arrived already.
    fn set_waker(&mut self, _waker: &Arc<Waker>) {}

    /// Returns whether the worker is alive, as far as is known.
    fn is_alive(&self) -> bool;

    /// Asks the worker to exit, without waiting for it.
    fn close(&mut self);

    /// Ends the worker and waits for its end. Interrupts its task if possible, and removes the
    /// files that only this worker knows.
    fn finish(&mut self);

    /// Returns the part that only workers of this machine have.
    fn local(&self) -> Option<&dyn LocalLink> {
        None
    }
}

/// A worker of this machine, which shares a page of memory with the job.
pub(crate) trait LocalLink {
    /// Returns the page to which the worker writes its progress.
    fn page(&self) -> &Page;

    /// Returns whether the worker has begun to read its messages.
    fn has_started(&self) -> bool {
        true
    }

    /// Kills the worker in the middle of its task, if possible, without waiting for its end.
    fn kill(&self) {}

    /// Stops the worker, or lets it continue, if possible.
    fn hold(&self, _stopped: bool) {}

    /// Returns the output of the task on the page, if it is captured.
    fn captured_output(&self) -> CapturedOutput {
        CapturedOutput::default()
    }

    /// Returns the bytes of memory that belong to the worker alone.
    fn resident_memory(&self) -> Option<u64> {
        None
    }

    /// Returns what the worker is doing.
    fn activity(&self) -> Activity {
        shared_page::activity(self.page())
    }

    /// Returns results that the worker has finished and not sent.
    fn unsent_results(&self) -> Vec<UnsentResult> {
        shared_page::unsent(self.page())
    }

    /// Notes that a message with results was received.
    fn acknowledge_results(&self) {
        shared_page::received(self.page());
    }

    /// Keeps the worker from beginning another task. It had been sent `messages` with tasks in
    /// its life. Returns how many tasks it has begun.
    fn recall(&self, messages: u64) -> u64 {
        shared_page::recall(self.page(), messages)
    }

    /// Lets the worker begin tasks again.
    fn end_recall(&self) {
        shared_page::end_recall(self.page());
    }
}
