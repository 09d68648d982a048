//! A CSV of records past a large read-only model, by worker processes, in three ways.
//!
//!     cargo run --release --example classify [RECORDS.csv [REFERENCES [FORM]]]
//!
//! FORM is how the workers come by the model (all three, one after another, unless told):
//!
//! - `context`: it is sent. Its arrays are written once and mapped by every worker; its method is the task.
//! - `built`: it cannot be sent, for it holds a lock. Each worker builds its own from what it needs for that.
//! - `forked`: it cannot be sent, and shall not be built again. The workers are forks of this process, which has it.
//!
//! It is a nearest-neighbour classifier (Cover and Hart, 1967), made large by REFERENCES points (300 000 unless told) strewn
//! around every second record; the other records are classified, and the guesses compared with the species they have.

use std::{collections::HashMap, error::Error, fs, path::PathBuf, sync::Mutex};

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
            references: Array2::from_shape_fn((count, width), |(i, j)| {
                near(i).measurements[j] + jitter(i, j)
            })
            .into(),
            labels: Array1::from_shape_fn(count, |i| {
                species
                    .iter()
                    .position(|name| *name == near(i).species)
                    .expect("it was taken from the records") as u8
            })
            .into(),
            species,
        }
    }

    /// The species of the nearest reference.
    fn classify(&self, record: Record) -> Result<String, String> {
        if record.measurements.len() != self.references.ncols() {
            return Err(format!(
                "{} measurements, {} expected",
                record.measurements.len(),
                self.references.ncols()
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
        let (nearest, _) = nearest.ok_or("no references")?;
        Ok(self.species[usize::from(self.labels[nearest])].clone())
    }
}

/// A classifier that remembers what it was asked: it holds a lock, and cannot be serialised.
struct Remembering {
    classifier: Classifier,
    guesses: Mutex<HashMap<Vec<u64>, String>>,
}

impl Remembering {
    fn new(classifier: Classifier) -> Self {
        Self { classifier, guesses: Mutex::default() }
    }

    fn classify(&self, record: Record) -> Result<String, String> {
        let asked: Vec<_> =
            record.measurements.iter().map(|measurement| measurement.to_bits()).collect();
        let mut guesses = self.guesses.lock().map_err(|error| error.to_string())?;
        if let Some(guess) = guesses.get(&asked) {
            return Ok(guess.clone());
        }
        let guess = self.classifier.classify(record)?;
        guesses.insert(asked, guess.clone());
        Ok(guess)
    }
}

/// What a worker needs to build a classifier of its own.
#[derive(Serialize, Deserialize)]
struct Plan {
    known: Vec<Record>,
    references: usize,
}

impl Plan {
    fn build(&self) -> Remembering {
        Remembering::new(Classifier::around(&self.known, self.references))
    }
}

/// The model is sent to the workers.
fn by_context(plan: &Plan, unknown: &[Record]) -> ndferry::Result<Vec<String>> {
    let classifier = Classifier::around(&plan.known, plan.references);
    Pool::new()?.with(&classifier).try_map(Classifier::classify, unknown.iter().cloned())
}

/// Each worker builds the model.
fn built(plan: &Plan, unknown: &[Record]) -> ndferry::Result<Vec<String>> {
    let pool = Pool::new()?;
    pool.with_init(plan, Plan::build)
        .try_map(|model, record| model.classify(record), unknown.iter().cloned())
}

/// The workers are forked from this process, which has built the model.
fn forked(plan: &Plan, unknown: &[Record]) -> ndferry::Result<Vec<String>> {
    let model = plan.build();
    Pool::builder().fork()?.try_map(|record| model.classify(record), unknown.iter().cloned())
}

type Form = fn(&Plan, &[Record]) -> ndferry::Result<Vec<String>>;

const FORMS: [(&str, Form); 3] = [("context", by_context), ("built", built), ("forked", forked)];

fn main() -> Result<(), Box<dyn Error>> {
    ndferry::init();
    let mut arguments = std::env::args_os().skip(1);
    let path =
        arguments.next().map_or_else(|| PathBuf::from("fixtures/records/iris.csv"), PathBuf::from);
    let references: usize = match arguments.next() {
        Some(text) => text.to_str().ok_or("REFERENCES is a number")?.parse()?,
        None => 300_000,
    };
    let chosen = arguments.next();
    let forms: Vec<_> = FORMS
        .into_iter()
        .filter(|(name, _)| chosen.as_ref().is_none_or(|chosen| chosen == name))
        .collect();
    if forms.is_empty() {
        return Err("FORM is one of context, built, forked".into());
    }

    let records = read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (known, unknown): (Vec<_>, Vec<_>) =
        records.into_iter().enumerate().partition(|(at, _)| at % 2 == 0);
    let plan = Plan { known: known.into_iter().map(|(_, record)| record).collect(), references };
    let unknown: Vec<_> = unknown.into_iter().map(|(_, record)| record).collect();

    for (name, classify) in forms {
        let guesses = classify(&plan, &unknown)?;
        let right = guesses
            .iter()
            .zip(&unknown)
            .filter(|(guess, record)| **guess == record.species)
            .count();
        println!(
            "{name}: {} records past {references} references: {right} of {} right",
            unknown.len(),
            guesses.len()
        );
    }
    Ok(())
}

/// Reads lines of numbers that end in a name; the first line names the columns.
fn read(path: &std::path::Path) -> Result<Vec<Record>, Box<dyn Error>> {
    let text = fs::read_to_string(path)?;
    let mut records = Vec::new();
    for (at, line) in text.lines().enumerate().skip(1) {
        let (numbers, species) =
            line.rsplit_once(',').ok_or_else(|| format!("line {}: no comma", at + 1))?;
        let measurements = numbers
            .split(',')
            .map(|number| {
                number.parse().map_err(|error| format!("line {}: {number:?}: {error}", at + 1))
            })
            .collect::<Result<_, String>>()?;
        records.push(Record { measurements, species: species.to_owned() });
    }
    if records.len() < 2 {
        return Err("fewer than two records".into());
    }
    Ok(records)
}
