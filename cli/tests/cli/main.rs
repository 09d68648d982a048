//! Runs the `ndferry` command, and checks its output and its exit code.

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
