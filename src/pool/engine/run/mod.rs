//! Runs a job: assigns items, receives results, and reassigns the tasks of lost workers.

mod feed;
mod listen;
mod outcome;
mod work;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    panic::Location,
    sync::Arc,
    time::{Duration, Instant},
};

use outcome::FailedWorker;
pub(crate) use work::{Items, Reading, Work};

use super::{
    assigned::{AssignedWorker, Worker},
    batch::{Batch, BatchSizer},
    pool_state::{JobGuard, PoolState},
    worker_set::BorrowedWorker,
};
use crate::{
    Error, Result,
    pool::{
        api::{
            cancel::CancelToken,
            options::{Options, ProgressCallback},
            progress::{JobProgress, TaskEvent},
            task_error::{TaskCircumstances, TaskError},
        },
        transport::{
            Capabilities, Transport,
            wait::{WaitSource, Waiter},
        },
        wire::{
            message::{FileMaps, OutgoingMessage},
            remote::RemoteFunction,
            report::FailureReport,
        },
    },
    trace,
};

/// The results of tasks, by index.
pub(crate) type Decided<R> = Vec<(u64, Result<R, TaskError>)>;

/// The parts from which a job is started.
pub(crate) struct JobStart<'p> {
    remote: RemoteFunction,
    context: Option<OutgoingMessage>,
    call_site: &'static Location<'static>,
    total: Option<u64>,
    progress: Option<ProgressCallback<'p>>,
    transport: Option<Box<dyn Transport + 'p>>,
}

impl<'p> JobStart<'p> {
    pub(crate) fn new(
        remote: RemoteFunction,
        context: Option<OutgoingMessage>,
        call_site: &'static Location<'static>,
        total: Option<u64>,
    ) -> Self {
        Self { remote, context, call_site, total, progress: None, transport: None }
    }

    /// Calls `progress` for every event.
    pub(crate) fn with_progress(self, progress: Option<ProgressCallback<'p>>) -> Self {
        Self { progress, ..self }
    }

    /// Has workers started by `transport` instead of the pool.
    pub(crate) fn with_transport(self, transport: impl Transport + 'p) -> Self {
        Self { transport: Some(Box::new(transport)), ..self }
    }
}

/// A job that runs. If a worker is lost, only the task it was running fails.
pub(crate) struct Run<'p> {
    pool: Arc<PoolState>,
    number: u64,
    remote: RemoteFunction,
    context: Option<OutgoingMessage>,
    call_site: &'static Location<'static>,
    options: Options,
    on_progress: Option<ProgressCallback<'p>>,
    workers: Vec<AssignedWorker>,
    /// Tasks to assign again: failed tasks to retry, tasks of lost workers, and recalled tasks.
    backlog: VecDeque<Batch>,
    /// The number of earlier attempts of tasks that are retried.
    attempts: HashMap<u64, u32>,
    batch_sizer: BatchSizer,
    maps: FileMaps,
    waiter: Waiter,
    deadline: Option<Instant>,
    progress: JobProgress,
    /// Tasks that were begun and have not ended, if there is a progress callback.
    begun: HashSet<u64>,
    /// For tasks that had not begun when their worker was lost: how often that has happened.
    strays: HashMap<u64, u32>,
    /// How many workers in a row were lost before they had started.
    lost_starts: u32,
    interrupted: bool,
    /// Starts the workers of this job, if they do not come from the pool.
    transport: Option<Box<dyn Transport + 'p>>,
    capabilities: Capabilities,
    _guard: JobGuard,
}

