//! Runs the `ndferry` command, and checks its output and its exit code.

#[cfg(target_os = "linux")]
mod busy;
mod fixture;
#[path = "../../../tests/common/forge.rs"]
mod forge;
mod run;

mod convert;
mod diff;
mod foreign;
mod generated;
mod info;
mod invalid_input;
mod named;
mod select;
mod show;
mod stats;
#[cfg(target_os = "linux")]
mod sweep;
mod terminal;
mod unsupported;
mod usage;
mod verify;
