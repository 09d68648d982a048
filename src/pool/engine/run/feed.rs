//! Assigns items to workers and replaces workers that have reached a limit.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Decided, Run, Work};
use crate::{
    Error, Result,
    pool::{
        api::progress::TaskEvent,
        engine::{
            assigned::{AssignedWorker, Worker},
            batch::Batch,
            pool_state::PoolState,
        },
        transport::{LocalLink, serial::SerialWorker},
        wire::{
            frame::{FrameHead, FrameKind},
            report::FailureReport,
        },
    },
    trace,
};

/// The most bytes of items in one batch.
const MAX_BATCH_LEN: usize = 256 << 10;
/// The longest time for which items are collected into a batch.
const MAX_GATHER_TIME: Duration = Duration::from_millis(1);
/// How often a job that waits for a worker checks whether it must stop.
const WORKER_POLL_INTERVAL: Duration = Duration::from_millis(20);

impl Run<'_> {
    /// Assigns tasks to workers. Returns whether there are more items than workers can take.
    pub(crate) fn feed<R>(
        &mut self,
        work: &mut impl Work<R>,
        window: u64,
        decided: &mut Decided<R>,
    ) -> Result<bool> {
        loop {
            let may_take = self.progress.queued < window;
            if self.backlog.is_empty() && (!may_take || work.is_empty()) {
                return Ok(false);
            }
            let Some(at) = self.worker_with_room()? else {
                return Ok(true);
            };
            let began = Instant::now();
            let mut size = self.allowance(at);
            if size == 0 {
                // It reached its limit in another job. It is retired before the next one is
                // chosen.
                continue;
            }
            let batch = match self.backlog.pop_front() {
                Some(mut batch) => {
                    let waiting: usize = self.backlog.iter().map(Batch::len).sum();
                    size =
                        size.min(self.batch_sizer.size(Some(waiting + batch.len()), self.slots()));
                    if let Some(rest) = batch.split_off(size) {
                        self.backlog.push_front(rest);
                    }
                    Some(batch)
                }
                None => {
                    size = size.min(self.batch_sizer.size(work.left(), self.slots()));
                    let open = usize::try_from(window - self.progress.queued).unwrap_or(usize::MAX);
                    self.pack(work, size.min(open), decided)
                }
            };
            if let Some(batch) = batch {
                self.give(at, batch, decided);
            }
            self.pool.metrics.time_sending.add_time(began.elapsed());
            if !decided.is_empty() && !self.options.keep_going {
                return Ok(true);
            }
        }
    }

    /// Encodes up to `size` items together: fewer if they are large or arrive slowly. An item
    /// that cannot be encoded ends the batch.
    pub(crate) fn pack<R>(
        &mut self,
        work: &mut impl Work<R>,
        size: usize,
        decided: &mut Decided<R>,
    ) -> Option<Batch> {
        let mut packer = self.options.packer(&self.pool);
        let (first, began) = (self.progress.queued, Instant::now());
        let mut remote = None;
        while packer.len() < size && !work.is_empty() {
            let own = work.remote().unwrap_or(self.remote);
            if *remote.get_or_insert(own) != own {
                break;
            }
            let index = self.progress.queued;
            self.progress.queued += 1;
            let pushed = work.pack_next(index, &mut packer);
            self.report_event(TaskEvent::Queued(index));
            if let Err(error) = pushed {
                self.count_failure(index);
                let report = FailureReport::Argument { message: error.to_string() };
                decided.push((index, Err(self.error(report, index, None, began.elapsed()))));
                break;
            }
            if packer.has_new_files()
                || packer.nbytes() >= MAX_BATCH_LEN
                || began.elapsed() >= MAX_GATHER_TIME
            {
                break;
            }
        }
        let count = u32::try_from(packer.len()).expect("a batch is small");
        if count == 0 {
            return None;
        }
        let message = Arc::new(packer.finish());
        self.moved(message.moved.mapped, message.moved.copied);
        Some(Batch { message, remote: remote?, first, items: 0..count })
    }

    pub(crate) fn give<R>(&mut self, at: usize, batch: Batch, decided: &mut Decided<R>) {
        let assigned = &mut self.workers[at];
        trace::event!(
            TRACE,
            "tasks go to a worker",
            process = assigned.worker.id(),
            job = self.number,
            first = batch.indices().start,
            tasks = batch.len(),
            bytes = batch.message.payload.bytes.len()
        );
        match assigned.give(self.number, batch) {
            Ok(()) => {
                self.pool.metrics.batches_sent.add(1);
                self.next_begun(at);
            }
            Err((batch, error)) => {
                let worker = Some(self.workers[at].worker.id());
                let message = Error::io("cannot send", error).to_string();
                for index in batch.indices() {
                    self.count_failure(index);
                    let report = FailureReport::Argument { message: message.clone() };
                    decided.push((index, Err(self.error(report, index, worker, Duration::ZERO))));
                }
            }
        }
    }

    /// Returns a worker that can get tasks: an idle one, a new one, or one with little to do.
    pub(crate) fn worker_with_room(&mut self) -> Result<Option<usize>> {
        self.retire();
        if let Some(idle) =
            self.workers.iter().position(|assigned| assigned.is_idle() && !assigned.recalled)
        {
            return Ok(Some(idle));
        }
        if let Some(mut worker) = self.hire()? {
            let was_part = match &mut worker {
                Worker::Borrowed(borrowed) => borrowed.left_job.take() == Some(self.number),
                Worker::Own(_) => false,
            };
            self.assign(AssignedWorker::new(worker))?;
            if let Some(context) = self.context.as_ref().filter(|_| !was_part) {
                let assigned = self.workers.last_mut().expect("it was just added");
                let head = FrameHead::new(FrameKind::Context, self.number, 0);
                let sent = assigned.worker.send(head, &context.payload);
                if let Worker::Borrowed(borrowed) = &mut assigned.worker {
                    borrowed.keeps_data = true;
                }
                sent.map_err(|error| Error::io("cannot send the context", error))?;
                let (mapped, copied) = (context.moved.mapped, context.moved.copied);
                self.moved(mapped, copied);
            }
            return Ok(Some(self.workers.len() - 1));
        }
        let prefetch = self.prefetch();
        let with_room = self.workers.iter().enumerate().filter(|(at, assigned)| {
            assigned.batches.len() < assigned.worker.capacity() + prefetch
                && !assigned.recalled
                && assigned.overdue.is_none()
                && self.allowance(*at) > 0
        });
        Ok(with_room.min_by_key(|(_, assigned)| assigned.load()).map(|(at, _)| at))
    }

    fn hire(&self) -> Result<Option<Worker>> {
        let PoolState { settings, workers, .. } = &*self.pool;
        if self.runs_in_caller() {
            let is_first = self.workers.is_empty();
            let serial = is_first.then(|| SerialWorker::start(&settings.store)).transpose()?;
            return Ok(serial.map(|serial| Worker::Own(Box::new(serial))));
        }
        let start = || match &self.transport {
            Some(transport) => self.pool.start_by(&**transport),
            None => self.pool.start(),
        };
        let hired = match workers.take(self.number, start) {
            Ok(hired) => hired,
            // The job continues with the workers it has.
            Err(_) if !self.workers.is_empty() => None,
            Err(error) => return Err(error),
        };
        match hired {
            None if self.workers.is_empty() => {
                // A submitted task that no thread waits for may have the worker.
                let stop = || {
                    self.pool.submitted.watch_all();
                    self.interruption().is_some()
                };
                let waited =
                    workers.wait_for_one(self.number, WORKER_POLL_INTERVAL, start, stop)?;
                Ok(waited.map(Worker::Borrowed))
            }
            hired => Ok(hired.map(Worker::Borrowed)),
        }
    }

    /// Returns how many more tasks a worker may get before it is replaced.
    pub(crate) fn allowance(&self, at: usize) -> usize {
        let assigned = &self.workers[at];
        // Each task may exceed the memory limit, which is checked after the task.
        let at_once = if self.pool.settings.max_worker_memory.is_some() { 1 } else { usize::MAX };
        let for_life = match (&assigned.worker, self.pool.settings.max_tasks_per_worker) {
            _ if assigned.spoiled => 0,
            (Worker::Borrowed(borrowed), Some(most)) => {
                usize::try_from(most.saturating_sub(borrowed.counts.tasks_finished))
                    .unwrap_or(usize::MAX)
            }
            _ => usize::MAX,
        };
        at_once.min(for_life).saturating_sub(assigned.load())
    }

    /// Ends idle workers that have reached a limit.
    pub(crate) fn retire(&mut self) {
        let mut at = 0;
        while at < self.workers.len() {
            if self.workers[at].is_idle() && self.is_worn(at) {
                let mut assigned = self.workers.swap_remove(at);
                assigned.worker.close();
                trace::event!(DEBUG, "a worker's time has come", process = assigned.worker.id());
                drop(assigned);
                self.pool.metrics.workers_recycled.add(1);
                self.pool.workers.remove();
            } else {
                at += 1;
            }
        }
    }

    pub(crate) fn is_worn(&self, at: usize) -> bool {
        let assigned = &self.workers[at];
        let is_too_large = || {
            let resident = || assigned.worker.local().and_then(LocalLink::resident_memory);
            let limit = self.pool.settings.max_worker_memory;
            limit.is_some_and(|limit| resident().is_some_and(|now| now > limit))
        };
        match &assigned.worker {
            _ if assigned.spoiled => true,
            Worker::Borrowed(borrowed) => {
                borrowed.counts.tasks_finished > 0 && (self.allowance(at) == 0 || is_too_large())
            }
            Worker::Own(_) => false,
        }
    }
}
