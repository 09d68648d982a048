//! Single tasks, begun now and waited for later.
//!
//! A task that finds an idle worker goes to it at once, and whoever waits for it waits for that worker: nothing lies between. Any
//! other is driven by a thread of its own, as many at a time as there are workers; the threads end when nothing is left to do.
//! A worker whose result nobody has waited for yet is not held back from other calls: the first that finds no worker has it driven.

use std::{
    collections::VecDeque,
    fmt, iter, mem,
    panic::{self, AssertUnwindSafe, Location},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    CancelToken, Shared,
    call::Options,
    channel::{Head, Kind},
    message::{Outgoing, Packer},
    remote::Remote,
    run::{Items, Run, Start},
    staff::{Chunk, Hand, Lent, Member},
};
use crate::{Error, Result, pool::TaskError};

/// A task that was [submitted](crate::pool::Job::submit): it runs, and its result can be waited for.
///
/// Dropping it cancels the task.
#[must_use = "dropping it cancels the task"]
pub struct TaskHandle<R> {
    slot: Arc<Slot<R>>,
    shared: Arc<Shared>,
    cancel: CancelToken,
}

/// What has been submitted to a pool and not been waited for.
#[derive(Default)]
pub(super) struct Submitted {
    queue: VecDeque<Job>,
    drivers: usize,
    /// Tasks whose workers nobody watches.
    unwatched: Vec<Weak<dyn Promote>>,
}

type Job = Box<dyn FnOnce(&Arc<Shared>) + Send>;

/// All that is needed to run a task, wherever.
struct Seed {
    context: Option<Outgoing>,
    chunk: Chunk,
    call_site: &'static Location<'static>,
    options: Options,
}

struct Slot<R> {
    state: Mutex<State<R>>,
    changed: Condvar,
}

enum State<R> {
    /// A worker has it, and nobody watches.
    Unwatched(Box<(Seed, u64, Lent)>),
    /// Somebody sees to it.
    Driven,
    Done(Result<R>),
    /// The result was given away.
    Taken,
}

/// A task that can be given to a thread of its own.
trait Promote: Send + Sync {
    fn promote(self: Arc<Self>, shared: &Arc<Shared>);
}

impl<R: DeserializeOwned + Send + 'static> TaskHandle<R> {
    /// Waits for the result.
    ///
    /// # Errors
    ///
    /// As [`Pool::try_map`](crate::Pool::try_map).
    pub fn join(self) -> Result<R> {
        let mut state = self.slot.lock();
        loop {
            match mem::replace(&mut *state, State::Driven) {
                State::Unwatched(task) => {
                    drop(state);
                    let (mut seed, number, lent) = *task;
                    // Whoever could cancel it is waiting here.
                    seed.options.cancel = None;
                    return drive(&self.shared, seed, Some((number, lent)));
                }
                State::Done(result) => {
                    *state = State::Taken;
                    return result;
                }
                other => {
                    *state = other;
                    state = self.slot.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Waits for the result, but no longer than `limit`: then the task, which goes on, is given back.
    ///
    /// # Errors
    ///
    /// As [`wait`](TaskHandle::wait).
    pub fn join_timeout(self, limit: Duration) -> Result<std::result::Result<R, Self>> {
        let until = Instant::now().checked_add(limit);
        Arc::clone(&self.slot).promote(&self.shared);
        let mut state = self.slot.lock();
        while !matches!(*state, State::Done(_)) {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            match left {
                Some(Duration::ZERO) => {
                    drop(state);
                    return Ok(Err(self));
                }
                Some(left) => {
                    (state, _) = self
                        .slot
                        .changed
                        .wait_timeout(state, left)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                None => {
                    state = self.slot.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
                }
            }
        }
        match mem::replace(&mut *state, State::Taken) {
            State::Done(result) => result.map(Ok),
            _ => unreachable!("it was just looked at"),
        }
    }

    /// Whether there is a result, so that [`wait`](TaskHandle::wait) returns at once.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        Arc::clone(&self.slot).promote(&self.shared);
        matches!(*self.slot.lock(), State::Done(_))
    }

    /// Cancels the task: if it has no result yet, it is killed, and waiting for it is an error
    /// ([`TaskErrorKind::Cancelled`](crate::pool::TaskErrorKind::Cancelled)).
    pub fn cancel(&self) {
        self.cancel.cancel();
        Arc::clone(&self.slot).promote(&self.shared);
    }
}

impl<R> Drop for TaskHandle<R> {
    fn drop(&mut self) {
        self.cancel.cancel();
        let state = mem::replace(&mut *self.slot.lock(), State::Taken);
        if let State::Unwatched(task) = state {
            let (_, _, mut lent) = *task;
            // Nobody waits for what it does.
            lent.link.finish();
            self.shared.lost();
        }
    }
}

impl<R> fmt::Debug for TaskHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = matches!(*self.slot.lock(), State::Done(_));
        f.debug_struct("TaskHandle").field("done", &done).finish_non_exhaustive()
    }
}

impl<R> Slot<R> {
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, result: Result<R>) {
        let mut state = self.lock();
        // Whoever has dropped it wants nothing.
        if !matches!(*state, State::Taken) {
            *state = State::Done(result);
        }
        self.changed.notify_all();
    }
}

