//! Arrays between parent and workers have the same values on every path, and large ones are
//! mapped.

use std::path::PathBuf;

use ndferry::{
    AnyArray, SharedArray,
    array::{CopyReason, Order},
    dtype::ByteOrder,
    file::DumpOptions,
    ndarray::{Array2, Ix1, Ix2, s},
};

use crate::{Watchdog, builder, ledger::Ledger, meet, pool, pools, processes::session_name};

pub(crate) type Table = SharedArray<f64, Ix2>;

pub(crate) fn table(rows: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, 3), |(i, j)| (i as f64).sqrt() * (j as f64 + 0.5))
}

pub(crate) fn sum_of_column(table: &Table, column: usize) -> f64 {
    table.column(column).sum()
}

// B3
#[test]
fn arrays_big_endian_are_equal_on_every_path() {
    let _dog = Watchdog::new("every path");
    let folder = tempfile::tempdir().unwrap();
    for rows in [10, 200_000] {
        let original = table(rows);
        let expected: Vec<f64> = (0..3).map(|column| original.column(column).sum()).collect();
        let path = folder.path().join("table.npy");
        DumpOptions::new()
            .byte_order(ByteOrder::Big)
            .write_npy(&path, SharedArray::from(original.clone()))
            .unwrap();
        let file = ndferry::open(&path).unwrap();
        let from_file: Table = file.read().unwrap();
        let as_recorded: AnyArray = file.read_dyn("").unwrap();
        for (byte_order, pool) in pools() {
            let sealed = pool.store().is_memfd();
            let what = format!("{rows} rows, store {byte_order}, sealed: {sealed}");
            for shared in [SharedArray::from(original.clone()), from_file.clone()] {
                assert_eq!(
                    pool.with(&shared).map(sum_of_column, 0..3).unwrap(),
                    expected,
                    "context, {what}"
                );
                let items = (0..3).map(|column| (shared.clone(), column));
                let sums = pool
                    .map(|(table, column): (Table, usize)| sum_of_column(&table, column), items);
                assert_eq!(sums.unwrap(), expected, "item, {what}");
            }
            // Copied, with a plain array on each side.
            assert_eq!(
                pool.with(&original).map(|table, j: usize| table.column(j).sum(), 0..3).unwrap(),
                expected,
                "{what}"
            );
            let items = (0..3).map(|column| (original.clone(), column));
            let sums =
                pool.map(|(table, column): (Array2<f64>, usize)| table.column(column).sum(), items);
            assert_eq!(sums.unwrap(), expected, "plain item, {what}");
            // In the recorded byte order: each worker swaps the part that it needs.
            let sum = |table: &AnyArray, column: usize| -> ndferry::Result<f64> {
                Ok(table.slice_axis(1, column..column + 1)?.to_array::<f64, Ix2>()?.sum())
            };
            let sums = pool.with(&as_recorded).try_map(sum, 0..3).unwrap();
            assert!(
                sums.iter().zip(&expected).all(|(a, b)| (a / b - 1.0).abs() < 1e-12),
                "recorded, {what}"
            );
            // The array as a result.
            let results =
                pool.with(&from_file).map(|table, _: u8| table.to_owned(), [0, 1]).unwrap();
            assert!(results.iter().all(|result| *result == original), "plain result, {what}");
            let results: Vec<Table> = pool
                .with(&from_file)
                .map(|table, factor: f64| SharedArray::from(&**table * factor), [2.0])
                .unwrap();
            assert_eq!(*results[0], &original * 2.0, "shared result, {what}");
            let results: Vec<Table> =
                pool.with(&from_file).map(|table, _: u8| table.clone(), [0]).unwrap();
            assert_eq!(*results[0], original, "context given back, {what}");
            assert!(
                pool.store().files().unwrap().len() <= 3,
                "what was sent last is all that is left, {what}"
            );
        }
    }
}

