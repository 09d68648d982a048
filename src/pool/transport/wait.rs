//! How a job waits for its workers.
//!
//! Workers whose frames arrive over descriptors are polled directly: a thread between them and
//! the job would cost a switch for each result. All others wake the job themselves.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use rustix::event::{EventfdFlags, eventfd};

use crate::sys::{
    socket::{self, Wait},
    unshared::Unshared,
};

/// Wakes the thread that waits for the workers of a job, from any other thread.
pub(crate) struct Waker(Unshared<OwnedFd>);

impl Waker {
    fn new() -> io::Result<Self> {
        Ok(Self(Unshared::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Wakes the waiting thread, now or when it waits next.
    pub(crate) fn wake(&self) {
        // The write fails only if the counter is full. In that case the thread wakes up anyway.
        // In a forked process this does nothing.
        let _ = self.0.get().map(|event| rustix::io::write(event, &1u64.to_ne_bytes()));
    }

    /// Clears earlier wake-ups.
    fn reset(&self) {
        let mut count = [0; 8];
        let _ = self.0.get().map(|event| rustix::io::read(event, &mut count));
    }
}

/// How a job notices that it can receive something from a worker.
pub(crate) enum WaitSource<'w> {
    /// A descriptor, and one that becomes readable when the worker has ended.
    Descriptors { incoming: Wait<'w>, end: Option<BorrowedFd<'w>> },
    /// The worker's link wakes the job ([`WorkerLink::set_waker`](super::WorkerLink::set_waker)).
    Waker,
    /// The worker runs when the job receives from it, so there is nothing to wait for.
    Immediate,
}

/// The result of a wait for one worker.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ready {
    /// Something may be received.
    pub(crate) incoming: bool,
    /// The worker has ended.
    pub(crate) ended: bool,
}

impl Ready {
    pub(crate) fn any(self) -> bool {
        self.incoming || self.ended
    }
}

/// Waits for workers, for one job.
#[derive(Default)]
pub(crate) struct Waiter {
    waker: Option<Arc<Waker>>,
}

impl Waiter {
    /// Returns the waker of this waiter.
    ///
    /// # Errors
    ///
    /// Returns an error if the process cannot open another descriptor.
    pub(crate) fn waker(&mut self) -> io::Result<&Arc<Waker>> {
        Ok(match &mut self.waker {
            Some(waker) => waker,
            none => none.insert(Arc::new(Waker::new()?)),
        })
    }

    /// Waits until one of `sources` is ready, the waker is woken, or the time is over. Returns
    /// the state of each source.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub(crate) fn wait<'w>(
        &self,
        sources: impl ExactSizeIterator<Item = WaitSource<'w>>,
        longest: Option<Duration>,
    ) -> io::Result<Vec<Ready>> {
        let reading = |descriptor| Wait { descriptor, for_writing: false, ready: false };
        let mut ready = vec![Ready::default(); sources.len()];
        let mut waits = Vec::with_capacity(2 * sources.len() + 1);
        let mut owners = Vec::with_capacity(2 * sources.len());
        let mut is_immediate = false;
        for (at, source) in sources.enumerate() {
            match source {
                WaitSource::Descriptors { incoming, end } => {
                    waits.push(incoming);
                    owners.push((at, false));
                    if let Some(end) = end {
                        waits.push(reading(end));
                        owners.push((at, true));
                    }
                }
                // Looking into a queue is cheap, so these workers always count as ready.
                WaitSource::Waker => ready[at].incoming = true,
                WaitSource::Immediate => (ready[at].incoming, is_immediate) = (true, true),
            }
        }
        if is_immediate {
            return Ok(ready);
        }
        waits.extend(self.waker.iter().map(|waker| reading(waker.0.as_fd())));
        socket::wait(&mut waits, longest)?;
        if let (Some(waker), true) = (&self.waker, waits.last().is_some_and(|wait| wait.ready)) {
            waker.reset();
        }
        for ((at, is_end), wait) in owners.into_iter().zip(&waits) {
            let found = if is_end { &mut ready[at].ended } else { &mut ready[at].incoming };
            *found = wait.ready;
        }
        Ok(ready)
    }
}
