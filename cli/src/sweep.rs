//! `ndferry sweep`: what dead programs left is removed, and said; or what there is, and nothing is removed.

use std::{path::Path, time::Duration};

use indicatif::{BinaryBytes, HumanDuration};
use ndferry::store::{SessionReport, Sweep, Sweeper};
use serde::Serialize;

use super::{
    args::SweepArgs,
    failure::{Failure, Failures},
    table::{
        Align::{Left, Right},
        Table,
    },
    terminal,
    text::{OneLine, count},
};

pub fn run(args: &SweepArgs, failures: &mut Failures) -> Result<(), Failure> {
    let failure = |error: &ndferry::Error| Failure::of(Path::new("temporary files"), error);
    let swept = Sweeper::new().dry_run(args.dry_run).sweep().map_err(|error| failure(&error))?;
    for error in &swept.failures {
        failures.report(&failure(error));
    }
    let text = match (args.json, args.dry_run) {
        (true, _) => json(&swept, args.dry_run),
        (false, true) => table(&swept, terminal::width()),
        (false, false) => account(&swept),
    };
    terminal::print(&text)
}

/// A sweep, as `--json` tells it.
#[derive(Serialize)]
struct Told {
    dry_run: bool,
    sessions: Vec<Session>,
}

#[derive(Serialize)]
struct Session {
    id: String,
    state: &'static str,
    /// Whether it is to stay when it is dead, unless a sweep is asked for.
    keep: bool,
    /// Seconds since it began.
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
            nbytes: session.nbytes(),
            home: session.home.display().to_string(),
            directories: session
                .directories
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
        }
    }
}

/// Every session: what lives, and then what does not.
fn sessions(swept: &Sweep, dead: &'static str) -> Vec<Session> {
    let alive = swept.alive.iter().map(|session| Session::of(session, "alive"));
    alive.chain(swept.dead.iter().map(|session| Session::of(session, dead))).collect()
}

fn json(swept: &Sweep, dry_run: bool) -> String {
    let told =
        Told { dry_run, sessions: sessions(swept, if dry_run { "dead" } else { "removed" }) };
    serde_json::to_string(&told).expect("strings and numbers are JSON") + "\n"
}

fn table(swept: &Sweep, width: Option<usize>) -> String {
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
            format!("{}, to be kept", session.state)
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
        0 => "there are no sessions\n".to_owned(),
        _ => {
            table.render(width)
                + &format!("{dead} would be removed, of {}\n", BinaryBytes(swept.nbytes()))
        }
    }
}

fn account(swept: &Sweep) -> String {
    let mut text: String = swept.dead.iter().map(line).collect();
    if text.is_empty() {
        text += "nothing was left behind\n";
    }
    if !swept.alive.is_empty() {
        let alive = count(swept.alive.len() as u64, "session");
        text += &format!("{alive} of running programs left alone\n");
    }
    text
}

fn line(session: &SessionReport) -> String {
    let files = count(session.files.len() as u64, "file");
    let (id, size) = (&session.id, BinaryBytes(session.nbytes()));
    let home = session.home.display().to_string();
    format!("removed session {id}: {files}, {size}, in {}\n", OneLine(&home))
}
