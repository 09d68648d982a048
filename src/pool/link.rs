//! A worker as a call sees it, whatever it runs in.

use std::io;

use super::channel::{Frame, Head, Payload};
use crate::{
    bytes::map::Page,
    error::{Report, Said},
    sys::socket::Wait,
};

/// A worker: a process, a thread, or the calling thread itself.
pub(super) trait Link {
    /// The process it runs in.
    fn id(&self) -> u32;

    /// The page it notes on what it does.
    fn page(&self) -> &Page;

    /// What it said since the task on its page began, as far as that is kept.
    fn said(&self) -> Said {
        Said::default()
    }

    /// Sends a frame. That the worker is gone shows when its answer is awaited, with the reason.
    ///
    /// # Errors
    ///
    /// Where the frame cannot be made.
    fn send(&mut self, head: Head, payload: &Payload) -> io::Result<()>;

    /// What to wait for before something can be received, or more be sent: its words, and its end. `None` where it works only
    /// while it is [received](Link::receive) from.
    fn waits(&self) -> Option<(Wait<'_>, Option<Wait<'_>>)>;

    /// The next frame about tasks, or how the worker ended. `None`: nothing yet. `stirred` is what a wait said of its end, if
    /// there was one.
    fn receive(&mut self, stirred: bool) -> Option<Result<Frame, Report>>;

    /// Whether it is there, as far as can be told.
    fn lives(&self) -> bool;

    /// Makes it stand still, or go on, where that is possible.
    fn hold(&self, still: bool);

    /// Ends it in the middle of a task, where that is possible, without waiting for it.
    fn kill(&self);

    /// Ends it and waits for that, in the middle of a task where that is possible; removes the files it had made and not given away.
    fn finish(&mut self);

    /// Lets it know that it is to end, without waiting for it.
    fn close(&mut self);
}
