//! Safe functions for system calls.
//!
//! The module does not know arrays, sessions or pools. Only [`file`] and
//! [`vector`] work on systems other than Linux.

#[cfg(all(feature = "store", target_os = "linux"))]
pub(crate) mod cgroup;
#[cfg(all(feature = "store", target_os = "linux"))]
pub(crate) mod clock;
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
