//! A call under way: items go out, results come in, and whatever happens to a worker costs the task it ran.

mod feed;
mod items;
mod listen;
mod outcome;
mod under_way;
mod work;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    panic::Location,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Backend, Shared,
    call::{Options, Watch},
    cancel::Bell,
    message::{Maps, Outgoing},
    pace::Pace,
    progress::{JobProgress, TaskEvent},
    remote::Remote,
    staff::{Chunk, Hand, Lent, Member},
};
pub(super) use items::Items;
use outcome::Witness;
use under_way::UnderWay;
pub(crate) use work::{Reading, Work};

use crate::{
    Error, Result,
    error::{Circumstances, Report},
    pool::TaskError,
    trace,
};

/// What became of tasks, by index.
pub(crate) type Decided<R> = Vec<(u64, Result<R, TaskError>)>;

/// What a call is to do.
pub(super) struct Start<'p> {
    pub(super) remote: Remote,
    pub(super) context: Option<Outgoing>,
    pub(super) call_site: &'static Location<'static>,
    pub(super) total: Option<u64>,
    pub(super) watch: Option<Watch<'p>>,
}

/// A call under way.
pub(crate) struct Run<'p> {
    shared: Arc<Shared>,
    number: u64,
    remote: Remote,
    context: Option<Outgoing>,
    call_site: &'static Location<'static>,
    options: Options,
    watch: Option<Watch<'p>>,
    staff: Vec<Member>,
    /// Tasks that came back: from workers that died, to be tried again, asked back.
    backlog: VecDeque<Chunk>,
    /// How often tasks were tried before, where they were.
    attempts: HashMap<u64, u32>,
    pace: Pace,
    maps: Maps,
    bell: Option<Arc<Bell>>,
    deadline: Option<Instant>,
    progress: JobProgress,
    /// Tasks that were begun and have no end yet, where somebody watches.
    begun: HashSet<u64>,
    /// How often the worker of a task has died before it had begun the task.
    strays: HashMap<u64, u32>,
    interrupted: bool,
    /// How workers come to be that are the call's own.
    forks: Option<Forks<'p>>,
    _under_way: UnderWay,
}

/// What makes a worker by forking this process.
pub(super) type Forks<'p> = Box<dyn Fn(&Shared) -> Result<Lent> + 'p>;

impl<'p> Run<'p> {
    /// A call that begins.
    pub(super) fn new(shared: &Arc<Shared>, options: Options, start: Start<'p>) -> Result<Self> {
        options.check(&shared.recipe)?;
        shared.check_origin()?;
        let under_way = UnderWay::enter(shared)?;
        let bell = match &options.cancel {
            Some(token) => Some(
                token
                    .bell()
                    .map_err(|error| Error::io("cannot listen to a cancel token", error))?,
            ),
            None => None,
        };
        shared.tally.calls.add(1);
        let Start { remote, context, call_site, total, watch } = start;
        let mut run = Self {
            shared: Arc::clone(shared),
            number: shared.number(),
            remote,
            context,
            call_site,
            staff: Vec::new(),
            backlog: VecDeque::new(),
            attempts: HashMap::new(),
            pace: Pace::new(options.batch),
            maps: Maps::default(),
            bell,
            deadline: options.deadline.and_then(|limit| Instant::now().checked_add(limit)),
            progress: JobProgress::begun(total),
            begun: HashSet::new(),
            strays: HashMap::new(),
            interrupted: false,
            forks: None,
            _under_way: under_way,
            options,
            watch,
        };
        trace::event!(
            INFO,
            "a call begins",
            call = run.number,
            task = %run.task_name(),
            at = %call_site,
            tasks = total.unwrap_or(0)
        );
        run.tell(TaskEvent::JobStarted);
        Ok(run)
    }

    /// Has workers started by `forks` instead of the pool.
    pub(super) fn with_forks(mut self, forks: Forks<'p>) -> Self {
        self.forks = Some(forks);
        self
    }

