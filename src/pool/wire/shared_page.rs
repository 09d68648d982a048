//! The page that a worker shares with its parent. The worker records there which task it runs,
//! since when, and results that it has not sent.
//!
//! If a worker dies, only the task that it was running is lost: the parent reads finished
//! results from the page, and gives tasks that were not started to other workers. A result is
//! also available as soon as its task has ended, even if the worker is busy with the next one.

use std::{
    io,
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{
            Ordering::{Acquire, Relaxed, Release, SeqCst},
            fence,
        },
    },
};

use super::{message::entry_len, report::FailureReport};
use crate::{bytes::map::Page, sys::monotonic_nanos};

/// The words of the page: the running task, its start time, the number of tasks begun and whether
/// more may begin, the bytes of recorded results, the number of messages with results sent, the
/// number of those received, and the number of messages with tasks whose tasks were recalled.
const RUNNING_TASK: usize = 0;
const RUNNING_SINCE: usize = 1;
const BEGUN: usize = 2;
const NOTED_LEN: usize = 3;
const MESSAGES_SENT: usize = 4;
const MESSAGES_RECEIVED: usize = 5;
const RECALLED_MESSAGES: usize = 9;
/// The length of standard output and standard error before the task started, if they are
/// captured.
const OUTPUT_LEN: [usize; 2] = [6, 7];
/// The length of the report of a fatal panic, which follows the recorded results.
const LAST_REPORT_LEN: usize = 8;

/// The bit of `BEGUN` that keeps the worker from beginning another task. The other bits count.
const RECALLED: u64 = 1;
/// What a task adds to `BEGUN`.
const ONE_BEGUN: u64 = 2;

/// The value for a task while the state is being built.
const BUILDING_STATE: u64 = u64::MAX;

/// The value for a length while a report is being written.
const REPORT_IN_PROGRESS: u64 = u64::MAX;

/// The bytes before each recorded result: its index and its flagged length.
const NOTE_HEAD_LEN: usize = 16;

/// Returns the two ends of a page within this process.
///
/// # Errors
///
/// Returns an error if the system cannot provide the memory.
pub(crate) fn in_process() -> io::Result<(Arc<Page>, PageWriter)> {
    let page = Page::new()?;
    let writer = PageWriter::new(Page::of(page.as_fd().try_clone_to_owned()?.into())?);
    Ok((Arc::new(page), writer))
}

/// The worker's side of the page.
pub(crate) struct PageWriter {
    page: Page,
    noted: usize,
}

impl PageWriter {
    pub(crate) fn new(page: Page) -> Self {
        Self { page, noted: 0 }
    }

    /// Records that the task at `index` starts, and the current length of its output streams.
    /// Returns the time.
    pub(crate) fn begin(&self, index: u64, written: [u64; 2]) -> u64 {
        for (word, written) in OUTPUT_LEN.into_iter().zip(written) {
            self.page.word(word).store(written, Relaxed);
        }
        self.go_on(index)
    }

    /// Records that the state for the task at `index` was built. Its time starts now.
    pub(crate) fn go_on(&self, index: u64) -> u64 {
        self.run(index + 1)
    }

    /// Returns the length of the output streams before the task started.
    pub(crate) fn output_before_task(&self) -> [u64; 2] {
        output_before_task(&self.page)
    }

    /// Records that the state is being built.
    pub(crate) fn build(&self) {
        self.run(BUILDING_STATE);
    }

    fn run(&self, what: u64) -> u64 {
        // A reader that reads the same task before and after the time has read the time of that
        // task.
        self.page.word(RUNNING_TASK).store(0, Relaxed);
        let now = monotonic_nanos();
        self.page.word(RUNNING_SINCE).store(now, Release);
        self.page.word(RUNNING_TASK).store(what, Release);
        now
    }

    /// Records the result of the running task, which is safe here from now on. Returns false if
    /// there is no room.
    pub(crate) fn end_with(&mut self, index: u64, length: u64, bytes: &[u8]) -> bool {
        if self.noted + NOTE_HEAD_LEN + bytes.len() > Page::capacity() {
            return false;
        }
        let mut head = [0; NOTE_HEAD_LEN];
        head[..8].copy_from_slice(&index.to_le_bytes());
        head[8..].copy_from_slice(&length.to_le_bytes());
        self.page.write(self.noted, &head);
        self.page.write(self.noted + NOTE_HEAD_LEN, bytes);
        self.noted += NOTE_HEAD_LEN + bytes.len();
        self.page.word(NOTED_LEN).store(self.noted as u64, Release);
        self.page.word(RUNNING_TASK).store(0, Release);
        true
    }

