//! Handles what workers send: results, failures, and the loss of a worker.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Decided, Reading, Run, Work};
use crate::{
    Error, Result,
    pool::{
        api::progress::TaskEvent,
        engine::{assigned::Worker, batch::Batch},
        transport::LocalLink,
        wire::{
            frame::{Frame, FrameHead, FrameKind},
            message::{IncomingMessage, MessageEntry, Packer, Sender},
            report::{CapturedOutput, FailureReport},
            shared_page::{Activity, UnsentResult},
        },
        worker::panics,
    },
    store::Placed,
    sys::monotonic_nanos,
    trace,
};

/// If this many workers in a row die before they begin a task, the task is taken for the cause.
const MAX_STRAY_DEATHS: u32 = 3;
/// If this many workers in a row are lost before they have started, the job ends.
const MAX_LOST_STARTS: u32 = 20;

impl Run<'_> {
    /// Takes results that worker `at` has finished and not sent while it is busy with another
    /// task. Its last task stays assigned until the message arrives, so that the worker does
    /// not count as idle too early.
    pub(crate) fn read_page<R>(
        &mut self,
        at: usize,
        work: &impl Work<R>,
        decided: &mut Decided<R>,
    ) -> Result<()> {
        let assigned = &mut self.workers[at];
        let Some(local) = assigned.worker.local() else { return Ok(()) };
        let (activity, unsent) = (local.activity(), local.unsent_results());
        assigned.looked = Some((Instant::now(), activity));
        let fresh = unsent.get(assigned.results_read..).unwrap_or_default();
        let fresh = &fresh[..fresh.len().min(assigned.load() - 1)];
        assigned.results_read += fresh.len();
        self.take_noted(at, fresh, work, decided)
    }

    /// Takes results that worker `at` has noted on its page.
    pub(crate) fn take_noted<R>(
        &mut self,
        at: usize,
        noted: &[UnsentResult],
        work: &impl Work<R>,
        decided: &mut Decided<R>,
    ) -> Result<()> {
        if noted.is_empty() {
            return Ok(());
        }
        let mut packer = Packer::new(&self.pool.settings.store, None, Sender::Parent);
        noted.iter().for_each(|(index, length, bytes)| packer.push_entry(*index, *length, bytes));
        let message = packer.finish();
        let frame = Frame::handed_over(
            FrameHead::new(FrameKind::Results, self.number, 0),
            &message.payload,
        )?;
        self.take_results(
            at,
            &IncomingMessage::new(frame, &self.pool.settings.store)?,
            0,
            work,
            decided,
        )
    }

    /// Handles a frame from worker `at`. Returns whether the worker still exists.
    pub(crate) fn take_frame<R>(
        &mut self,
        at: usize,
        frame: Frame,
        work: &impl Work<R>,
        decided: &mut Decided<R>,
    ) -> Result<bool> {
        self.lost_starts = 0;
        let head = frame.head;
        trace::event!(
            TRACE,
            "received a frame",
            process = self.workers[at].worker.id(),
            job = head.job,
            what = ?head.kind,
            bytes = frame.payload.as_ref().len()
        );
        if head.kind == FrameKind::Results {
            if let Some(local) = self.workers[at].worker.local() {
                local.acknowledge_results();
            }
        }
        if head.job != self.number {
            return Ok(true);
        }
        match head.kind {
            FrameKind::Returned => {
                self.backlog.extend(self.workers[at].take_back(head.index));
                self.next_begun(at);
            }
            FrameKind::Results => match IncomingMessage::new(frame, &self.pool.settings.store) {
                Ok(message) => {
                    let [ran, mapped, copied] = head.facts;
                    self.moved(mapped, copied);
                    let sent = self.workers[at].batches.front().map(|batches| batches.since);
                    self.batch_sizer.learn(message.indices().len(), ran);
                    let ran = Duration::from_nanos(ran);
                    self.pool.metrics.time_running.add_time(ran);
                    let waited =
                        sent.map_or(Duration::ZERO, |sent| sent.elapsed().saturating_sub(ran));
                    self.pool.metrics.time_queued.add_time(waited);
                    let known = std::mem::take(&mut self.workers[at].results_read);
                    self.take_results(at, &message, known, work, decided)?;
                }
                Err(error) => {
                    let report = FailureReport::Result { message: error.to_string() };
                    let victims = self.workers[at].possibly_running();
                    self.lose(at, &victims, &report, decided)?;
                    return Ok(false);
                }
            },
            _ => {}
        }
        Ok(true)
    }

    /// Takes the results that worker `at` has sent, except the first `known`.
    pub(crate) fn take_results<R>(
        &mut self,
        at: usize,
        message: &IncomingMessage,
        known: usize,
        work: &impl Work<R>,
        decided: &mut Decided<R>,
    ) -> Result<()> {
        let worker = self.workers[at].worker.id();
        for (entry, index) in message.indices().enumerate().skip(known) {
            let Some((batch, since)) = self.workers[at].finish(index) else {
                continue;
            };
            self.next_begun(at);
            let context = self.context.as_ref().map_or(&[][..], |context| &context.kept);
            let kept: [&[Arc<Placed>]; 2] = [&batch.message.kept, context];
            let reading = Reading { message, entry, maps: &mut self.maps, kept: &kept };
            // A map of files stays in order if the user's code panics in between.
            let read = panics::message(AssertUnwindSafe(|| work.read(index, reading)));
            let read = read.unwrap_or_else(|panic| {
                let message = format!("it panicked while it was read: {panic}");
                MessageEntry::Value(Err(Error::invalid_data(message)))
            });
            match read {
                MessageEntry::Value(Ok(value)) => {
                    self.count_result(index);
                    decided.push((index, Ok(value)));
                }
                MessageEntry::Value(Err(error)) => {
                    let report = FailureReport::Result { message: error.to_string() };
                    self.fail(batch, report, Some(worker), since.elapsed(), decided)?;
                }
                MessageEntry::Report(report, elapsed, output) => {
                    // A forked worker also gives back its other tasks.
                    self.workers[at].spoiled |= self.capabilities.is_spoiled_by_panic
                        && matches!(report, FailureReport::Panic { .. });
                    let worker = FailedWorker { worker: Some(worker), output };
                    self.fail(batch, report, worker, Duration::from_nanos(elapsed), decided)?;
                }
            }
        }
        Ok(())
    }

    /// Handles the failure of the one task of `batch`: retries it, or records the error.
    pub(crate) fn fail<R>(
        &mut self,
        batch: Batch,
        report: FailureReport,
        worker: impl Into<FailedWorker>,
        elapsed: Duration,
        decided: &mut Decided<R>,
    ) -> Result<()> {
        let index = batch.indices().start;
        if matches!(report, FailureReport::Build { .. } | FailureReport::Start { .. }) {
            return Err(Error::task(self.error(report, index, worker, elapsed)));
        }
        let tried = self.attempts.get(&index).copied().unwrap_or(0);
        let may_help = matches!(
            report,
            FailureReport::Error { .. }
                | FailureReport::Panic { .. }
                | FailureReport::Died { .. }
                | FailureReport::Disconnected
                | FailureReport::Timeout { .. }
        );
        if may_help && tried < self.options.retries {
            self.attempts.insert(index, tried + 1);
            self.pool.metrics.tasks_retried.add(1);
            self.report_event(TaskEvent::Retried(index));
            self.backlog.push_back(batch);
        } else {
            let error = self.error(report, index, worker, elapsed);
            self.count_failure(index);
            decided.push((index, Err(error)));
        }
        Ok(())
    }

    /// Handles the loss of worker `at`, with the reason in `report`.
    pub(crate) fn worker_lost<R>(
        &mut self,
        at: usize,
        report: FailureReport,
        work: &impl Work<R>,
        decided: &mut Decided<R>,
    ) -> Result<()> {
        self.workers[at].worker.finish();
        // Keep the results that it had finished.
        if let Some(unsent) = self.workers[at].worker.local().map(LocalLink::unsent_results) {
            let known = self.workers[at].results_read.min(unsent.len());
            self.take_noted(at, &unsent[known..], work, decided)?;
        }
        let assigned = &self.workers[at];
        let worker = FailedWorker::of(&assigned.worker);
        let next = assigned.next();
        let ends_job = |report, worker| {
            Err(Error::task(self.error(report, next.unwrap_or(0), worker, Duration::ZERO)))
        };
        let (victims, report) = match assigned.worker.local().map(LocalLink::activity) {
            Some(Activity::Building) => {
                return ends_job(FailureReport::Build { why: Box::new(report) }, worker);
            }
            Some(Activity::Task(index, _)) if assigned.overdue == Some(index) => {
                let limit = self.options.timeout.unwrap_or_default();
                (vec![index], FailureReport::Timeout { limit })
            }
            Some(Activity::Task(index, _)) if next == Some(index) => (vec![index], report),
            _ if matches!(report, FailureReport::Start { .. }) => return ends_job(report, worker),
            Some(_) if !assigned.worker.local().is_none_or(LocalLink::has_started) => {
                if self.lost_starts == MAX_LOST_STARTS {
                    return ends_job(report, worker);
                }
                self.lost_starts += 1;
                (Vec::new(), report)
            }
            // The job knows nothing but results about its tasks, so each task that may have
            // been running fails.
            None => (assigned.possibly_running(), report),
            // It was lost between two tasks. The tasks get another chance.
            Some(_) if assigned.overdue.is_none() => {
                let often = next.is_some_and(|next| {
                    let strays = self.strays.entry(next).or_default();
                    *strays += 1;
                    *strays > MAX_STRAY_DEATHS
                });
                (next.filter(|_| often).into_iter().collect(), report)
            }
            Some(_) => (Vec::new(), report),
        };
        self.lose(at, &victims, &report, decided)
    }

    /// Removes worker `at`. The tasks `victims` fail, and its other tasks go to other workers.
    pub(crate) fn lose<R>(
        &mut self,
        at: usize,
        victims: &[u64],
        report: &FailureReport,
        decided: &mut Decided<R>,
    ) -> Result<()> {
        let mut assigned = self.workers.swap_remove(at);
        let running = match assigned.worker.activity() {
            Activity::Task(index, since) => {
                Some((index, Duration::from_nanos(monotonic_nanos().saturating_sub(since))))
            }
            Activity::Nothing | Activity::Building => None,
        };
        assigned.worker.finish();
        let worker = FailedWorker::of(&assigned.worker);
        trace::event!(
            WARN,
            "lost a worker",
            process = assigned.worker.id(),
            job = self.number,
            how = ?report
        );
        let failed: Vec<_> = victims
            .iter()
            .filter_map(|victim| Some((*victim, assigned.finish(*victim)?)))
            .collect();
        for batch in assigned.batches.drain(..).rev() {
            self.backlog.push_front(batch.batch);
        }
        if matches!(assigned.worker, Worker::Borrowed(_)) {
            self.pool.metrics.workers_lost.add(1);
            self.pool.workers.remove();
        }
        for (victim, (task, since)) in failed {
            let ran = running.filter(|(index, _)| *index == victim).map(|(_, ran)| ran);
            let elapsed = ran.unwrap_or_else(|| since.elapsed());
            self.fail(task, report.clone(), worker.clone(), elapsed, decided)?;
        }
        Ok(())
    }
}

/// The worker that had a task, and the output of the task.
#[derive(Clone)]
pub(crate) struct FailedWorker {
    /// `None` if no worker had it.
    pub(crate) worker: Option<u32>,
    pub(crate) output: CapturedOutput,
}

impl FailedWorker {
    fn of(worker: &Worker) -> Self {
        let output = worker.local().map(LocalLink::captured_output).unwrap_or_default();
        Self { worker: Some(worker.id()), output }
    }
}

impl From<Option<u32>> for FailedWorker {
    fn from(worker: Option<u32>) -> Self {
        Self { worker, output: CapturedOutput::default() }
    }
}
