//! `ndferry verify`: whether files are as they were written.

use std::{fs, path::Path};

use ndferry::file::OpenOptions;
use serde::Serialize;

use super::{
    args::VerifyArgs,
    failure::{Failure, Failures, reason},
    terminal,
    text::{self, OneLine, count},
};

pub fn run(args: &VerifyArgs, failures: &mut Failures) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for path in &args.files {
        let row = look(path, &args.limit.options());
        for problem in &row.problems {
            let failure = Failure::new(path, &*problem.message);
            match row.verdict {
                Verdict::Unreadable => failures.trouble(&failure),
                Verdict::Damaged | Verdict::Sound => failures.report(&failure),
            }
        }
        rows.push(row);
    }
    let text = if args.json { text::json(&rows) } else { rows.iter().map(line).collect() };
    terminal::print(&text)
}

/// What was found of one file, as the JSON has it.
#[derive(Serialize)]
struct Row {
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
    /// Not what it claims to be, or nothing that can be read.
    Damaged,
    /// No regular file, or one that the system does not let be read.
    Unreadable,
}

/// Something wrong; of which array, and where that begins, if it is an array.
#[derive(Serialize)]
struct Problem {
    array: Option<String>,
    offset: Option<u64>,
    message: String,
}

fn look(path: &Path, options: &OpenOptions) -> Row {
    let name = path.display().to_string();
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) => {
            let message = reason(&error);
            let (verdict, message) = match fs::metadata(path) {
                // There are no bytes that could be damaged, or no end of them.
                Ok(found) if !found.is_file() => {
                    (Verdict::Unreadable, format!("cannot be read: {message}"))
                }
                _ if error.is_io() => (Verdict::Unreadable, message),
                _ => (Verdict::Damaged, message),
            };
            let problems = vec![Problem { array: None, offset: None, message }];
            return Row { path: name, verdict, format: None, arrays: 0, checksums: 0, problems };
        }
    };
    let (mut verdict, mut problems) = (Verdict::Sound, Vec::new());
    for (array, error) in file.check() {
        // What is not damaged, as far as can be told, is what could not be looked at.
        verdict = match verdict {
            Verdict::Damaged => verdict,
            _ if error.is_invalid_data() => Verdict::Damaged,
            _ => Verdict::Unreadable,
        };
        let (name, offset) =
            (array.map(|array| array.name().to_owned()), array.map(|array| array.offset()));
        problems.push(Problem { array: name, offset, message: reason(&error) });
    }
    Row {
        path: name,
        verdict,
        format: Some(file.format().to_string()),
        arrays: file.arrays().len() as u64,
        checksums: file.arrays().iter().filter(|array| array.has_checksum()).count() as u64,
        problems,
    }
}

fn line(row: &Row) -> String {
    let verdict = match row.verdict {
        Verdict::Sound => {
            format!("sound, {}, {}", count(row.arrays, "array"), count(row.checksums, "checksum"))
        }
        Verdict::Damaged => "damaged".to_owned(),
        Verdict::Unreadable if row.format.is_some() => "unreadable in part".to_owned(),
        Verdict::Unreadable => "unreadable".to_owned(),
    };
    format!("{}: {verdict}\n", OneLine(&row.path))
}
