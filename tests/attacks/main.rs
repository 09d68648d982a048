//! Attempts to read, replace, block or mislead ndferry, each with its outcome.
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

/// Workers of this test program run this test.
#[test]
fn worker() {
    ndferry::init();
}
