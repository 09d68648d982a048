//! Tasks of every fate, and what must come of them.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use ndferry::{
    SharedArray,
    ndarray::Ix1,
    pool::{TaskError, TaskErrorKind},
};
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::dice::Dice;
use crate::ledger::note;

/// How long a task may run, where one hangs.
pub fn limit() -> Duration {
    Duration::from_secs(if crate::common::emulated() { 20 } else { 2 })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    Fine,
    Error,
    Panic,
    Abort,
    Kill,
    Exit,
    /// Waits for its timeout.
    Hang,
    PanicOnce,
    KillOnce,
    /// Ends well, and its worker is killed some microseconds after it began: maybe in it, maybe in another, or in between.
    Doom(u32),
    HugeItem,
    HugeResult,
    UnsaidItem,
    UnheardItem,
    UnsaidResult,
    UnheardResult,
}

/// Fates that are failures, or not far from it.
const BAD: [Fate; 12] = [
    Fate::Error,
    Fate::Panic,
    Fate::Abort,
    Fate::Kill,
    Fate::Exit,
    Fate::PanicOnce,
    Fate::KillOnce,
    Fate::HugeResult,
    Fate::UnsaidItem,
    Fate::UnheardItem,
    Fate::UnsaidResult,
    Fate::UnheardResult,
];

impl Fate {
    /// A fate, of which `bad` in a hundred are bad.
    pub fn any(dice: &mut Dice, bad: u64, dooms: bool) -> Self {
        match dice.below(100) {
            roll if roll < bad => *dice.choose(&BAD),
            roll if roll < bad + 3 => Self::HugeItem,
            roll if dooms && roll < bad + 8 => Self::Doom(dice.below(4000) as u32),
            _ => Self::Fine,
        }
    }

    /// Whether it is soon over on a busy machine: the first panic of a worker looks up the names of its backtrace in the whole program.
    pub fn is_brief(self) -> bool {
        !matches!(self, Self::Panic | Self::PanicOnce | Self::HugeItem | Self::HugeResult)
    }

    /// How often such a task is begun, and how it fails, where it may be tried again `retries` times.
    pub fn outcome(self, retries: u32) -> (usize, Option<TaskErrorKind>) {
        let all = 1 + retries as usize;
        match self {
            Self::Fine | Self::Doom(_) | Self::HugeItem | Self::HugeResult => (1, None),
            Self::PanicOnce | Self::KillOnce if retries > 0 => (2, None),
            Self::Error => (all, Some(TaskErrorKind::Error)),
            Self::Panic | Self::PanicOnce => (all, Some(TaskErrorKind::Panic)),
            Self::Abort | Self::Kill | Self::KillOnce | Self::Exit => {
                (all, Some(TaskErrorKind::WorkerDied))
            }
            Self::Hang => (all, Some(TaskErrorKind::Timeout)),
            Self::UnsaidItem | Self::UnheardItem => (0, Some(TaskErrorKind::EncodeArgument)),
            Self::UnsaidResult | Self::UnheardResult => (1, Some(TaskErrorKind::EncodeResult)),
        }
    }

    /// Whether an error tells truly of it.
    pub fn explains(self, error: &TaskError) -> bool {
        let ends = (error.signal(), error.exit_code());
        match self {
            Self::Error => error.message() == "a misfortune" && error.type_name().is_some(),
            Self::Panic | Self::PanicOnce => {
                error.message() == "a panic" && error.location().is_some()
            }
            Self::Abort => ends == (Some(6), None),
            Self::Kill | Self::KillOnce => ends == (Some(9), None),
            Self::Exit => ends == (None, Some(0)),
            Self::UnsaidItem | Self::UnsaidResult => error.message().ends_with("cannot be said"),
            Self::UnheardItem | Self::UnheardResult => error.message().ends_with("cannot be heard"),
            Self::Hang => error.elapsed() >= limit(),
            Self::Fine | Self::Doom(_) | Self::HugeItem | Self::HugeResult => false,
        }
    }
}

/// What cannot be serialised, or not be read back.
#[derive(Clone, Copy, Debug)]
pub struct Touchy {
    says: bool,
    heard: bool,
}

impl Touchy {
    fn new(fate: Fate, unsaid: Fate, unheard: Fate) -> Self {
        Self { says: fate != unsaid, heard: fate != unheard }
    }
}

impl Serialize for Touchy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.says {
            self.heard.serialize(serializer)
        } else {
            Err(ser::Error::custom("this cannot be said"))
        }
    }
}

impl<'de> Deserialize<'de> for Touchy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match bool::deserialize(deserializer)? {
            true => Ok(Self { says: true, heard: true }),
            false => Err(de::Error::custom("this cannot be heard")),
        }
    }
}

