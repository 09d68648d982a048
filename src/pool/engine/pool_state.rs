//! The state that all handles of a pool share.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    submit_queue::SubmitQueue,
    worker_set::{BorrowedWorker, WorkerSet},
};
use crate::{
    Error, Result,
    pool::{
        api::metrics::Metrics,
        transport::{Capabilities, MemorySharing, Transport},
    },
    store::Store,
    sys::unshared::Origin,
    trace,
};

/// Whether jobs run in the thread that waits for them, without a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunsInCaller {
    Never,
    Always,
    /// Yes, except if the job needs a worker that can be killed. The pool has no process slot
    /// of its own.
    UnlessTimeout,
}

/// The options of a pool.
pub(crate) struct PoolSettings {
    pub(crate) store: Store,
    pub(crate) size: usize,
    /// The size in bytes from which an array is sent by reference, if memory is shared.
    pub(crate) threshold: Option<usize>,
    pub(crate) runs_in_caller: RunsInCaller,
    /// Whether workers wait for the next job. If not, they end with each job, because the pool
    /// has no process slot.
    pub(crate) keeps_workers: bool,
    /// Tasks after which a worker is replaced.
    pub(crate) max_tasks_per_worker: Option<u64>,
    /// Bytes of memory above which a worker is replaced.
    pub(crate) max_worker_memory: Option<u64>,
}

/// A pool.
pub(crate) struct PoolState {
    pub(crate) settings: PoolSettings,
    /// Starts the workers; `None` if each job starts its own.
    transport: Option<Box<dyn Transport + Send + Sync>>,
    capabilities: Capabilities,
    pub(crate) workers: WorkerSet,
    next_job: AtomicU64,
    pub(crate) metrics: Metrics,
    pub(crate) submitted: Arc<SubmitQueue>,
    /// The process that made the pool.
    origin: Origin,
}

impl PoolState {
    /// Makes a pool whose workers `transport` starts, without starting one.
    ///
    /// # Errors
    ///
    /// Returns an error if the transport does not support one of `settings`.
    pub(crate) fn new(
        settings: PoolSettings,
        transport: Option<Box<dyn Transport + Send + Sync>>,
        capabilities: Capabilities,
    ) -> Result<Arc<Self>> {
        if settings.max_worker_memory.is_some() && !capabilities.measures_memory {
            return Err(Error::invalid_input(
                "max_worker_memory needs worker processes of this machine: the memory of other workers cannot be measured",
            ));
        }
        Ok(Arc::new(Self {
            workers: WorkerSet::new(settings.size),
            submitted: Arc::new(SubmitQueue::new(settings.size)),
            settings,
            transport,
            capabilities,
            next_job: AtomicU64::new(1),
            metrics: Metrics::default(),
            origin: Origin::here(),
        }))
    }

    /// Returns what a job of this pool can do, in the calling thread or with workers.
    pub(crate) fn capabilities(&self, in_caller: bool) -> Capabilities {
        if in_caller { Capabilities::IN_PROCESS } else { self.capabilities }
    }

    /// Returns whether the calling thread is a worker of the pool.
    pub(crate) fn is_this_thread(&self) -> bool {
        self.transport.as_ref().is_some_and(|transport| transport.is_this_thread())
    }

    /// Returns a new number for a job.
    pub(crate) fn number(&self) -> u64 {
        self.next_job.fetch_add(1, Ordering::Relaxed)
    }

    /// Checks that this process is the one that made the pool, and not a fork of it.
    pub(crate) fn check_origin(&self) -> Result<()> {
        if self.origin.is_here() {
            return Ok(());
        }
        Err(Error::invalid_input(
            "the pool belongs to the process that this one was forked from: build one here, in the task that needs it",
        ))
    }

    /// Starts a worker with the pool's own transport.
    pub(crate) fn start(&self) -> Result<BorrowedWorker> {
        match &self.transport {
            Some(transport) => self.start_by(&**transport),
            None => Err(Error::invalid_input("the workers of this pool belong to its jobs")),
        }
    }

    /// Starts a worker with `transport`.
    pub(crate) fn start_by(&self, transport: &dyn Transport) -> Result<BorrowedWorker> {
        let link = transport.start(&self.settings.store)?;
        self.metrics.workers_started.add(1);
        trace::event!(DEBUG, "started a worker", process = link.id());
        Ok(BorrowedWorker::new(link))
    }

    /// Takes back a worker that a job used.
    pub(crate) fn give_back(&self, worker: BorrowedWorker) {
        if self.settings.keeps_workers {
            self.workers.give_back(worker);
        } else {
            drop(worker);
            self.workers.remove();
        }
    }
}

impl Drop for PoolState {
    fn drop(&mut self) {
        if !self.origin.is_here() {
            // Another thread of the parent may have held the lock while this process was forked.
            return;
        }
        let mut idle = self.workers.drain();
        // The last process of a session removes its files. If only the idle workers are left
        // besides this process, it leaves the session before they do: then they remove the
        // files even if this process is killed meanwhile.
        let store = &self.settings.store;
        if self.capabilities.memory == MemorySharing::Files && store.handles() <= 1 + idle.len() {
            store.leave();
        }
        // Ask all workers to exit, and then wait for each.
        idle.iter_mut().for_each(|worker| worker.link.close());
    }
}

thread_local! {
    /// The pools with a running job in this thread.
    static RUNNING_JOBS: RefCell<Vec<*const ()>> = const { RefCell::new(Vec::new()) };
}

/// Prevents a job within another job of the same pool and thread. The inner job would wait for
/// workers that the outer job holds.
pub(crate) struct JobGuard(*const ());

impl JobGuard {
    pub(crate) fn enter(shared: &Arc<PoolState>) -> Result<Self> {
        let pool = Arc::as_ptr(shared).cast();
        RUNNING_JOBS.with_borrow_mut(|pools| {
            if pools.contains(&pool) {
                return Err(Error::invalid_input(
                    "this thread already runs a job on this pool, and that job holds the workers: finish \
                     that job or drop its stream first, or use another pool",
                ));
            }
            pools.push(pool);
            Ok(Self(pool))
        })
    }
}

impl Drop for JobGuard {
    fn drop(&mut self) {
        RUNNING_JOBS.with_borrow_mut(|pools| pools.retain(|pool| *pool != self.0));
    }
}
