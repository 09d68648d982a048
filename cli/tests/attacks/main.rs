//! Hostile files: each known attack on a reader, by the library and by the command, with its outcome.
#![cfg(target_os = "linux")]

#[path = "../../../tests/common/actor.rs"]
mod actor;
mod files;
#[path = "../../../tests/common/forge.rs"]
mod forge;
mod npy;

/// What a worker of this test program runs.
#[test]
fn worker() {
    ndferry::init();
}
