//! Ending calls from elsewhere.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::pool::transport::wait::Waker;

/// Ends calls from any thread, also from a signal handler's thread: every call that was [given](crate::pool::Job::cancel_token) a clone of it ends with
/// an error, its running tasks are killed, and no further call with it begins.
///
/// ```
/// # fn main() -> ndferry::Result<()> {
/// # ndferry::init();
/// # let pool = ndferry::Pool::builder().workers(2).build()?;
/// use ndferry::{pool::{CancelToken, TaskErrorKind}};
/// use std::{thread, time::Duration};
///
/// let token = CancelToken::new();
/// let cancelled = thread::scope(|scope| {
///     scope.spawn(|| token.cancel());
///     pool.call().cancel_token(&token).map(|_: u8| thread::sleep(Duration::from_secs(600)), [1, 2])
/// });
/// let error = cancelled.unwrap_err();
/// assert_eq!(error.task_error().unwrap().kind(), TaskErrorKind::Cancelled);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct CancelToken(Arc<State>);

#[derive(Default)]
struct State {
    cancelled: AtomicBool,
    jobs: Mutex<Vec<Weak<Waker>>>,
    /// What cancels this one as well.
    parent: Option<CancelToken>,
}

impl CancelToken {
    /// A token that has cancelled nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels every call it was given to, now and later.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
        for waker in self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if let Some(waker) = waker.upgrade() {
                waker.wake();
            }
        }
    }

    /// Whether it has cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
            || self.0.parent.as_ref().is_some_and(Self::is_cancelled)
    }

    /// A token that this one cancels as well, but not the other way round.
    pub(crate) fn child(&self) -> Self {
        Self(Arc::new(State { parent: Some(self.clone()), ..State::default() }))
    }

    /// Has `waker` woken when the token cancels.
    pub(crate) fn wake(&self, waker: &Arc<Waker>) {
        let mut token = Some(self);
        while let Some(listened) = token {
            let mut jobs = listened.0.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            jobs.retain(|waker| waker.strong_count() > 0);
            jobs.push(Arc::downgrade(waker));
            token = listened.0.parent.as_ref();
        }
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CancelToken({})",
            if self.is_cancelled() { "cancelled" } else { "not cancelled" }
        )
    }
}
