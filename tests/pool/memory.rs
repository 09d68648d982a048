//! What a large context costs in memory, over all workers.

use std::sync::atomic::Ordering;

use ndferry::{SharedArray, ndarray::Ix1, store::SharedAtomics};

use crate::{Watchdog, pools};

const WORKERS: i64 = 2;
const ELEMENTS: usize = 32 << 20;

/// Waits until all workers are here.
fn meet(here: &SharedAtomics, at: usize) {
    here[at].fetch_add(1, Ordering::SeqCst);
    while here[at].load(Ordering::SeqCst) < WORKERS {
        std::thread::yield_now();
    }
}

/// Bytes of this process, those shared with others in equal parts.
fn proportional() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    1024 * line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap()
}

type Context = (SharedArray<f64, Ix1>, SharedAtomics);

fn weigh((array, here): &Context, _: u8) -> u64 {
    let before = proportional();
    assert_eq!(array.sum(), ELEMENTS as f64);
    meet(here, 0);
    let grown = proportional().saturating_sub(before);
    meet(here, 1);
    grown
}

// P8
#[test]
fn a_large_context_is_in_memory_once_however_many_workers_there_are() {
    if std::env::var_os("NDFERRY_TEST_EMULATED").is_some() {
        eprintln!("left out: under emulation the memory is the emulator's");
        return;
    }
    let _dog = Watchdog::new("memory");
    let nbytes = 8 * ELEMENTS as u64;
    let mapping = pools()
        .into_iter()
        .filter(|(_, pool)| pool.store().byte_order() == ndferry::dtype::ByteOrder::NATIVE);
    for (_, pool) in mapping {
        let context = (SharedArray::from(vec![1.0; ELEMENTS]), pool.store().atomics(2).unwrap());
        let grown: u64 =
            pool.with(&context).batch_size(1).map(weigh, 0..WORKERS as u8).unwrap().iter().sum();
        let what = format!("{grown} bytes for {nbytes}, sealed: {}", pool.store().is_memfd());
        assert!(grown < nbytes + nbytes / 10, "{what}");
        assert!(grown > nbytes / 2, "it was read: {what}");
    }
}