    /// Removes all recorded results, because they were sent.
    pub(crate) fn sent(&mut self) {
        self.noted = 0;
        // A reader that sees the new count sees no recorded results. A reader that sees later
        // results also sees the count.
        self.page.word(NOTED_LEN).store(0, Release);
        self.page.word(MESSAGES_SENT).fetch_add(1, SeqCst);
        fence(SeqCst);
        self.page.word(RUNNING_TASK).store(0, Release);
    }

    /// Counts a task as begun. Returns false if its tasks were recalled: then the task belongs
    /// to the parent again.
    pub(crate) fn claim(&self) -> bool {
        // The parent reads the count and sets the bit at once, so it knows which tasks it has.
        let claimed = self.page.word(BEGUN).fetch_update(Acquire, Acquire, |begun| {
            (begun & RECALLED == 0).then(|| begun + ONE_BEGUN)
        });
        claimed.is_ok()
    }

    /// Returns how many messages with tasks the worker had been sent in its life when tasks were
    /// recalled.
    pub(crate) fn recalled_messages(&self) -> u64 {
        self.page.word(RECALLED_MESSAGES).load(Relaxed)
    }

    /// Lets tasks begin again, after those that were recalled are gone.
    pub(crate) fn end_recall(&self) {
        end_recall(&self.page);
    }
}

/// Writes a report onto the page of a worker that cannot send any more. The first of several
/// reports stays.
pub(crate) fn leave_last_report(page: &Page, report: &FailureReport) {
    let Ok(bytes) = serde_json::to_vec(report) else { return };
    let noted = usize::try_from(page.word(NOTED_LEN).load(Acquire)).unwrap_or(0);
    if noted + bytes.len() <= Page::capacity()
        && page
            .word(LAST_REPORT_LEN)
            .compare_exchange(0, REPORT_IN_PROGRESS, Acquire, Relaxed)
            .is_ok()
        && page.write_aside(noted, &bytes).is_ok()
    {
        page.word(LAST_REPORT_LEN).store(bytes.len() as u64, Release);
    }
}

/// Returns the report that a dead worker has left.
pub(crate) fn last_report(page: &Page) -> Option<FailureReport> {
    let length = usize::try_from(page.word(LAST_REPORT_LEN).load(Acquire))
        .ok()
        .filter(|length| (1..=Page::capacity()).contains(length))?;
    let noted = usize::try_from(page.word(NOTED_LEN).load(Acquire)).ok()?;
    let bytes = page.read(noted.checked_add(length)?).ok()?;
    serde_json::from_slice(bytes.get(noted..)?).ok()
}

/// The current activity of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    Nothing,
    /// A task index, and its start by [`monotonic_nanos`].
    Task(u64, u64),
    Building,
}

/// Returns the activity of the worker.
pub(crate) fn activity(page: &Page) -> Activity {
    loop {
        let running = page.word(RUNNING_TASK).load(Acquire);
        let since = page.word(RUNNING_SINCE).load(Acquire);
        if page.word(RUNNING_TASK).load(Acquire) == running {
            return match running {
                0 => Activity::Nothing,
                BUILDING_STATE => Activity::Building,
                task => Activity::Task(task - 1, since),
            };
        }
    }
}

/// Returns the length of the output streams before the task started.
pub(crate) fn output_before_task(page: &Page) -> [u64; 2] {
    OUTPUT_LEN.map(|word| page.word(word).load(Acquire))
}

/// Keeps the worker from beginning another task. It had been sent `messages` with tasks in its
/// life. Returns how many tasks it has begun.
pub(crate) fn recall(page: &Page, messages: u64) -> u64 {
    page.word(RECALLED_MESSAGES).store(messages, Relaxed);
    page.word(BEGUN).fetch_or(RECALLED, SeqCst) / ONE_BEGUN
}

/// Lets the worker begin tasks again.
pub(crate) fn end_recall(page: &Page) {
    page.word(BEGUN).fetch_and(!RECALLED, Release);
}

/// Records that a message with results was received.
pub(crate) fn received(page: &Page) {
    page.word(MESSAGES_RECEIVED).fetch_add(1, Relaxed);
}

/// A recorded result: its index, its flagged length and its bytes.
pub(crate) type UnsentResult = (u64, u64, Vec<u8>);

