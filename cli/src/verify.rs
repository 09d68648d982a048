//! `ndferry verify`: checks the structure and the checksums of files.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use clap::Args;
use ndferry::file::{Format, OpenOptions};
use serde::Serialize;

use crate::{
    args::LimitArgs,
    failure::{Failure, Failures, reason},
    terminal,
    text::{self, OneLine, count},
};

/// Check files for damage
#[derive(Args)]
#[command(
    long_about = "Check files for damage\n\n\
        Reads every file completely, and reports every problem with its array and its offset. \
        Formats without checksums, such as .npy and .safetensors, allow a check of the structure \
        and of the values of bool arrays only.",
    after_help = "\
Examples:
  ndferry verify model.ferry
  ndferry verify --json *.ferry *.npy

Exit codes:
  0  Every file is sound
  1  A file is damaged or not an array file
  2  A file, or a part of it, could not be checked, or the arguments are invalid"
)]
pub struct VerifyArgs {
    /// Files to check
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    #[command(flatten)]
    limit: LimitArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &VerifyArgs, failures: &mut Failures) -> Result<(), Failure> {
    let mut reports = Vec::new();
    for path in &args.files {
        let report = Report::of(path, &args.limit.options());
        for problem in &report.problems {
            let failure = Failure::new(path, &*problem.message);
            match report.verdict {
                Verdict::Unreadable => failures.report_unanswered(&failure),
                _ => failures.report(&failure),
            }
        }
        reports.push(report);
    }
    let text =
        if args.json { text::json(&reports) } else { reports.iter().map(Report::line).collect() };
    terminal::print(&text)
}

/// The result of checking one file, in the layout of the JSON.
#[derive(Serialize)]
struct Report {
    path: String,
    verdict: Verdict,
    format: Option<String>,
    arrays: u64,
    checksums: u64,
    problems: Vec<Problem>,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Sound,
    Damaged,
    /// The file has none of the known formats. JSON does not distinguish it from
    /// a damaged file, but its `format` is `null`.
    #[serde(rename = "damaged")]
    NotAnArrayFile,
    /// The file, or a part of it, could not be read.
    Unreadable,
}

/// A problem, with the name and the offset of the array that has it.
#[derive(Serialize)]
struct Problem {
    array: Option<String>,
    offset: Option<u64>,
    message: String,
}

/// Whether the file at `path` begins like a file of a known format.
fn is_array_file(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(64).read_to_end(&mut start));
    read.is_ok() && Format::detect(&start).is_ok()
}

impl Report {
    fn of(path: &Path, options: &OpenOptions) -> Self {
        let name = path.display().to_string();
        let file = match options.open(path) {
            Ok(file) => file,
            Err(error) => {
                let message = reason(&error);
                let (verdict, message) = match fs::metadata(path) {
                    Ok(found) if !found.is_file() => {
                        (Verdict::Unreadable, format!("cannot be read: {message}"))
                    }
                    _ if error.is_io() => (Verdict::Unreadable, message),
                    _ if !is_array_file(path) => (Verdict::NotAnArrayFile, message),
                    _ => (Verdict::Damaged, message),
                };
                let problems = vec![Problem { array: None, offset: None, message }];
                return Self {
                    path: name,
                    verdict,
                    format: None,
                    arrays: 0,
                    checksums: 0,
                    problems,
                };
            }
        };
        let (mut verdict, mut problems) = (Verdict::Sound, Vec::new());
        for (array, error) in file.check() {
            verdict = match verdict {
                Verdict::Damaged => verdict,
                _ if error.is_invalid_data() => Verdict::Damaged,
                _ => Verdict::Unreadable,
            };
            problems.push(Problem {
                array: array.map(|array| array.name().to_owned()),
                offset: array.map(|array| array.offset()),
                message: reason(&error),
            });
        }
        Self {
            path: name,
            verdict,
            format: Some(file.format().to_string()),
            arrays: file.arrays().len() as u64,
            checksums: file.arrays().iter().filter(|array| array.has_checksum()).count() as u64,
            problems,
        }
    }

    fn line(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Sound => {
                let checksums = count(self.checksums, "checksum");
                format!("sound, {}, {checksums}", count(self.arrays, "array"))
            }
            Verdict::Damaged => "damaged".to_owned(),
            Verdict::NotAnArrayFile => "not an array file".to_owned(),
            Verdict::Unreadable if self.format.is_some() => "partly unchecked".to_owned(),
            Verdict::Unreadable => "unreadable".to_owned(),
        };
        format!("{}: {verdict}\n", OneLine(&self.path))
    }
}
