//! Single tasks, started now and waited for later.
//!
//! A task that finds an idle worker goes to it at once, and the thread that waits for the task
//! waits for that worker. Any other task is driven by a thread of its own, at most as many at a
//! time as there are workers. The threads end when there is nothing left to do. A worker whose
//! result is not waited for yet is not kept from other jobs: a job that waits for a worker has it
//! driven.

use std::{
    iter, mem,
    panic::{self, AssertUnwindSafe, Location},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    assigned::{AssignedWorker, Worker},
    batch::Batch,
    pool_state::PoolState,
    run::{Items, JobStart, Run},
    submit_queue::Promote,
    worker_set::BorrowedWorker,
};
use crate::{
    Error, Result,
    pool::{
        TaskError,
        api::{cancel::CancelToken, options::Options},
        wire::{
            frame::{FrameHead, FrameKind},
            message::OutgoingMessage,
            remote::RemoteFunction,
        },
    },
};

/// A task with everything needed to run it in any thread.
struct TaskSeed {
    context: Option<OutgoingMessage>,
    batch: Batch,
    call_site: &'static Location<'static>,
    options: Options,
}

/// A task that was submitted.
pub(crate) struct SubmittedTask<R> {
    pool: Arc<PoolState>,
    state: Mutex<TaskState<R>>,
    changed: Condvar,
}

enum TaskState<R> {
    /// A worker has it, and no thread waits for that worker.
    Unwatched(Box<(TaskSeed, u64, BorrowedWorker)>),
    /// A thread drives it.
    Driven,
    Done(Result<R>),
    /// The result was taken, or is no longer wanted.
    Taken,
}

impl<R> SubmittedTask<R> {
    fn lock(&self) -> MutexGuard<'_, TaskState<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, result: Result<R>) {
        let mut state = self.lock();
        // If the handle was dropped, the result is not wanted.
        if !matches!(*state, TaskState::Taken) {
            *state = TaskState::Done(result);
        }
        self.changed.notify_all();
    }

    /// Whether there is a result.
    pub(crate) fn is_done(&self) -> bool {
        matches!(*self.lock(), TaskState::Done(_))
    }

    /// Ends the task, because its result is no longer wanted.
    pub(crate) fn abandon(&self) {
        let state = mem::replace(&mut *self.lock(), TaskState::Taken);
        if let TaskState::Unwatched(task) = state {
            let (_, _, mut borrowed) = *task;
            borrowed.link.finish();
            self.pool.workers.remove();
        }
    }
}

