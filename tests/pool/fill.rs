//! Arrays that tasks fill together, each a part of its own.

use std::{path::PathBuf, time::Duration};

use ndferry::{
    Pool, SharedArray,
    ndarray::{Array3, ArrayRef, Axis, Ix1, Ix3, ShapeBuilder},
    pool::{Backend, TaskErrorKind},
    store::Store,
};

use crate::{Watchdog, builder};

/// A pool over every backend and both kinds of store.
fn everywhere() -> Vec<Pool> {
    let inside = |backend| Pool::builder().backend(backend);
    let builders = [builder(), inside(Backend::Threads).workers(2), inside(Backend::Serial)];
    let stores = || [Store::new().unwrap(), Store::memfd().unwrap()];
    builders
        .iter()
        .flat_map(|builder| stores().map(|store| builder.clone().store(&store).build().unwrap()))
        .collect()
}

fn number((i, j, k): (usize, usize, usize)) -> f64 {
    (100 * i + 10 * j + k) as f64
}

fn fill_rows(part: &mut ArrayRef<f64, Ix3>, first: usize) -> usize {
    part.indexed_iter_mut().for_each(|((i, j, k), element)| *element = number((first + i, j, k)));
    part.len_of(Axis(0))
}

fn fill_along(axis: &usize, part: &mut ArrayRef<f64, Ix3>, first: usize) -> usize {
    for ((i, j, k), element) in part.indexed_iter_mut() {
        let mut at = [i, j, k];
        at[*axis] += first;
        *element += number(at.into());
    }
    part.len_of(Axis(*axis))
}

