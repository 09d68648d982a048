//! Cancelling jobs.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::pool::transport::wait::Waker;

/// Cancels jobs from any thread.
///
/// Pass clones of a token to jobs with [`Job::cancel_token`](crate::pool::Job::cancel_token).
/// When it is cancelled, each of these jobs ends with an error, and its running tasks are
/// killed. New jobs with the token do not start.
///
/// # Examples
///
/// ```
/// # fn main() -> ndferry::Result<()> {
/// # ndferry::init();
/// # let pool = ndferry::Pool::builder().workers(2).build()?;
/// use ndferry::pool::{CancelToken, TaskErrorKind};
/// use std::{thread, time::Duration};
///
/// let token = CancelToken::new();
/// let cancelled = thread::scope(|scope| {
///     scope.spawn(|| token.cancel());
///     pool.job().cancel_token(&token).map(|_: u8| thread::sleep(Duration::from_secs(600)), [1, 2])
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
    /// A token that also cancels this one.
    parent: Option<CancelToken>,
}

impl CancelToken {
    /// Returns a token that is not cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!ndferry::pool::CancelToken::new().is_cancelled());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels all jobs that use this token, now and later.
    ///
    /// # Examples
    ///
    /// ```
    /// let token = ndferry::pool::CancelToken::new();
    /// token.clone().cancel();
    /// assert!(token.is_cancelled());
    /// ```
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
        for waker in self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if let Some(waker) = waker.upgrade() {
                waker.wake();
            }
        }
    }

    /// Returns whether the token was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
            || self.0.parent.as_ref().is_some_and(Self::is_cancelled)
    }

    /// Returns a token that is cancelled with this one, but not the other way round.
    pub(crate) fn child(&self) -> Self {
        Self(Arc::new(State { parent: Some(self.clone()), ..State::default() }))
    }

    /// Wakes `waker` when the token is cancelled.
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
