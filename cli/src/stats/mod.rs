//! `ndferry stats`: computes statistics of arrays in worker processes.
//!
//! The parent opens a file and cuts each [column](mod@column) (an array, or a
//! field of records) into [`blocks`]. A worker maps the file, visits a block and
//! returns its [`Summary`]. The parent merges the summaries in order. The numeric
//! code builds on [`double_double`], then [`passes`], [`moments`], [`number`] and
//! [`summary`].

mod blocks;
mod column;
mod double_double;
mod histogram;
mod moments;
mod number;
mod passes;
mod report;
mod summary;
#[cfg(test)]
mod tests;

use std::{
    io::{IsTerminal, stdout},
    path::PathBuf,
};

use clap::Args;
use ndferry::{
    AnyArray, Pool,
    file::{ArrayFile, ArrayInfo},
};

use self::{
    column::Column,
    histogram::{Bins, Histogram},
    report::Row,
    summary::Summary,
};
use crate::{
    args::{ArrayArgs, InputArgs, LimitArgs},
    failure::{Failure, Failures, reason},
    input,
    progress::Bar,
    terminal, text,
};

/// Compute count, minimum, maximum, mean and standard deviation
#[derive(Args)]
#[command(
    long_about = "Compute count, minimum, maximum, mean and standard deviation\n\n\
        Worker processes share the work. Each maps the file and reads it block by block. NaN are \
        counted, and ignored otherwise. The standard deviation is that of a population. The \
        minimum and maximum of integers are exact. Arrays of records have a row for each field. \
        Arrays without ordered values (text, complex, dates) are skipped and listed. It is an \
        error if every array is skipped. On a terminal, the output includes histograms.",
    after_help = "\
Examples:
  ndferry stats survey.npy
  ndferry stats --json *.npy > figures.json
  ndferry stats --array model.weight --workers 4 model.ferry
  ndferry stats --array 'layers.*.bias' model.safetensors
  ndferry stats --raw '>i2' --shape 33,41,25 --order F --offset 352 brain.nii

Environment variables:
  NDFERRY_WORKERS  Number of worker processes [default: one for each core]

Exit codes:
  0  Success
  1  A file or an array could not be summarised
  2  The arguments are invalid"
)]
pub struct StatsArgs {
    /// Files to summarise
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Number of worker processes
    #[arg(long, value_name = "N", value_parser = workers, allow_negative_numbers = true)]
    workers: Option<usize>,

    #[command(flatten)]
    arrays: ArrayArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    limit: LimitArgs,

    #[command(flatten)]
    input: InputArgs,
}

fn workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(workers) if workers > 0 => Ok(workers),
        _ => Err("expected a number of processes, 1 or more".into()),
    }
}

pub fn run(args: &StatsArgs, failures: &mut Failures) -> Result<(), Failure> {
    let mut summariser = Summariser {
        workers: args.workers,
        pool: None,
        draws_histograms: !args.json && stdout().is_terminal(),
    };
    let mut rows = Vec::new();
    let names = &args.arrays.arrays;
    for path in &args.files {
        let before = rows.len();
        let done = input::open(path, args.limit.options(), args.input.layout()).and_then(|file| {
            for (array, columns) in column::select(&file, names)? {
                for column in columns {
                    match column.kind_without_statistics() {
                        Some(kind) => rows.push(Row::skipped(path, column, kind)),
                        None => match summariser.row(&file, array, column) {
                            Ok(row) => rows.push(row),
                            Err(failure) => failures.report(&failure),
                        },
                    }
                }
            }
            if names.is_empty() {
                input::unsupported(&file).for_each(|failure| failures.report(&failure));
            }
            Ok(())
        });
        if let Err(failure) = done {
            failures.report(&failure);
        }
        if !names.is_empty() {
            report_if_all_skipped(&rows[before..], failures);
        }
    }
    if names.is_empty() {
        report_if_all_skipped(&rows, failures);
    }
    let text = if args.json { text::json(&rows) } else { report::table(&rows, terminal::width()) };
    terminal::print(&text)
}

/// Reports the skipped rows as failures if all rows were skipped.
fn report_if_all_skipped(rows: &[Row], failures: &mut Failures) {
    let skipped: Vec<_> = rows.iter().filter_map(Row::failure).collect();
    if skipped.len() == rows.len() {
        skipped.iter().for_each(|failure| failures.report(failure));
    }
}

/// Computes rows with worker processes, which the first array starts.
struct Summariser {
    workers: Option<usize>,
    pool: Option<Pool>,
    /// Whether histograms are drawn, which needs a second pass.
    draws_histograms: bool,
}

impl Summariser {
    /// The row of one column of an array.
    fn row(&mut self, file: &ArrayFile, array: &ArrayInfo, column: Column) -> Result<Row, Failure> {
        // This error names the array.
        let elements = file.read_entry(array).map_err(|error| Failure::of(file.path(), &error))?;
        let name = column.name.clone();
        self.summarise(file, elements, column)
            .map_err(|error| Failure::new(file.path(), text::of_array(&name, &reason(&error))))
    }

    fn summarise(
        &mut self,
        file: &ArrayFile,
        array: AnyArray,
        column: Column,
    ) -> ndferry::Result<Row> {
        let mut array = array.flatten()?;
        if let Some(field) = &column.field {
            array = array.field(field)?;
        }
        let blocks = blocks::blocks(&array);
        let passes = if self.draws_histograms { 2 } else { 1 };
        let nbytes = array.nbytes() as u64;
        let bar = Bar::new(file.path(), passes * nbytes);
        let pool = self.pool()?;

        let callback = bar.callback(0, nbytes);
        let parts =
            pool.with(&array).progress(callback).try_map(blocks::summarise, blocks.clone())?;
        let summary = parts.into_iter().fold(Summary::default(), Summary::merge);

        let histogram = match summary.finite.filter(|_| self.draws_histograms) {
            Some(finite) => {
                let bins = Bins::between(finite.min, finite.max);
                let callback = bar.callback(nbytes, nbytes);
                let parts =
                    pool.with(&(array, bins)).progress(callback).try_map(blocks::count, blocks)?;
                Some(parts.into_iter().fold(Histogram::new(bins), Histogram::merge))
            }
            None => None,
        };
        Ok(Row::new(file.path(), column, summary, histogram))
    }

    fn pool(&mut self) -> ndferry::Result<Pool> {
        if let Some(pool) = &self.pool {
            return Ok(pool.clone());
        }
        // Workers map arrays of any size, instead of receiving small ones.
        let builder = Pool::builder().mmap_threshold(0);
        let pool = match self.workers {
            Some(workers) => builder.workers(workers).build(),
            None => builder.build(),
        }?;
        Ok(self.pool.insert(pool).clone())
    }
}
