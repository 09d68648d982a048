//! What is told of a failing task: its error by its words, its panic by message, place and
//! backtrace.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    error::Error as StdError,
    fmt::Write as _,
    panic::{self, AssertUnwindSafe, UnwindSafe},
    sync::{Mutex, Once, PoisonError},
};

use crate::pool::wire::report::FailureReport;
use crate::{bytes::map::Page, pool::wire::shared_page};

/// Causes of an error that are told: more are a circle.
const MAX_CAUSES: usize = 64;

thread_local! {
    /// Whether this thread is inside a task.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// Location and backtrace of the latest panic of a task of this thread.
    static PANIC: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// Runs code of a task; what it panics with is its report.
pub(crate) fn catch<T>(code: impl FnOnce() -> T + UnwindSafe) -> Result<T, FailureReport> {
    let outside = INSIDE.replace(true);
    // What an earlier panic, caught by a task, has left is not this one's.
    PANIC.take();
    let caught = panic::catch_unwind(code);
    INSIDE.set(outside);
    caught.map_err(|payload| {
        let report = report(payload.as_ref());
        discard(payload);
        report
    })
}

/// Whether this thread is inside a task.
pub(crate) fn is_inside() -> bool {
    INSIDE.get()
}

/// Lets go of what may panic on its way out.
pub(crate) fn discard<T>(value: T) {
    let outside = INSIDE.replace(true);
    attempt(|| drop(value));
    INSIDE.set(outside);
}

/// What `code` gives; `None` where it panics.
fn attempt<T>(code: impl FnOnce() -> T) -> Option<T> {
    // The payload may panic on its way out in its turn, and so on: it stays.
    panic::catch_unwind(AssertUnwindSafe(code)).map_err(std::mem::forget).ok()
}

/// From here on a panic of a task is noted for its report, and nothing else. One of any other
/// thread goes the way it would have.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if cfg!(panic = "abort") {
                leave_report(info);
            }
            if INSIDE.get() { keep_panic(info) } else { others(info) }
        }));
    });
}

/// The page on which this worker leaves word of a panic that is its end.
static LAST_REPORT_PAGE: Mutex<Option<Page>> = Mutex::new(None);

/// Has what ends this worker noted there.
pub(crate) fn set_last_report_page(page: Page) {
    // A forked worker has inherited that of the process it was forked from.
    *LAST_REPORT_PAGE.lock().unwrap_or_else(PoisonError::into_inner) = Some(page);
}

/// Where a panic is the end of the process, whichever thread it is of, only this comes between.
fn leave_report(info: &panic::PanicHookInfo<'_>) {
    let last = LAST_REPORT_PAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(page) = &*last else { return };
    let location = info.location().map(ToString::to_string);
    let backtrace = std::backtrace::Backtrace::force_capture().to_string();
    let report = |backtrace| FailureReport::Panic {
        message: words(info.payload()),
        location: location.clone(),
        backtrace,
    };
    shared_page::leave_last_report(page, &report(backtrace));
    // Without the backtrace, where it has no room.
    shared_page::leave_last_report(page, &report(String::new()));
}

/// Keeps what the report of a panic needs and what is gone once it is caught.
fn keep_panic(info: &panic::PanicHookInfo<'_>) {
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = std::backtrace::Backtrace::force_capture().to_string();
    PANIC.with(|panic| {
        // In a panic while another is being noted, the first is the one to tell.
        if let Ok(mut panic) = panic.try_borrow_mut() {
            *panic = Some((location, backtrace));
        }
    });
}

/// What a panic says.
fn words(payload: &dyn Any) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "(a panic with something that is no text)".into()
    }
}

fn report(payload: &(dyn Any + Send)) -> FailureReport {
    let message = words(payload);
    let (location, backtrace) = PANIC.with(RefCell::take).unwrap_or_default();
    FailureReport::Panic {
        message,
        location: Some(location).filter(|location| !location.is_empty()),
        backtrace,
    }
}

/// An error that a task returned, by its words. Words that cannot be had (a `Display` that
/// panics) do not hide the error.
pub(crate) fn describe<E: Into<Box<dyn StdError + Send + Sync>>>(error: E) -> FailureReport {
    let type_name = std::any::type_name::<E>().to_owned();
    let Some(error) = attempt(|| error.into()) else {
        return FailureReport::Error {
            message: format!("(an error of type {type_name})"),
            type_name,
            causes: Vec::new(),
        };
    };
    let message = text(error.as_ref());
    let causes = attempt(|| {
        let chain = std::iter::successors(error.source(), |&cause| cause.source());
        chain.take(MAX_CAUSES).map(text).collect()
    });
    discard(error);
    FailureReport::Error { type_name, message, causes: causes.unwrap_or_default() }
}

fn text(error: &dyn StdError) -> String {
    let mut text = String::new();
    match attempt(|| write!(text, "{error}")) {
        Some(Ok(())) => text,
        _ => "(an error that cannot be printed)".into(),
    }
}
