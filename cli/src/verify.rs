//! `ndferry verify`: checks the structure and the checksums of files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use ndferry::{
    Error,
    file::{ArrayFile, OpenOptions},
};
use serde::{Serialize, Serializer};

use crate::{
    args::LimitArgs,
    failure::{Failure, Failures, reason},
    terminal,
    text::{self, OneLine, Trailing, count},
};

/// Check files for damage
#[derive(Args)]
#[command(
    long_about = "Check files for damage\n\n\
        Reads every file completely, and reports every problem with its array and its offset. \
        One word is the answer for each file:\n\n\
        sound              It passes all checks of its format\n\
        damaged            A check failed\n\
        unsupported        It may be sound, but ndferry cannot read all of it\n\
        not an array file  It has another format\n\
        unreadable         It could not be read or decompressed completely\n\n\
        Examples of unsupported parts are Python objects, long doubles and encrypted members. \
        Unreadable are missing files, and arrays above --max-decompressed. If a file has several \
        problems, the word is that of the worst: damaged, then unreadable, then unsupported.\n\n\
        The checks depend on the format:\n\n\
        .ferry        structure, and checksums of the header, the value and arrays\n\
        .npz          structure, and the CRC-32 of each member that can be decompressed\n\
        .npy          header and length (no checksum)\n\
        .safetensors  header and lengths (no checksum)\n\n\
        Without a checksum, changed elements cannot be found. Elements of bool must be 0 or 1 in \
        all formats. Bytes after the array of a .npy file are reported, but not checked. The \
        file is sound, because NumPy ignores them.",
    after_help = "\
Examples:
  ndferry verify model.ferry
  ndferry verify --json *.ferry *.npy

Exit codes:
  0  Every file is sound
  1  A file is damaged or not an array file
  2  A file is unsupported or unreadable, or the arguments are invalid"
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
                Verdict::Unsupported | Verdict::Unreadable => {
                    failures.report_unanswered(&failure);
                }
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
    #[serde(skip_serializing_if = "Option::is_none")]
    trailing: Option<Trailing>,
    problems: Vec<Problem>,
}

/// The word for a file or for one of its problems. A later one is worse.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Sound,
    /// The file has none of the known formats.
    NotAnArrayFile,
    /// A part may be sound, but ndferry cannot read it.
    Unsupported,
    /// The file, or a part of it, could not be read.
    Unreadable,
    Damaged,
}

impl Verdict {
    /// The word for an error with a file, or with a part of it.
    fn of(error: &Error) -> Self {
        if error.is_foreign_format() {
            Self::NotAnArrayFile
        } else if error.is_unsupported() {
            Self::Unsupported
        } else if error.is_invalid_data() {
            Self::Damaged
        } else {
            Self::Unreadable
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::NotAnArrayFile => "not an array file",
            Self::Unsupported => "unsupported",
            Self::Unreadable => "unreadable",
            Self::Damaged => "damaged",
        }
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// A problem, with the name and the offset of the array that has it.
#[derive(Serialize)]
struct Problem {
    verdict: Verdict,
    array: Option<String>,
    offset: Option<u64>,
    message: String,
}

impl Report {
    fn of(path: &Path, options: &OpenOptions) -> Self {
        match options.open(path) {
            Ok(file) => Self::of_file(&file, path),
            Err(error) => Self::of_error(&error, path),
        }
    }

    /// The report of a file that cannot be opened.
    fn of_error(error: &Error, path: &Path) -> Self {
        let (verdict, message) = match (Verdict::of(error), fs::metadata(path)) {
            (Verdict::Damaged, Ok(found)) if !found.is_file() => {
                (Verdict::Unreadable, format!("cannot be read: {}", reason(error)))
            }
            (verdict, _) => (verdict, reason(error)),
        };
        Self {
            path: path.display().to_string(),
            verdict,
            format: None,
            arrays: 0,
            checksums: 0,
            trailing: None,
            problems: vec![Problem { verdict, array: None, offset: None, message }],
        }
    }

    fn of_file(file: &ArrayFile, path: &Path) -> Self {
        let mut problems = Vec::new();
        for (array, error) in file.check() {
            problems.push(Problem {
                verdict: Verdict::of(&error),
                array: array.map(|array| array.name().to_owned()),
                offset: array.map(|array| array.offset()),
                message: reason(&error),
            });
        }
        let verdict = match problems.iter().map(|problem| problem.verdict).max() {
            None => Verdict::Sound,
            // The file itself is an array file, and only a part of it is not an array.
            Some(verdict) => verdict.max(Verdict::Unsupported),
        };
        Self {
            path: path.display().to_string(),
            verdict,
            format: Some(file.format().to_string()),
            arrays: file.arrays().len() as u64,
            checksums: file.arrays().iter().filter(|array| array.has_checksum()).count() as u64,
            trailing: Trailing::of(file),
            problems,
        }
    }

    fn line(&self) -> String {
        let mut line = format!("{}: {}", OneLine(&self.path), self.verdict.word());
        if self.verdict == Verdict::Sound {
            let (arrays, checksums) =
                (count(self.arrays, "array"), count(self.checksums, "checksum"));
            line += &format!(", {arrays}, {checksums}");
        }
        if let Some(trailing) = &self.trailing {
            line += &format!("; {trailing}");
        }
        line + "\n"
    }
}
