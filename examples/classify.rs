//! Classifies the records of a CSV file with a large read-only model, in three ways.
//!
//!     cargo run --release --example classify [RECORDS.csv [REFERENCES [FORM]]]
//!
//! FORM is how the workers get the model (by default all three, one after another):
//!
//! - `context`: the model is sent. Its arrays are written once and mapped by every worker.
//! - `built`: the model contains a lock and cannot be sent. Each worker builds its own.
//! - `forked`: the model cannot be sent, and is built only once. The workers are forks of this
//!   process, which has built it.
//!
//! The model is a nearest-neighbour classifier (Cover and Hart, 1967). It has REFERENCES points
//! (300,000 by default) around every second record. It classifies the other records, and the
//! results are compared with their species.

use std::{collections::HashMap, error::Error, fs, path::PathBuf, sync::Mutex};

use ndarray::{Array1, Array2, Ix1, Ix2};
use ndferry::{Pool, SharedArray, ndarray};
use serde::{Deserialize, Serialize};

/// The measurements of a flower, and its species.
#[derive(Clone, Serialize, Deserialize)]
struct Record {
    measurements: Vec<f64>,
    species: String,
}

#[derive(Serialize, Deserialize)]
struct Classifier {
    species: Vec<String>,
    /// One point in each row.
    references: SharedArray<f64, Ix2>,
    /// For each point, the index of its species.
    labels: SharedArray<u8, Ix1>,
}

impl Classifier {
    /// Makes `count` points around the records. They are the same in every run.
    fn around(records: &[Record], count: usize) -> Self {
        let mut species: Vec<_> = records.iter().map(|record| record.species.clone()).collect();
        species.sort();
        species.dedup();
        let width = records[0].measurements.len();
        let near = |i: usize| &records[i % records.len()];
        // A number between -0.1 and 0.1 from a multiplicative hash (Knuth).
        let jitter = |i: usize, j: usize| {
            let hash = (i * width + j).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            ((hash >> 40) as f64 / (1u64 << 24) as f64 - 0.5) / 5.0
        };
        Self {
            references: Array2::from_shape_fn((count, width), |(i, j)| {
                near(i).measurements[j] + jitter(i, j)
            })
            .into(),
            labels: Array1::from_shape_fn(count, |i| {
                species
                    .iter()
                    .position(|name| *name == near(i).species)
                    .expect("each species is in the list") as u8
            })
            .into(),
            species,
        }
    }

    /// Returns the species of the nearest reference.
    fn classify(&self, record: Record) -> Result<String, String> {
        if record.measurements.len() != self.references.ncols() {
            return Err(format!(
                "expected {} measurements, found {}",
                self.references.ncols(),
                record.measurements.len()
            ));
        }
        let distance = |point: ndarray::ArrayView1<f64>| -> f64 {
            point.iter().zip(&record.measurements).map(|(a, b)| (a - b).powi(2)).sum()
        };
        let nearest = self
            .references
            .rows()
            .into_iter()
            .map(distance)
            .enumerate()
            .min_by(|a, b| a.1.total_cmp(&b.1));
        let (nearest, _) = nearest.ok_or("the model has no references")?;
        Ok(self.species[usize::from(self.labels[nearest])].clone())
    }
}

/// A classifier with a cache. It contains a lock, so it cannot be serialized.
struct CachingClassifier {
    classifier: Classifier,
    cache: Mutex<HashMap<Vec<u64>, String>>,
}

impl CachingClassifier {
    fn new(classifier: Classifier) -> Self {
        Self { classifier, cache: Mutex::default() }
    }

    fn classify(&self, record: Record) -> Result<String, String> {
        let key: Vec<_> =
            record.measurements.iter().map(|measurement| measurement.to_bits()).collect();
        let mut cache = self.cache.lock().map_err(|error| error.to_string())?;
        if let Some(guess) = cache.get(&key) {
            return Ok(guess.clone());
        }
        let guess = self.classifier.classify(record)?;
        cache.insert(key, guess.clone());
        Ok(guess)
    }
}

/// The data that a worker needs to build a classifier.
#[derive(Serialize, Deserialize)]
struct Plan {
    known: Vec<Record>,
    references: usize,
}

impl Plan {
    fn build(&self) -> CachingClassifier {
        CachingClassifier::new(Classifier::around(&self.known, self.references))
    }
}

/// Sends the model to the workers.
fn with_context(plan: &Plan, unknown: &[Record]) -> ndferry::Result<Vec<String>> {
    let classifier = Classifier::around(&plan.known, plan.references);
    Pool::new()?.with(&classifier).try_map(Classifier::classify, unknown.iter().cloned())
}

/// Builds the model in each worker.
fn with_built(plan: &Plan, unknown: &[Record]) -> ndferry::Result<Vec<String>> {
    let pool = Pool::new()?;
    pool.with_init(plan, Plan::build)
        .try_map(|model, record| model.classify(record), unknown.iter().cloned())
}

/// Builds the model in this process and forks the workers from it.
fn with_forks(plan: &Plan, unknown: &[Record]) -> ndferry::Result<Vec<String>> {
    let model = plan.build();
    Pool::builder().fork()?.try_map(|record| model.classify(record), unknown.iter().cloned())
}

type Form = fn(&Plan, &[Record]) -> ndferry::Result<Vec<String>>;

const FORMS: [(&str, Form); 3] =
    [("context", with_context), ("built", with_built), ("forked", with_forks)];

fn main() -> Result<(), Box<dyn Error>> {
    ndferry::init();
    let mut arguments = std::env::args_os().skip(1);
    let path =
        arguments.next().map_or_else(|| PathBuf::from("fixtures/records/iris.csv"), PathBuf::from);
    let references: usize = match arguments.next() {
        Some(text) => text.to_str().ok_or("REFERENCES must be a number")?.parse()?,
        None => 300_000,
    };
    let chosen = arguments.next();
    let forms: Vec<_> = FORMS
        .into_iter()
        .filter(|(name, _)| chosen.as_ref().is_none_or(|chosen| chosen == name))
        .collect();
    if forms.is_empty() {
        return Err("FORM must be context, built or forked".into());
    }

    let records = read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (known, unknown): (Vec<_>, Vec<_>) =
        records.into_iter().enumerate().partition(|(at, _)| at % 2 == 0);
    let plan = Plan { known: known.into_iter().map(|(_, record)| record).collect(), references };
    let unknown: Vec<_> = unknown.into_iter().map(|(_, record)| record).collect();

    for (name, classify) in forms {
        let guesses = classify(&plan, &unknown)?;
        let correct = guesses
            .iter()
            .zip(&unknown)
            .filter(|(guess, record)| **guess == record.species)
            .count();
        println!(
            "{name}: {correct} of {} records correct, with {references} references",
            guesses.len()
        );
    }
    Ok(())
}

/// Reads lines of numbers followed by a name. The first line contains the names of the columns.
fn read(path: &std::path::Path) -> Result<Vec<Record>, Box<dyn Error>> {
    let text = fs::read_to_string(path)?;
    let mut records = Vec::new();
    for (at, line) in text.lines().enumerate().skip(1) {
        let (numbers, species) =
            line.rsplit_once(',').ok_or_else(|| format!("line {}: expected a comma", at + 1))?;
        let measurements = numbers
            .split(',')
            .map(|number| {
                number.parse().map_err(|error| format!("line {}: {number:?}: {error}", at + 1))
            })
            .collect::<Result<_, String>>()?;
        records.push(Record { measurements, species: species.to_owned() });
    }
    if records.len() < 2 {
        return Err("expected at least two records".into());
    }
    Ok(records)
}