// B2 P4
#[test]
fn arrays_large_arrive_mapped_with_their_source() {
    let _dog = Watchdog::new("mapped");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.npy");
    let any: AnyArray = SharedArray::from(table(50_000)).into();
    for foreign in [false, true] {
        let byte_order = if foreign { ByteOrder::NATIVE.opposite() } else { ByteOrder::NATIVE };
        DumpOptions::new().byte_order(byte_order).write_npy(&path, &any).unwrap();
        let from_file: Table = ndferry::open(&path).unwrap().read().unwrap();
        for (store_order, pool) in pools() {
            let told = pool.with(&from_file).map(
                |table, _: u8| {
                    let source = table.source().unwrap();
                    let path = source.path().to_str().unwrap().to_owned();
                    let big = source.byte_order() == Some(ByteOrder::Big);
                    (path, source.offset(), big, table.copy_reason().map(|why| why.to_string()))
                },
                [0, 1],
            );
            // A native file is mapped. An array in foreign order is written to the store, in
            // the store's byte order.
            let rule = (foreign && !store_order.is_native())
                .then(|| CopyReason::ForeignByteOrder.to_string());
            let expected =
                (path.to_str().unwrap().to_owned(), 128, byte_order == ByteOrder::Big, rule);
            assert_eq!(
                told.unwrap(),
                [expected.clone(), expected],
                "foreign file {foreign}, store {store_order}"
            );
            let result: Vec<Table> =
                pool.map(|rows| SharedArray::from(table(rows)), [50_000]).unwrap();
            assert_eq!(result[0].copy_reason().is_none(), store_order.is_native());
        }
    }
}

/// Device and inode of each file that this process maps and whose path contains `part`.
pub(crate) fn mapped_files(part: &str) -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut files: Vec<_> = maps
        .lines()
        .filter(|line| line.contains(part))
        .map(|line| line.split_whitespace().skip(3).take(2).collect::<Vec<_>>().join(" "))
        .collect();
    files.sort();
    files.dedup();
    files
}

// S6
#[test]
fn arrays_shared_by_many_tasks_use_one_file() {
    let _dog = Watchdog::new("one file");
    let pool = pool();
    let ledger = Ledger::new();
    let shared = SharedArray::from(table(100_000));
    let session = session_name(pool.store());
    let mut most = 0;
    let items = (0..200).map(|i| {
        (
            shared.subview(|view| view.slice_move(s![i..50_000 + i, ..])),
            session.clone(),
            ledger.path(),
        )
    });
    let seen = pool
        .job()
        .progress(|_| most = most.max(pool.store().files().unwrap().len()))
        .map(
            |(table, session, ledger): (Table, String, PathBuf)| {
                meet(&ledger, 2);
                (table[(0, 2)], mapped_files(&session))
            },
            items,
        )
        .unwrap();
    assert_eq!(most, 1, "slices need no further file");
    for (i, (value, files)) in seen.iter().enumerate() {
        assert_eq!(*value, shared[(i, 2)]);
        assert_eq!((files.len(), &files[0]), (1, &seen[0].1[0]), "task {i}");
    }
    let again = pool.with(&shared).map(sum_of_column, [0]).unwrap();
    assert_eq!((again[0], pool.store().files().unwrap().len()), (shared.column(0).sum(), 1));
    drop(shared);
    assert!(pool.store().files().unwrap().is_empty());
}

#[test]
fn arrays_of_a_removed_file_travel_as_open_file() {
    let _dog = Watchdog::new("open file");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gone.npy");
    DumpOptions::new().write_npy(&path, SharedArray::from(table(50_000))).unwrap();
    let from_file: Table = ndferry::open(&path).unwrap().read().unwrap();
    std::fs::remove_file(&path).unwrap();
    let pool = pool();
    let seen = pool
        .with(&from_file)
        .map(|table, j| (sum_of_column(table, j), mapped_files("gone.npy").len()), 0..3);
    assert_eq!(seen.unwrap(), (0..3).map(|j| (from_file.column(j).sum(), 1)).collect::<Vec<_>>());
    assert!(pool.store().files().unwrap().is_empty());
}

