//! Whoever dies, at whatever moment: nothing is left. Real signals, real processes.
#![cfg(target_os = "linux")]

#[path = "../common/actor.rs"]
mod actor;
mod matrix;
#[path = "../common/processes.rs"]
mod processes;
mod program;
mod round;

/// What a worker of this test program runs.
#[test]
fn worker() {
    ndferry::init();
}
