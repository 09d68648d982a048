//! `ndferry sweep`: what dead programs left is removed, and said.

use std::path::Path;

use indicatif::BinaryBytes;
use ndferry::{SessionReport, Sweeper};

use super::{
    args::SweepArgs,
    failure::{Failure, Failures},
    terminal,
    text::{OneLine, count},
};

pub fn run(args: &SweepArgs, failures: &mut Failures) -> Result<(), Failure> {
    let failure = |error: &ndferry::Error| Failure::of(Path::new("temporary files"), error);
    let swept = Sweeper::new().dry_run(args.dry_run).sweep().map_err(|error| failure(&error))?;
    for error in &swept.failures {
        failures.report(&failure(error));
    }
    let done = if args.dry_run { "would remove" } else { "removed" };
    let mut text: String = swept.dead.iter().map(|session| line(done, session)).collect();
    if text.is_empty() {
        text += "nothing was left behind\n";
    }
    if !swept.alive.is_empty() {
        let alive = count(swept.alive.len() as u64, "session");
        text += &format!("{alive} of running programs left alone\n");
    }
    terminal::print(&text)
}

fn line(done: &str, session: &SessionReport) -> String {
    let files = count(session.files.len() as u64, "file");
    let (id, size) = (&session.id, BinaryBytes(session.nbytes()));
    let home = session.home.display().to_string();
    format!("{done} session {id}: {files}, {size}, in {}\n", OneLine(&home))
}
