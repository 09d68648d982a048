//! Submitted tasks that wait for a thread.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread,
};

use crate::{Error, Result};

/// A task that can be given to a thread of its own.
pub(crate) trait Promote: Send + Sync {
    /// Gives the task to a thread that drives it, if it has a worker that no thread waits for.
    fn promote(self: Arc<Self>);
}

/// Submitted tasks that no thread waits for yet.
pub(crate) struct SubmitQueue {
    /// Threads that may drive tasks at a time.
    max_drivers: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tasks: VecDeque<QueuedTask>,
    drivers: usize,
    /// Tasks with a worker that no thread waits for.
    unwatched: Vec<Weak<dyn Promote>>,
}

type QueuedTask = Box<dyn FnOnce() + Send>;

impl SubmitQueue {
    pub(crate) fn new(max_drivers: usize) -> Self {
        Self { max_drivers, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether tasks wait for a thread. A later task must not overtake them.
    pub(crate) fn has_queued(&self) -> bool {
        !self.lock().tasks.is_empty()
    }

    /// Adds a task with a worker that no thread waits for.
    pub(crate) fn add_unwatched(&self, task: Weak<dyn Promote>) {
        let mut state = self.lock();
        state.unwatched.retain(|task| task.strong_count() > 0);
        state.unwatched.push(task);
    }

    /// Has threads wait for all workers with a result that no thread waits for yet.
    pub(crate) fn watch_all(&self) {
        let unwatched = mem::take(&mut self.lock().unwatched);
        unwatched.into_iter().filter_map(|task| task.upgrade()).for_each(Promote::promote);
    }

    /// Runs `task` in one of the threads that drive submitted tasks.
    ///
    /// # Errors
    ///
    /// Returns an error if no such thread can be started.
    pub(crate) fn run(self: &Arc<Self>, task: QueuedTask) -> Result<()> {
        let mut state = self.lock();
        state.tasks.push_back(task);
        if state.drivers >= self.max_drivers {
            return Ok(());
        }
        state.drivers += 1;
        drop(state);
        let queue = Arc::clone(self);
        let spawned = thread::Builder::new().name("ndferry-submit".into()).spawn(move || {
            while let Some(task) = queue.next() {
                task();
            }
        });
        match spawned {
            Ok(_) => Ok(()),
            Err(error) => {
                let mut state = self.lock();
                state.drivers -= 1;
                if state.drivers > 0 {
                    // Another thread takes the task.
                    return Ok(());
                }
                state.tasks.clear();
                Err(Error::io("cannot start a thread that waits for a submitted task", error))
            }
        }
    }

    fn next(&self) -> Option<QueuedTask> {
        let mut state = self.lock();
        let task = state.tasks.pop_front();
        if task.is_none() {
            state.drivers -= 1;
        }
        task
    }
}
