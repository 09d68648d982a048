//! Attempts to read, replace, block or lead astray what ndferry does, each with its outcome.
#![cfg(target_os = "linux")]

#[path = "../common/actor.rs"]
mod actor;
#[path = "../common/forge.rs"]
mod forge;
mod links;
mod places;
#[path = "../common/processes.rs"]
mod processes;
mod scene;
mod session;
mod users;

/// What a worker of this test program runs.
#[test]
fn worker() {
    ndferry::init();
}
