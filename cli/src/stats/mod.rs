//! `ndferry stats`: extremes, mean and spread of arrays, by worker processes.
//!
//! The parent opens a file, cuts each of its arrays, of records each field ([`column`]), into blocks and hands the pool the array, which travels as the open file,
//! and the blocks. A worker maps the file, goes through the block at hand ([`block`]) and sends back a [`Summary`], however
//! large the block; the parent merges summaries in order. The numerics, from the bottom: [`double`], [`lanes`], [`moments`],
//! [`kernel`], [`summary`].

mod block;
mod column;
mod double;
mod histogram;
mod kernel;
mod lanes;
mod moments;
mod report;
mod summary;
#[cfg(test)]
mod tests;

use std::io::{IsTerminal, stdout};

use ndferry::{
    Pool,
    file::{ArrayFile, ArrayInfo},
};

use self::{
    column::Column,
    histogram::{Bins, Histogram},
    report::Row,
    summary::Summary,
};
use super::{
    args::StatsArgs,
    failure::{Failure, Failures, reason},
    input,
    progress::Bar,
    terminal, text,
};

pub fn run(args: &StatsArgs, failures: &mut Failures) -> Result<(), Failure> {
    let mut summariser = Summariser {
        workers: args.workers,
        pool: None,
        draws: !args.json && stdout().is_terminal(),
    };
    let mut rows = Vec::new();
    for path in &args.files {
        let before = rows.len();
        let done = input::open(path, args.limit.options(), args.input.layout()).and_then(|file| {
            for (array, columns) in column::select(&file, args.array.as_deref())? {
                for column in columns {
                    match column.without_figures() {
                        Some(what) => rows.push(Row::left_out(path, column, what)),
                        None => match summariser.row(&file, array, column) {
                            Ok(row) => rows.push(row),
                            Err(failure) => failures.report(&failure),
                        },
                    }
                }
            }
            if args.array.is_none() {
                input::unreadable(&file).for_each(|failure| failures.report(&failure));
            }
            Ok(())
        });
        if let Err(failure) = done {
            failures.report(&failure);
        }
        if args.array.is_some() {
            blame(&rows[before..], failures);
        }
    }
    if args.array.is_none() {
        blame(&rows, failures);
    }
    let text = if args.json { text::json(&rows) } else { report::table(&rows, terminal::width()) };
    terminal::print(&text)
}

/// Reports why there are no figures where none of these rows has any: one is left out for those that are not.
fn blame(rows: &[Row], failures: &mut Failures) {
    let left_out: Vec<_> = rows.iter().filter_map(Row::failure).collect();
    if left_out.len() == rows.len() {
        left_out.iter().for_each(|failure| failures.report(failure));
    }
}

fn failed(file: &ArrayFile, name: &str, message: &str) -> Failure {
    Failure::new(file.path(), text::of_array(name, message))
}

/// The workers, started when the first array needs them, and what is asked of them.
struct Summariser {
    workers: Option<usize>,
    pool: Option<Pool>,
    /// Whether histograms are drawn, which takes a second pass.
    draws: bool,
}

impl Summariser {
    /// The row of one array of a file, or of a field of it.
    fn row(&mut self, file: &ArrayFile, array: &ArrayInfo, column: Column) -> Result<Row, Failure> {
        let name = column.name.clone();
        self.summarise(file, array, column).map_err(|error| failed(file, &name, &reason(&error)))
    }

    fn summarise(
        &mut self,
        file: &ArrayFile,
        info: &ArrayInfo,
        column: Column,
    ) -> ndferry::Result<Row> {
        let mut array = file.read_entry(info)?.flatten()?;
        if let Some(field) = &column.field {
            array = array.field(field)?;
        }
        let blocks = block::blocks(&array);
        let passes = if self.draws { 2 } else { 1 };
        let nbytes = array.nbytes() as u64;
        let bar = Bar::new(file.path(), passes * nbytes);
        let pool = self.pool()?;

        let moved = bar.moved_by(0, nbytes);
        let parts = pool.with(&array).progress(moved).try_map(block::summarise, blocks.clone())?;
        let summary = parts.into_iter().fold(Summary::default(), Summary::merge);

        let histogram = match summary.finite.filter(|_| self.draws) {
            Some(finite) => {
                let bins = Bins::between(finite.min, finite.max);
                let moved = bar.moved_by(nbytes, nbytes);
                let parts =
                    pool.with(&(array, bins)).progress(moved).try_map(block::count, blocks)?;
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
        // However small, an array is mapped by the workers: there is nothing else large in a message.
        let builder = Pool::builder().mmap_threshold(0);
        let pool = match self.workers {
            Some(workers) => builder.workers(workers).build(),
            None => builder.build(),
        }?;
        Ok(self.pool.insert(pool).clone())
    }
}
