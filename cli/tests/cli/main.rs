//! The command line from outside: what `ndferry` prints and how it ends, as a shell would see it.

#[cfg(target_os = "linux")]
mod busy;
mod fixture;
#[path = "../../../tests/common/forge.rs"]
mod forge;
mod run;

mod convert;
mod diff;
mod info;
mod named;
mod stats;
#[cfg(target_os = "linux")]
mod sweep;
mod terminal;
mod unreadable;
mod usage;
mod verify;
mod wrong_input;
