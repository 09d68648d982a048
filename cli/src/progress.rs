//! The progress bar, shown on stderr if that is a terminal.

use std::{
    io::{IsTerminal, stderr},
    path::Path,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use ndferry::pool::JobProgress;

use crate::text::{OneLine, shorten_start};

/// Work that takes less time shows no bar.
const SHOW_BAR_AFTER: Duration = Duration::from_millis(200);
/// Columns of the path beside the bar.
const MAX_PATH_WIDTH: usize = 30;

/// A progress bar that counts bytes. Dropping it clears it from the screen.
#[derive(Clone)]
pub struct Bar {
    bar: ProgressBar,
    started: Instant,
    on_terminal: bool,
}

impl Bar {
    /// A bar for `bytes` of the file at `path`.
    pub fn new(path: &Path, bytes: u64) -> Self {
        let style = ProgressStyle::with_template(
            "{msg} {wide_bar} {percent:>3}% of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
        );
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::hidden())
            .with_style(style.expect("the template is well-formed"))
            .with_message(label(path))
            .with_finish(ProgressFinish::AndClear);
        Self { bar, started: Instant::now(), on_terminal: stderr().is_terminal() }
    }

    /// A progress callback that moves the bar from `start` to `start + bytes`.
    pub fn callback(&self, start: u64, bytes: u64) -> impl Fn(&JobProgress) + use<> {
        let bar = self.clone();
        move |progress| {
            let total = progress.total.unwrap_or(0).max(1);
            let done = u128::from(bytes) * u128::from(progress.done) / u128::from(total);
            bar.set(start + done as u64);
        }
    }

    fn set(&self, bytes: u64) {
        self.bar.set_position(bytes);
        if self.on_terminal && self.bar.is_hidden() && self.started.elapsed() > SHOW_BAR_AFTER {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

/// The end of a path, which distinguishes it from other paths.
fn label(path: &Path) -> String {
    shorten_start(&OneLine(&path.display().to_string()).to_string(), MAX_PATH_WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::width;

    #[test]
    fn progress_label_keeps_the_end_of_a_path() {
        let label = |path: &str| label(Path::new(path));
        assert_eq!(label("short.npy"), "short.npy");
        let long = label("/a/very/long/path/to/where/the/data/is/survey.npy");
        assert!(long.starts_with('…') && long.ends_with("is/survey.npy"), "{long}");
        assert_eq!(width(&long), MAX_PATH_WIDTH);
        let wide = label("/資料/資料/資料/資料/資料/資料/資料/測量.npy");
        assert!(wide.starts_with('…') && wide.ends_with("資料/測量.npy"), "{wide}");
        assert!((MAX_PATH_WIDTH - 1..=MAX_PATH_WIDTH).contains(&width(&wide)), "{wide}");
    }
}