impl<'p> Run<'p> {
    /// Starts a job.
    pub(crate) fn new(
        pool: &Arc<PoolState>,
        options: Options,
        start: JobStart<'p>,
    ) -> Result<Self> {
        options.check(pool)?;
        pool.check_origin()?;
        let guard = JobGuard::enter(pool)?;
        let mut waiter = Waiter::default();
        if let Some(token) = &options.cancel {
            let waker = waiter
                .waker()
                .map_err(|error| Error::io("cannot listen to a cancel token", error))?;
            token.wake(waker);
        }
        pool.metrics.jobs.add(1);
        let JobStart { remote, context, call_site, total, progress, transport } = start;
        let capabilities = match &transport {
            Some(transport) => transport.capabilities(),
            None => pool.capabilities(options.runs_in_caller(pool)),
        };
        let mut run = Self {
            pool: Arc::clone(pool),
            number: pool.number(),
            remote,
            context,
            call_site,
            workers: Vec::new(),
            backlog: VecDeque::new(),
            attempts: HashMap::new(),
            batch_sizer: BatchSizer::new(options.batch_size),
            maps: FileMaps::default(),
            waiter,
            deadline: options.deadline.and_then(|limit| Instant::now().checked_add(limit)),
            progress: JobProgress::begun(total),
            begun: HashSet::new(),
            strays: HashMap::new(),
            lost_starts: 0,
            interrupted: false,
            transport,
            capabilities,
            _guard: guard,
            options,
            on_progress: progress,
        };
        trace::event!(
            INFO,
            "a job begins",
            job = run.number,
            task = %run.task_name(),
            at = %call_site,
            tasks = total.unwrap_or(0)
        );
        run.report_event(TaskEvent::JobStarted);
        Ok(run)
    }

    /// Makes a job of tasks that are encoded already.
    pub(crate) fn of(
        pool: &Arc<PoolState>,
        options: Options,
        start: JobStart<'p>,
        batch: Batch,
    ) -> Result<Self> {
        let mut run = Self::new(pool, options, start)?;
        run.progress.queued = batch.len() as u64;
        run.backlog.push_back(batch);
        Ok(run)
    }

    /// Continues job number `number`, whose tasks a worker has already.
    pub(crate) fn resume(
        pool: &Arc<PoolState>,
        options: Options,
        start: JobStart<'p>,
        number: u64,
        borrowed: BorrowedWorker,
        batch: Batch,
    ) -> Result<Self> {
        let queued = batch.len() as u64;
        let assigned = AssignedWorker::busy(borrowed, batch);
        match Self::new(pool, options, start) {
            Ok(mut run) => {
                run.progress.queued = queued;
                run.number = number;
                run.assign(assigned)?;
                Ok(run)
            }
            Err(error) => {
                if let Worker::Borrowed(mut borrowed) = assigned.worker {
                    borrowed.link.finish();
                    pool.workers.remove();
                }
                Err(error)
            }
        }
    }

    /// Adds a worker and sets its waker to the one of this job.
    fn assign(&mut self, assigned: AssignedWorker) -> Result<()> {
        self.workers.push(assigned);
        let assigned = self.workers.last_mut().expect("it was just added");
        if matches!(assigned.worker.wait_source(), WaitSource::Waker) {
            let waker = self
                .waiter
                .waker()
                .map_err(|error| Error::io("cannot wait for a worker", error))?;
            assigned.worker.set_waker(waker);
        }
        Ok(())
    }

