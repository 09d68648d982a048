//! A log on disk that tasks append to and tests read. Lines survive the death of the task.

use std::{
    fmt::Display,
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

/// A file of lines, with flags beside it.
pub struct Ledger(tempfile::TempDir);

impl Ledger {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The path that tasks pass to [`note`].
    pub fn path(&self) -> PathBuf {
        self.0.path().join("ledger")
    }

    pub fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path()).unwrap_or_default();
        text.lines().map(String::from).collect()
    }

    pub fn count(&self, line: impl Display) -> usize {
        let line = line.to_string();
        self.lines().iter().filter(|noted| **noted == line).count()
    }

    /// The path of a flag that does not exist yet.
    pub fn flag(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Appends a line atomically, also with other writers.
pub fn note(ledger: &Path, line: impl Display) {
    let mut file = OpenOptions::new().create(true).append(true).open(ledger).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Sets a flag.
pub fn raise(flag: &Path) {
    std::fs::write(flag, "").unwrap();
}

/// Waits until a flag is set.
pub fn wait_for(flag: &Path) {
    while !flag.exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
}
