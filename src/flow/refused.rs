//! What the compiler refuses (G4), as documentation tests: each flow that must not compile follows one that does and differs in the one
//! thing that is wrong. (Which error it is, the code beside `compile_fail`, only a nightly compiler checks.)
//!
//! One value, where there has to be one per element: collected.
//!
//! ```
//! # let mut flow = ndferry::flow::Flow::new();
//! let list = flow.input::<Vec<f64>>("list");
//! let x = flow.expand("x", list);
//! flow.collect("all", x);
//! ```
//!
//! ```compile_fail,E0308
//! # let mut flow = ndferry::flow::Flow::new();
//! let list = flow.input::<Vec<f64>>("list");
//! let x = flow.expand("x", list);
//! flow.collect("all", list);
//! ```
//!
//! One value per element, where one is said to be wanted.
//!
//! ```
//! # use ndferry::flow::{Each, Flow, Handle};
//! # let mut flow = Flow::new();
//! let list = flow.input::<Vec<f64>>("list");
//! let x = flow.expand("x", list);
//! let squared: Handle<f64, Each> = flow.node("squared", x, |x| x * x);
//! ```
//!
//! ```compile_fail,E0308
//! # use ndferry::flow::{Each, Flow, Handle};
//! # let mut flow = Flow::new();
//! let list = flow.input::<Vec<f64>>("list");
//! let x = flow.expand("x", list);
//! let squared: Handle<f64> = flow.node("squared", x, |x| x * x);
//! ```
//!
//! One value set, where there is one per element.
//!
//! ```
//! # let mut flow = ndferry::flow::Flow::new();
//! # let pool = ndferry::Pool::builder().workers(1).backend(ndferry::pool::Backend::Serial).build()?;
//! let list = flow.input::<Vec<f64>>("list");
//! let x = flow.expand("x", list);
//! flow.on(&pool).set(x, vec![1.0]).get(x)?;
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! ```compile_fail,E0308
//! # let mut flow = ndferry::flow::Flow::new();
//! # let pool = ndferry::Pool::builder().workers(1).backend(ndferry::pool::Backend::Serial).build()?;
//! let list = flow.input::<Vec<f64>>("list");
//! let x = flow.expand("x", list);
//! flow.on(&pool).set(x, 1.0).get(x)?;
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! A function of another type than the node that it is made from.
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
//! A function that captures: what it needs is another handle.
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
//! A value that is not data.
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
//! A single value as a list to fan out.
//!
//! ```
//! # let mut flow = ndferry::flow::Flow::new();
//! let x = flow.input::<Vec<f64>>("x");
//! flow.expand("element", x);
//! ```
//!
//! ```compile_fail,E0277
//! # let mut flow = ndferry::flow::Flow::new();
//! let x = flow.input::<f64>("x");
//! flow.expand("element", x);
//! ```
