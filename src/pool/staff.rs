//! The workers of a call, and what each of them has to do.

use std::{
    collections::VecDeque,
    ops::{Deref, DerefMut, Range},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    channel::{Head, Kind, Payload},
    link::Link,
    message::Outgoing,
    notes::{self, Doing},
    remote::Remote,
};
use crate::sys::clock;

/// Tasks that were encoded together, or some of them.
#[derive(Clone)]
pub(super) struct Chunk {
    pub(super) message: Arc<Outgoing>,
    /// What they are to be run by.
    pub(super) remote: Remote,
    /// The index of the message's first item.
    pub(super) first: u64,
    /// Which of its items are meant.
    pub(super) items: Range<u32>,
}

impl Chunk {
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// The indices of the tasks.
    pub(super) fn indices(&self) -> Range<u64> {
        self.first + u64::from(self.items.start)..self.first + u64::from(self.items.end)
    }

    /// The task at `index` alone.
    pub(super) fn only(&self, index: u64) -> Self {
        let at = u32::try_from(index - self.first).expect("the index of one of its tasks");
        Self { items: at..at + 1, ..self.clone() }
    }

    /// Splits off what is behind the first `count` tasks.
    pub(super) fn split_off(&mut self, count: usize) -> Option<Self> {
        let middle = self.items.start.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        if middle >= self.items.end {
            return None;
        }
        let rest = Self { items: middle..self.items.end, ..self.clone() };
        self.items.end = middle;
        Some(rest)
    }
}

/// A worker that a pool lends to a call, or one that is the call's own.
pub(super) enum Hand {
    Lent(Lent),
    Own(Box<dyn Link>),
}

/// A worker of a pool, with what was asked of it in its life.
pub(super) struct Lent {
    pub(super) link: Box<dyn Link + Send>,
    /// Tasks it has finished.
    pub(super) served: u64,
    /// Messages with tasks it was sent.
    pub(super) sent: u64,
    /// The call that goes on without it for now: it still has what it was given and has built for that.
    pub(super) call: Option<u64>,
    /// Whether it was given anything that it keeps until the call is over: a context, arrays to map.
    pub(super) keeps: bool,
}

impl Lent {
    pub(super) fn new(link: Box<dyn Link + Send>) -> Self {
        Self { link, served: 0, sent: 0, call: None, keeps: false }
    }

    /// Tells it that a call is over, if it keeps anything for that.
    ///
    /// # Errors
    ///
    /// Where that cannot be sent.
    pub(super) fn end(&mut self, call: u64) -> std::io::Result<()> {
        if !std::mem::take(&mut self.keeps) {
            return Ok(());
        }
        self.link.send(Head::new(Kind::End, call, 0), &Payload::default())
    }

    /// Lets go of what it has for another call than number `call`.
    pub(super) fn leave_call(&mut self, except: Option<u64>) {
        if let Some(call) = self.call.filter(|call| Some(*call) != except) {
            // That it is gone shows when it is used.
            let _ = self.end(call);
            self.call = None;
        }
    }
}

impl Deref for Hand {
    type Target = dyn Link;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Lent(lent) => &*lent.link,
            Self::Own(link) => &**link,
        }
    }
}

impl DerefMut for Hand {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Lent(lent) => &mut *lent.link,
            Self::Own(link) => &mut **link,
        }
    }
}

/// A worker that works for a call.
pub(super) struct Member {
    pub(super) hand: Hand,
    /// What it was given and has not finished, in the order in which it does it.
    pub(super) given: VecDeque<Given>,
    /// Whether it was asked to give back what it has not begun.
    pub(super) recalled: bool,
    /// Whether it is given nothing more, because a task may have left something behind in it.
    pub(super) spoiled: bool,
    /// The task for which it was killed, because that took too long.
    pub(super) overdue: Option<u64>,
    /// When it last had something to say, or was first given something to do.
    pub(super) heard: Instant,
    /// When its notes were last looked at since, and what it did then.
    pub(super) looked: Option<(Instant, Doing)>,
    /// How many results were read from its notes: the next message brings them once more.
    pub(super) gleaned: usize,
    /// What a wait said: whether there is something to receive, and whether the worker has ended.
    pub(super) ready: bool,
    pub(super) stirred: bool,
}

/// A chunk that a worker was given.
pub(super) struct Given {
    pub(super) chunk: Chunk,
    /// How many messages with tasks the worker had been sent by then.
    number: u64,
    pub(super) since: Instant,
}