    /// Items taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.progress.queued
    }

    /// Returns the most items that may be taken without a result: the number that all workers
    /// can hold.
    pub(crate) fn window(&self) -> u64 {
        let slots = self.slots();
        let batch = self.batch_sizer.size(None, slots) as u64;
        (slots as u64).saturating_mul(self.prefetch() as u64 + 1).saturating_mul(batch)
    }

    /// Returns how many tasks the workers run at once, including workers that are not started
    /// yet.
    fn slots(&self) -> usize {
        let more = self.workers.iter().map(|assigned| assigned.worker.capacity() - 1);
        self.pool.settings.size + more.sum::<usize>()
    }

    pub(crate) fn keeps_going(&self) -> bool {
        self.options.keep_going
    }

    /// Runs until a task has a result. Returns `false` if all tasks have one.
    ///
    /// Items are taken while fewer than `window` are without a result.
    pub(crate) fn step<R>(
        &mut self,
        work: &mut impl Work<R>,
        window: u64,
        decided: &mut Decided<R>,
    ) -> Result<bool> {
        self.pool.check_origin()?;
        let before = decided.len();
        while decided.len() == before {
            if let Some(report) = self.interruption() {
                self.interrupt(&report, decided);
                return Ok(decided.len() > before);
            }
            let more = self.feed(work, window, decided)?;
            if decided.len() > before {
                break;
            }
            if !more && self.backlog.is_empty() && self.workers.iter().all(AssignedWorker::is_idle)
            {
                self.share(false);
                return Ok(false);
            }
            self.wait(more || !self.backlog.is_empty())?;
            self.collect(work, decided)?;
            let more =
                !self.backlog.is_empty() || (!work.has_ended() && self.progress.queued < window);
            self.share(more);
            // Before the caller takes its time with the results, but without waiting for a worker.
            if !self.backlog.is_empty()
                && !self.workers.is_empty()
                && !self.pool.workers.is_wanted()
            {
                self.feed(work, 0, decided)?;
            }
        }
        Ok(true)
    }

    /// Takes an item without sending it. Returns its index and the error of its task.
    pub(crate) fn skip(&mut self) -> (u64, TaskError) {
        let report = self.interruption().unwrap_or_else(cancelled);
        let index = self.progress.queued;
        self.progress.queued += 1;
        self.report_event(TaskEvent::Queued(index));
        self.count_failure(index);
        (index, self.error(report, index, None, Duration::ZERO))
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    fn runs_in_caller(&self) -> bool {
        self.options.runs_in_caller(&self.pool)
    }

    fn prefetch(&self) -> usize {
        if self.runs_in_caller() || self.pool.settings.max_worker_memory.is_some() {
            0
        } else {
            self.options.prefetch_batches
        }
    }

    fn report_event(&mut self, event: TaskEvent) {
        if let Some(on_progress) = &mut self.on_progress {
            self.progress.event = event;
            on_progress(&self.progress);
        }
    }

    fn moved(&mut self, mapped: u64, copied: u64) {
        self.progress.bytes_mapped += mapped;
        self.progress.bytes_copied += copied;
        self.pool.metrics.bytes_mapped.add(mapped);
        self.pool.metrics.bytes_copied.add(copied);
    }

    /// Notes that a worker begins a task.
    fn begun(&mut self, index: u64) {
        // Only once for each task, even if it is assigned several times.
        if self.on_progress.is_some() && self.begun.insert(index) {
            self.progress.started += 1;
            self.report_event(TaskEvent::Started(index));
        }
    }

    /// Notes that worker `at` begins its next task, if it has one.
    fn next_begun(&mut self, at: usize) {
        if let Some(next) = self.workers[at].next() {
            self.begun(next);
        }
    }

    fn count_result(&mut self, index: u64) {
        // A worker that runs several tasks at once may finish one that was not the next.
        self.begun(index);
        self.begun.remove(&index);
        self.progress.done += 1;
        self.pool.metrics.tasks_completed.add(1);
        self.report_event(TaskEvent::Done(index));
    }

    fn count_failure(&mut self, index: u64) {
        // A task that was sent ahead and never begun is counted now.
        self.begun(index);
        self.begun.remove(&index);
        self.progress.failed += 1;
        self.pool.metrics.tasks_failed.add(1);
        self.report_event(TaskEvent::Failed(index));
    }

    fn task_name(&self) -> String {
        self.options.label.clone().unwrap_or_else(|| self.remote.name())
    }

    fn error(
        &self,
        report: FailureReport,
        index: u64,
        worker: impl Into<FailedWorker>,
        elapsed: Duration,
    ) -> TaskError {
        let FailedWorker { worker, output } = worker.into();
        let attempt = self.attempts.get(&index).map_or(1, |tried| tried + 1);
        let task = self.task_name();
        let call_site = self.call_site.to_string();
        TaskError::new(
            report,
            TaskCircumstances { task, call_site, index, attempt, worker, elapsed, output },
        )
    }

    /// Returns the reason to stop the job, if there is one.
    fn interruption(&self) -> Option<FailureReport> {
        if self.options.cancel.as_ref().is_some_and(CancelToken::is_cancelled) {
            return Some(cancelled());
        }
        let (deadline, limit) = (self.deadline?, self.options.deadline?);
        (Instant::now() >= deadline).then(|| FailureReport::Cancelled {
            message: format!("the {limit:?} that the job may take were over"),
        })
    }

    /// Ends all workers that are busy. Each item that was taken and has no result gets
    /// `report`.
    fn interrupt<R>(&mut self, report: &FailureReport, decided: &mut Decided<R>) {
        self.interrupted = true;
        self.workers
            .iter()
            .filter(|assigned| !assigned.is_idle())
            .for_each(|assigned| assigned.worker.kill());
        let mut unfinished: Vec<_> =
            self.backlog.drain(..).map(|batch| (batch, None, Duration::ZERO)).collect();
        for mut assigned in std::mem::take(&mut self.workers) {
            let worker = Some(assigned.worker.id());
            let batches = std::mem::take(&mut assigned.batches);
            let was_idle = batches.is_empty();
            unfinished.extend(
                batches
                    .into_iter()
                    .map(|assigned| (assigned.batch, worker, assigned.since.elapsed())),
            );
            self.dismiss(assigned, was_idle);
        }
        for (batch, worker, elapsed) in unfinished {
            for index in batch.indices() {
                self.count_failure(index);
                decided.push((index, Err(self.error(report.clone(), index, worker, elapsed))));
            }
        }
    }

    /// Gives idle workers back to the pool: all if nothing is left for them, otherwise one for
    /// each waiting job, but never the last.
    fn share(&mut self, more: bool) {
        while !more || (self.workers.len() > 1 && self.pool.workers.is_wanted()) {
            let Some(free) =
                self.workers.iter().position(|assigned| assigned.is_idle() && !assigned.recalled)
            else {
                return;
            };
            // Keep it if a task may be assigned again.
            match self.workers.swap_remove(free) {
                AssignedWorker {
                    worker: Worker::Borrowed(mut borrowed),
                    overdue: None,
                    spoiled: false,
                    ..
                } => {
                    borrowed.left_job = Some(self.number);
                    self.pool.give_back(borrowed);
                }
                assigned => self.dismiss(assigned, true),
            }
        }
    }

    /// Gives a worker back to the pool. A worker that still has a task of this job is ended,
    /// because its result is not used.
    fn dismiss(&self, assigned: AssignedWorker, idle: bool) {
        let well = idle && !assigned.spoiled && assigned.overdue.is_none();
        match assigned.worker {
            Worker::Borrowed(mut borrowed) => {
                if well && borrowed.end_job(self.number).is_ok() {
                    return self.pool.give_back(borrowed);
                }
                borrowed.link.finish();
                self.pool.workers.remove();
            }
            Worker::Own(mut link) => link.finish(),
        }
    }
}

fn cancelled() -> FailureReport {
    FailureReport::Cancelled { message: "the job was cancelled".into() }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let JobProgress { done, failed, .. } = self.progress;
        trace::event!(INFO, "a job is over", job = self.number, done = done, failed = failed);
        let workers = std::mem::take(&mut self.workers);
        // Close all of them, and then wait for each.
        workers
            .iter()
            .filter(|assigned| !assigned.is_idle())
            .for_each(|assigned| assigned.worker.kill());
        for assigned in workers {
            let idle = assigned.is_idle();
            self.dismiss(assigned, idle);
        }
        self.pool.workers.end_job(self.number);
    }
}
