//! Workers that are forks of this process, for one job.
//!
//! This file contains what a forked worker does. From its parent's side it is a
//! [`ProcessWorker`] like any other.

use std::{
    io::{self, Write as _},
    os::fd::AsFd as _,
    sync::Arc,
};

use super::{
    Capabilities, Transport, WorkerLink,
    process::{ProcessWorker, slots::SlotGrant, stdio},
};
use crate::{
    Error, Result,
    bytes::map::Page,
    pool::{
        wire::{
            channel::Channel,
            message::Sender,
            report::FailureReport,
            shared_page::{self, PageWriter},
        },
        worker::{
            self, WorkerState, panics,
            runner::{InheritedCode, TaskCode, TaskRunner},
            serve,
        },
    },
    store::{Member, Store},
    sys::{self, fork::ForkError},
};

/// Starts forks of this process that run `code`.
pub(crate) struct ForkTransport<'f> {
    pub(crate) setup: Arc<ForkSetup>,
    pub(crate) code: Box<InheritedCode<'f>>,
}

/// The options for the workers of a job that forks.
pub(crate) struct ForkSetup {
    pub(crate) slots: Arc<SlotGrant>,
    pub(crate) threshold: Option<usize>,
}

/// Checks that this process can be forked.
///
/// # Errors
///
/// Returns an error if the process has other threads.
pub(crate) fn check() -> Result<()> {
    sys::fork::check_single_threaded().map_err(refused)
}

fn refused(why: ForkError) -> Error {
    match why {
        ForkError::Threads(threads) => Error::invalid_input(format!(
            "cannot fork a worker: {threads} other {} in this process, and a lock held there would stay locked in the fork for \
             ever; fork before threads are started, or give workers what they need by Pool::with or Pool::with_init",
            if threads == 1 { "thread runs" } else { "threads run" }
        )),
        ForkError::System(error) => Error::io("cannot fork a worker", error),
    }
}

impl Transport for ForkTransport<'_> {
    fn start(&self, store: &Store) -> Result<Box<dyn WorkerLink + Send>> {
        let cannot = |error: io::Error| Error::io("cannot fork a worker", error);
        let (ours, theirs) = sys::socket::pair().map_err(cannot)?;
        // Each fork closes the parent's ends of all channels, also the end of this one.
        let ours = Channel::new(ours);
        let (page, notes) = shared_page::in_process().map_err(cannot)?;
        let (parent, member) = (std::process::id(), store.new_member()?);
        let first_process = worker::first_process(store);
        // If text were left in a buffer, both processes would print it. If it cannot be written
        // now, this process may lose it.
        let flushed = io::stdout().flush().is_ok();
        let child = sys::fork::fork(|| {
            let own = page.as_fd().try_clone_to_owned().and_then(|page| Page::of(page.into()));
            if let Ok(page) = own {
                panics::set_last_report_page(page);
            }
            let worker = ForkedWorker { parent, first_process, member, flushed };
            worker.work(Channel::new(theirs), store, self, notes);
        });
        let child = child.map_err(refused)?;
        Ok(Box::new(ProcessWorker::forked(child, ours, page, &self.setup.slots, store, member)))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { is_spoiled_by_panic: true, ..Capabilities::LOCAL_PROCESS }
    }
}

/// A forked worker, seen from inside.
struct ForkedWorker {
    parent: u32,
    /// The process that opened the session.
    first_process: u32,
    member: Member,
    /// Whether all text that was printed before the fork has been written.
    flushed: bool,
}

impl ForkedWorker {
    fn work(
        self,
        mut channel: Channel,
        inherited: &Store,
        transport: &ForkTransport<'_>,
        notes: PageWriter,
    ) {
        panics::install_hook();
        let Ok(state) = WorkerState::take(self.parent, &channel) else { return };
        state.look_after(self.first_process);
        stdio::capture_none();
        let joined = state.join(
            inherited.session_dir(),
            inherited.byte_order(),
            inherited.is_memfd(),
            self.member,
        );
        match joined {
            Ok(store) => {
                let mut runner = TaskRunner::new(&store, transport.setup.threshold, Sender::Worker)
                    .with_page(notes);
                if !self.flushed {
                    runner = runner.without_printing();
                }
                let code = TaskCode::Inherited(&*transport.code);
                if let Err(error) = serve::serve(&mut channel, runner, code) {
                    serve::give_up(&mut channel, &error);
                }
            }
            Err(error) => {
                let report = FailureReport::Start { message: error.to_string() };
                let _ = serve::refuse(&mut channel, 0, &report);
            }
        }
        state.leave()
    }
}