/// Returns results that the worker has finished and not sent. There are none while a message is
/// on its way.
pub(crate) fn unsent(page: &Page) -> Vec<UnsentResult> {
    let on_its_way =
        || page.word(MESSAGES_SENT).load(SeqCst) != page.word(MESSAGES_RECEIVED).load(Relaxed);
    if on_its_way() {
        return Vec::new();
    }
    let noted = usize::try_from(page.word(NOTED_LEN).load(Acquire)).unwrap_or(0);
    let Ok(bytes) = page.read(noted) else {
        return Vec::new();
    };
    fence(SeqCst);
    if on_its_way() {
        // It may have been overwritten while it was read.
        return Vec::new();
    }
    let mut entries = Vec::new();
    let mut rest = &*bytes;
    while let Some((head, behind)) = rest.split_at_checked(NOTE_HEAD_LEN) {
        let (index, length) = head.split_at(8);
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
        let (index, length) = (number(index), number(length));
        let Some((entry, next)) = behind.split_at_checked(entry_len(length)) else {
            break;
        };
        entries.push((index, length, entry.to_vec()));
        rest = next;
    }
    entries
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn sides() -> (PageWriter, Page) {
        let page = Page::new().unwrap();
        let other = Page::of(page.as_fd().try_clone_to_owned().unwrap().into()).unwrap();
        (PageWriter::new(other), page)
    }

    #[test]
    fn page_shows_running_and_finished_tasks() {
        let (mut notes, page) = sides();
        assert_eq!(activity(&page), Activity::Nothing);
        let since = notes.begin(7, [0, 0]);
        assert_eq!(activity(&page), Activity::Task(7, since));
        assert!(notes.end_with(7, 3, b"abc"));
        assert_eq!(activity(&page), Activity::Nothing);
        notes.begin(8, [0, 0]);
        assert!(notes.end_with(8, super::super::message::REPORT_FLAG | 1, b"x"));
        notes.build();
        assert_eq!(activity(&page), Activity::Building);
        let left_behind = unsent(&page);
        assert_eq!(left_behind.len(), 2);
        assert_eq!(left_behind[0], (7, 3, b"abc".to_vec()));
        assert_eq!((left_behind[1].0, &*left_behind[1].2), (8, &b"x"[..]));
        notes.sent();
        assert!(unsent(&page).is_empty());
        notes.begin(9, [0, 0]);
        assert!(notes.end_with(9, 1, b"y"));
        assert!(unsent(&page).is_empty(), "a message is on its way");
        received(&page);
        assert_eq!(unsent(&page), [(9, 1, b"y".to_vec())]);
    }

    #[test]
    fn page_keeps_the_first_message() {
        let (mut notes, page) = sides();
        notes.begin(7, [0, 0]);
        assert!(notes.end_with(7, 3, b"abc"));
        assert!(last_report(&page).is_none());
        for message in ["first", "second"] {
            leave_last_report(&notes.page, &FailureReport::Result { message: message.into() });
        }
        assert!(
            matches!(last_report(&page), Some(FailureReport::Result { message }) if message == "first")
        );
        assert_eq!(unsent(&page), [(7, 3, b"abc".to_vec())]);
    }

    #[test]
    fn page_refuses_long_results() {
        let (mut notes, page) = sides();
        notes.begin(0, [0, 0]);
        assert!(!notes.end_with(0, 0, &vec![0; Page::capacity()]));
        assert!(matches!(activity(&page), Activity::Task(0, _)));
    }

    #[test]
    fn page_recalled_task_cannot_begin() {
        let (notes, page) = sides();
        assert!(notes.claim() && notes.claim());
        assert_eq!(recall(&page, 0), 2);
        assert!(!notes.claim() && !notes.claim());
        assert_eq!(recall(&page, 0), 2);
        notes.end_recall();
        assert!(notes.claim());
        assert_eq!(recall(&page, 0), 3);
    }

    #[test]
    fn page_task_is_begun_or_recalled_never_both() {
        let (notes, page) = sides();
        for round in 0..1000 {
            let begun = std::thread::scope(|scope| {
                let begun = scope.spawn(|| (0..50).take_while(|_| notes.claim()).count() as u64);
                let counted = recall(&page, 0);
                (begun.join().unwrap(), counted)
            });
            assert_eq!(begun.0, begun.1, "{round}");
            page.word(BEGUN).store(0, Relaxed);
        }
    }
}
