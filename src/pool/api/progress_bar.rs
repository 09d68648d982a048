//! A progress bar for jobs.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use crate::pool::{
    api::{
        job::Job,
        progress::{JobProgress, TaskEvent},
    },
    marker::{OnError, TaskContext},
};

/// The interval at which a bar of unknown length moves.
const TICK_INTERVAL: Duration = Duration::from_millis(100);

impl<K: TaskContext, M: OnError> Job<'_, K, M> {
    /// Shows a progress bar on stderr while the job runs, if stderr is a terminal (feature
    /// `progress`).
    ///
    /// The bar shows finished tasks, elapsed time and failures, and remains when the job ends.
    /// It replaces a callback set with [`progress`](Job::progress).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::new()?;
    /// let squares = pool.job().progress_bar().map(|x: u64| x * x, 0..1000)?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "a job does nothing until a method such as `map` runs it"]
    pub fn progress_bar(self) -> Self {
        self.progress(shown_by(ProgressBar::new_spinner()))
    }
}

/// Returns a callback that updates `bar`.
fn shown_by(bar: ProgressBar) -> impl FnMut(&JobProgress) {
    let bar = bar.with_finish(ProgressFinish::Abandon);
    move |progress| match progress.event {
        TaskEvent::JobStarted => {
            let template = match progress.total {
                Some(total) => {
                    bar.set_length(total);
                    "{bar:40} {pos}/{len} tasks, {elapsed} elapsed, {eta} left{msg}"
                }
                None => "{spinner} {pos} tasks, {elapsed} elapsed{msg}",
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
    fn progress_bar_shows_finished_and_failed_tasks() {
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
