//! Descriptions of failing tasks: the messages of errors, and the message, location and
//! backtrace of panics.

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

/// The most causes of an error that are reported. More would be a cycle.
const MAX_CAUSES: usize = 64;

thread_local! {
    /// Whether this thread is running a task.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// Location and backtrace of the latest panic in a task of this thread.
    static PANIC: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// Runs code of a task, and turns a panic into a report.
pub(crate) fn catch<T>(code: impl FnOnce() -> T + UnwindSafe) -> Result<T, FailureReport> {
    let outside = INSIDE.replace(true);
    // An earlier panic, which the task has caught, does not count.
    PANIC.take();
    let caught = panic::catch_unwind(code);
    INSIDE.set(outside);
    caught.map_err(|payload| {
        let report = report(payload.as_ref());
        discard(payload);
        report
    })
}

/// Runs code of the user in the parent. Returns the message of a panic.
pub(crate) fn message<T>(code: impl FnOnce() -> T + UnwindSafe) -> Result<T, String> {
    panic::catch_unwind(code).map_err(|payload| {
        let message = words(payload.as_ref());
        // Dropping the payload may panic too, so it is leaked.
        std::mem::forget(payload);
        message
    })
}

/// Returns whether this thread is running a task.
pub(crate) fn is_inside() -> bool {
    INSIDE.get()
}

/// Drops a value whose destructor may panic.
pub(crate) fn discard<T>(value: T) {
    let outside = INSIDE.replace(true);
    attempt(|| drop(value));
    INSIDE.set(outside);
}

/// Returns the result of `code`, or `None` if it panics.
fn attempt<T>(code: impl FnOnce() -> T) -> Option<T> {
    // Dropping the payload may panic too, so it is leaked.
    panic::catch_unwind(AssertUnwindSafe(code)).map_err(std::mem::forget).ok()
}

/// Installs a panic hook that only records panics of tasks. Other panics go to the previous
/// hook.
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

/// The page on which this worker records a panic that ends it.
static LAST_REPORT_PAGE: Mutex<Option<Page>> = Mutex::new(None);

/// Sets the page for the report of a fatal panic.
pub(crate) fn set_last_report_page(page: Page) {
    // A forked worker has inherited the page of its parent.
    *LAST_REPORT_PAGE.lock().unwrap_or_else(PoisonError::into_inner) = Some(page);
}

/// Records a panic that ends the process, in any thread.
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
    // Without the backtrace if there is no room for it.
    shared_page::leave_last_report(page, &report(String::new()));
}

/// Records the parts of a panic's report that are lost when the panic is caught.
fn keep_panic(info: &panic::PanicHookInfo<'_>) {
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = std::backtrace::Backtrace::force_capture().to_string();
    PANIC.with(|panic| {
        // If a panic happens while another is recorded, the first one counts.
        if let Ok(mut panic) = panic.try_borrow_mut() {
            *panic = Some((location, backtrace));
        }
    });
}

/// Returns the message of a panic.
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

/// Describes an error that a task returned. If its `Display` panics, the error is still
/// reported.
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
        let mut causes: Vec<String> = Vec::new();
        for cause in chain.take(MAX_CAUSES).map(text) {
            // Many errors print their cause themselves.
            if !causes.last().unwrap_or(&message).ends_with(&cause) {
                causes.push(cause);
            }
        }
        causes
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
