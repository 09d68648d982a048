//! The progress bar: on stderr, only where that is a terminal, and gone when the work is done.

use std::{
    io::{IsTerminal, stderr},
    path::Path,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use ndferry::pool::JobProgress;

use super::text::OneLine;

/// Work that is done sooner than this shows no bar.
const PATIENCE: Duration = Duration::from_millis(200);
/// Characters of a path that are shown, from its end.
const NAME: usize = 30;

/// A bar that fills as bytes are gone through, and leaves the screen when it is dropped.
#[derive(Clone)]
pub struct Bar {
    bar: ProgressBar,
    started: Instant,
    watched: bool,
}

impl Bar {
    /// A bar for `bytes` of the file at `path`.
    pub fn new(path: &Path, bytes: u64) -> Self {
        let style = ProgressStyle::with_template(
            "{msg} {bar:24} {percent:>3}% of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
        );
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::hidden())
            .with_style(style.expect("the template is well-formed"))
            .with_message(end_of(&OneLine(&path.display().to_string()).to_string()))
            .with_finish(ProgressFinish::AndClear);
        Self { bar, started: Instant::now(), watched: stderr().is_terminal() }
    }

    /// What moves the bar from where `start` bytes are done to `bytes` further on, as a call to the pool gets on.
    pub fn moved_by(&self, start: u64, bytes: u64) -> impl Fn(&JobProgress) + use<> {
        let bar = self.clone();
        move |progress| {
            let total = progress.total.unwrap_or(0).max(1);
            let done = u128::from(bytes) * u128::from(progress.done) / u128::from(total);
            bar.set(start + done as u64);
        }
    }

    fn set(&self, bytes: u64) {
        self.bar.set_position(bytes);
        if self.watched && self.bar.is_hidden() && self.started.elapsed() > PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

/// The end of a path is what tells it from its neighbours.
fn end_of(path: &str) -> String {
    match path.chars().count().checked_sub(NAME) {
        None | Some(0) => path.to_owned(),
        Some(cut) => std::iter::once('…').chain(path.chars().skip(cut + 1)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_keeps_its_end() {
        assert_eq!(end_of("short.npy"), "short.npy");
        let long = end_of("/a/very/long/path/to/where/the/data/is/survey.npy");
        assert!(long.starts_with('…') && long.ends_with("is/survey.npy"), "{long}");
        assert_eq!(long.chars().count(), NAME);
    }
}
