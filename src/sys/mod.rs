//! Safe functions for system calls.
//!
//! The module does not know arrays, sessions or pools. Only [`file`] and
//! [`vector`] work on systems other than Linux.

#[cfg(target_os = "linux")]
pub(crate) mod cgroup;
#[cfg(target_os = "linux")]
pub(crate) mod clock;
#[cfg(target_os = "linux")]
pub(crate) mod dir;
pub(crate) mod file;
#[cfg(target_os = "linux")]
pub(crate) mod fork;
#[cfg(target_os = "linux")]
pub(crate) mod lock;
#[cfg(target_os = "linux")]
pub(crate) mod memfd;
#[cfg(target_os = "linux")]
pub(crate) mod memory;
#[cfg(target_os = "linux")]
pub(crate) mod process;
#[cfg(target_os = "linux")]
pub(crate) mod random;
#[cfg(target_os = "linux")]
pub(crate) mod signal;
#[cfg(target_os = "linux")]
pub(crate) mod slots;
#[cfg(target_os = "linux")]
pub(crate) mod socket;
#[cfg(target_os = "linux")]
pub(crate) mod space;
#[cfg(target_os = "linux")]
pub(crate) mod unshared;
pub(crate) mod vector;
