//! Waits for workers and receives their frames.

use std::time::{Duration, Instant};

use super::{Decided, Run, Work};
use crate::{
    Error, Result,
    pool::{
        engine::assigned::{AssignedWorker, Worker},
        transport::wait::Ready,
    },
};

/// If a worker has sent nothing for this long, idle workers get the tasks that it has not begun.
const SILENCE_LIMIT: Duration = Duration::from_millis(2);
/// If a worker has been running one task for this long, busy workers get the others, before new
/// tasks.
const LONG_TASK_LIMIT: Duration = Duration::from_millis(50);

impl Run<'_> {
    /// Waits until a worker has sent something or a time limit is reached. `more`: not all
    /// items are assigned to workers.
    pub(crate) fn wait(&mut self, more: bool) -> Result<()> {
        let now = Instant::now();
        let mut longest = self.deadline.map(|deadline| deadline.saturating_duration_since(now));
        let mut within =
            |limit: Duration| longest = Some(longest.map_or(limit, |longest| longest.min(limit)));
        if let Some(limit) = self.options.timeout {
            for assigned in self
                .workers
                .iter_mut()
                .filter(|assigned| !assigned.is_idle() && assigned.overdue.is_none())
            {
                match assigned.time_left(limit) {
                    (Duration::ZERO, Some(index)) => {
                        // Stop the worker and check again: the task may just have ended.
                        hold(&assigned.worker, true);
                        if assigned.time_left(limit) == (Duration::ZERO, Some(index)) {
                            assigned.overdue = Some(index);
                            assigned.worker.kill();
                        } else {
                            hold(&assigned.worker, false);
                            within(Duration::from_millis(1));
                        }
                    }
                    (left, _) => within(left.max(Duration::from_millis(1))),
                }
            }
        }
        let waiting = self.backlog.len();
        self.recall(more).into_iter().for_each(&mut within);
        self.make_way();
        if self.backlog.len() > waiting {
            // Assign them at once.
            within(Duration::ZERO);
        }
        self.workers
            .iter()
            .filter_map(|assigned| assigned.next_look(SILENCE_LIMIT))
            .for_each(&mut within);
        let sources = self.workers.iter().map(|assigned| assigned.worker.wait_source());
        let ready = self
            .waiter
            .wait(sources, longest)
            .map_err(|error| Error::io("cannot wait for the workers", error))?;
        for (assigned, ready) in self.workers.iter_mut().zip(ready) {
            assigned.ready = ready;
        }
        Ok(())
    }

    /// Recalls tasks from workers that have been busy for long, for other workers. Returns how long
    /// to wait before the next check.
    fn recall(&mut self, more: bool) -> Option<Duration> {
        let is_full = |assigned: &AssignedWorker| assigned.load() > 1 && !assigned.recalled;
        if self.runs_in_caller() || !self.workers.iter().any(is_full) {
            return None;
        }
        let is_for_idle = !more && self.pool.workers.has_idle();
        if !is_for_idle && self.workers.len() == 1 {
            return None;
        }
        let mut again = None;
        for assigned in self.workers.iter_mut().filter(|assigned| is_full(assigned)) {
            let left = if is_for_idle {
                SILENCE_LIMIT.saturating_sub(assigned.silence())
            } else {
                assigned.time_left(LONG_TASK_LIMIT).0
            };
            if left.is_zero() {
                self.backlog.extend(assigned.recall());
            } else {
                again = Some(again.map_or(left, |again: Duration| again.min(left)));
            }
        }
        again
    }

    /// If another job waits for a worker, recalls the tasks that one of several workers has not
    /// begun.
    fn make_way(&mut self) {
        let is_leaving = |assigned: &AssignedWorker| assigned.is_idle() || assigned.recalled;
        if self.workers.len() < 2
            || self.workers.iter().any(is_leaving)
            || !self.pool.workers.is_wanted()
        {
            return;
        }
        if let Some(assigned) = self.workers.iter_mut().min_by_key(|assigned| assigned.load()) {
            self.backlog.extend(assigned.recall());
        }
    }

    /// Receives frames from all workers.
    pub(crate) fn collect<R>(
        &mut self,
        work: &impl Work<R>,
        decided: &mut Decided<R>,
    ) -> Result<()> {
        let mut at = 0;
        'members: while at < self.workers.len() {
            if self.workers[at].ready.any() {
                loop {
                    let assigned = &mut self.workers[at];
                    match assigned.worker.receive(assigned.ready) {
                        None => break,
                        Some(Ok(frame)) => {
                            assigned.set_heard();
                            let own = matches!(assigned.worker, Worker::Own(_));
                            if !self.take_frame(at, frame, work, decided)? {
                                continue 'members;
                            }
                            // A worker that runs when it is received from is asked for one
                            // result only. An idle worker has nothing more to send.
                            if own || self.workers[at].is_idle() {
                                break;
                            }
                        }
                        Some(Err(report)) => {
                            self.worker_lost(at, report, work, decided)?;
                            continue 'members;
                        }
                    }
                }
                self.workers[at].ready = Ready::default();
            } else if self.workers[at].next_look(SILENCE_LIMIT) == Some(Duration::ZERO) {
                self.read_page(at, work, decided)?;
            }
            at += 1;
        }
        Ok(())
    }
}

/// Stops a worker, or lets it continue, if possible.
fn hold(worker: &Worker, stopped: bool) {
    if let Some(local) = worker.local() {
        local.hold(stopped);
    }
}
