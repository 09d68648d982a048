//! What a worker notes on the page it shares with its parent: which task it runs, since when, and results it has not sent yet.
//!
//! By these a death costs the running task alone, also in the middle of many: its parent reads here what the worker had finished,
//! and hands what it had not begun to another. And by these a result is there when its task is done, although the worker is busy with
//! the next and has not sent it.

use std::sync::atomic::{
    Ordering::{Acquire, Relaxed, Release, SeqCst},
    fence,
};

use super::output::Own;
use crate::{
    bytes::map::Page,
    error::{Report, Said},
    sys::clock,
};

/// The words of the page: the task that runs, the time since when, whether tasks are asked back, bytes on the notepad, messages with
/// results sent, and how many of those the parent has received.
const RUNNING: usize = 0;
const SINCE: usize = 1;
const RECALL: usize = 2;
const NOTED: usize = 3;
const SENT: usize = 4;
const RECEIVED: usize = 5;
/// How much was written to standard output and standard error before the task began, where that is kept.
const WRITTEN: [usize; 2] = [6, 7];
/// The length of the report, behind what else is on the notepad, of a panic that ends the worker.
const LAST: usize = 8;

/// What stands for a task while the state for the tasks is being built.
const BUILDING: u64 = u64::MAX;

/// What stands for a length while a report is being left.
const SPEAKING: u64 = u64::MAX;

/// Bytes before each entry on the notepad: its index and its marked length.
const ENTRY: usize = 16;

/// The worker's side.
pub(super) struct Notes {
    page: Page,
    noted: usize,
    output: Own,
}

impl Notes {
    pub(super) fn new(page: Page) -> Self {
        Self { page, noted: 0, output: Own::default() }
    }

    /// Those of a worker that says in its streams which task it begins.
    pub(super) fn with_output(self, output: Own) -> Self {
        Self { output, ..self }
    }

    /// The task at `index` begins; gives the time.
    pub(super) fn begin(&self, index: u64) -> u64 {
        for (word, written) in WRITTEN.into_iter().zip(self.output.begin(index)) {
            self.page.word(word).store(written, Relaxed);
        }
        self.go_on(index)
    }

    /// The state for the task at `index` was built, and its time begins.
    pub(super) fn go_on(&self, index: u64) -> u64 {
        self.run(index + 1)
    }

    /// What was said since the task began, as far as it is kept.
    pub(super) fn said(&self) -> Said {
        self.output.said(written(&self.page))
    }

    /// The state for the tasks is being built.
    pub(super) fn build(&self) {
        self.run(BUILDING);
    }

    fn run(&self, what: u64) -> u64 {
        // A reader that finds `what` twice, before and after it reads the time, has read the time that goes with it.
        self.page.word(RUNNING).store(0, Relaxed);
        let now = clock::now();
        self.page.word(SINCE).store(now, Release);
        self.page.word(RUNNING).store(what, Release);
        now
    }

    /// The running task has ended with this entry, which is safe here from now on. `false`: there is no room for it.
    pub(super) fn end_with(&mut self, index: u64, length: u64, bytes: &[u8]) -> bool {
        if self.noted + ENTRY + bytes.len() > Page::capacity() {
            return false;
        }
        let mut head = [0; ENTRY];
        head[..8].copy_from_slice(&index.to_le_bytes());
        head[8..].copy_from_slice(&length.to_le_bytes());
        self.page.write(self.noted, &head);
        self.page.write(self.noted + ENTRY, bytes);
        self.noted += ENTRY + bytes.len();
        self.page.word(NOTED).store(self.noted as u64, Release);
        self.page.word(RUNNING).store(0, Release);
        true
    }

    /// All results are on their way: nothing of them need be kept here.
    pub(super) fn sent(&mut self) {
        self.noted = 0;
        // Who sees the new count sees that nothing is noted, and who sees anything of what is noted from here on sees the count.
        self.page.word(NOTED).store(0, Release);
        self.page.word(SENT).fetch_add(1, SeqCst);
        fence(SeqCst);
        self.page.word(RUNNING).store(0, Release);
    }

    /// Whether tasks were asked back since this was last asked.
    pub(super) fn is_recalled(&self) -> bool {
        self.page.word(RECALL).load(Relaxed) != 0 && self.page.word(RECALL).swap(0, Acquire) != 0
    }
}

/// Leaves a report on the page of a worker that cannot send any more. Of several, the first stays.
pub(super) fn leave_word(page: &Page, report: &Report) {
    let Ok(bytes) = serde_json::to_vec(report) else { return };
    let noted = usize::try_from(page.word(NOTED).load(Acquire)).unwrap_or(0);
    if noted + bytes.len() <= Page::capacity()
        && page.word(LAST).compare_exchange(0, SPEAKING, Acquire, Relaxed).is_ok()
        && page.write_aside(noted, &bytes).is_ok()
    {
        page.word(LAST).store(bytes.len() as u64, Release);
    }
}

