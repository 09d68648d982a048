//! A worker that works for a job, and the tasks it has.

use std::{
    collections::VecDeque,
    io,
    ops::{Deref, DerefMut},
    time::{Duration, Instant},
};

use super::{
    batch::Batch,
    worker_set::{BorrowedWorker, WorkCounts},
};
use crate::{
    pool::{
        transport::{LocalLink, WorkerLink, wait::Ready},
        wire::{
            frame::{FrameHead, FrameKind},
            shared_page::Activity,
        },
    },
    sys::monotonic_nanos,
};

/// A worker of the pool, or one that belongs to the job.
pub(crate) enum Worker {
    Borrowed(BorrowedWorker),
    Own(Box<dyn WorkerLink>),
}

impl Deref for Worker {
    type Target = dyn WorkerLink;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Borrowed(borrowed) => &*borrowed.link,
            Self::Own(link) => &**link,
        }
    }
}

impl DerefMut for Worker {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Borrowed(borrowed) => &mut *borrowed.link,
            Self::Own(link) => &mut **link,
        }
    }
}

impl Worker {
    /// Returns what the worker is doing, if that can be seen.
    pub(crate) fn activity(&self) -> Activity {
        self.local().map_or(Activity::Nothing, LocalLink::activity)
    }

    /// Kills the worker in the middle of its task, if possible, without waiting for its end.
    pub(crate) fn kill(&self) {
        if let Some(local) = self.local() {
            local.kill();
        }
    }

    /// Keeps the worker from beginning another task, and returns how many it has begun in its
    /// life, if that is possible. It had been sent `messages` with tasks.
    fn recall(&self, messages: u64) -> Option<u64> {
        self.local().map(|local| local.recall(messages))
    }

    fn end_recall(&self) {
        if let Some(local) = self.local() {
            local.end_recall();
        }
    }
}

/// A worker that works for a job.
pub(crate) struct AssignedWorker {
    pub(crate) worker: Worker,
    /// The batches it was given and has not finished, in the order in which it starts the
    /// tasks.
    pub(crate) batches: VecDeque<AssignedBatch>,
    /// Whether it gets no more tasks until it is idle, because those that it had not begun were
    /// taken back if possible.
    pub(crate) recalled: bool,
    /// Whether it still has tasks that were taken back. It gives notice when they are gone.
    returning: bool,
    /// What it has done, if it is the job's own.
    own_counts: WorkCounts,
    /// Whether it gets no more tasks, because a task may have left changed state in it.
    pub(crate) spoiled: bool,
    /// The task that took too long and for which the worker was killed.
    pub(crate) overdue: Option<u64>,
    /// When it last sent something or got its first tasks.
    heard: Instant,
    /// When its page was last checked after that, and its activity then.
    pub(crate) looked: Option<(Instant, Activity)>,
    /// How many results were read from its page. The next message contains them again.
    pub(crate) results_read: usize,
    /// The result of the latest wait.
    pub(crate) ready: Ready,
}

/// A batch that a worker was given.
pub(crate) struct AssignedBatch {
    pub(crate) batch: Batch,
    /// The number of messages with tasks that the worker had been sent, this one included.
    number: u64,
    pub(crate) since: Instant,
}

impl AssignedWorker {
    pub(crate) fn new(worker: Worker) -> Self {
        Self {
            worker,
            batches: VecDeque::new(),
            recalled: false,
            returning: false,
            own_counts: WorkCounts::default(),
            spoiled: false,
            overdue: None,
            heard: Instant::now(),
            looked: None,
            results_read: 0,
            ready: Ready::default(),
        }
    }

    /// Returns a worker that already has `batch`.
    pub(crate) fn busy(borrowed: BorrowedWorker, batch: Batch) -> Self {
        let assigned =
            AssignedBatch { batch, number: borrowed.counts.messages_sent, since: Instant::now() };
        Self { batches: VecDeque::from([assigned]), ..Self::new(Worker::Borrowed(borrowed)) }
    }

    /// Notes that it sent something or gets tasks.
    pub(crate) fn set_heard(&mut self) {
        (self.heard, self.looked) = (Instant::now(), None);
    }

    /// Returns for how long it has sent nothing.
    pub(crate) fn silence(&self) -> Duration {
        self.heard.elapsed()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.batches.is_empty() && !self.returning
    }

    /// Returns the number of its tasks, running ones included.
    pub(crate) fn load(&self) -> usize {
        self.batches.iter().map(|assigned| assigned.batch.len()).sum()
    }

    /// Sends it tasks of job number `job`.
    pub(crate) fn give(&mut self, job: u64, batch: Batch) -> Result<(), (Batch, io::Error)> {
        let head = FrameHead {
            span: (batch.items.start, batch.items.end),
            facts: batch.remote.facts(),
            ..FrameHead::new(FrameKind::Tasks, job, batch.first)
        };
        if let Err(error) = self.worker.send(head, &batch.message.payload) {
            return Err((batch, error));
        }
        if self.batches.is_empty() {
            self.set_heard();
        }
        if let Worker::Borrowed(borrowed) = &mut self.worker {
            borrowed.keeps_data |= batch.message.moved.mapped > 0;
        }
        let counts = self.counts();
        counts.messages_sent += 1;
        let number = counts.messages_sent;
        self.batches.push_back(AssignedBatch { batch, number, since: Instant::now() });
        Ok(())
    }

