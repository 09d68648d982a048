//! Events for the `tracing` crate, if the feature `tracing` is enabled.
//!
//! The levels are:
//!
//! - `WARN`: failures that were recovered from,
//! - `INFO`: decisions that concern the user, such as files that were removed,
//! - `DEBUG`: the start and end of an operation,
//! - `TRACE`: each file and each frame.
//!
//! The target is the module, such as `ndferry::store::session`. A filter for
//! `ndferry::store` matches all events of the store.
//!
//! A subscriber is code of the user. An event must be sent after the fact that
//! it reports, and without a lock on the journal.

/// Sends an event with a level, a message, and fields.
///
/// Fields have the syntax of `tracing`: a number or string, `%` and a value
/// with `Display`, or `?` and a value with `Debug`. Without the feature, the
/// compiler checks the values, but they are never evaluated.
///
/// ```ignore
/// trace::event!(DEBUG, "made a temp file", path = %path.display(), bytes = nbytes);
/// ```
#[cfg(feature = "tracing")]
macro_rules! event {
    ($level:ident, $message:literal $(, $($fields:tt)*)?) => {
        ::tracing::event!(::tracing::Level::$level, { $($($fields)*)? }, $message)
    };
}

/// Checks the types of an event, and sends nothing.
#[cfg(not(feature = "tracing"))]
macro_rules! event {
    ($level:ident, $message:literal $(, $($fields:tt)*)?) => {
        if false {
            $crate::trace::event!(@use $($($fields)*)?);
        }
    };
    (@use) => {};
    (@use $name:ident = % $value:expr $(, $($rest:tt)*)?) => {
        let _ = &$value;
        $crate::trace::event!(@use $($($rest)*)?);
    };
    (@use $name:ident = ? $value:expr $(, $($rest:tt)*)?) => {
        let _ = &$value;
        $crate::trace::event!(@use $($($rest)*)?);
    };
    (@use $name:ident = $value:expr $(, $($rest:tt)*)?) => {
        let _ = &$value;
        $crate::trace::event!(@use $($($rest)*)?);
    };
}

pub(crate) use event;
