//! Hostile files. Each known attack on a reader is tried on the library and on the
//! command.
#![cfg(target_os = "linux")]

#[path = "../../../tests/common/actor.rs"]
mod actor;
mod files;
#[path = "../../../tests/common/forge.rs"]
mod forge;
mod npy;

/// The entry point of worker processes of this test program.
#[test]
fn worker() {
    ndferry::init();
}