    /// A call of tasks that are encoded already.
    pub(super) fn of(
        shared: &Arc<Shared>,
        options: Options,
        start: Start<'p>,
        chunk: Chunk,
    ) -> Result<Self> {
        let mut run = Self::new(shared, options, start)?;
        run.progress.queued = chunk.len() as u64;
        run.backlog.push_back(chunk);
        Ok(run)
    }

    /// A call number `number` whose tasks are a worker's already.
    pub(super) fn resume(
        shared: &Arc<Shared>,
        options: Options,
        start: Start<'p>,
        number: u64,
        lent: Lent,
        chunk: Chunk,
    ) -> Result<Self> {
        let member = Member::busy(lent, chunk.clone());
        let mut run = match Self::of(shared, options, start, chunk) {
            Ok(run) => run,
            Err(error) => {
                if let Hand::Lent(mut lent) = member.hand {
                    lent.link.finish();
                    shared.lost();
                }
                return Err(error);
            }
        };
        run.backlog.clear();
        run.number = number;
        run.staff.push(member);
        Ok(run)
    }

    /// Items taken so far.
    pub(super) fn taken(&self) -> u64 {
        self.progress.queued
    }

    /// The most items that are taken before results are: what all workers can have.
    pub(crate) fn window(&self) -> u64 {
        let batch = self.pace.size(None, self.shared.size) as u64;
        (self.shared.size as u64).saturating_mul(self.prefetch() as u64 + 1).saturating_mul(batch)
    }

    pub(super) fn keeps_going(&self) -> bool {
        self.options.keep_going
    }

