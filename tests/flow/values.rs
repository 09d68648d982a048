//! Values on their way: shared once, dropped early, no further ahead than needed, small where they can be.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use ndferry::{
    SharedArray,
    flow::Flow,
    ndarray::{Array1, Ix1},
};

use crate::{Watchdog, pool};

/// Waits until there is a file of that name in `folder`.
fn meet(folder: &Path, other: &str) -> bool {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        if folder.join(other).exists() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

// G7
#[test]
fn nodes_that_do_not_depend_on_each_other_run_at_a_time() {
    let _dog = Watchdog::new("at a time");
    let mut flow = Flow::new();
    let folder = flow.input::<PathBuf>("folder");
    let one = flow.node("one", folder, |folder| {
        fs::write(folder.join("one"), "").unwrap();
        meet(folder, "two")
    });
    let two = flow.node("two", folder, |folder| {
        fs::write(folder.join("two"), "").unwrap();
        meet(folder, "one")
    });
    let here = tempfile::tempdir().unwrap();
    assert_eq!(
        flow.on(&pool()).set(folder, here.path().into()).get((one, two)).unwrap(),
        (true, true)
    );
}

type Large = SharedArray<f64, Ix1>;

/// Elements of an array that goes through the store.
const LENGTH: usize = 500_000;

// G7
#[test]
fn a_value_goes_when_its_last_step_has_it_and_lies_in_the_store_once() {
    let _dog = Watchdog::new("dropped");
    let mut flow = Flow::new();
    let mut last = flow.node("first", (), || Large::from(Array1::zeros(LENGTH)));
    for step in 0..10 {
        last = flow.node(&format!("step{step}"), last, |x| Large::from(x.mapv(|x| x + 1.0)));
    }
    let first = flow.node("element", last, |x| x[LENGTH - 1]);
    let one = (LENGTH * size_of::<f64>()) as u64;
    let chain = pool();
    assert_eq!(flow.on(&chain).get(first).unwrap(), 10.0);
    let peak = chain.store().usage().unwrap().peak;
    assert!((one..4 * one).contains(&peak), "{peak} bytes at a time, of {one} each");
    assert_eq!(chain.store().usage().unwrap().live, 0);

    // One for all elements of a fan-out, and for their steps.
    let mut flow = Flow::new();
    let large = flow.input::<Large>("large");
    let range = flow.input_or("range", 0..100_usize);
    let index = flow.fan_out("index", range);
    let element = flow.node("element", (large, index), |x, index: &usize| x[*index]);
    let again =
        flow.node("again", (element, large, index), |element, x, index| element + x[*index]);
    let sum = flow.fold("sum", again, 0.0, |sum, x| sum + x);
    let fan = pool();
    let given = Large::from(Array1::from_iter((0..LENGTH).map(|x| x as f64)));
    assert_eq!(
        flow.on(&fan).set(large, given).get(sum).unwrap(),
        2.0 * (0..100).sum::<u32>() as f64
    );
    let peak = fan.store().usage().unwrap().peak;
    assert!((one..one + one / 2).contains(&peak), "{peak} bytes at a time, of {one} each");
}

#[test]
fn a_value_that_was_set_goes_like_any_other() {
    let _dog = Watchdog::new("set");
    let mut flow = Flow::new();
    let large = flow.input::<Large>("large");
    let length = flow.node("length", large, |large| large.len());
    let again = flow.node("again", length, |length| Large::from(Array1::zeros(*length)));
    let last = flow.node("last", again, |again| again.len());
    let pool = pool();
    let given = Large::from(Array1::zeros(LENGTH));
    assert_eq!(flow.on(&pool).set(large, given).get(last).unwrap(), LENGTH);
    let (peak, one) = (pool.store().usage().unwrap().peak, (LENGTH * size_of::<f64>()) as u64);
    assert!(peak < one + one / 2, "{peak} bytes at a time, of {one} each");
}

/// A list that is read while it is worked on, and says how far it is.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Records {
    folder: PathBuf,
    count: u64,
}

static TAKEN: AtomicU64 = AtomicU64::new(0);
static DONE: AtomicU64 = AtomicU64::new(0);
static MOST: AtomicU64 = AtomicU64::new(0);

impl IntoIterator for Records {
    type Item = (PathBuf, u64);
    type IntoIter = Box<dyn Iterator<Item = Self::Item>>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new((0..self.count).map(move |record| {
            if record == 50 {
                assert!(meet(&self.folder, "0"), "the first is done before the last is read");
            }
            let taken = TAKEN.fetch_add(1, Ordering::Relaxed) + 1;
            MOST.fetch_max(taken - DONE.load(Ordering::Relaxed), Ordering::Relaxed);
            (self.folder.clone(), record)
        }))
    }
}

// G8
#[test]
fn elements_are_taken_no_further_ahead_than_workers_are() {
    let _dog = Watchdog::new("streaming");
    let mut flow = Flow::new();
    let records = flow.input::<Records>("records");
    let record = flow.fan_out("record", records);
    let read = flow.node("read", record, |(folder, record)| {
        fs::write(folder.join(record.to_string()), "").unwrap();
        *record
    });
    let next = flow.node("next", read, |record| record + 1);
    let sum = flow.fold("sum", next, 0, |sum, record| {
        DONE.fetch_add(1, Ordering::Relaxed);
        sum + record
    });
    let here = tempfile::tempdir().unwrap();
    let given = Records { folder: here.path().into(), count: 500 };
    let pool = pool();
    assert_eq!(
        flow.on(pool.job().batch_size(1)).set(records, given).get(sum).unwrap(),
        (1..=500).sum::<u64>()
    );
    // Two workers, with one task each and one sent ahead; four times as many may be done out of turn, and wait to be folded.
    let most = MOST.load(Ordering::Relaxed);
    assert!(most <= 4 * 2 * 2, "{most} elements at a time");
}

// G5
#[test]
fn what_is_sent_for_an_element_does_not_grow_with_the_graph() {
    let _dog = Watchdog::new("bytes");
    let bytes = |nodes: usize| {
        let mut flow = Flow::new();
        let list = flow.input::<Vec<u64>>("list");
        let x = flow.fan_out("x", list);
        for number in 0..nodes {
            flow.node(&format!("beside{number}"), x, |x| x + 1);
        }
        let y = flow.node("y", x, |x| x + 1);
        let pool = pool();
        flow.on(&pool).set(list, (0..100).collect()).get(y).unwrap();
        pool.metrics().bytes_copied
    };
    let (small, large) = (bytes(0), bytes(3000));
    // How long each took goes along: a number, in as many bytes as it needs.
    assert!(small.abs_diff(large) < 100 * 9, "{small} bytes, and {large}");
}