impl Member {
    pub(super) fn new(hand: Hand) -> Self {
        Self {
            hand,
            given: VecDeque::new(),
            recalled: false,
            spoiled: false,
            overdue: None,
            heard: Instant::now(),
            looked: None,
            gleaned: 0,
            ready: false,
            stirred: false,
        }
    }

    /// One that has `chunk` to do already.
    pub(super) fn busy(lent: Lent, chunk: Chunk) -> Self {
        let given = Given { chunk, number: lent.sent, since: Instant::now() };
        Self { given: VecDeque::from([given]), ..Self::new(Hand::Lent(lent)) }
    }

    /// It has something to say, or gets something to do.
    pub(super) fn hears(&mut self) {
        (self.heard, self.looked) = (Instant::now(), None);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.given.is_empty()
    }

    /// Tasks it has, the running one included.
    pub(super) fn load(&self) -> usize {
        self.given.iter().map(|given| given.chunk.len()).sum()
    }

    /// Sends it tasks of call number `call`.
    pub(super) fn give(&mut self, call: u64, chunk: Chunk) -> Result<(), (Chunk, std::io::Error)> {
        let head = Head {
            span: (chunk.items.start, chunk.items.end),
            facts: chunk.remote.facts(),
            ..Head::new(Kind::Tasks, call, chunk.first)
        };
        if let Err(error) = self.hand.send(head, &chunk.message.payload) {
            return Err((chunk, error));
        }
        if self.given.is_empty() {
            self.hears();
        }
        let number = match &mut self.hand {
            Hand::Lent(lent) => {
                lent.keeps |= chunk.message.moved.mapped > 0;
                lent.sent += 1;
                lent.sent
            }
            Hand::Own(_) => 0,
        };
        self.given.push_back(Given { chunk, number, since: Instant::now() });
        Ok(())
    }

    /// The task at `index` is over. Gives the chunk it was in, and since when the worker had it; `None`: it had no such task.
    pub(super) fn finish(&mut self, index: u64) -> Option<(Chunk, Instant)> {
        let front = self.given.front_mut()?;
        if front.chunk.indices().start != index {
            return None;
        }
        let (chunk, since) = (front.chunk.only(index), front.since);
        front.chunk.items.start += 1;
        if front.chunk.items.is_empty() {
            self.given.pop_front();
        }
        if self.given.is_empty() && self.recalled {
            notes::recall(self.hand.page(), false);
            self.recalled = false;
        }
        if let Hand::Lent(lent) = &mut self.hand {
            lent.served += 1;
        }
        Some((chunk, since))
    }

    /// How long until its notes are to be looked at: it may have finished something, and be busy with something else before it sends it.
    /// `None`: that cannot be.
    pub(super) fn look_in(&self, patience: Duration) -> Option<Duration> {
        if self.load() < 2 {
            return None;
        }
        let wait = match self.looked {
            None => patience.saturating_sub(self.heard.elapsed()),
            // Once it is at a task for that long, it sends what it has when it ends it.
            Some((_, doing @ Doing::Task(_, since))) if doing == notes::doing(self.hand.page()) => {
                let left = patience
                    .saturating_sub(Duration::from_nanos(clock::now().saturating_sub(since)));
                return Some(left).filter(|left| !left.is_zero());
            }
            Some((when, Doing::Task(..))) => patience.saturating_sub(when.elapsed()),
            // It starts, or builds.
            Some((when, _)) => (10 * patience).saturating_sub(when.elapsed()),
        };
        Some(wait)
    }

    /// The index of the task it does next, or now.
    pub(super) fn next(&self) -> Option<u64> {
        self.given.front().map(|given| given.chunk.indices().start)
    }

    /// Takes back what the worker had got by the time it had seen `arrived` messages with tasks.
    pub(super) fn take_back(&mut self, arrived: u64) -> Vec<Chunk> {
        self.recalled = false;
        let (back, stays) =
            self.given.drain(..).partition::<Vec<_>, _>(|given| given.number <= arrived);
        self.given.extend(stays);
        back.into_iter().map(|given| given.chunk).collect()
    }

    /// How long the running task may still take, of `limit`, and its index.
    pub(super) fn time_left(&self, limit: Duration) -> (Duration, Option<u64>) {
        match notes::doing(self.hand.page()) {
            Doing::Task(index, since) => {
                let ran = Duration::from_nanos(clock::now().saturating_sub(since));
                (limit.saturating_sub(ran), Some(index))
            }
            Doing::Nothing | Doing::Building => (limit, None),
        }
    }
}
