//! Ending calls from elsewhere.

use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::event::{EventfdFlags, eventfd};

use crate::sys::unshared::Unshared;

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
    calls: Mutex<Vec<Weak<Bell>>>,
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
        for bell in self.0.calls.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if let Some(bell) = bell.upgrade() {
                bell.ring();
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
    pub(super) fn child(&self) -> Self {
        Self(Arc::new(State { parent: Some(self.clone()), ..State::default() }))
    }

    /// What rings when the token cancels.
    ///
    /// # Errors
    ///
    /// Where the process may open no more.
    pub(super) fn bell(&self) -> io::Result<Arc<Bell>> {
        let bell = Arc::new(Bell::new()?);
        let mut token = Some(self);
        while let Some(listened) = token {
            let mut calls = listened.0.calls.lock().unwrap_or_else(PoisonError::into_inner);
            calls.retain(|bell| bell.strong_count() > 0);
            calls.push(Arc::downgrade(&bell));
            token = listened.0.parent.as_ref();
        }
        Ok(bell)
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

/// Wakes a thread that waits for descriptors.
pub(super) struct Bell(Unshared<OwnedFd>);

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Unshared::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Makes it readable.
    pub(super) fn ring(&self) {
        // It can only be full, and then it is readable. In a forked process it rings for nobody.
        let _ = self.0.get().map(|bell| rustix::io::write(bell, &1u64.to_ne_bytes()));
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
