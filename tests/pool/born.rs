//! Arrays made in the store travel to workers and back without a copy.

use std::os::unix::fs::MetadataExt;

use ndferry::ndarray::{Array2, s};

use crate::{
    Watchdog,
    arrays::{Table, mapped_files, sum_of_column},
    builder, pools,
    processes::session_name,
    sealed::open_files,
};

// S6
#[test]
fn store_array_is_sent_without_a_copy() {
    let _dog = Watchdog::new("born");
    for (byte_order, pool) in pools() {
        let what = format!("store {byte_order}, sealed: {}", pool.store().is_memfd());
        let expected =
            Array2::from_shape_fn((70_000, 3), |(i, j)| (i as f64).sqrt() * (j as f64 + 0.5));
        let mut table = pool.store().zeros::<f64, _>(expected.dim()).unwrap();
        table.assign(&expected);
        let table: Table = table.freeze().unwrap();
        let (session, files) = (session_name(pool.store()), pool.store().files().unwrap());
        assert_eq!(
            (files.len(), table.copy_reason()),
            (usize::from(!pool.store().is_memfd()), None),
            "{what}"
        );
        let own = mapped_files(&session);
        assert_eq!(own.len(), 1, "{what}");

        let seen = |(table, session): &(Table, String), column| {
            (sum_of_column(table, column), table.copy_reason().is_none(), mapped_files(session))
        };
        let sums = pool.with(&(table.clone(), session.clone())).map(seen, 0..3).unwrap();
        for (column, (sum, mapped, maps)) in sums.into_iter().enumerate() {
            assert_eq!((sum, mapped, &maps), (expected.column(column).sum(), true, &own), "{what}");
        }
        // Slices as items, and the whole array as a result.
        let items = (0..20).map(|i| table.subview(|view| view.slice_move(s![i..i + 60_000, ..])));
        let firsts = pool.map(|table: Table| table[(0, 1)], items).unwrap();
        assert!(firsts.iter().enumerate().all(|(i, first)| *first == expected[(i, 1)]), "{what}");
        let back = pool.map(|table: Table| table, [table.clone()]).unwrap();
        assert_eq!(
            (&*back[0], mapped_files(&session), pool.store().files().unwrap()),
            (&*expected, own, files)
        );
        drop((back, table));
        // No descriptor of a removed or unnamed file is left.
        assert!(
            open_files(&session).iter().all(|file| std::fs::metadata(file).unwrap().nlink() > 0),
            "{what}"
        );
        assert!(
            mapped_files(&session).is_empty() && pool.store().files().unwrap().is_empty(),
            "{what}"
        );
    }
}

#[test]
fn store_array_honours_the_threshold() {
    let _dog = Watchdog::new("born threshold");
    let pool = builder().mmap_threshold(None).build().unwrap();
    let table = pool.store().from_shape_fn((70_000, 3), |(i, _)| i as f64).unwrap();
    let why = |table: Table| format!("{:?}", table.copy_reason().unwrap());
    assert_eq!(pool.map(why, [table]).unwrap(), ["Inline"]);
}

#[test]
fn store_array_of_another_store_is_sent() {
    let _dog = Watchdog::new("another store");
    let pools = pools();
    for (_, pool) in &pools {
        for (_, other) in &pools {
            let table = other.store().from_shape_fn((50_000, 3), |(i, j)| (i + j) as f64).unwrap();
            let files = pool.store().files().unwrap().len();
            assert_eq!(pool.with(&table).map(sum_of_column, [1]).unwrap(), [table.column(1).sum()]);
            let written = pool.store().files().unwrap().len() - files;
            let lies_elsewhere = !std::ptr::eq(pool, other) && !other.store().is_memfd();
            assert_eq!(written, usize::from(lies_elsewhere && !pool.store().is_memfd()));
        }
    }
}
