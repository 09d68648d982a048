//! A CSV of records past a large read-only model, by worker processes.
//!
//!     cargo run --release --example classify [RECORDS.csv [REFERENCES]]
//!
//! The classifier is the context of the call: its arrays are written once and mapped by every worker. Its method is the task.
//! It is a nearest-neighbour classifier (Cover and Hart, 1967), made large by REFERENCES points (300 000 unless told) strewn
//! around every second record; the other records are classified, and the guesses compared with the species they have.

use std::{error::Error, fs, path::PathBuf};

use ndarray::{Array1, Array2, Ix1, Ix2};
use ndferry::{Pool, SharedArray, ndarray};
use serde::{Deserialize, Serialize};

/// Measurements and what they belong to.
#[derive(Clone, Serialize, Deserialize)]
struct Record {
    measurements: Vec<f64>,
    species: String,
}

#[derive(Serialize, Deserialize)]
struct Classifier {
    species: Vec<String>,
    /// A point a row.
    references: SharedArray<f64, Ix2>,
    /// The species of each, by its number.
    labels: SharedArray<u8, Ix1>,
}

impl Classifier {
    /// `count` points strewn around the records, the same ones every time.
    fn around(records: &[Record], count: usize) -> Self {
        let mut species: Vec<_> = records.iter().map(|record| record.species.clone()).collect();
        species.sort();
        species.dedup();
        let width = records[0].measurements.len();
        let near = |i: usize| &records[i % records.len()];
        // Between -0.1 and 0.1, by a multiplicative hash (Knuth).
        let jitter = |i: usize, j: usize| {
            let hash = (i * width + j).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            ((hash >> 40) as f64 / (1u64 << 24) as f64 - 0.5) / 5.0
        };
        Self {
            references: Array2::from_shape_fn((count, width), |(i, j)| near(i).measurements[j] + jitter(i, j)).into(),
            labels: Array1::from_shape_fn(count, |i| {
                species.iter().position(|name| *name == near(i).species).expect("it was taken from the records") as u8
            })
            .into(),
            species,
        }
    }

    /// The species of the nearest reference.
    fn classify(&self, record: Record) -> Result<String, String> {
        if record.measurements.len() != self.references.ncols() {
            return Err(format!("{} measurements, {} expected", record.measurements.len(), self.references.ncols()));
        }
        let distance = |point: ndarray::ArrayView1<f64>| -> f64 {
            point.iter().zip(&record.measurements).map(|(a, b)| (a - b).powi(2)).sum()
        };
        let nearest = self.references.rows().into_iter().map(distance).enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
        let (nearest, _) = nearest.ok_or("no references")?;
        Ok(self.species[usize::from(self.labels[nearest])].clone())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    ndferry::init();
    let mut arguments = std::env::args_os().skip(1);
    let path = arguments.next().map_or_else(|| PathBuf::from("fixtures/records/iris.csv"), PathBuf::from);
    let references: usize = match arguments.next() {
        Some(text) => text.to_str().ok_or("REFERENCES is a number")?.parse()?,
        None => 300_000,
    };

    let records = read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (known, unknown): (Vec<_>, Vec<_>) = records.into_iter().enumerate().partition(|(at, _)| at % 2 == 0);
    let known: Vec<_> = known.into_iter().map(|(_, record)| record).collect();
    let unknown: Vec<_> = unknown.into_iter().map(|(_, record)| record).collect();

    let classifier = Classifier::around(&known, references);
    let pool = Pool::new()?;
    let guesses = pool.with(&classifier).try_map(Classifier::classify, unknown.iter().cloned())?;

    let right = guesses.iter().zip(&unknown).filter(|(guess, record)| **guess == record.species).count();
    println!(
        "{} records past {} references ({:.1} MB, one copy for {} workers): {right} of {} right",
        unknown.len(),
        references,
        (classifier.references.len() * size_of::<f64>() + references) as f64 / 1e6,
        pool.workers(),
        guesses.len()
    );
    Ok(())
}

/// Reads lines of numbers that end in a name; the first line names the columns.
fn read(path: &std::path::Path) -> Result<Vec<Record>, Box<dyn Error>> {
    let text = fs::read_to_string(path)?;
    let mut records = Vec::new();
    for (at, line) in text.lines().enumerate().skip(1) {
        let (numbers, species) = line.rsplit_once(',').ok_or_else(|| format!("line {}: no comma", at + 1))?;
        let measurements = numbers
            .split(',')
            .map(|number| number.parse().map_err(|error| format!("line {}: {number:?}: {error}", at + 1)))
            .collect::<Result<_, String>>()?;
        records.push(Record { measurements, species: species.to_owned() });
    }
    if records.len() < 2 {
        return Err("fewer than two records".into());
    }
    Ok(records)
}