impl<R: DeserializeOwned + Send + 'static> Promote for Slot<R> {
    fn promote(self: Arc<Self>, shared: &Arc<Shared>) {
        let mut state = self.lock();
        if !matches!(*state, State::Unwatched(_)) {
            return;
        }
        let State::Unwatched(task) = mem::replace(&mut *state, State::Driven) else { return };
        drop(state);
        let (slot, pool) = (Arc::clone(&self), Arc::clone(shared));
        let task = Mutex::new(Some(task));
        let driving = move || {
            if let Some(task) = task.lock().unwrap_or_else(PoisonError::into_inner).take() {
                let (seed, number, lent) = *task;
                slot.finish(drive_here(&pool, seed, Some((number, lent))));
            }
        };
        if let Err(error) = thread::Builder::new().name("ndferry-submit".into()).spawn(driving) {
            // The worker went with the closure.
            shared.lost();
            self.finish(Err(Error::io(
                "cannot start a thread that waits for a submitted task",
                error,
            )));
        }
    }
}

/// Submits a task.
pub(super) fn submit<R: DeserializeOwned + Send + 'static>(
    shared: &Arc<Shared>,
    mut options: Options,
    remote: Remote,
    context: Option<Outgoing>,
    item: &impl Serialize,
    call_site: &'static Location<'static>,
) -> Result<TaskHandle<R>> {
    options.check(&shared.recipe)?;
    shared.check_origin()?;
    // What has to be seen to while it runs cannot be left unwatched.
    let plain = options.timeout.is_none()
        && options.deadline.is_none()
        && options.cancel.is_none()
        && options.retries == 0;
    let cancel = options.cancel.get_or_insert_default().child();
    options.cancel = Some(cancel.clone());
    let threshold = options.threshold.unwrap_or(shared.recipe.threshold);
    let backend = options.backend(&shared.recipe);
    let mut packer = Packer::new(&shared.recipe.store, threshold, backend.side());
    packer.push(0, item).map_err(|error| error.within("the item cannot be sent"))?;
    let chunk = Chunk { message: Arc::new(packer.finish()), remote, first: 0, items: 0..1 };
    let seed = Seed { context, chunk, call_site, options };
    let slot = Arc::new(Slot { state: Mutex::new(State::Driven), changed: Condvar::new() });
    let number = shared.number();
    let idle = if plain && !backend.is_serial() { shared.take(number)? } else { None };
    match idle {
        Some(lent) => {
            let task = begin(&seed, number, lent)?;
            *slot.lock() = State::Unwatched(Box::new((seed, number, task)));
            let weak: Weak<Slot<R>> = Arc::downgrade(&slot);
            let mut submitted = shared.submitted();
            submitted.unwatched.retain(|slot| slot.strong_count() > 0);
            submitted.unwatched.push(weak);
        }
        None => {
            let slot = Arc::clone(&slot);
            shared.queue(Box::new(move |pool| slot.finish(drive_here(pool, seed, None))))?;
        }
    }
    Ok(TaskHandle { slot, shared: Arc::clone(shared), cancel })
}

