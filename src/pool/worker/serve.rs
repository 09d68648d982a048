//! The loop of a worker: it receives tasks, runs them one at a time, and sends the results.

use std::{
    collections::VecDeque,
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use super::runner::{TaskCode, TaskRunner};
use crate::pool::wire::{
    channel::{Channel, Received},
    frame::{Frame, FrameHead, FrameKind, Payload},
    report::FailureReport,
};

/// Whether this worker process is about to end.
static ENDING: AtomicBool = AtomicBool::new(false);

/// Sets whether this worker process is about to end: it starts no further task then.
pub(crate) fn set_ending(ending: bool) {
    ENDING.store(ending, Ordering::Relaxed);
}

/// The stream of frames between a worker and its parent, from the worker's side.
pub(crate) trait ParentStream {
    /// Waits for the next frame; `None` if the parent sends no more.
    fn next(&mut self) -> io::Result<Option<Frame>>;

    /// Returns a frame that has been read already.
    fn buffered(&mut self) -> io::Result<Option<Frame>>;

    /// Returns a frame that has arrived, without waiting for one.
    fn arrived(&mut self) -> io::Result<Option<Frame>>;

    /// Sends a frame, and waits until all of it is sent.
    fn send(&mut self, head: FrameHead, payload: &Payload) -> io::Result<()>;
}

impl ParentStream for Channel {
    fn next(&mut self) -> io::Result<Option<Frame>> {
        Channel::next(self)
    }

    fn buffered(&mut self) -> io::Result<Option<Frame>> {
        Channel::buffered(self)
    }

    fn arrived(&mut self) -> io::Result<Option<Frame>> {
        Ok(match self.receive()? {
            Received::Frame(frame) => Some(frame),
            Received::NotYet | Received::Gone => None,
        })
    }

    fn send(&mut self, head: FrameHead, payload: &Payload) -> io::Result<()> {
        Channel::send(self, head, payload)?;
        self.finish_sending()
    }
}

/// Reports why this worker cannot go on, if the channel still works.
pub(crate) fn give_up(channel: &mut Channel, error: &io::Error) {
    let job = channel.arriving().map_or(0, |head| head.job);
    let _ = refuse(channel, job, &FailureReport::Argument { message: error.to_string() });
}

/// Reports why this worker cannot run any task.
pub(crate) fn refuse(
    parent: &mut impl ParentStream,
    job: u64,
    report: &FailureReport,
) -> io::Result<()> {
    let bytes = serde_json::to_vec(report).unwrap_or_default();
    parent.send(FrameHead::new(FrameKind::Failed, job, 0), &Payload::of(bytes))
}

/// Runs tasks until the parent sends no more.
pub(crate) fn serve(
    parent: &mut impl ParentStream,
    mut runner: TaskRunner,
    code: TaskCode<'_>,
) -> io::Result<()> {
    let mut arrived = 0;
    let mut waiting = VecDeque::new();
    loop {
        let frame = match waiting.pop_front() {
            Some(frame) => frame,
            None => match parent.next()? {
                Some(frame) => frame,
                None => return Ok(()),
            },
        };
        match frame.head.kind {
            FrameKind::Context => runner.set_context(frame),
            FrameKind::End => runner.end(),
            FrameKind::Tasks => {
                arrived += 1;
                let (job, (first, end)) = (frame.head.job, frame.head.span);
                let tasks = runner.receive(frame);
                for at in first..end {
                    if ENDING.load(Ordering::Relaxed) {
                        return Ok(());
                    }
                    if !runner.claim() {
                        // Tasks that were not begun go back. If they were recalled, some may
                        // still be on their way. No other frame comes before the parent knows
                        // that they are gone.
                        send_results(parent, &mut runner, job)?;
                        arrived += waiting.drain(..).len() as u64;
                        while parent.arrived()?.is_some() {
                            arrived += 1;
                        }
                        while arrived < runner.recalled_messages() {
                            if parent.next()?.is_none() {
                                return Ok(());
                            }
                            arrived += 1;
                        }
                        runner.end_recall();
                        let head = FrameHead::new(FrameKind::Returned, job, arrived);
                        parent.send(head, &Payload::default())?;
                        break;
                    }
                    runner.run(&tasks, at, code);
                    if runner.is_full() {
                        send_results(parent, &mut runner, job)?;
                    }
                }
                if waiting.is_empty() {
                    match parent.buffered()? {
                        Some(frame) => waiting.push_back(frame),
                        None => send_results(parent, &mut runner, job)?,
                    }
                }
            }
            FrameKind::Hello
            | FrameKind::Ready
            | FrameKind::Results
            | FrameKind::Returned
            | FrameKind::Failed => {}
        }
    }
}

fn send_results(
    parent: &mut impl ParentStream,
    runner: &mut TaskRunner,
    job: u64,
) -> io::Result<()> {
    if let Some((head, payload)) = runner.results(job) {
        parent.send(head, &payload)?;
        runner.sent();
    }
    Ok(())
}
