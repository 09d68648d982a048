//! Real signals to real processes at any moment leave nothing behind.
#![cfg(target_os = "linux")]

#[path = "../common/actor.rs"]
mod actor;
mod matrix;
#[path = "../common/processes.rs"]
mod processes;
mod program;
mod round;

/// Workers of this test program run this test.
#[test]
fn worker() {
    ndferry::init();
}
