//! Safe functions for system calls.
//!
//! The module does not know arrays, sessions or pools. Only [`file`] and
//! [`vector`] work on systems other than Linux.

#[cfg(all(feature = "store", target_os = "linux"))]
pub(crate) mod cgroup;
#[cfg(target_os = "linux")]
pub(crate) mod dir;
pub(crate) mod file;
#[cfg(all(feature = "pool", target_os = "linux"))]
pub(crate) mod fork;
#[cfg(target_os = "linux")]
pub(crate) mod lock;
#[cfg(target_os = "linux")]
pub(crate) mod memfd;
#[cfg(all(feature = "store", target_os = "linux"))]
pub(crate) mod memory;
#[cfg(all(feature = "pool", target_os = "linux"))]
pub(crate) mod process;
#[cfg(all(feature = "store", target_os = "linux"))]
pub(crate) mod random;
#[cfg(all(feature = "pool", target_os = "linux"))]
pub(crate) mod signal;
#[cfg(all(feature = "pool", target_os = "linux"))]
pub(crate) mod slots;
#[cfg(all(feature = "pool", target_os = "linux"))]
pub(crate) mod socket;
#[cfg(target_os = "linux")]
pub(crate) mod space;
#[cfg(target_os = "linux")]
pub(crate) mod unshared;
pub(crate) mod vector;

/// Returns the nanoseconds since a fixed moment in the past, which is the same for all
/// processes of the machine.
#[cfg(all(feature = "pool", target_os = "linux"))]
pub(crate) fn monotonic_nanos() -> u64 {
    use rustix::time::{ClockId, clock_gettime};

    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}
