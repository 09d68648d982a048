//! Mistakes that the compiler must reject, as doc tests (P9).
//!
//! Each program that must not compile follows one that does, and differs only in the mistake. The
//! error code beside `compile_fail` is checked by nightly compilers only.
//!
//! A task that captures a value:
//!
//! ```no_run
//! # let pool = ndferry::Pool::new()?;
//! let factor = 3;
//! pool.with(&factor).map(|factor: &u64, x: u64| x * factor, 0..3)?;
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! ```compile_fail,E0308
//! # let pool = ndferry::Pool::new()?;
//! let factor = 3;
//! pool.job().map(|x: u64| x * factor, 0..3)?;
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! An item that cannot be serialized:
//!
//! ```no_run
//! # let pool = ndferry::Pool::new()?;
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Item(u8);
//! pool.map(|item: Item| item.0, [Item(1)])?;
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! ```compile_fail,E0277
//! # let pool = ndferry::Pool::new()?;
//! struct Item(u8);
//! pool.map(|item: Item| item.0, [Item(1)])?;
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! A result that cannot be deserialized:
//!
//! ```no_run
//! # let pool = ndferry::Pool::new()?;
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Answer(u8);
//! pool.map(|x: u8| Answer(x), [1])?;
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! ```compile_fail,E0277
//! # let pool = ndferry::Pool::new()?;
//! #[derive(serde::Serialize)]
//! struct Answer(u8);
//! pool.map(|x: u8| Answer(x), [1])?;
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! A context that cannot be serialized:
//!
//! ```no_run
//! # let pool = ndferry::Pool::new()?;
//! let context = String::new();
//! pool.with(&context).map(|_, x: u8| x, [1])?;
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! ```compile_fail,E0277
//! # let pool = ndferry::Pool::new()?;
//! let context = std::thread::current();
//! pool.with(&context).map(|_, x: u8| x, [1])?;
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! A context that borrows, which a worker could not deserialize:
//!
//! ```no_run
//! # let pool = ndferry::Pool::new()?;
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Context {
//!     text: String,
//! }
//! let text = String::new();
//! pool.with(&Context { text }).map(|context, x: usize| x + context.text.len(), [1])?;
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! ```compile_fail
//! # let pool = ndferry::Pool::new()?;
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Context<'t> {
//!     text: &'t str,
//! }
//! let text = String::new();
//! pool.with(&Context { text: &text }).map(|context, x: usize| x + context.text.len(), [1])?;
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! A job that is not run, if unused values are denied:
//!
//! ```no_run
//! #![deny(unused_must_use)]
//! # let pool = ndferry::Pool::new()?;
//! pool.job().retries(1).map(|x: u8| x, [1])?;
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! ```compile_fail
//! #![deny(unused_must_use)]
//! # let pool = ndferry::Pool::new()?;
//! pool.job().retries(1);
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! A forked task that changes a captured value, which only its worker would see:
//!
//! ```no_run
//! let mut sum = 0;
//! for result in ndferry::pool::fork_map(2, 0..3, |x: u64| x)? {
//!     sum += result;
//! }
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! ```compile_fail,E0594
//! let mut sum = 0;
//! ndferry::pool::fork_map(2, 0..3, |x: u64| sum += x)?;
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! An item of a forked task that cannot be serialized. It can be captured instead:
//!
//! ```no_run
//! struct Item(u8);
//! let items = [Item(1)];
//! ndferry::pool::fork_map(2, 0..items.len(), |i: usize| items[i].0)?;
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! ```compile_fail,E0277
//! struct Item(u8);
//! let items = [Item(1)];
//! ndferry::pool::fork_map(2, items, |item: Item| item.0)?;
//! # Ok::<(), ndferry::Error>(())
//! ```
