//! A progress bar for calls, as a consumer of their events.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use crate::pool::{
    api::{
        job::Job,
        progress::{JobProgress, TaskEvent},
    },
    marker::{OnError, TaskContext},
};

/// How often a bar of unknown length moves.
const TICK_INTERVAL: Duration = Duration::from_millis(100);

impl<K: TaskContext, M: OnError> Job<'_, K, M> {
    /// Shows a bar on stderr while the call runs, where that is a terminal: tasks done of all there are, time, failures. It stays, full or as
    /// far as it came, when the call is over. In the place of a [`progress`](Job::progress) of one's own (feature `progress`).
    ///
    /// ```no_run
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::new()?;
    /// let squares = pool.call().progress_bar().map(|x: u64| x * x, 0..1000)?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "a call runs when it is given a verb"]
    pub fn progress_bar(self) -> Self {
        self.progress(shown_by(ProgressBar::new_spinner()))
    }
}

/// What moves `bar`.
fn shown_by(bar: ProgressBar) -> impl FnMut(&JobProgress) {
    let bar = bar.with_finish(ProgressFinish::Abandon);
    move |progress| match progress.event {
        TaskEvent::JobStarted => {
            let template = match progress.total {
                Some(total) => {
                    bar.set_length(total);
                    "{bar:40} {pos}/{len} tasks, {elapsed} gone, {eta} left{msg}"
                }
                None => "{spinner} {pos} tasks, {elapsed} gone{msg}",
            };
            bar.set_style(
                ProgressStyle::with_template(template).expect("the template is well-formed"),
            );
            bar.enable_steady_tick(TICK_INTERVAL);
        }
        TaskEvent::Done(_) => bar.set_position(progress.done + progress.failed),
        TaskEvent::Failed(_) => {
            bar.set_position(progress.done + progress.failed);
            bar.set_message(format!(", {} failed", progress.failed));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use indicatif::{InMemoryTerm, ProgressDrawTarget};

    use super::*;

    #[test]
    fn a_bar_shows_what_is_done_and_what_has_failed() {
        for (total, expected) in [(Some(3), " 2/3 tasks, "), (None, " 2 tasks, ")] {
            let terminal = InMemoryTerm::new(10, 100);
            let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
            let mut watch = shown_by(ProgressBar::with_draw_target(None, target));
            let mut progress = JobProgress::begun(total);
            watch(&progress);
            (progress.done, progress.event) = (1, TaskEvent::Done(0));
            watch(&progress);
            (progress.failed, progress.event) = (1, TaskEvent::Failed(1));
            watch(&progress);
            drop(watch);
            let shown = terminal.contents();
            assert!(shown.contains(expected) && shown.ends_with(", 1 failed"), "{shown}");
        }
    }
}
