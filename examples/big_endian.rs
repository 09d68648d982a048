//! A big-endian array through the store to worker processes and back.
//!
//!     cargo run --release --example big_endian [ROWS [SECONDS]]
//!
//! An array of ROWS × 3 numbers (200 000 unless told) is written as a big-endian `.npy` file, opened, and summed up by every
//! core. SECONDS makes each task take that long, for those who want to look at the processes, or to kill them.

use std::{collections::BTreeSet, time::Duration};

use ndarray::{Array2, Ix2};
use ndferry::{Pool, SharedArray, dtype::ByteOrder, file::DumpOptions, ndarray};

type Table = SharedArray<f64, Ix2>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    ndferry::init();
    let mut arguments = std::env::args().skip(1);
    let rows: usize = arguments.next().map_or(Ok(200_000), |rows| rows.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(0), |seconds| seconds.parse())?;

    let path = std::env::temp_dir().join(format!("big_endian-{}.npy", std::process::id()));
    let original = SharedArray::from(Array2::from_shape_fn((rows, 3), |(i, j)| {
        (i + 1) as f64 / (j + 1) as f64
    }));
    DumpOptions::new().byte_order(ByteOrder::Big).write_npy(&path, &original.into())?;

    let file = ndferry::open(&path)?;
    // It is open, and needs its name no longer: whoever is killed from here on leaves nothing.
    std::fs::remove_file(&path)?;
    let survey: Table = file.read()?;
    let source = survey.source().expect("an array from a file knows its file");
    let megabytes = (survey.len() * size_of::<f64>()) as f64 / 1e6;
    println!(
        "{rows} × 3 numbers, {megabytes:.1} MB, {} endian",
        source.byte_order().expect("f64 has one")
    );
    println!("from   {}, byte {}", source.path().display(), source.offset());
    match survey.copy_reason() {
        Some(why) => println!("owned  {why}"),
        None => println!("mapped"),
    }

    let pool = Pool::new()?;
    // What the workers map: the file itself where its byte order is the machine's, and else one of the session's files, whose
    // paths have the session's number in them.
    let home =
        pool.store().session_dir().file_name().expect("a session has a name").to_string_lossy();
    let expected_in = match survey.copy_reason() {
        None => path.display().to_string(),
        Some(_) => home.rsplit('-').next().expect("a name has a last part").to_owned(),
    };
    let tasks = (0..3 * pool.workers()).map(|task| (task, seconds, expected_in.clone()));
    let seen = pool.with(&survey).map(work, tasks)?;

    let expected: Vec<f64> = (0..3).map(|column| survey.column(column).sum()).collect();
    for (task, Seen { sum, .. }) in seen.iter().enumerate() {
        assert_eq!(*sum, expected[task % 3], "the same values in every process");
    }
    let of_workers: BTreeSet<_> = seen.iter().map(|seen| (seen.worker, &seen.maps)).collect();
    for (worker, maps) in &of_workers {
        println!(
            "worker {worker} maps {}",
            if maps.is_empty() { "nothing: it came in the message" } else { maps }
        );
    }
    let files: BTreeSet<_> = of_workers.iter().map(|(_, maps)| maps).collect();
    assert_eq!(files.len(), 1, "one and the same for all");

    let doubled: Vec<Table> = pool
        .with(&survey)
        .map(|survey, factor: f64| SharedArray::from(&**survey * factor), [2.0])?;
    assert_eq!(*doubled[0], &*survey * 2.0);
    println!(
        "and back: doubled by a worker, {}",
        if doubled[0].copy_reason().is_none() { "mapped here" } else { "copied" }
    );

    drop((survey, doubled));
    println!("left in the store: {} files", pool.store().files()?.len());
    Ok(())
}

/// What a task saw.
#[derive(serde::Serialize, serde::Deserialize)]
struct Seen {
    sum: f64,
    worker: u32,
    maps: String,
}

fn work(survey: &Table, (task, seconds, part): (usize, u64, String)) -> Seen {
    std::thread::sleep(Duration::from_secs(seconds));
    Seen { sum: survey.column(task % 3).sum(), worker: std::process::id(), maps: mapped(&part) }
}

/// The files with `part` in their path that this process maps: device, inode and path.
fn mapped(part: &str) -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let files: BTreeSet<_> = maps
        .lines()
        .filter(|line| line.contains(part))
        .map(|line| line.split_whitespace().skip(3).collect::<Vec<_>>().join(" "))
        .collect();
    files.into_iter().collect::<Vec<_>>().join(", ")
}
