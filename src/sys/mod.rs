//! System calls and process tricks behind safe functions.
//!
//! It owns what the operating system does; it knows nothing of arrays, sessions or pools.

#[cfg(all(feature = "store", target_os = "linux"))]
pub(crate) mod cgroup;
#[cfg(all(feature = "store", target_os = "linux"))]
pub(crate) mod clock;
#[cfg(all(feature = "store", target_os = "linux"))]
pub(crate) mod dir;
pub(crate) mod file;
#[cfg(all(feature = "pool", target_os = "linux"))]
pub(crate) mod fork;
#[cfg(target_os = "linux")]
pub(crate) mod lock;
#[cfg(all(feature = "store", target_os = "linux"))]
pub(crate) mod memfd;
#[cfg(all(feature = "store", target_os = "linux"))]
pub(crate) mod memory;
#[cfg(all(feature = "pool", target_os = "linux"))]
pub(crate) mod process;
#[cfg(all(feature = "store", target_os = "linux"))]
pub(crate) mod random;
#[cfg(all(feature = "pool", target_os = "linux"))]
pub(crate) mod slots;
#[cfg(all(feature = "pool", target_os = "linux"))]
pub(crate) mod socket;
#[cfg(all(feature = "store", target_os = "linux"))]
pub(crate) mod space;
#[cfg(all(feature = "store", target_os = "linux"))]
pub(crate) mod unshared;
pub(crate) mod vector;
