//! Every way to die, in memory and on disk, at random moments, many times.
//!
//! `NDFERRY_TEST_ROUNDS` sets the number of rounds (10, or 1 under emulation),
//! `NDFERRY_TEST_SEED` the moments, and `NDFERRY_TEST_CASE` a single case. `scripts/soak` runs
//! hundreds of rounds.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    actor::{emulated, skipped},
    processes::{descendants, ignores, send},
    round::{Clean, Round, mix},
};

/// The microseconds in which a program does everything several times.
const WHILE: u64 = 30_000;

struct Case {
    name: &'static str,
    /// What the program does meanwhile.
    role: &'static str,
    terminal: bool,
    /// Whether the case uses a signal that some parents have their children ignore.
    interrupts: bool,
    happens: fn(&mut Round),
    clean: Clean,
}

const fn case(
    name: &'static str,
    role: &'static str,
    happens: fn(&mut Round),
    clean: Clean,
) -> Case {
    Case { name, role, terminal: false, interrupts: false, happens, clean }
}

const CASES: [Case; 15] = [
    case("SIGKILL of the program", "calls", |round| dies_by(round, Signal::KILL), Clean::Soon),
    case("SIGTERM", "calls", |round| dies_by(round, Signal::TERM), Clean::Soon),
    Case {
        interrupts: true,
        ..case("SIGINT", "calls", |round| dies_by(round, Signal::INT), Clean::Soon)
    },
    Case {
        name: "Ctrl-C in a terminal",
        role: "calls",
        terminal: true,
        interrupts: true,
        happens: |round| {
            round.is_ready();
            round.random_moment(WHILE);
            round.type_into_terminal(3);
            round.ends_with(Signal::INT);
        },
        clean: Clean::Soon,
    },
    case(
        "SIGKILL of the program while it writes",
        "writes",
        |round| dies_by(round, Signal::KILL),
        Clean::Soon,
    ),
    case(
        "SIGKILL of the program while it starts",
        "calls",
        |round| {
            round.random_moment(150_000);
            round.kill_program();
            round.ends_with(Signal::KILL);
        },
        Clean::NextStore,
    ),
    case(
        "SIGKILL of the program while it cleans up",
        "holds",
        |round| {
            round.is_ready();
            round.tell("end");
            round.random_moment(15_000);
            round.kill_program();
            // The program may have been faster.
            round.ends();
        },
        Clean::NextStore,
    ),
    case(
        "SIGKILL of a worker",
        "calls",
        |round| {
            round.is_ready();
            round.random_moment(WHILE);
            send(round.a_worker(), Signal::KILL);
            round.tell("work");
            assert_eq!(round.says(), "works");
            round.tell("end");
            round.ends_with(0);
        },
        Clean::Soon,
    ),
    case(
        "SIGKILL of every worker",
        "calls",
        |round| {
            round.is_ready();
            for _ in 0..6 {
                round.random_moment(WHILE / 6);
                send(round.a_worker(), Signal::KILL);
            }
            round.tell("work");
            assert_eq!(round.says(), "works");
            round.tell("end");
            round.ends_with(0);
        },
        Clean::Soon,
    ),
    case(
        "SIGKILL of everything at once",
        "calls",
        |round| {
            round.is_ready();
            round.random_moment(WHILE);
            round.kill_everything();
            round.ends_with(Signal::KILL);
            round.kill_orphans();
        },
        Clean::NextStore,
    ),
    case(
        "SIGKILL of the program, then of a worker that cleans up",
        "calls",
        |round| {
            round.is_ready();
            round.random_moment(WHILE);
            let worker = round.a_worker();
            round.kill_program();
            round.random_moment(3000);
            send(worker, Signal::KILL);
            round.ends_with(Signal::KILL);
            // The process that its task had started has no parent left.
            round.kill_children_of(worker);
        },
        Clean::NextStore,
    ),
    case("panic", "calls", |round| ends_by(round, "panic", 101), Clean::Soon),
    case("process::exit", "calls", |round| ends_by(round, "exit", 3), Clean::Soon),
    case("abort", "calls", |round| ends_by(round, "abort", Signal::ABORT), Clean::Soon),
    case("the end of main", "calls", |round| ends_by(round, "end", 0), Clean::Soon),
];

