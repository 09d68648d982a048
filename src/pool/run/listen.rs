//! Waiting for workers, and listening to all that have something to say.

use std::time::{Duration, Instant};

use super::super::{
    notes,
    staff::{Hand, Member},
};
use super::{Decided, Run, Work};
use crate::{Error, Result, sys::socket};

/// How long a worker may be silent before tasks it has not begun are asked back for idle ones.
const PATIENCE: Duration = Duration::from_millis(2);

impl Run<'_> {
    /// Waits until some worker has something to say, or something has to be looked at. `more`: there is more to do than workers have.
    pub(super) fn wait(&mut self, more: bool) -> Result<()> {
        let now = Instant::now();
        let mut longest = self.deadline.map(|deadline| deadline.saturating_duration_since(now));
        let mut within =
            |limit: Duration| longest = Some(longest.map_or(limit, |longest| longest.min(limit)));
        if let Some(limit) = self.options.timeout {
            for member in
                self.staff.iter_mut().filter(|member| !member.is_idle() && member.overdue.is_none())
            {
                match member.time_left(limit) {
                    (Duration::ZERO, Some(index)) => {
                        // It stands still while it is looked at again: the task may just have ended.
                        member.hand.hold(true);
                        if member.time_left(limit) == (Duration::ZERO, Some(index)) {
                            member.overdue = Some(index);
                            member.hand.kill();
                        } else {
                            member.hand.hold(false);
                            within(Duration::from_millis(1));
                        }
                    }
                    (left, _) => within(left.max(Duration::from_millis(1))),
                }
            }
        }
        if !more {
            self.recall().into_iter().for_each(&mut within);
        }
        self.make_way();
        self.staff.iter().filter_map(|member| member.look_in(PATIENCE)).for_each(&mut within);
        let mut waits = Vec::with_capacity(2 * self.staff.len() + 1);
        let mut owners = Vec::with_capacity(2 * self.staff.len() + 1);
        if self.backend().is_serial() {
            // It works while it is received from.
            self.staff.iter_mut().for_each(|member| member.ready = true);
            return Ok(());
        }
        for (at, member) in self.staff.iter().enumerate() {
            let Some((words, end)) = member.hand.waits() else { continue };
            waits.push(words);
            owners.push((at, false));
            if let Some(end) = end {
                waits.push(end);
                owners.push((at, true));
            }
        }
        let bell = self.bell.as_deref().map(std::os::fd::AsFd::as_fd);
        waits.extend(bell.map(|descriptor| socket::Wait {
            descriptor,
            for_writing: false,
            ready: false,
        }));
        socket::wait(&mut waits, longest)
            .map_err(|error| Error::io("cannot wait for the workers", error))?;
        let ready: Vec<_> = waits.iter().map(|wait| wait.ready).collect();
        for ((at, is_end), ready) in owners.into_iter().zip(ready) {
            let member = &mut self.staff[at];
            match is_end {
                false => member.ready = ready,
                true => member.stirred = ready,
            }
        }
        Ok(())
    }

    /// Asks for tasks back from workers that have been silent for long, where another has nothing to do; gives how long to wait before
    /// looking again.
    pub(super) fn recall(&mut self) -> Option<Duration> {
        if !self.staff.iter().any(|member| member.load() > 1) || !self.shared.has_idle() {
            return None;
        }
        let mut again = None;
        for member in self.staff.iter_mut().filter(|member| member.load() > 1 && !member.recalled) {
            let left = PATIENCE.saturating_sub(member.heard.elapsed());
            if left.is_zero() {
                notes::recall(member.hand.page(), true);
                member.recalled = true;
            } else {
                again = Some(again.map_or(left, |again: Duration| again.min(left)));
            }
        }
        again
    }

    /// Where another call waits for a worker, has one of several do no more than the task it is at.
    pub(super) fn make_way(&mut self) {
        let is_leaving = |member: &Member| member.is_idle() || member.recalled;
        if self.staff.len() < 2 || self.staff.iter().any(is_leaving) || !self.shared.is_wanted() {
            return;
        }
        if let Some(member) = self.staff.iter_mut().min_by_key(|member| member.load()) {
            notes::recall(member.hand.page(), true);
            member.recalled = true;
        }
    }

    /// What the workers have said.
    pub(super) fn collect<R>(
        &mut self,
        work: &impl Work<R>,
        decided: &mut Decided<R>,
    ) -> Result<()> {
        let mut at = 0;
        'members: while at < self.staff.len() {
            if self.staff[at].ready || self.staff[at].stirred {
                loop {
                    let member = &mut self.staff[at];
                    match member.hand.receive(member.stirred) {
                        None => break,
                        Some(Ok(frame)) => {
                            member.hears();
                            let own = matches!(member.hand, Hand::Own(_));
                            if !self.hear(at, frame, work, decided)? {
                                continue 'members;
                            }
                            // One that works while it is received from is not asked for more than one result; one that has nothing to
                            // do has nothing more to say.
                            if own || self.staff[at].is_idle() {
                                break;
                            }
                        }
                        Some(Err(report)) => {
                            self.bury(at, report, work, decided)?;
                            continue 'members;
                        }
                    }
                }
                let member = &mut self.staff[at];
                (member.ready, member.stirred) = (false, false);
            } else if self.staff[at].look_in(PATIENCE) == Some(Duration::ZERO) {
                self.glean(at, work, decided)?;
            }
            at += 1;
        }
        Ok(())
    }
}