    /// Goes on until something is decided. `false`: everything is.
    ///
    /// Items are taken while fewer than `window` are without a result.
    pub(crate) fn step<R>(
        &mut self,
        work: &mut impl Work<R>,
        window: u64,
        decided: &mut Decided<R>,
    ) -> Result<bool> {
        self.shared.check_origin()?;
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
            if !more && self.backlog.is_empty() && self.staff.iter().all(Member::is_idle) {
                self.share(false);
                return Ok(false);
            }
            self.wait(more || !self.backlog.is_empty())?;
            self.collect(work, decided)?;
            let more =
                !self.backlog.is_empty() || (!work.has_ended() && self.progress.queued < window);
            self.share(more);
        }
        Ok(true)
    }

    /// What becomes of an item that is not sent any more.
    pub(crate) fn skip(&mut self) -> (u64, TaskError) {
        let report = self.interruption().unwrap_or_else(cancelled);
        let index = self.progress.queued;
        self.progress.queued += 1;
        self.tell(TaskEvent::Queued(index));
        self.count_failure(index);
        (index, self.error(report, index, std::process::id(), Duration::ZERO))
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    fn backend(&self) -> Backend {
        self.options.backend(&self.shared.recipe)
    }

    fn prefetch(&self) -> usize {
        if self.backend().is_serial() || self.shared.recipe.most_memory.is_some() {
            0
        } else {
            self.options.prefetch
        }
    }

    fn tell(&mut self, event: TaskEvent) {
        if let Some(watch) = &mut self.watch {
            self.progress.event = event;
            watch(&self.progress);
        }
    }

    fn moved(&mut self, mapped: u64, copied: u64) {
        self.progress.bytes_mapped += mapped;
        self.progress.bytes_copied += copied;
        self.shared.tally.mapped.add(mapped);
        self.shared.tally.copied.add(copied);
    }

    /// A task is next in a worker.
    fn begun(&mut self, index: u64) {
        // Once for each, however often it is given to a worker.
        if self.watch.is_some() && self.begun.insert(index) {
            self.progress.started += 1;
            self.tell(TaskEvent::Started(index));
        }
    }

    /// The task that is next in member `at`, if it has one, is its next from here on.
    fn next_begun(&mut self, at: usize) {
        if let Some(next) = self.staff[at].next() {
            self.begun(next);
        }
    }

    fn count_result(&mut self, index: u64) {
        self.begun.remove(&index);
        self.progress.done += 1;
        self.shared.tally.done.add(1);
        self.tell(TaskEvent::Done(index));
    }

    fn count_failure(&mut self, index: u64) {
        // One that was sent ahead, and never begun, is counted now.
        self.begun(index);
        self.begun.remove(&index);
        self.progress.failed += 1;
        self.shared.tally.failed.add(1);
        self.tell(TaskEvent::Failed(index));
    }

    fn task_name(&self) -> String {
        self.options.label.clone().unwrap_or_else(|| self.remote.name())
    }

    fn error(
        &self,
        report: Report,
        index: u64,
        witness: impl Into<Witness>,
        elapsed: Duration,
    ) -> TaskError {
        let Witness { worker, said } = witness.into();
        let attempt = self.attempts.get(&index).map_or(1, |tried| tried + 1);
        let task = self.task_name();
        let call_site = self.call_site.to_string();
        TaskError::new(
            report,
            Circumstances { task, call_site, index, attempt, worker, elapsed, said },
        )
    }

    /// Why the call is not to go on.
    fn interruption(&self) -> Option<Report> {
        if self.options.cancel.as_ref().is_some_and(super::CancelToken::is_cancelled) {
            return Some(cancelled());
        }
        let (deadline, limit) = (self.deadline?, self.options.deadline?);
        (Instant::now() >= deadline).then(|| Report::Cancelled {
            message: format!("the {limit:?} that the call may take were over"),
        })
    }

    /// Ends all that runs; whatever was taken and has no result gets `report`.
    fn interrupt<R>(&mut self, report: &Report, decided: &mut Decided<R>) {
        self.interrupted = true;
        self.staff.iter().filter(|member| !member.is_idle()).for_each(|member| member.hand.kill());
        let mut unfinished: Vec<_> =
            self.backlog.drain(..).map(|chunk| (chunk, 0, Duration::ZERO)).collect();
        for mut member in std::mem::take(&mut self.staff) {
            let worker = member.hand.id();
            let given = std::mem::take(&mut member.given);
            let was_idle = given.is_empty();
            unfinished.extend(
                given.into_iter().map(|given| (given.chunk, worker, given.since.elapsed())),
            );
            self.dismiss(member, was_idle);
        }
        for (chunk, worker, elapsed) in unfinished {
            for index in chunk.indices() {
                self.count_failure(index);
                decided.push((index, Err(self.error(report.clone(), index, worker, elapsed))));
            }
        }
    }

    /// Gives idle workers back: all of them when there is nothing more to do for them, and else one for each call that has
    /// none, but for the last this one has.
    fn share(&mut self, more: bool) {
        while !more || (self.staff.len() > 1 && self.shared.is_wanted()) {
            let Some(free) =
                self.staff.iter().position(|member| member.is_idle() && !member.recalled)
            else {
                return;
            };
            // It may be wanted again: by a task that comes back.
            match self.staff.swap_remove(free) {
                Member { hand: Hand::Lent(mut lent), overdue: None, spoiled: false, .. } => {
                    lent.call = Some(self.number);
                    self.shared.give_back(lent);
                }
                member => self.dismiss(member, true),
            }
        }
    }

    /// Sends a worker back to the pool. One that still has a task of this call is ended: nobody waits for its result.
    fn dismiss(&self, member: Member, idle: bool) {
        let well = idle && !member.spoiled && member.overdue.is_none();
        match member.hand {
            Hand::Lent(mut lent) => {
                if well && lent.end(self.number).is_ok() {
                    return self.shared.give_back(lent);
                }
                lent.link.finish();
                self.shared.lost();
            }
            Hand::Own(mut link) => link.finish(),
        }
    }
}

fn cancelled() -> Report {
    Report::Cancelled { message: "the call was cancelled".into() }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let JobProgress { done, failed, .. } = self.progress;
        trace::event!(INFO, "a call is over", call = self.number, done = done, failed = failed);
        let staff = std::mem::take(&mut self.staff);
        // All at once, and then each is waited for.
        staff.iter().filter(|member| !member.is_idle()).for_each(|member| member.hand.kill());
        for member in staff {
            let idle = member.is_idle();
            self.dismiss(member, idle);
        }
        self.shared.end(self.number);
    }
}