/// The report that a worker has left when it died.
pub(super) fn last_word(page: &Page) -> Option<Report> {
    let length = usize::try_from(page.word(LAST).load(Acquire))
        .ok()
        .filter(|length| (1..=Page::capacity()).contains(length))?;
    let noted = usize::try_from(page.word(NOTED).load(Acquire)).ok()?;
    let bytes = page.read(noted.checked_add(length)?).ok()?;
    serde_json::from_slice(bytes.get(noted..)?).ok()
}

/// What a worker was last seen to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Nothing,
    /// The task at an index, since a moment of the [clock].
    Task(u64, u64),
    Building,
}

/// What the worker does.
pub(super) fn doing(page: &Page) -> Doing {
    loop {
        let running = page.word(RUNNING).load(Acquire);
        let since = page.word(SINCE).load(Acquire);
        if page.word(RUNNING).load(Acquire) == running {
            return match running {
                0 => Doing::Nothing,
                BUILDING => Doing::Building,
                task => Doing::Task(task - 1, since),
            };
        }
    }
}

/// How much was written to standard output and standard error before the task began.
pub(super) fn written(page: &Page) -> [u64; 2] {
    WRITTEN.map(|word| page.word(word).load(Acquire))
}

/// Asks the worker for what it has not begun, or no longer.
pub(super) fn recall(page: &Page, ask: bool) {
    page.word(RECALL).store(ask.into(), Release);
}

/// A message with results was received.
pub(super) fn received(page: &Page) {
    page.word(RECEIVED).fetch_add(1, Relaxed);
}

/// What a worker has finished and not sent: indices, marked lengths and bytes. Nothing where a message is on its way.
pub(super) fn unsent(page: &Page) -> Vec<(u64, u64, Vec<u8>)> {
    let on_its_way = || page.word(SENT).load(SeqCst) != page.word(RECEIVED).load(Relaxed);
    if on_its_way() {
        return Vec::new();
    }
    let noted = usize::try_from(page.word(NOTED).load(Acquire)).unwrap_or(0);
    let Ok(bytes) = page.read(noted) else {
        return Vec::new();
    };
    fence(SeqCst);
    if on_its_way() {
        // It may have been written over while it was read.
        return Vec::new();
    }
    let mut entries = Vec::new();
    let mut rest = &*bytes;
    while let Some((head, behind)) = rest.split_at_checked(ENTRY) {
        let (index, length) = head.split_at(8);
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
        let (index, length) = (number(index), number(length));
        let Some((entry, next)) = behind.split_at_checked(super::message::length_of(length)) else {
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

    fn sides() -> (Notes, Page) {
        let page = Page::new().unwrap();
        let other = Page::of(page.as_fd().try_clone_to_owned().unwrap().into()).unwrap();
        (Notes::new(other), page)
    }

    #[test]
    fn a_reader_sees_what_runs_and_what_was_finished() {
        let (mut notes, page) = sides();
        assert_eq!(doing(&page), Doing::Nothing);
        let since = notes.begin(7);
        assert_eq!(doing(&page), Doing::Task(7, since));
        assert!(notes.end_with(7, 3, b"abc"));
        assert_eq!(doing(&page), Doing::Nothing);
        notes.begin(8);
        assert!(notes.end_with(8, super::super::message::REPORT | 1, b"x"));
        notes.build();
        assert_eq!(doing(&page), Doing::Building);
        let left_behind = unsent(&page);
        assert_eq!(left_behind.len(), 2);
        assert_eq!(left_behind[0], (7, 3, b"abc".to_vec()));
        assert_eq!((left_behind[1].0, &*left_behind[1].2), (8, &b"x"[..]));
        notes.sent();
        assert!(unsent(&page).is_empty());
        notes.begin(9);
        assert!(notes.end_with(9, 1, b"y"));
        assert!(unsent(&page).is_empty(), "a message is on its way");
        received(&page);
        assert_eq!(unsent(&page), [(9, 1, b"y".to_vec())]);
    }

    #[test]
    fn the_first_word_that_is_left_stays() {
        let (mut notes, page) = sides();
        notes.begin(7);
        assert!(notes.end_with(7, 3, b"abc"));
        assert!(last_word(&page).is_none());
        for message in ["first", "second"] {
            leave_word(&notes.page, &Report::Result { message: message.into() });
        }
        assert!(matches!(last_word(&page), Some(Report::Result { message }) if message == "first"));
        assert_eq!(unsent(&page), [(7, 3, b"abc".to_vec())]);
    }

    #[test]
    fn what_has_no_room_is_refused_and_a_recall_is_seen_once() {
        let (mut notes, page) = sides();
        notes.begin(0);
        assert!(!notes.end_with(0, 0, &vec![0; Page::capacity()]));
        assert!(matches!(doing(&page), Doing::Task(0, _)));
        assert!(!notes.is_recalled());
        recall(&page, true);
        assert!(notes.is_recalled());
        assert!(!notes.is_recalled());
    }
}
