//! Events for whoever listens: a seam to the `tracing` crate, and nothing at all without the feature of that name.
//!
//! Levels: a decision that a person would want to know of is `INFO`, what is unexpected and was coped with is `WARN`, what begins or ends
//! is `DEBUG`, what happens for each file or frame is `TRACE`. The target is the module, `ndferry::store::session`, so a
//! filter for `ndferry::store` gets all of the store's.
//!
//! A listener is the user's code: an event is sent when what it tells has happened, and the journal is never locked meanwhile.

/// Sends an event: a level, what happened in plain words, and fields as `tracing` writes them: numbers, strings, with `%` in
/// front whatever can be displayed, and with `?` whatever can be debugged. Without the feature the values are type-checked and never computed.
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

/// Sends an event to nobody.
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
