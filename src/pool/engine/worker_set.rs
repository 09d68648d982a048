//! The workers of a pool, idle and in use.

use std::{
    collections::VecDeque,
    io,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    Result,
    pool::{
        transport::WorkerLink,
        wire::frame::{FrameHead, FrameKind, Payload},
    },
    trace,
};

/// The workers of a pool. At most `size` exist at a time.
pub(crate) struct WorkerSet {
    size: usize,
    workers: Mutex<Workers>,
    freed: Condvar,
}

#[derive(Default)]
struct Workers {
    idle: VecDeque<BorrowedWorker>,
    /// Workers that exist, idle or in a job.
    alive: usize,
    /// Jobs that wait for a worker.
    waiting: usize,
}

/// What a worker has done in its life.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WorkCounts {
    /// Tasks it has finished.
    pub(crate) tasks_finished: u64,
    /// Messages with tasks it was sent.
    pub(crate) messages_sent: u64,
}

/// A worker of a pool that a job uses.
pub(crate) struct BorrowedWorker {
    pub(crate) link: Box<dyn WorkerLink + Send>,
    pub(crate) counts: WorkCounts,
    /// The job that continues without it for now. The worker still has the context and the
    /// state of that job.
    pub(crate) left_job: Option<u64>,
    /// Whether it has data that it keeps until the end of the job: a context, or arrays to map.
    pub(crate) keeps_data: bool,
}

impl BorrowedWorker {
    pub(crate) fn new(link: Box<dyn WorkerLink + Send>) -> Self {
        Self { link, counts: WorkCounts::default(), left_job: None, keeps_data: false }
    }

    /// Tells the worker that a job is over, if it keeps anything for it.
    ///
    /// # Errors
    ///
    /// Returns an error if the message cannot be sent.
    pub(crate) fn end_job(&mut self, job: u64) -> io::Result<()> {
        if !std::mem::take(&mut self.keeps_data) {
            return Ok(());
        }
        self.link.send(FrameHead::new(FrameKind::End, job, 0), &Payload::default())
    }

    /// Ends the job that it left, unless that is number `except`.
    fn end_left_job(&mut self, except: Option<u64>) {
        if let Some(job) = self.left_job.filter(|job| Some(*job) != except) {
            // A lost worker is noticed when it is used.
            let _ = self.end_job(job);
            self.left_job = None;
        }
    }
}

impl WorkerSet {
    pub(crate) fn new(size: usize) -> Self {
        Self { size, workers: Mutex::default(), freed: Condvar::new() }
    }

    /// Starts all workers, with none in use yet.
    ///
    /// # Errors
    ///
    /// Returns an error if one cannot be started.
    pub(crate) fn fill(&self, mut start: impl FnMut() -> Result<BorrowedWorker>) -> Result<()> {
        let idle = (0..self.size).map(|_| start()).collect::<Result<VecDeque<_>>>()?;
        *self.lock() = Workers { alive: idle.len(), idle, waiting: 0 };
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Workers> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an idle worker, or starts one if fewer exist than may; `None` if all are in use.
    /// A worker that was part of job number `job` goes first, and one that was part of another
    /// job, which may want it back, goes last.
    pub(crate) fn take(
        &self,
        job: u64,
        start: impl FnOnce() -> Result<BorrowedWorker>,
    ) -> Result<Option<BorrowedWorker>> {
        let mut workers = self.lock();
        loop {
            let best = workers.idle.iter().enumerate().min_by_key(|(_, worker)| {
                worker.left_job.map_or(1, |other| 2 * u8::from(other != job))
            });
            let Some(mut worker) = best.map(|(at, _)| at).and_then(|at| workers.idle.remove(at))
            else {
                break;
            };
            if worker.link.is_alive() {
                worker.end_left_job(Some(job));
                return Ok(Some(worker));
            }
            // It was lost without a task. Another takes its place.
            trace::event!(WARN, "an idle worker has died", process = worker.link.id());
            workers.alive -= 1;
        }
        if workers.alive >= self.size {
            return Ok(None);
        }
        workers.alive += 1;
        drop(workers);
        start().map(Some).inspect_err(|_| self.remove())
    }

    /// Like [`take`](WorkerSet::take), but waits for a worker until `stop` returns true. Calls
    /// `stop` when the job counts as waiting, and in every `interval`.
    pub(crate) fn wait_for_one(
        &self,
        job: u64,
        interval: Duration,
        start: impl Fn() -> Result<BorrowedWorker>,
        stop: impl Fn() -> bool,
    ) -> Result<Option<BorrowedWorker>> {
        self.lock().waiting += 1;
        let worker = loop {
            if stop() {
                break Ok(None);
            }
            match self.take(job, &start) {
                Ok(None) => {}
                taken => break taken,
            }
            let workers = self.lock();
            if workers.idle.is_empty() && workers.alive >= self.size {
                let waited = self.freed.wait_timeout(workers, interval);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
        };
        self.lock().waiting -= 1;
        worker
    }

    /// Whether another job waits for a worker.
    pub(crate) fn is_wanted(&self) -> bool {
        self.lock().waiting > 0
    }

    /// Whether a job could have another worker now.
    pub(crate) fn has_idle(&self) -> bool {
        let workers = self.lock();
        !workers.idle.is_empty() || workers.alive < self.size
    }

    /// Job number `job` is over: idle workers that were part of it release what they keep for it.
    pub(crate) fn end_job(&self, job: u64) {
        self.lock()
            .idle
            .iter_mut()
            .filter(|worker| worker.left_job == Some(job))
            .for_each(|worker| worker.end_left_job(None));
    }

    /// Takes a worker back.
    pub(crate) fn give_back(&self, worker: BorrowedWorker) {
        self.lock().idle.push_back(worker);
        self.freed.notify_one();
    }

    /// A worker that was in use does not exist any more.
    pub(crate) fn remove(&self) {
        self.lock().alive -= 1;
        self.freed.notify_one();
    }

    /// Takes all idle workers out, at the end of the pool.
    pub(crate) fn drain(&self) -> VecDeque<BorrowedWorker> {
        std::mem::take(&mut self.lock().idle)
    }
}