/// Gives the task to a worker.
fn begin(seed: &Seed, number: u64, mut lent: Lent) -> Result<Lent> {
    let cannot = |error| Error::io("cannot send", error);
    if let Some(context) = &seed.context {
        lent.link.send(Head::new(Kind::Context, number, 0), &context.payload).map_err(cannot)?;
        lent.keeps = true;
    }
    let mut member = Member::new(Hand::Lent(lent));
    member.give(number, seed.chunk.clone()).map_err(|(_, error)| cannot(error))?;
    match member.hand {
        Hand::Lent(lent) => Ok(lent),
        Hand::Own(_) => unreachable!("it was just lent"),
    }
}

/// As [`drive`], in a thread whose panic nobody would see: that of a result that panics while it is decoded.
fn drive_here<R: DeserializeOwned>(
    shared: &Arc<Shared>,
    seed: Seed,
    begun: Option<(u64, Lent)>,
) -> Result<R> {
    let driven = panic::catch_unwind(AssertUnwindSafe(|| drive(shared, seed, begun)));
    driven.unwrap_or_else(|_| {
        Err(Error::invalid_data("the result of a submitted task panicked while it was read"))
    })
}

/// Sees a task through, begun or not.
fn drive<R: DeserializeOwned>(
    shared: &Arc<Shared>,
    seed: Seed,
    begun: Option<(u64, Lent)>,
) -> Result<R> {
    let Seed { context, chunk, call_site, options } = seed;
    let start = Start { remote: chunk.remote, context, call_site, total: Some(1), watch: None };
    let mut run = match begun {
        Some((number, lent)) => Run::resume(shared, options, start, number, lent, chunk)?,
        None => Run::of(shared, options, start, chunk)?,
    };
    let mut none = Items::new(iter::empty::<()>());
    let mut decided: Vec<(u64, Result<R, TaskError>)> = Vec::new();
    while decided.is_empty() && run.step(&mut none, u64::MAX, &mut decided)? {}
    match decided.pop() {
        Some((_, outcome)) => outcome.map_err(Error::task),
        None => Err(Error::invalid_data("a submitted task has come to no end")),
    }
}

impl Shared {
    fn submitted(&self) -> MutexGuard<'_, Submitted> {
        self.submitted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the workers watched that finished, or will finish, something nobody waits for yet.
    pub(super) fn watch_submitted(self: &Arc<Self>) {
        let unwatched = mem::take(&mut self.submitted().unwatched);
        for slot in unwatched.into_iter().filter_map(|slot| slot.upgrade()) {
            slot.promote(self);
        }
    }

    /// Has `job` done by one of the threads that drive submitted tasks, of which there are as many as workers at the most.
    fn queue(self: &Arc<Self>, job: Job) -> Result<()> {
        let mut submitted = self.submitted();
        submitted.queue.push_back(job);
        if submitted.drivers >= self.size {
            return Ok(());
        }
        submitted.drivers += 1;
        drop(submitted);
        let pool = Arc::clone(self);
        let spawned = thread::Builder::new().name("ndferry-submit".into()).spawn(move || {
            while let Some(job) = pool.next_job() {
                job(&pool);
            }
        });
        match spawned {
            Ok(_) => Ok(()),
            Err(error) => {
                let mut submitted = self.submitted();
                submitted.drivers -= 1;
                if submitted.drivers > 0 {
                    // Another thread will come to it.
                    return Ok(());
                }
                submitted.queue.clear();
                Err(Error::io("cannot start a thread that waits for a submitted task", error))
            }
        }
    }

    fn next_job(&self) -> Option<Job> {
        let mut submitted = self.submitted();
        let job = submitted.queue.pop_front();
        if job.is_none() {
            submitted.drivers -= 1;
        }
        job
    }
}