impl<R: DeserializeOwned + Send + 'static> SubmittedTask<R> {
    /// Waits for the result.
    pub(crate) fn join(&self) -> Result<R> {
        let mut state = self.lock();
        loop {
            match mem::replace(&mut *state, TaskState::Driven) {
                TaskState::Unwatched(task) => {
                    drop(state);
                    let (mut seed, number, borrowed) = *task;
                    // Only the handle could cancel the task, and it waits here.
                    seed.options.cancel = None;
                    return drive(&self.pool, seed, Some((number, borrowed)));
                }
                TaskState::Done(result) => {
                    *state = TaskState::Taken;
                    return result;
                }
                other => {
                    *state = other;
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Waits for the result for at most `limit`; `None` if it has not arrived by then.
    pub(crate) fn join_timeout(self: &Arc<Self>, limit: Duration) -> Option<Result<R>> {
        let until = Instant::now().checked_add(limit);
        Arc::clone(self).promote();
        let mut state = self.lock();
        while !matches!(*state, TaskState::Done(_)) {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => return None,
                Some(left) => {
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        match mem::replace(&mut *state, TaskState::Taken) {
            TaskState::Done(result) => Some(result),
            _ => unreachable!("it was just looked at"),
        }
    }
}

impl<R: DeserializeOwned + Send + 'static> Promote for SubmittedTask<R> {
    fn promote(self: Arc<Self>) {
        let mut state = self.lock();
        if !matches!(*state, TaskState::Unwatched(_)) {
            return;
        }
        let TaskState::Unwatched(task) = mem::replace(&mut *state, TaskState::Driven) else {
            return;
        };
        drop(state);
        let driven = Arc::clone(&self);
        let task = Mutex::new(Some(task));
        let driving = move || {
            if let Some(task) = task.lock().unwrap_or_else(PoisonError::into_inner).take() {
                let (seed, number, borrowed) = *task;
                driven.finish(drive_here(&driven.pool, seed, Some((number, borrowed))));
            }
        };
        if let Err(error) = thread::Builder::new().name("ndferry-submit".into()).spawn(driving) {
            // The worker was dropped with the closure.
            self.pool.workers.remove();
            self.finish(Err(Error::io(
                "cannot start a thread that waits for a submitted task",
                error,
            )));
        }
    }
}

/// Submits a task. Returns it with the token that cancels it.
pub(crate) fn submit<R: DeserializeOwned + Send + 'static>(
    pool: &Arc<PoolState>,
    mut options: Options,
    remote: RemoteFunction,
    context: Option<OutgoingMessage>,
    item: &impl Serialize,
    call_site: &'static Location<'static>,
) -> Result<(Arc<SubmittedTask<R>>, CancelToken)> {
    options.check(pool)?;
    pool.check_origin()?;
    // A task that needs attention while it runs must be driven by a thread.
    let is_plain = options.timeout.is_none()
        && options.deadline.is_none()
        && options.cancel.is_none()
        && options.retries == 0;
    let cancel = options.cancel.get_or_insert_default().child();
    options.cancel = Some(cancel.clone());
    let in_caller = options.runs_in_caller(pool);
    let mut packer = options.packer(pool);
    packer.push(0, item).map_err(|error| error.within("the item cannot be sent"))?;
    let batch = Batch { message: Arc::new(packer.finish()), remote, first: 0, items: 0..1 };
    let seed = TaskSeed { context, batch, call_site, options };
    let task = Arc::new(SubmittedTask {
        pool: Arc::clone(pool),
        state: Mutex::new(TaskState::Driven),
        changed: Condvar::new(),
    });
    let number = pool.number();
    let may_begin = is_plain && !in_caller && !pool.submitted.has_queued();
    let idle = if may_begin { pool.workers.take(number, || pool.start())? } else { None };
    match idle {
        Some(borrowed) => {
            let borrowed = begin(&seed, number, borrowed)?;
            *task.lock() = TaskState::Unwatched(Box::new((seed, number, borrowed)));
            let weak: Weak<SubmittedTask<R>> = Arc::downgrade(&task);
            pool.submitted.add_unwatched(weak);
            // A job that waits for a worker first counts as waiting and then looks for such tasks,
            // so one of the two finds the other.
            if pool.workers.is_wanted() {
                pool.submitted.watch_all();
            }
        }
        None if pool.is_this_thread() => {
            // Another thread would wait for a worker, and all of them may wait like this one.
            task.finish(drive_here(pool, seed, None));
        }
        None => {
            let driven = Arc::clone(&task);
            pool.submitted.run(Box::new(move || {
                driven.finish(drive_here(&driven.pool, seed, None));
            }))?;
        }
    }
    Ok((task, cancel))
}

/// Gives the task to a worker.
fn begin(seed: &TaskSeed, number: u64, mut borrowed: BorrowedWorker) -> Result<BorrowedWorker> {
    let cannot = |error| Error::io("cannot send", error);
    if let Some(context) = &seed.context {
        let head = FrameHead::new(FrameKind::Context, number, 0);
        borrowed.link.send(head, &context.payload).map_err(cannot)?;
        borrowed.keeps_data = true;
    }
    let mut assigned = AssignedWorker::new(Worker::Borrowed(borrowed));
    assigned.give(number, seed.batch.clone()).map_err(|(_, error)| cannot(error))?;
    match assigned.worker {
        Worker::Borrowed(borrowed) => Ok(borrowed),
        Worker::Own(_) => unreachable!("it was just borrowed"),
    }
}

/// Like [`drive`], but catches a panic while the result is decoded, because nothing else would
/// show it.
fn drive_here<R: DeserializeOwned>(
    pool: &Arc<PoolState>,
    seed: TaskSeed,
    begun: Option<(u64, BorrowedWorker)>,
) -> Result<R> {
    let driven = panic::catch_unwind(AssertUnwindSafe(|| drive(pool, seed, begun)));
    driven.unwrap_or_else(|_| {
        Err(Error::invalid_data("the result of a submitted task panicked while it was read"))
    })
}

/// Runs a task to its end, even if a worker already runs it.
fn drive<R: DeserializeOwned>(
    pool: &Arc<PoolState>,
    seed: TaskSeed,
    begun: Option<(u64, BorrowedWorker)>,
) -> Result<R> {
    let TaskSeed { context, batch, call_site, options } = seed;
    let start = JobStart::new(batch.remote, context, call_site, Some(1));
    let mut run = match begun {
        Some((number, borrowed)) => Run::resume(pool, options, start, number, borrowed, batch)?,
        None => Run::of(pool, options, start, batch)?,
    };
    let mut none = Items::new(iter::empty::<()>());
    let mut decided: Vec<(u64, Result<R, TaskError>)> = Vec::new();
    while decided.is_empty() && run.step(&mut none, u64::MAX, &mut decided)? {}
    match decided.pop() {
        Some((_, outcome)) => outcome.map_err(Error::task),
        None => Err(Error::invalid_data("internal error: a submitted task was lost")),
    }
}
