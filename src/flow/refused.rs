//! Mistakes that the compiler must reject, as doc tests (G4).
//!
//! Each program that must not compile follows one that does, and differs only in the mistake. The
//! error code beside `compile_fail` is checked by nightly compilers only.
//!
//! Collecting one value instead of one per element:
//!
//! ```
//! # let mut flow = ndferry::flow::Flow::new();
//! let list = flow.input::<Vec<f64>>("list");
//! let x = flow.fan_out("x", list);
//! flow.collect("all", x);
//! ```
//!
//! ```compile_fail,E0308
//! # let mut flow = ndferry::flow::Flow::new();
//! let list = flow.input::<Vec<f64>>("list");
//! let x = flow.fan_out("x", list);
//! flow.collect("all", list);
//! ```
//!
//! Declaring one value for a node that has one per element:
//!
//! ```
//! # use ndferry::flow::{Flow, Handle, marker::PerElement};
//! # let mut flow = Flow::new();
//! let list = flow.input::<Vec<f64>>("list");
//! let x = flow.fan_out("x", list);
//! let squared: Handle<f64, PerElement> = flow.node("squared", x, |x| x * x);
//! ```
//!
//! ```compile_fail,E0308
//! # use ndferry::flow::{Flow, Handle, marker::PerElement};
//! # let mut flow = Flow::new();
//! let list = flow.input::<Vec<f64>>("list");
//! let x = flow.fan_out("x", list);
//! let squared: Handle<f64> = flow.node("squared", x, |x| x * x);
//! ```
//!
//! Setting one value for a node that has one per element:
//!
//! ```
//! # let mut flow = ndferry::flow::Flow::new();
//! # use ndferry::pool::Backend;
//! # let pool = ndferry::Pool::builder().workers(1).backend(Backend::Serial).build()?;
//! let list = flow.input::<Vec<f64>>("list");
//! let x = flow.fan_out("x", list);
//! flow.on(&pool).set(x, vec![1.0]).get(x)?;
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! ```compile_fail,E0308
//! # let mut flow = ndferry::flow::Flow::new();
//! # use ndferry::pool::Backend;
//! # let pool = ndferry::Pool::builder().workers(1).backend(Backend::Serial).build()?;
//! let list = flow.input::<Vec<f64>>("list");
//! let x = flow.fan_out("x", list);
//! flow.on(&pool).set(x, 1.0).get(x)?;
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! A function whose argument has another type than the input:
//!
//! ```
//! # let mut flow = ndferry::flow::Flow::new();
//! let text = flow.input::<String>("text");
//! flow.node("length", text, |text: &String| text.len());
//! ```
//!
//! ```compile_fail,E0308
//! # let mut flow = ndferry::flow::Flow::new();
//! let text = flow.input::<Vec<u8>>("text");
//! flow.node("length", text, |text: &String| text.len());
//! ```
//!
//! A function that captures a value. The value must be an input instead:
//!
//! ```
//! # let mut flow = ndferry::flow::Flow::new();
//! let (x, factor) = (flow.input::<f64>("x"), flow.input_or("factor", 2.0));
//! flow.node("scaled", (x, factor), |x, factor| x * factor);
//! ```
//!
//! ```compile_fail,E0308
//! # let mut flow = ndferry::flow::Flow::new();
//! let (x, factor) = (flow.input::<f64>("x"), 2.0);
//! flow.node("scaled", x, |x| x * factor);
//! ```
//!
//! A value that is not serde data:
//!
//! ```
//! # let mut flow = ndferry::flow::Flow::new();
//! flow.node("now", (), || 1_u64);
//! ```
//!
//! ```compile_fail,E0277
//! # let mut flow = ndferry::flow::Flow::new();
//! flow.node("now", (), || std::time::Instant::now());
//! ```
//!
//! Fanning out a value that is not a list:
//!
//! ```
//! # let mut flow = ndferry::flow::Flow::new();
//! let x = flow.input::<Vec<f64>>("x");
//! flow.fan_out("element", x);
//! ```
//!
//! ```compile_fail,E0277
//! # let mut flow = ndferry::flow::Flow::new();
//! let x = flow.input::<f64>("x");
//! flow.fan_out("element", x);
//! ```