#[test]
fn arrays_in_the_store_are_complete_containers() {
    let _dog = Watchdog::new("container");
    for (byte_order, pool) in pools().into_iter().filter(|(_, pool)| !pool.store().is_memfd()) {
        let shared = SharedArray::from(table(50_000));
        pool.with(&shared).map(sum_of_column, [0]).unwrap();
        let files = pool.store().files().unwrap();
        let file = ndferry::open(&files[0]).unwrap();
        assert_eq!(file.arrays()[0].dtype().byte_order(), Some(byte_order));
        assert_eq!((files.len(), file.read::<f64, Ix2>().unwrap()), (1, shared));
    }
}

// S8
#[test]
fn arrays_changed_are_seen_by_the_next_job() {
    let _dog = Watchdog::new("changed");
    let pool = pool();
    let mut plain = table(50_000);
    for round in 0..3 {
        plain[(0, 0)] = f64::from(round);
        assert_eq!(
            pool.with(&plain).map(|table, _: u8| table[(0, 0)], [0]).unwrap(),
            [f64::from(round)]
        );
    }
    assert!(pool.store().files().unwrap().is_empty(), "written for a call, gone with it");
}

#[test]
fn arrays_are_mapped_from_the_threshold_on() {
    let _dog = Watchdog::new("threshold");
    let why = |array: SharedArray<f64, Ix1>| array.copy_reason().map(|why| format!("{why:?}"));
    for (threshold, length, mapped) in [
        (Some(800), 100, true),
        (Some(801), 100, false),
        (Some(0), 1, true),
        (None, 1_000_000, false),
    ] {
        let pool = builder().mmap_threshold(threshold).build().unwrap();
        let seen = pool.map(why, [SharedArray::from(vec![1.5; length])]).unwrap();
        assert_eq!(
            seen[0].is_none(),
            mapped,
            "threshold {threshold:?}, {length} elements: {seen:?}"
        );
    }
}

#[test]
fn arrays_of_results_can_be_kept_and_sent_on() {
    let _dog = Watchdog::new("sent on");
    let pool = pool();
    let mut tables: Vec<Table> =
        pool.map(|rows| SharedArray::from(table(rows)), [50_000, 60_000]).unwrap();
    assert_eq!(pool.store().files().unwrap().len(), 2);
    for _ in 0..3 {
        tables = pool.map(|table: Table| SharedArray::from(&*table + 1.0), tables).unwrap();
        assert_eq!(pool.store().files().unwrap().len(), 2, "the old ones have gone");
    }
    assert_eq!(tables[1][(0, 0)], 3.0);
    drop(pool);
    assert_eq!(tables[1].dim(), (60_000, 3), "a result outlives its pool");
}

// F7
#[test]
fn arrays_of_every_layout_and_type_travel() {
    let _dog = Watchdog::new("layouts");
    let base = SharedArray::from(Array2::from_shape_fn((40, 60), |(i, j)| (i * 60 + j) as u16));
    let views = [
        base.clone(),
        base.subview(|view| view.reversed_axes()),
        base.subview(|view| view.slice_move(s![..;-3, 5..;2])),
        base.subview(|view| view.slice_move(s![3..3, ..])),
        base.subview(|view| view.slice_move(s![3..4, 7..8])),
    ];
    for threshold in [Some(0), None] {
        let pool = builder().mmap_threshold(threshold).build().unwrap();
        let back = pool.map(|view: SharedArray<u16, Ix2>| view, views.clone()).unwrap();
        assert_eq!(back, views);
        let flags = SharedArray::from(vec![true, false, true]);
        assert_eq!(
            pool.map(|flags: SharedArray<bool, Ix1>| flags, [flags.clone()]).unwrap(),
            [flags]
        );
    }
}

/// Records with two fields of different byte orders.
fn stars(count: u32) -> AnyArray {
    let dtype = "[('id', '>u4'), ('name', '|S3'), ('', '|V1'), ('mass', '<f8')]".parse().unwrap();
    let star = |at: u32| [&at.to_be_bytes()[..], b"abc\xff", &f64::from(at).to_le_bytes()].concat();
    let bytes: Vec<u8> = (0..count).flat_map(star).collect();
    AnyArray::from_bytes(dtype, &[count as usize], Order::C, &bytes).unwrap()
}

