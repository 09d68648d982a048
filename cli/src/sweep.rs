//! `ndferry sweep`: removes temporary files that killed programs left behind.

use std::{path::Path, time::Duration};

use clap::Args;
use indicatif::{BinaryBytes, HumanDuration};
use ndferry::store::{CleanupOptions, CleanupReport, SessionReport, cleanup};
use serde::Serialize;

use crate::{
    failure::{Failure, Failures},
    table::Table,
    terminal,
    text::{
        Align::{Left, Right},
        OneLine, count,
    },
};

/// Remove temporary files that killed programs left behind
#[derive(Args)]
#[command(
    long_about = "Remove temporary files that killed programs left behind\n\n\
        Files of running programs and of other users are never removed. Programs that share \
        arrays do the same when they start. This command also removes the files of programs \
        that were started with NDFERRY_KEEP=1, which keeps them for inspection.",
    after_help = "\
Examples:
  ndferry sweep --dry-run
  NDFERRY_DIR=/scratch/me ndferry sweep

Searched directories:
  The directory in the environment variable NDFERRY_DIR
  The temporary directory of the system
  /dev/shm

Exit codes:
  0  Success
  1  A file could not be removed
  2  The arguments are invalid"
)]
pub struct SweepArgs {
    /// List all sessions, running or not, and remove nothing
    #[arg(long)]
    dry_run: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &SweepArgs, failures: &mut Failures) -> Result<(), Failure> {
    let failure = |error: &ndferry::Error| Failure::of(Path::new("temporary files"), error);
    let swept =
        cleanup(&CleanupOptions::new().dry_run(args.dry_run)).map_err(|error| failure(&error))?;
    for error in &swept.failures {
        failures.report(&failure(error));
    }
    let text = match (args.json, args.dry_run) {
        (true, _) => json(&swept, args.dry_run),
        (false, true) => table(&swept, terminal::width()),
        (false, false) => summary(&swept),
    };
    terminal::print(&text)
}

/// The JSON of a sweep.
#[derive(Serialize)]
struct Report {
    dry_run: bool,
    sessions: Vec<Session>,
}

#[derive(Serialize)]
struct Session {
    id: String,
    state: &'static str,
    /// Whether its files stay after its end, until `sweep` is run.
    keep: bool,
    /// Seconds since its start.
    age: Option<f64>,
    files: usize,
    nbytes: u64,
    home: String,
    directories: Vec<String>,
}

impl Session {
    fn of(session: &SessionReport, state: &'static str) -> Self {
        let age = session.since.and_then(|since| since.elapsed().ok());
        Self {
            id: session.id.clone(),
            state,
            keep: session.keep,
            age: age.map(|age| age.as_secs_f64()),
            files: session.files.len(),
            nbytes: session.nbytes,
            home: session.home.display().to_string(),
            directories: session
                .directories
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
        }
    }
}

/// All sessions, those of running programs first. `dead` is the state of the
/// others.
fn sessions(swept: &CleanupReport, dead: &'static str) -> Vec<Session> {
    let alive = swept.alive.iter().map(|session| Session::of(session, "alive"));
    alive.chain(swept.dead.iter().map(|session| Session::of(session, dead))).collect()
}

fn json(swept: &CleanupReport, dry_run: bool) -> String {
    let dead = if dry_run { "dead" } else { "removed" };
    let report = Report { dry_run, sessions: sessions(swept, dead) };
    serde_json::to_string(&report).expect("strings and numbers are JSON") + "\n"
}

fn table(swept: &CleanupReport, width: Option<usize>) -> String {
    let mut table = Table::new([
        ("session", Left),
        ("state", Left),
        ("age", Right),
        ("files", Right),
        ("size", Right),
        ("home", Left),
        ("files in", Left),
    ]);
    for session in sessions(swept, "dead") {
        let state = if session.keep {
            format!("{}, kept", session.state)
        } else {
            session.state.to_owned()
        };
        let age = session.age.map(|age| HumanDuration(Duration::from_secs_f64(age)).to_string());
        table.row([
            session.id,
            state,
            age.unwrap_or_default(),
            session.files.to_string(),
            BinaryBytes(session.nbytes).to_string(),
            session.home,
            session.directories.join(" "),
        ]);
    }
    let dead = count(swept.dead.len() as u64, "dead session");
    match swept.dead.len() + swept.alive.len() {
        0 => "no sessions\n".to_owned(),
        _ => table.render(width) + &format!("{dead} to remove, {}\n", BinaryBytes(swept.nbytes())),
    }
}

fn summary(swept: &CleanupReport) -> String {
    let mut text: String = swept.dead.iter().map(line).collect();
    if text.is_empty() {
        text += "nothing to remove\n";
    }
    if !swept.alive.is_empty() {
        let alive = count(swept.alive.len() as u64, "session");
        text += &format!("{alive} of running programs kept\n");
    }
    text
}

fn line(session: &SessionReport) -> String {
    let files = count(session.files.len() as u64, "file");
    let (id, size) = (&session.id, BinaryBytes(session.nbytes));
    let home = session.home.display().to_string();
    format!("removed session {id}: {files}, {size}, in {}\n", OneLine(&home))
}