    /// Notes that the task at `index` has ended. Returns its batch, reduced to this task, and
    /// the time when the worker got it; `None` if it had no such task.
    pub(crate) fn finish(&mut self, index: u64) -> Option<(Batch, Instant)> {
        let at =
            self.batches.iter().position(|assigned| assigned.batch.indices().contains(&index))?;
        let AssignedBatch { batch, number, since } = &mut self.batches[at];
        let (task, number, since) = (batch.only(index), *number, *since);
        let before = (index - batch.indices().start) as usize;
        if before == 0 {
            batch.items.start += 1;
        } else {
            // A worker that runs several tasks at once has finished a later one first.
            let later = batch.split_off(before + 1);
            batch.items.end -= 1;
            if let Some(batch) = later {
                self.batches.insert(at + 1, AssignedBatch { batch, number, since });
            }
        }
        if self.batches[at].batch.items.is_empty() {
            self.batches.remove(at);
        }
        if self.batches.is_empty() && self.recalled && !self.returning {
            self.worker.end_recall();
            self.recalled = false;
        }
        self.counts().tasks_finished += 1;
        Some((task, since))
    }

    /// What it has done in its life.
    fn counts(&mut self) -> &mut WorkCounts {
        match &mut self.worker {
            Worker::Borrowed(borrowed) => &mut borrowed.counts,
            Worker::Own(_) => &mut self.own_counts,
        }
    }

    /// Assigns no more tasks until the worker is idle. Returns the tasks that it has not begun,
    /// if it can be kept from beginning them.
    pub(crate) fn recall(&mut self) -> Vec<Batch> {
        self.recalled = true;
        let WorkCounts { tasks_finished, messages_sent } = *self.counts();
        let Some(begun) = self.worker.recall(messages_sent) else { return Vec::new() };
        // It runs one task at a time, in the order of its batches.
        let mut running =
            usize::try_from(begun.saturating_sub(tasks_finished)).unwrap_or(usize::MAX);
        let mut back = Vec::new();
        self.batches.retain_mut(|assigned| {
            let stays = running.min(assigned.batch.len());
            running -= stays;
            if stays == 0 {
                back.push(assigned.batch.clone());
            } else {
                back.extend(assigned.batch.split_off(stays));
            }
            stays > 0
        });
        self.returning = !back.is_empty();
        if self.batches.is_empty() && !self.returning {
            self.worker.end_recall();
            self.recalled = false;
        }
        back
    }

    /// Returns how long to wait before reading its page: it may have finished a task and be
    /// busy with the next before it sends the result. `None` if no such result is possible, or
    /// if it has no page.
    pub(crate) fn next_look(&self, patience: Duration) -> Option<Duration> {
        if self.load() < 2 {
            return None;
        }
        let local = self.worker.local()?;
        let wait = match self.looked {
            None => patience.saturating_sub(self.heard.elapsed()),
            // It has been at this task for long, so it sends its results when the task ends.
            Some((_, seen @ Activity::Task(_, since))) if seen == local.activity() => {
                let left = patience
                    .saturating_sub(Duration::from_nanos(monotonic_nanos().saturating_sub(since)));
                return Some(left).filter(|left| !left.is_zero());
            }
            Some((when, Activity::Task(..))) => patience.saturating_sub(when.elapsed()),
            // It starts, or builds its state.
            Some((when, _)) => (10 * patience).saturating_sub(when.elapsed()),
        };
        Some(wait)
    }

    /// Returns the index of the task that it runs now or next.
    pub(crate) fn next(&self) -> Option<u64> {
        self.batches.front().map(|assigned| assigned.batch.indices().start)
    }

    /// Returns the tasks that may be running: its first tasks, as many as it runs at once.
    pub(crate) fn possibly_running(&self) -> Vec<u64> {
        let tasks = self.batches.iter().flat_map(|assigned| assigned.batch.indices());
        tasks.take(self.worker.capacity()).collect()
    }

    /// Takes back the tasks that the worker had been sent when it had received `arrived`
    /// messages with tasks.
    pub(crate) fn take_back(&mut self, arrived: u64) -> Vec<Batch> {
        (self.recalled, self.returning) = (false, false);
        let (back, stays) =
            self.batches.drain(..).partition::<Vec<_>, _>(|assigned| assigned.number <= arrived);
        self.batches.extend(stays);
        back.into_iter().map(|assigned| assigned.batch).collect()
    }

    /// Returns how much of `limit` is left for the running task, and its index.
    pub(crate) fn time_left(&self, limit: Duration) -> (Duration, Option<u64>) {
        match self.worker.activity() {
            Activity::Task(index, since) => {
                let ran = Duration::from_nanos(monotonic_nanos().saturating_sub(since));
                (limit.saturating_sub(ran), Some(index))
            }
            Activity::Nothing | Activity::Building => (limit, None),
        }
    }
}