fn sum_of_masses(masses: &AnyArray) -> f64 {
    masses.to_array::<f64, Ix1>().unwrap().sum()
}

fn last_id(ids: &AnyArray) -> u32 {
    *ids.to_array::<u32, Ix1>().unwrap().last().unwrap()
}

// B1 B3
#[test]
fn arrays_of_records_are_equal_on_every_path() {
    let _dog = Watchdog::new("records");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stars.npy");
    for count in [10, 100_000] {
        let made = stars(count);
        let sum = f64::from(count) * f64::from(count - 1) / 2.0;
        DumpOptions::new().byte_order(ByteOrder::Big).write_npy(&path, &made).unwrap();
        let from_file = ndferry::open(&path).unwrap().read_dyn("").unwrap();
        for (byte_order, pool) in pools() {
            let what =
                format!("{count} records, store {byte_order}, sealed: {}", pool.store().is_memfd());
            for records in [&made, &from_file, &made.in_byte_order(ByteOrder::NATIVE).unwrap()] {
                // The fields of one memory in any order, and the records themselves between
                // them.
                let (ids, masses) = (records.field("id").unwrap(), records.field("mass").unwrap());
                assert_eq!(
                    pool.with(&masses).map(|masses, ()| sum_of_masses(masses), [()]).unwrap(),
                    [sum],
                    "{what}"
                );
                let whole = |records: &AnyArray, _: usize| {
                    (
                        sum_of_masses(&records.field("mass").unwrap()),
                        last_id(&records.field("id").unwrap()),
                    )
                };
                assert_eq!(
                    pool.with(records).map(whole, 0..2).unwrap(),
                    [(sum, count - 1); 2],
                    "{what}"
                );
                let both = pool.map(
                    |(ids, masses): (AnyArray, AnyArray)| (last_id(&ids), sum_of_masses(&masses)),
                    [(ids, masses)],
                );
                assert_eq!(both.unwrap(), [(count - 1, sum)], "{what}");
                // A typed view of a field, and records and fields as results.
                let typed: SharedArray<f64, Ix1> =
                    records.field("mass").unwrap().to_array().unwrap();
                assert!(
                    typed.strides() == [2] || !records.field("mass").unwrap().dtype().is_native(),
                    "{what}"
                );
                assert_eq!(
                    pool.with(&typed).map(|masses, ()| masses.sum(), [()]).unwrap(),
                    [sum],
                    "{what}"
                );
                let back = pool
                    .with(records)
                    .map(|records, ()| (records.clone(), records.field("id").unwrap()), [()])
                    .unwrap();
                assert_eq!(
                    (&back[0].0, &back[0].1),
                    (records, &records.field("id").unwrap()),
                    "{what}"
                );
            }
        }
    }
    for backend in [ndferry::pool::Backend::Threads, ndferry::pool::Backend::Serial] {
        let pool = ndferry::Pool::builder().backend(backend).workers(1).build().unwrap();
        let ids = stars(1000).field("id").unwrap();
        assert_eq!(pool.with(&ids).map(|ids, ()| last_id(ids), [()]).unwrap(), [999]);
    }
}

#[test]
fn arrays_of_a_changed_or_replaced_file_are_not_sent() {
    let _dog = Watchdog::new("changed file");
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("a.npy"), folder.path().join("b.npy"));
    let write = |path| {
        DumpOptions::new().write_npy(path, SharedArray::from(table(50_000))).unwrap();
    };
    write(&path);
    write(&other);
    let pool = pool();
    let send = |table: &Table| {
        let sums = pool.with(table).map(sum_of_column, [0]);
        sums.map(drop).map_err(|error| error.to_string())
    };
    let table: Table = ndferry::open(&path).unwrap().read().unwrap();
    assert_eq!(send(&table), Ok(()));
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    let error = send(&table).unwrap_err();
    assert!(error.contains("the file was changed after it was opened"), "{error}");

    let table: Table = ndferry::open(&path).unwrap().read().unwrap();
    std::fs::rename(&other, &path).unwrap();
    let error = send(&table).unwrap_err();
    assert!(error.contains("the file was replaced after it was opened"), "{error}");
}
