//! Sends a big-endian array through the store to worker processes and back.
//!
//!     cargo run --release --example big_endian [ROWS [SECONDS]]
//!
//! It writes an array of ROWS × 3 numbers (200,000 by default) as a big-endian `.npy` file, opens
//! the file, and sums the columns on every core. With SECONDS, each task takes that long, so that
//! you can look at the processes or kill them.

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
    DumpOptions::new().byte_order(ByteOrder::Big).write_npy(&path, original)?;

    let file = ndferry::open(&path)?;
    // The open file no longer needs its name. From here on, a killed process leaves no file.
    std::fs::remove_file(&path)?;
    let survey: Table = file.read()?;
    let source = survey.source().expect("the array is from a file");
    let megabytes = (survey.len() * size_of::<f64>()) as f64 / 1e6;
    println!(
        "{rows} × 3 numbers, {megabytes:.1} MB, {} endian",
        source.byte_order().expect("f64 has a byte order")
    );
    println!("source: {}, byte {}", source.path().display(), source.offset());
    match survey.copy_reason() {
        Some(reason) => println!("copied: {reason}"),
        None => println!("mapped"),
    }

    let pool = Pool::new()?;
    // The workers map the file itself if its byte order is that of the machine. Otherwise they
    // map a file of the session, whose path contains the number of the session.
    let session =
        pool.store().session_dir().file_name().expect("a session has a name").to_string_lossy();
    let path_part = match survey.copy_reason() {
        None => path.display().to_string(),
        Some(_) => session.rsplit('-').next().expect("a name has a last part").to_owned(),
    };
    let tasks = (0..3 * pool.workers()).map(|task| (task, seconds, path_part.clone()));
    let reports = pool.with(&survey).map(work, tasks)?;

    let expected: Vec<f64> = (0..3).map(|column| survey.column(column).sum()).collect();
    for (task, TaskReport { sum, .. }) in reports.iter().enumerate() {
        assert_eq!(*sum, expected[task % 3], "the same values in every process");
    }
    let maps: BTreeSet<_> = reports.iter().map(|report| (report.worker, &report.maps)).collect();
    for (worker, maps) in &maps {
        println!(
            "worker {worker} maps {}",
            if maps.is_empty() { "nothing: the array was in the message" } else { maps }
        );
    }
    let files: BTreeSet<_> = maps.iter().map(|(_, maps)| maps).collect();
    assert_eq!(files.len(), 1, "all workers map the same file");

    let doubled: Vec<Table> = pool
        .with(&survey)
        .map(|survey, factor: f64| SharedArray::from(&**survey * factor), [2.0])?;
    assert_eq!(*doubled[0], &*survey * 2.0);
    println!(
        "result of a worker: {}",
        if doubled[0].copy_reason().is_none() { "mapped" } else { "copied" }
    );

    drop((survey, doubled));
    println!("files left in the store: {}", pool.store().files()?.len());
    Ok(())
}

/// The result of a task: a sum, and the files that its worker maps.
#[derive(serde::Serialize, serde::Deserialize)]
struct TaskReport {
    sum: f64,
    worker: u32,
    maps: String,
}

fn work(survey: &Table, (task, seconds, part): (usize, u64, String)) -> TaskReport {
    std::thread::sleep(Duration::from_secs(seconds));
    TaskReport {
        sum: survey.column(task % 3).sum(),
        worker: std::process::id(),
        maps: mapped(&part),
    }
}

/// The mapped files of this process with `part` in their path: device, inode and path.
fn mapped(part: &str) -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let files: BTreeSet<_> = maps
        .lines()
        .filter(|line| line.contains(part))
        .map(|line| line.split_whitespace().skip(3).collect::<Vec<_>>().join(" "))
        .collect();
    files.into_iter().collect::<Vec<_>>().join(", ")
}