/// An item.
#[derive(Serialize, Deserialize)]
pub struct Chore {
    pub index: u32,
    pub fate: Fate,
    ledger: PathBuf,
    pause: Duration,
    load: SharedArray<f64, Ix1>,
    size: u32,
    touchy: Touchy,
}

impl Chore {
    pub fn new(index: u32, fate: Fate, ledger: &Path, dice: &mut Dice) -> Self {
        let long = if fate == Fate::HugeItem {
            200_000 + dice.below(200_000)
        } else {
            *dice.choose(&[0, 1, 90, 3000])
        };
        let size = if fate == Fate::HugeResult {
            200_000 + dice.below(200_000)
        } else {
            *dice.choose(&[0, 1, 90, 3000])
        };
        let pause = Duration::from_micros(*dice.choose(&[0, 0, 0, 50, 500, 3000]));
        let load = SharedArray::from(vec![f64::from(index) + 0.5; long as usize]);
        let touchy = Touchy::new(fate, Fate::UnsaidItem, Fate::UnheardItem);
        Self { index, fate, ledger: ledger.to_path_buf(), pause, load, size: size as u32, touchy }
    }

    /// What comes of it, where all goes well.
    pub fn expected(&self) -> Expected {
        Expected { sum: self.load.sum(), size: self.size as usize }
    }
}

/// What must be in a result.
pub struct Expected {
    sum: f64,
    size: usize,
}

/// A result.
#[derive(Serialize, Deserialize)]
pub struct Yield {
    pub index: u32,
    sum: f64,
    array: SharedArray<f64, Ix1>,
    touchy: Touchy,
}

impl fmt::Debug for Yield {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Yield {} with {} elements", self.index, self.array.len())
    }
}

impl Yield {
    pub fn is(&self, index: u64, expected: &Expected) -> bool {
        let element = f64::from(self.index) * 2.0;
        u64::from(self.index) == index
            && (self.sum - expected.sum).abs() <= 1e-9 * expected.sum
            && self.array.len() == expected.size
            && self.array.iter().all(|found| *found == element)
    }
}

#[derive(Debug)]
pub struct Misfortune;

impl fmt::Display for Misfortune {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a misfortune")
    }
}

impl std::error::Error for Misfortune {}

pub fn run(chore: Chore) -> Result<Yield, Misfortune> {
    let Chore { index, fate, ledger, pause, load, size, .. } = chore;
    note(&ledger, format!("{index} {}", std::process::id()));
    std::thread::sleep(pause);
    let is_first = || {
        let lines = std::fs::read_to_string(&ledger).unwrap();
        let begun = lines
            .lines()
            .filter(|line| line.split_once(' ').is_some_and(|(at, _)| at == index.to_string()));
        begun.count() < 2
    };
    let kill = || kill_process(getpid(), Signal::KILL).unwrap();
    match fate {
        Fate::Error => return Err(Misfortune),
        Fate::Panic => panic!("a panic"),
        Fate::Abort => std::process::abort(),
        Fate::Kill => kill(),
        Fate::Exit => std::process::exit(0),
        Fate::Hang => std::thread::sleep(Duration::from_secs(1000)),
        Fate::PanicOnce if is_first() => panic!("a panic"),
        Fate::KillOnce if is_first() => kill(),
        Fate::Doom(micros) => {
            note(&ledger, "doom");
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_micros(micros.into()));
                kill_process(getpid(), Signal::KILL)
            });
        }
        _ => {}
    }
    let touchy = Touchy::new(fate, Fate::UnsaidResult, Fate::UnheardResult);
    let array = SharedArray::from(vec![f64::from(index) * 2.0; size as usize]);
    Ok(Yield { index, sum: load.sum(), array, touchy })
}

/// A large context, which every task looks at.
pub type Context = SharedArray<f64, Ix1>;

pub fn context(dice: &mut Dice) -> Context {
    SharedArray::from(vec![1.0; *dice.choose(&[1, 1000, 200_000])])
}

pub fn run_with(context: &Context, chore: Chore) -> Result<Yield, Misfortune> {
    assert!(context.iter().all(|element| *element == 1.0), "the context is another's");
    run(chore)
}

/// State that stays where it was built.
pub struct State {
    process: u32,
    context: Context,
}

pub fn build(context: &Context) -> State {
    State { process: std::process::id(), context: context.clone() }
}

pub fn run_on(state: &mut State, chore: Chore) -> Result<Yield, Misfortune> {
    assert_eq!(state.process, std::process::id(), "the state is another worker's");
    run_with(&state.context, chore)
}
