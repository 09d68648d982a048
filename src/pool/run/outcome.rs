//! What workers say, and what becomes of their tasks: results, failures, deaths.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::super::{
    channel::{Frame, Head, Kind},
    message::{Entry, Incoming, Packer, Side},
    notes::{self, Doing},
    progress::TaskEvent,
    staff::{Chunk, Hand},
};
use super::{Decided, Reading, Run, Work};
use crate::{
    Error, Result,
    error::{Report, Said},
    store::Placed,
    sys::clock,
    trace,
};

/// How many workers may die before a task, each time the same, until it is held to be the cause.
const MOST_STRAYS: u32 = 3;

impl Run<'_> {
    /// Looks what member `at`, which is busy, has finished before. The last of its tasks stays for its message, so that it
    /// is not taken for idle before all it has to say was heard.
    pub(super) fn glean<R>(
        &mut self,
        at: usize,
        work: &impl Work<R>,
        decided: &mut Decided<R>,
    ) -> Result<()> {
        let member = &mut self.staff[at];
        let doing = notes::doing(member.hand.page());
        let unsent = notes::unsent(member.hand.page());
        member.looked = Some((Instant::now(), doing));
        let fresh = unsent.get(member.gleaned..).unwrap_or_default();
        let fresh = &fresh[..fresh.len().min(member.load() - 1)];
        member.gleaned += fresh.len();
        self.take_noted(at, fresh, work, decided)
    }

    /// What member `at` has noted of tasks that it has finished.
    pub(super) fn take_noted<R>(
        &mut self,
        at: usize,
        noted: &[(u64, u64, Vec<u8>)],
        work: &impl Work<R>,
        decided: &mut Decided<R>,
    ) -> Result<()> {
        if noted.is_empty() {
            return Ok(());
        }
        let mut packer = Packer::new(&self.shared.recipe.store, None, Side::Parent);
        noted.iter().for_each(|(index, length, bytes)| packer.push_entry(*index, *length, bytes));
        let message = packer.finish();
        let frame = Frame::handed_over(Head::new(Kind::Results, self.number, 0), &message.payload)?;
        self.take_results(at, &Incoming::new(frame, &self.shared.recipe.store)?, 0, work, decided)
    }

    /// A frame from member `at`. Whether that is still there.
    pub(super) fn hear<R>(
        &mut self,
        at: usize,
        frame: Frame,
        work: &impl Work<R>,
        decided: &mut Decided<R>,
    ) -> Result<bool> {
        let head = frame.head;
        trace::event!(
            TRACE,
            "a worker has spoken",
            process = self.staff[at].hand.id(),
            call = head.call,
            what = ?head.kind,
            bytes = frame.payload.as_ref().len()
        );
        if head.kind == Kind::Results {
            notes::received(self.staff[at].hand.page());
        }
        if head.call != self.number {
            return Ok(true);
        }
        match head.kind {
            Kind::Returned => {
                self.backlog.extend(self.staff[at].take_back(head.index));
                self.next_begun(at);
            }
            Kind::Results => match Incoming::new(frame, &self.shared.recipe.store) {
                Ok(message) => {
                    let [ran, mapped, copied] = head.facts;
                    self.moved(mapped, copied);
                    let sent = self.staff[at].given.front().map(|given| given.since);
                    self.pace.learn(message.indices().len(), ran);
                    let ran = Duration::from_nanos(ran);
                    self.shared.tally.running.add_time(ran);
                    let waited =
                        sent.map_or(Duration::ZERO, |sent| sent.elapsed().saturating_sub(ran));
                    self.shared.tally.queued.add_time(waited);
                    let known = std::mem::take(&mut self.staff[at].gleaned);
                    self.take_results(at, &message, known, work, decided)?;
                }
                Err(error) => {
                    let report = Report::Result { message: error.to_string() };
                    let victim = self.staff[at].next();
                    self.lose(at, victim, &report, decided)?;
                    return Ok(false);
                }
            },
            _ => {}
        }
        Ok(true)
    }

    /// Takes the results that member `at` has sent, but for the first `known`.
    pub(super) fn take_results<R>(
        &mut self,
        at: usize,
        message: &Incoming,
        known: usize,
        work: &impl Work<R>,
        decided: &mut Decided<R>,
    ) -> Result<()> {
        let worker = self.staff[at].hand.id();
        for (entry, index) in message.indices().enumerate().skip(known) {
            let Some((chunk, since)) = self.staff[at].finish(index) else {
                continue;
            };
            self.next_begun(at);
            let context = self.context.as_ref().map_or(&[][..], |context| &context.kept);
            let kept: [&[Arc<Placed>]; 2] = [&chunk.message.kept, context];
            match work.read(index, Reading { message, entry, maps: &mut self.maps, kept: &kept }) {
                Entry::Value(Ok(value)) => {
                    self.count_result(index);
                    decided.push((index, Ok(value)));
                }
                Entry::Value(Err(error)) => {
                    let report = Report::Result { message: error.to_string() };
                    self.fail(chunk, report, worker, since.elapsed(), decided)?;
                }
                Entry::Report(report, elapsed, said) => {
                    // A forked worker says so by giving back what else it has.
                    self.staff[at].spoiled |=
                        self.forks.is_some() && matches!(report, Report::Panic { .. });
                    let witness = Witness { worker, said };
                    self.fail(chunk, report, witness, Duration::from_nanos(elapsed), decided)?;
                }
            }
        }
        Ok(())
    }

    /// The one task of `chunk` has failed: it is tried again, or that is decided.
    pub(super) fn fail<R>(
        &mut self,
        chunk: Chunk,
        report: Report,
        witness: impl Into<Witness>,
        elapsed: Duration,
        decided: &mut Decided<R>,
    ) -> Result<()> {
        let index = chunk.indices().start;
        if matches!(report, Report::Build { .. } | Report::Start { .. }) {
            return Err(Error::task(self.error(report, index, witness, elapsed)));
        }
        let tried = self.attempts.get(&index).copied().unwrap_or(0);
        let may_help = matches!(
            report,
            Report::Error { .. }
                | Report::Panic { .. }
                | Report::Died { .. }
                | Report::Timeout { .. }
        );
        if may_help && tried < self.options.retries {
            self.attempts.insert(index, tried + 1);
            self.shared.tally.retried.add(1);
            self.tell(TaskEvent::Retried(index));
            self.backlog.push_back(chunk);
        } else {
            let error = self.error(report, index, witness, elapsed);
            self.count_failure(index);
            decided.push((index, Err(error)));
        }
        Ok(())
    }

    /// Member `at` has ended, as `report` says.
    pub(super) fn bury<R>(
        &mut self,
        at: usize,
        report: Report,
        work: &impl Work<R>,
        decided: &mut Decided<R>,
    ) -> Result<()> {
        self.staff[at].hand.finish();
        // What it had finished is not lost with it.
        let unsent = notes::unsent(self.staff[at].hand.page());
        let known = self.staff[at].gleaned.min(unsent.len());
        self.take_noted(at, &unsent[known..], work, decided)?;
        let member = &self.staff[at];
        let worker = Witness::of(&member.hand);
        let (victim, report) = match notes::doing(member.hand.page()) {
            Doing::Building => {
                let report = Report::Build { why: Box::new(report) };
                let error = self.error(report, member.next().unwrap_or(0), worker, Duration::ZERO);
                return Err(Error::task(error));
            }
            Doing::Task(index, _) if member.overdue == Some(index) => {
                (Some(index), Report::Timeout { limit: self.options.timeout.unwrap_or_default() })
            }
            Doing::Task(index, _) if member.next() == Some(index) => (Some(index), report),
            _ if matches!(report, Report::Start { .. }) => {
                return Err(Error::task(self.error(
                    report,
                    member.next().unwrap_or(0),
                    worker,
                    Duration::ZERO,
                )));
            }
            // It died with nothing in its hands. Once is an accident.
            _ if member.overdue.is_none() => {
                let next = member.next();
                let often = next.is_some_and(|next| {
                    let strays = self.strays.entry(next).or_default();
                    *strays += 1;
                    *strays > MOST_STRAYS
                });
                (next.filter(|_| often), report)
            }
            _ => (None, report),
        };
        self.lose(at, victim, &report, decided)
    }

    /// Member `at` is no more, and `victim` has failed with it; what else it had goes to others.
    pub(super) fn lose<R>(
        &mut self,
        at: usize,
        victim: Option<u64>,
        report: &Report,
        decided: &mut Decided<R>,
    ) -> Result<()> {
        let mut member = self.staff.swap_remove(at);
        let ran = match notes::doing(member.hand.page()) {
            Doing::Task(index, since) if Some(index) == victim => {
                Some(Duration::from_nanos(clock::now().saturating_sub(since)))
            }
            _ => None,
        };
        member.hand.finish();
        let worker = Witness::of(&member.hand);
        trace::event!(WARN, "a worker is gone", process = worker.worker, call = self.number, how = ?report);
        let failed = victim.and_then(|victim| member.finish(victim));
        for given in member.given.drain(..).rev() {
            self.backlog.push_front(given.chunk);
        }
        if matches!(member.hand, Hand::Lent(_)) {
            self.shared.tally.lost.add(1);
            self.shared.lost();
        }
        match failed {
            Some((chunk, since)) => self.fail(
                chunk,
                report.clone(),
                worker,
                ran.unwrap_or_else(|| since.elapsed()),
                decided,
            ),
            None => Ok(()),
        }
    }
}

/// The worker that had a task, and what it said meanwhile.
pub(super) struct Witness {
    pub(super) worker: u32,
    pub(super) said: Said,
}

impl Witness {
    pub(super) fn of(hand: &Hand) -> Self {
        Self { worker: hand.id(), said: hand.said() }
    }
}

impl From<u32> for Witness {
    fn from(worker: u32) -> Self {
        Self { worker, said: Said::default() }
    }
}
