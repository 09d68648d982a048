//! Files in the store go as early as possible: with the last task that needs them, with the call, with the array.

use ndferry::{
    Pool, SharedArray,
    ndarray::{Array1, Ix1, s},
};

use crate::{Watchdog, builder};

/// Elements of a large item.
const LENGTH: usize = 625_000;
/// What the file of one takes at the most: 5 MB, and what a container has around its array.
const FILE: u64 = (LENGTH * 8 + (16 << 10)) as u64;
/// What workers and what was sent ahead to them have at a time, with two workers.
const IN_FLIGHT: u64 = 2 * 2;

type Item = SharedArray<f64, Ix1>;

fn item(i: usize) -> Item {
    SharedArray::from(Array1::from_elem(LENGTH, i as f64))
}

fn first(item: Item) -> f64 {
    item[0]
}

fn live(pool: &Pool) -> u64 {
    pool.store().usage().unwrap().live
}

#[track_caller]
fn assert_peak(pool: &Pool, at_least: u64, files: u64) {
    let peak = pool.store().usage().unwrap().peak;
    assert!(
        (at_least..=files * FILE).contains(&peak),
        "a peak of {peak} bytes, {files} files have {}",
        files * FILE
    );
}

// S7
#[test]
fn an_item_goes_when_its_task_is_done() {
    let _dog = Watchdog::new("items");
    let expected: Vec<_> = (0..60).map(|i| i as f64).collect();
    let pool = builder().build().unwrap();
    assert_eq!(pool.map(first, (0..60).map(item)).unwrap(), expected);
    assert_peak(&pool, FILE - (16 << 10), IN_FLIGHT);
    assert_eq!(live(&pool), 0);

    let pool = builder().build().unwrap();
    assert_eq!(pool.job().prefetch_batches(0).map(first, (0..60).map(item)).unwrap(), expected);
    assert_peak(&pool, FILE - (16 << 10), 2);
    assert_eq!(live(&pool), 0);
}

// S7
#[test]
fn an_item_of_a_stream_goes_when_its_task_is_done() {
    let _dog = Watchdog::new("items of a stream");
    let pool = builder().build().unwrap();
    for (i, result) in pool.job().imap(first, (0..60).map(item)).unwrap().enumerate() {
        assert_eq!(result.unwrap(), i as f64);
    }
    assert_peak(&pool, FILE - (16 << 10), IN_FLIGHT);
    assert_eq!(live(&pool), 0);
    // Also when nobody waits for the end.
    let mut stream = pool.job().imap_unordered(first, (0..).map(item)).unwrap();
    assert!(stream.next().unwrap().is_ok());
    drop(stream);
    assert_eq!(live(&pool), 0);
    assert_peak(&pool, FILE - (16 << 10), IN_FLIGHT);
}

// S7
#[test]
fn a_result_goes_when_it_is_dropped() {
    let _dog = Watchdog::new("results");
    let pool = builder().build().unwrap();
    for result in pool.job().imap(item, 0..60).unwrap() {
        assert_eq!(result.unwrap().len(), LENGTH);
    }
    // Those in flight, and the one at hand.
    assert_peak(&pool, FILE - (16 << 10), IN_FLIGHT + 1);
    assert_eq!(live(&pool), 0);

    let mut results = pool.map(item, 0..6).unwrap();
    assert_eq!(pool.store().files().unwrap().len(), 6);
    results.truncate(2);
    assert_eq!(pool.store().files().unwrap().len(), 2);
    let slice = results[1].subview(|array| array.slice_move(s![5..9]));
    drop(results);
    assert_eq!(pool.store().files().unwrap().len(), 1, "what a slice shows stays");
    drop(slice);
    assert_eq!(live(&pool), 0);
}

// S7
#[test]
fn a_context_goes_when_the_call_ends_and_a_shared_array_when_its_last_clone_does() {
    let _dog = Watchdog::new("contexts");
    let pool = builder().build().unwrap();
    let context = Array1::<f64>::ones(LENGTH);
    let sums =
        pool.with(&context).map(|context: &Array1<f64>, i: usize| context[i], 0..50).unwrap();
    assert_eq!(sums, [1.0; 50]);
    assert_eq!(live(&pool), 0);
    assert_peak(&pool, FILE - (16 << 10), 1);

    let shared = item(7);
    let clone = shared.clone();
    pool.with(&shared).map(|context: &Item, i: usize| context[i], 0..50).unwrap();
    assert_eq!(pool.store().files().unwrap().len(), 1);
    drop(shared);
    assert_eq!(pool.store().files().unwrap().len(), 1);
    drop(clone);
    assert_eq!(live(&pool), 0);
    assert_peak(&pool, FILE - (16 << 10), 1);
}

// S7
#[test]
fn what_a_failed_call_had_in_flight_goes_with_it() {
    let _dog = Watchdog::new("failed");
    let pool = builder().build().unwrap();
    let failing = |item: Item| if item[0] == 20.0 { panic!("as it should") } else { item };
    assert!(pool.map(failing, (0..60).map(item)).unwrap_err().is_task());
    assert_eq!(live(&pool), 0);
}
