//! A clock that all processes of the machine share.

use rustix::time::{ClockId, clock_gettime};

/// Returns the nanoseconds since a fixed moment in the past, which is the same
/// for all processes.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}
