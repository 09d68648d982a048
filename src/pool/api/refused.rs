//! What the compiler refuses (P9), as documentation tests: each program that must not compile
//! follows one that does and differs in the one thing that is wrong. (Which error it is, the
//! code beside `compile_fail`, only a nightly compiler checks.)
//!
//! A task that captures: its function is sent by name, and there is nowhere to put a value.
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
//! pool.call().map(|x: u64| x * factor, 0..3)?;
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! An item that cannot be serialised.
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
//! A result that cannot be deserialised.
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
//! A context that cannot be serialised.
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
//! A context that borrows: what a worker makes of it would have nothing to borrow from.
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
//! A call without a verb, where unused values are denied.
//!
//! ```no_run
//! #![deny(unused_must_use)]
//! # let pool = ndferry::Pool::new()?;
//! pool.call().retries(1).map(|x: u8| x, [1])?;
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! ```compile_fail
//! #![deny(unused_must_use)]
//! # let pool = ndferry::Pool::new()?;
//! pool.call().retries(1);
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! A forked task that changes what it has captured: only its worker would see that.
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
//! An item of a forked task that cannot be serialised; it can be captured.
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