fn dies_by(round: &mut Round, signal: Signal) {
    round.is_ready();
    round.random_moment(WHILE);
    send(round.program(), signal);
    round.ends_with(signal);
}

fn ends_by(round: &mut Round, what: &str, expected: impl Into<crate::round::End>) {
    round.is_ready();
    round.random_moment(WHILE);
    round.tell(what);
    round.ends_with(expected);
}

/// The result of the rounds of one case in one place.
#[derive(Default)]
struct Outcome {
    rounds: u64,
    failures: Vec<String>,
    slowest: Duration,
}

// S9
#[test]
fn death_program_has_only_workers_as_children() {
    let mut round = Round::new(Path::new(env!("CARGO_TARGET_TMPDIR")), "holds", false, 0);
    round.is_ready();
    assert_eq!(descendants(round.program()).len(), 2);
    round.tell("end");
    round.ends_with(0);
    round.leaves_nothing(Clean::Soon);
}

// S1, S9
#[test]
fn death_of_any_process_leaves_nothing() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse().expect("a number"));
    let rounds = number("NDFERRY_TEST_ROUNDS").unwrap_or(if emulated() { 1 } else { 10 });
    let seed = number("NDFERRY_TEST_SEED").unwrap_or_else(|| mix(u64::from(std::process::id())));
    let only = env::var("NDFERRY_TEST_CASE").ok();
    println!("NDFERRY_TEST_SEED={seed} NDFERRY_TEST_ROUNDS={rounds}");

    let disk = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&disk).unwrap();
    let places = [("memory", Path::new("/dev/shm")), ("disk", &disk)];
    let uninterruptible = ignores(Signal::INT);
    if uninterruptible {
        skipped(
            "death_of_any_process_leaves_nothing by SIGINT",
            "this process was started with SIGINT ignored",
        );
    }
    let cases = CASES.iter().filter(|case| !(case.interrupts && uninterruptible));
    let cases = cases.filter(|case| only.as_ref().is_none_or(|only| case.name == only));
    let table: Vec<_> =
        cases.flat_map(|case| places.map(|(place, path)| (case, place, path))).collect();
    assert!(!table.is_empty(), "a case has that name");
    let outcomes: Vec<_> = table.iter().map(|_| Mutex::new(Outcome::default())).collect();
    // Each round runs all cases, so that different cases run at the same time.
    let todo =
        Mutex::new((0..rounds).flat_map(|round| (0..table.len()).map(move |row| (round, row))));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let Some((round, row)) = todo.lock().unwrap().next() else { break };
                    let (case, place, path) = table[row];
                    let random = mix(seed ^ mix(round) ^ mix((row as u64) << 32));
                    let done = catch_unwind(AssertUnwindSafe(|| play(case, path, random)));
                    let mut outcome = outcomes[row].lock().unwrap();
                    outcome.rounds += 1;
                    match done {
                        Ok(took) => outcome.slowest = outcome.slowest.max(took),
                        Err(why) => {
                            let why =
                                why.downcast_ref::<String>().map_or("a panic", String::as_str);
                            outcome
                                .failures
                                .push(format!("{} in {place}, round {round}: {why}", case.name));
                        }
                    }
                }
            });
        }
    });
    println!(
        "| who dies | where | rounds | failures | slowest until nothing was left |\n|---|---|---|---|---|"
    );
    let mut failures = Vec::new();
    for ((case, place, _), outcome) in table.iter().zip(outcomes) {
        let outcome = outcome.into_inner().unwrap();
        let failed = outcome.failures.len();
        let after = match case.clean {
            Clean::Soon => "",
            Clean::NextStore => ", by the next store",
        };
        let slowest = outcome.slowest.as_millis();
        println!(
            "| {} | {place} | {} | {failed} | {slowest} ms{after} |",
            case.name, outcome.rounds
        );
        failures.extend(outcome.failures);
    }
    assert!(failures.is_empty(), "NDFERRY_TEST_SEED={seed}:\n{}", failures.join("\n"));
}

fn play(case: &Case, place: &Path, random: u64) -> Duration {
    let mut round = Round::new(place, case.role, case.terminal, random);
    (case.happens)(&mut round);
    round.leaves_nothing(case.clean)
}
