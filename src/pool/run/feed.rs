//! Items go out: who takes them, how many at a time, and when a worker is to go.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::super::{
    Shared,
    channel::{Head, Kind},
    inside::Serial,
    message::Packer,
    progress::TaskEvent,
    staff::{Chunk, Hand, Member},
};
use super::{Decided, Run, Work};
use crate::{Error, Result, error::Report, trace};

/// Bytes of items that go together at the most.
const FULL: usize = 256 << 10;
/// How long items are gathered at the most.
const GATHERING: Duration = Duration::from_millis(1);
/// How often a call that waits for a worker looks whether it is still wanted.
const GLANCE: Duration = Duration::from_millis(20);

impl Run<'_> {
    /// Gives workers what there is to do. Whether there are more items than workers take.
    pub(super) fn feed<R>(
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
            let Some(at) = self.member_with_room()? else {
                return Ok(true);
            };
            let began = Instant::now();
            let mut size = self.allowance(at);
            if size == 0 {
                // It came worn from another call, and is retired before the next is looked for.
                continue;
            }
            let chunk = match self.backlog.pop_front() {
                Some(mut chunk) => {
                    let waiting: usize = self.backlog.iter().map(Chunk::len).sum();
                    size = size.min(self.pace.size(Some(waiting + chunk.len()), self.shared.size));
                    if let Some(rest) = chunk.split_off(size) {
                        self.backlog.push_front(rest);
                    }
                    Some(chunk)
                }
                None => {
                    size = size.min(self.pace.size(work.left(), self.shared.size));
                    let open = usize::try_from(window - self.progress.queued).unwrap_or(usize::MAX);
                    self.pack(work, size.min(open), decided)
                }
            };
            if let Some(chunk) = chunk {
                self.give(at, chunk, decided);
            }
            self.shared.tally.sending.add_time(began.elapsed());
            if !decided.is_empty() && !self.options.keep_going {
                return Ok(true);
            }
        }
    }

    /// Encodes up to `size` items together. Fewer where they are large or come slowly; one that cannot be encoded ends them.
    pub(super) fn pack<R>(
        &mut self,
        work: &mut impl Work<R>,
        size: usize,
        decided: &mut Decided<R>,
    ) -> Option<Chunk> {
        let recipe = &self.shared.recipe;
        let threshold = self.options.threshold.unwrap_or(recipe.threshold);
        let mut packer = Packer::new(&recipe.store, threshold, self.backend().side());
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
            self.tell(TaskEvent::Queued(index));
            if let Err(error) = pushed {
                self.count_failure(index);
                let report = Report::Argument { message: error.to_string() };
                decided.push((
                    index,
                    Err(self.error(report, index, std::process::id(), began.elapsed())),
                ));
                break;
            }
            if packer.has_new_files() || packer.nbytes() >= FULL || began.elapsed() >= GATHERING {
                break;
            }
        }
        let count = u32::try_from(packer.len()).expect("a batch is small");
        if count == 0 {
            return None;
        }
        let message = Arc::new(packer.finish());
        self.moved(message.moved.mapped, message.moved.copied);
        Some(Chunk { message, remote: remote?, first, items: 0..count })
    }

    pub(super) fn give<R>(&mut self, at: usize, chunk: Chunk, decided: &mut Decided<R>) {
        let member = &mut self.staff[at];
        trace::event!(
            TRACE,
            "tasks go to a worker",
            process = member.hand.id(),
            call = self.number,
            first = chunk.indices().start,
            tasks = chunk.len(),
            bytes = chunk.message.payload.bytes.len()
        );
        match member.give(self.number, chunk) {
            Ok(()) => {
                self.shared.tally.batches.add(1);
                self.next_begun(at);
            }
            Err((chunk, error)) => {
                let (worker, message) =
                    (self.staff[at].hand.id(), Error::io("cannot send", error).to_string());
                for index in chunk.indices() {
                    self.count_failure(index);
                    let report = Report::Argument { message: message.clone() };
                    decided.push((index, Err(self.error(report, index, worker, Duration::ZERO))));
                }
            }
        }
    }

    /// A worker that can be given something: an idle one, one that can be had, one that has not much to do.
    pub(super) fn member_with_room(&mut self) -> Result<Option<usize>> {
        self.retire();
        if let Some(idle) =
            self.staff.iter().position(|member| member.is_idle() && !member.recalled)
        {
            return Ok(Some(idle));
        }
        if let Some(mut hand) = self.hire()? {
            let had_part = match &mut hand {
                Hand::Lent(lent) => lent.call.take() == Some(self.number),
                Hand::Own(_) => false,
            };
            self.staff.push(Member::new(hand));
            if let Some(context) = self.context.as_ref().filter(|_| !had_part) {
                let newest = self.staff.last_mut().expect("it was just added");
                let sent =
                    newest.hand.send(Head::new(Kind::Context, self.number, 0), &context.payload);
                if let Hand::Lent(lent) = &mut newest.hand {
                    lent.keeps = true;
                }
                sent.map_err(|error| Error::io("cannot send the context", error))?;
                let (mapped, copied) = (context.moved.mapped, context.moved.copied);
                self.moved(mapped, copied);
            }
            return Ok(Some(self.staff.len() - 1));
        }
        let most = self.prefetch();
        let with_room = self.staff.iter().enumerate().filter(|(at, member)| {
            member.given.len() <= most
                && !member.recalled
                && member.overdue.is_none()
                && self.allowance(*at) > 0
        });
        Ok(with_room.min_by_key(|(_, member)| member.load()).map(|(at, _)| at))
    }

    pub(super) fn hire(&self) -> Result<Option<Hand>> {
        if self.backend().is_serial() {
            let serial =
                self.staff.is_empty().then(|| Serial::start(&self.shared.recipe)).transpose()?;
            return Ok(serial.map(|serial| Hand::Own(Box::new(serial))));
        }
        let start = |shared: &Shared| match &self.forks {
            Some(fork) => fork(shared),
            None => shared.start(),
        };
        let hired = match self.shared.take_or(self.number, start) {
            Ok(hired) => hired,
            // Those that are there go on without one that cannot be had.
            Err(_) if !self.staff.is_empty() => None,
            Err(error) => return Err(error),
        };
        match hired {
            None if self.staff.is_empty() => {
                self.shared.watch_submitted();
                let waited = self
                    .shared
                    .wait_for_one(self.number, GLANCE, || self.interruption().is_some())?;
                Ok(waited.map(Hand::Lent))
            }
            hired => Ok(hired.map(Hand::Lent)),
        }
    }

    /// How many more tasks a worker may have before its time has come.
    pub(super) fn allowance(&self, at: usize) -> usize {
        let member = &self.staff[at];
        // Each may be the one that takes too much memory, and that is looked at when it is done.
        let at_once = if self.shared.recipe.most_memory.is_some() { 1 } else { usize::MAX };
        let for_life = match (&member.hand, self.shared.recipe.max_tasks_per_worker) {
            _ if member.spoiled => 0,
            (Hand::Lent(lent), Some(most)) => {
                usize::try_from(most.saturating_sub(lent.served)).unwrap_or(usize::MAX)
            }
            _ => usize::MAX,
        };
        at_once.min(for_life).saturating_sub(member.load())
    }

    /// Ends idle workers whose time has come.
    pub(super) fn retire(&mut self) {
        let mut at = 0;
        while at < self.staff.len() {
            if self.staff[at].is_idle() && self.is_worn(at) {
                let mut member = self.staff.swap_remove(at);
                member.hand.close();
                trace::event!(DEBUG, "a worker's time has come", process = member.hand.id());
                drop(member);
                self.shared.tally.recycled.add(1);
                self.shared.lost();
            } else {
                at += 1;
            }
        }
    }

    pub(super) fn is_worn(&self, at: usize) -> bool {
        let member = &self.staff[at];
        let too_large = || {
            let most = self.shared.recipe.most_memory;
            most.is_some_and(|most| {
                crate::sys::process::resident(member.hand.id()).is_some_and(|now| now > most)
            })
        };
        match &member.hand {
            _ if member.spoiled => true,
            Hand::Lent(lent) => lent.served > 0 && (self.allowance(at) == 0 || too_large()),
            Hand::Own(_) => false,
        }
    }
}
