//! A clock that all processes of the machine read alike.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since some moment in the past, the same for all.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}