// F12
#[test]
fn tasks_fill_a_file_in_place_and_it_is_published_whole() {
    let _dog = Watchdog::new("fill a file");
    let expected = Array3::from_shape_fn((9, 4, 5), number);
    let folder = tempfile::tempdir().unwrap();
    for pool in everywhere() {
        for name in ["a.npy", "a.ferry"] {
            let path = folder.path().join(name);
            let mut array = ndferry::create::<f64, _>(&path, (9, 4, 5)).unwrap();
            assert_eq!(
                pool.job().fill_axis_chunks(&mut array, Axis(0), 2, fill_rows).unwrap(),
                [2, 2, 2, 2, 1]
            );
            assert!(!path.exists());
            let array = array.freeze().unwrap();
            assert_eq!((&*array, array.source().unwrap().path()), (&*expected, &*path));
            let file = ndferry::open(&path).unwrap();
            file.verify().unwrap();
            assert_eq!(*file.read::<f64, Ix3>().unwrap(), expected);
            // The file itself is what workers are sent.
            let files = pool.store().files().unwrap();
            let sum = pool
                .with(&array)
                .map(|array: &SharedArray<f64, Ix3>, at: usize| array[(at, 3, 4)], 0..9)
                .unwrap();
            assert_eq!((sum[8], pool.store().files().unwrap()), (number((8, 3, 4)), files));
            std::fs::remove_file(path).unwrap();
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn tasks_fill_an_array_in_place_along_any_axis() {
    let _dog = Watchdog::new("fill");
    let expected = Array3::from_shape_fn((9, 4, 5), number);
    for pool in everywhere() {
        for (axis, f_order) in [(0, false), (1, false), (2, true)] {
            let mut array = pool.store().zeros::<f64, _>((9, 4, 5).set_f(f_order)).unwrap();
            let files = pool.store().files().unwrap();
            let lengths =
                pool.with(&axis).fill_axis_chunks(&mut array, Axis(axis), 2, fill_along).unwrap();
            assert_eq!(lengths.iter().sum::<usize>(), array.len_of(Axis(axis)));
            assert_eq!(*array, expected, "{pool:?}, axis {axis}");
            assert_eq!(
                pool.store().files().unwrap(),
                files,
                "nothing was written but the array itself"
            );
            // What was filled can be filled further, and then be shared.
            pool.with(&axis).fill_axis_chunks(&mut array, Axis(axis), 3, fill_along).unwrap();
            assert_eq!(*array.freeze().unwrap(), &expected * 2.0);
        }
        let mut array = pool.store().zeros::<f64, _>((9, 4, 5)).unwrap();
        assert_eq!(
            pool.job().fill_axis_chunks(&mut array, Axis(0), 4, fill_rows).unwrap(),
            [4, 4, 1]
        );
        assert_eq!(*array, expected);
        let counted = pool.with_init(&10i64, |start| *start).fill_axis_chunks(
            &mut pool.store().zeros::<i64, _>(6).unwrap(),
            Axis(0),
            6,
            |state, part: &mut ArrayRef<i64, Ix1>, _| {
                *state += part.sum();
                *state
            },
        );
        assert_eq!(counted.unwrap(), [10]);
    }
}

#[test]
fn what_cannot_be_parted_is_refused_and_nothing_is_nothing_to_fill() {
    let _dog = Watchdog::new("unfit");
    for pool in everywhere() {
        let mut array = pool.store().zeros::<f64, _>((3, 4, 5)).unwrap();
        for (axis, chunk) in [(3, 1), (0, 0)] {
            assert!(
                pool.job()
                    .fill_axis_chunks(&mut array, Axis(axis), chunk, fill_rows)
                    .unwrap_err()
                    .is_invalid_input()
            );
        }
        let mut empty = pool.store().zeros::<f64, _>((3, 0, 5)).unwrap();
        assert!(pool.job().fill_axis_chunks(&mut empty, Axis(0), 1, fill_rows).unwrap().is_empty());
    }
}

/// Fills its part and dies, the first time.
#[allow(clippy::ptr_arg, reason = "the context is a PathBuf")]
fn die_once(folder: &PathBuf, part: &mut ArrayRef<u64, Ix1>, first: usize) {
    part.fill(u64::MAX);
    if std::fs::File::create_new(folder.join(first.to_string())).is_ok() {
        std::process::abort();
    }
    part.indexed_iter_mut().for_each(|(at, element)| *element = (first + at) as u64);
}

// P1, P2
#[test]
fn a_part_whose_worker_died_is_filled_by_another() {
    let _dog = Watchdog::new("refill");
    let (pool, folder) = (builder().build().unwrap(), tempfile::tempdir().unwrap());
    let mut array = pool.store().zeros::<u64, _>(100).unwrap();
    let folder = folder.path().to_path_buf();
    pool.with(&folder)
        .retries(1)
        .batch_size(3)
        .fill_axis_chunks(&mut array, Axis(0), 10, die_once)
        .unwrap();
    assert!(array.iter().enumerate().all(|(at, element)| *element == at as u64));
    let outcomes = pool.job().keep_going().fill_axis_chunks(
        &mut array,
        Axis(0),
        50,
        |part: &mut ArrayRef<u64, Ix1>, first| {
            if first == 0 {
                std::process::abort();
            }
            part.fill(1);
        },
    );
    let outcomes = outcomes.unwrap();
    assert_eq!(outcomes[0].as_ref().unwrap_err().kind(), TaskErrorKind::WorkerDied);
    assert!(outcomes[1].is_ok());
    assert_eq!(array.iter().sum::<u64>(), (0..50).sum::<u64>() + 50);
}

/// Writes for as long as it is let.
fn write_for_ever(part: &mut ArrayRef<u64, Ix1>, first: usize) {
    if first == 0 {
        std::thread::sleep(Duration::from_millis(50));
        panic!("the first part cannot be filled");
    }
    loop {
        part.iter_mut().for_each(|element| *element = element.wrapping_add(1));
    }
}

#[test]
fn when_the_call_returns_nobody_writes_any_more() {
    let _dog = Watchdog::new("let go");
    let pool = builder().build().unwrap();
    let mut array = pool.store().zeros::<u64, _>(20_000).unwrap();
    for call in [pool.job(), pool.job().deadline(Duration::from_millis(100))] {
        call.fill_axis_chunks(&mut array, Axis(0), 10_000, write_for_ever).unwrap_err();
        array.fill(7);
        std::thread::sleep(Duration::from_millis(50));
        assert!(array.iter().all(|element| *element == 7));
    }
}
