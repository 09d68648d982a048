//! A memfd store does the same as one with files, without a trace in any file system.

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf, process::Command};

use ndferry::{Pool, SharedArray, ndarray::s, store::Store};

use crate::{
    Watchdog,
    arrays::{Table, mapped_files, sum_of_column, table},
    builder,
    ledger::Ledger,
    meet,
    processes::session_name,
};

fn pool() -> Pool {
    builder().store(&Store::memfd().unwrap()).build().unwrap()
}

/// The name of the memfds of the pool's session.
pub(crate) fn name(pool: &Pool) -> String {
    format!("memfd:ndferry-{}", session_name(pool.store()))
}

/// The entries in `/proc` of this process's open files whose path contains `part`.
pub(crate) fn open_files(part: &str) -> Vec<std::path::PathBuf> {
    let all = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| {
        fs::read_link(path).is_ok_and(|file| file.to_str().is_some_and(|file| file.contains(part)))
    })
    .collect()
}

// S6
#[test]
fn memfd_array_in_many_tasks_is_one_file() {
    let _dog = Watchdog::new("one memory file");
    let pool = pool();
    let name = name(&pool);
    let ledger = Ledger::new();
    let shared = SharedArray::from(table(100_000));
    let items = (0..200).map(|i| {
        (shared.subview(|view| view.slice_move(s![i..50_000 + i, ..])), name.clone(), ledger.path())
    });
    let seen = pool
        .map(
            |(table, name, ledger): (Table, String, PathBuf)| {
                meet(&ledger, 2);
                (table[(0, 2)], mapped_files(&name))
            },
            items,
        )
        .unwrap();
    for (i, (value, files)) in seen.iter().enumerate() {
        assert_eq!(*value, shared[(i, 2)]);
        assert_eq!((files.len(), &files[0]), (1, &seen[0].1[0]), "task {i}");
    }
    assert_eq!(pool.with(&shared).map(sum_of_column, [0]).unwrap(), [shared.column(0).sum()]);
    assert_eq!(open_files(&name).len(), 1, "written once");
    assert!(pool.store().files().unwrap().is_empty());
    drop(shared);
    assert_eq!(open_files(&name).len(), 0, "gone with the array");
}

#[test]
fn memfd_context_is_released_with_the_job() {
    let _dog = Watchdog::new("borrowed");
    let pool = pool();
    let plain = table(50_000);
    for _ in 0..3 {
        assert_eq!(pool.with(&plain).map(|table, _: u8| table[(1, 0)], [0]).unwrap(), [0.5]);
        assert!(open_files(&name(&pool)).is_empty());
    }
}

// P4
#[test]
fn memfd_results_arrive_mapped_and_are_sent_on() {
    let _dog = Watchdog::new("sealed results");
    let pool = pool();
    let name = name(&pool);
    let mut tables: Vec<Table> =
        pool.map(|rows| SharedArray::from(table(rows)), [50_000, 60_000]).unwrap();
    assert!(tables.iter().all(|table| table.copy_reason().is_none()));
    let before = mapped_files(&name);
    assert_eq!(before.len(), 2);
    let back: Vec<Table> = pool.map(|table: Table| table, tables.clone()).unwrap();
    assert_eq!(
        (&back, mapped_files(&name)),
        (&tables, before),
        "the same two files, there and back"
    );
    drop(back);
    tables = pool.map(|table: Table| SharedArray::from(&*table + 1.0), tables).unwrap();
    assert_eq!(open_files(&name).len(), 2, "the old ones have gone");
    // Another pool does not write them again.
    let sums = crate::pool().with(&tables).map(|tables, i: usize| tables[i].sum(), [0, 1]).unwrap();
    assert_eq!(sums, [tables[0].sum(), tables[1].sum()]);
    drop(pool);
    assert_eq!(tables[1][(0, 0)], 1.0, "a result outlives its pool");
    drop(tables);
    assert!(open_files(&name).is_empty() && mapped_files(&name).is_empty());
}

#[test]
fn memfd_cannot_be_changed_by_other_processes() {
    let _dog = Watchdog::new("seals");
    let pool = pool();
    let name = name(&pool);
    let shared = SharedArray::from(table(50_000));
    let tried = pool.with(&(shared.clone(), name)).map(
        |(table, name): &(Table, String), _: u8| {
            let files = open_files(name);
            let file = fs::File::options().write(true).open(&files[0]).unwrap();
            let refused = [
                std::os::unix::fs::FileExt::write_at(&file, &[1; 8], 0).is_err(),
                file.set_len(0).is_err(),
                file.set_len(file.metadata().unwrap().size() + 1).is_err(),
            ];
            (refused, table.sum())
        },
        [0, 1],
    );
    assert_eq!(tried.unwrap(), [([true; 3], shared.sum()); 2]);
}

#[test]
fn memfd_array_outlives_its_store() {
    let _dog = Watchdog::new("outlives");
    let shared = SharedArray::from(table(50_000));
    let pool = pool();
    let name = name(&pool);
    pool.with(&shared).map(sum_of_column, [0]).unwrap();
    assert_eq!(open_files(&name).len(), 1);
    drop(pool);
    assert!(
        open_files(&name).is_empty(),
        "the array has its own memory and needs none of the store's"
    );
    assert_eq!(
        self::pool().with(&shared).map(sum_of_column, [0]).unwrap(),
        [shared.column(0).sum()]
    );
}

#[test]
fn memfd_reports_too_many_open_files() {
    let _dog = Watchdog::new("descriptors");
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 60 && exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["sealed::child_shares_sixty_arrays", "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        printed.contains("this process has as many files open as it may (ulimit -n)"),
        "{printed}"
    );
    assert!(printed.contains("and works again: [1, 2]"), "{printed}");
}

#[test]
#[ignore = "run by memfd_reports_too_many_open_files"]
fn child_shares_sixty_arrays() {
    let pool =
        builder().workers(1).store(&Store::memfd().unwrap()).mmap_threshold(0).build().unwrap();
    let arrays: Vec<_> = (0..60).map(|i| SharedArray::from(vec![i; 3])).collect();
    println!("{}", pool.with(&arrays).map(|arrays, i: usize| arrays[i][0], [0]).unwrap_err());
    drop(arrays);
    println!("and works again: {:?}", pool.map(|x: u8| x + 1, [0, 1]).unwrap());
}
