//! Graphs of named steps over a pool: what is computed from what, which part once per element, and what of it is wanted.
//!
//! It owns what a graph is and what follows from it; every step runs as a task of one [call](crate::Pool::call), which sees to
//! batches, failures and workers. Nothing is scheduled here but what is ready.
//!
//! Invariants: a node is made from nodes that exist, so there are no cycles; a step is sent its arguments and nothing of the graph;
//! a value goes when the last step that needs it has been given it.

mod dot;
mod handle;
mod near;
mod node;
mod plan;
#[cfg(doctest)]
mod refused;
mod report;
mod run;
mod spec;
mod state;

use std::{
    any::{TypeId, type_name},
    collections::HashMap,
    error::Error as StdError,
    fmt,
    panic::Location,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

pub use handle::{Data, Each, Handle, Handles, Join, Level, Outputs, Single};
use handle::{Value, owned};
use node::{Kind, Node, Step};
pub use report::{ElementReport, FlowReport, NodeReport, NodeState};
pub use run::{Ran, Run};
pub use spec::{Config, FlowSpec, Flows};

use crate::{
    Error, Result,
    pool::{
        Arguments, RemoteFunction,
        marker::{Gives, MayFail, Returns},
    },
};

/// A graph of named steps.
///
/// Steps are added in the order in which they depend on each other, each from [handles](Handle) of others. [`expand`](Flow::expand) makes a list
/// into a fan-out: what is made of its elements is made once per element, until [`collect`](Flow::collect) or [`fold`](Flow::fold) bring them
/// together again, as often as wanted. Nothing runs until something is [asked for](Flow::on), and then only what that needs.
///
/// ```
/// # fn main() -> ndferry::Result<()> {
/// # ndferry::init();
/// use ndferry::{Pool, flow::Flow};
///
/// let mut flow = Flow::new();
/// let text = flow.input::<String>("text");
/// let words = flow.node("words", text, |text: &String| text.split(' ').map(String::from).collect::<Vec<_>>());
/// let word = flow.expand("word", words);
/// let length = flow.node("length", word, String::len);
/// let first = flow.node("first", word, |word| word.chars().next());
/// let lengths = flow.collect("lengths", length);
/// let longest = flow.fold("longest", length, 0, |longest, length| longest.max(*length));
/// let firsts = flow.collect("firsts", first);
///
/// let pool = Pool::builder().workers(2).build()?;
/// let (lengths, longest, firsts) =
///     flow.on(&pool).set(text, "to be or not".to_string()).get((lengths, longest, firsts))?;
/// assert_eq!((lengths, longest), (vec![2, 2, 2, 3], 3));
/// assert_eq!(firsts, ['t', 'b', 'o', 'n'].map(Some));
/// # Ok(())
/// # }
/// ```
///
/// Functions of steps get references, because values are shared: `fn(&A) -> R`, `fn(&A, &B) -> R`, and so on up to eight. They are plain
/// functions, methods, or closures that capture nothing; what they need besides the elements at hand comes from other nodes, sent along. As
/// everywhere, large arrays are best [`SharedArray`](crate::SharedArray)s: written once, mapped by every step that gets them.
///
/// Whether there is one value or one per element is part of a handle's type, so that mixing them up is an error of the compiler. What
/// types cannot say is found by [`check`](Flow::check), which every run begins with: names given twice, elements of different
/// fan-outs in one step, names that there are not.
pub struct Flow {
    id: u64,
    nodes: Vec<Node>,
    names: HashMap<Arc<str>, usize>,
    problems: Vec<String>,
}

impl Flow {
    /// A graph with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        static FLOWS: AtomicU64 = AtomicU64::new(0);

        let id = FLOWS.fetch_add(1, Ordering::Relaxed);
        Self { id, nodes: Vec::new(), names: HashMap::new(), problems: Vec::new() }
    }

    /// A value that is [set](Run::set) for every run.
    #[track_caller]
    pub fn input<T: Data>(&mut self, name: &str) -> Handle<T> {
        self.add(name, &[], Kind::Input(None))
    }

    /// A value that may be set for a run, and is `default` where it is not.
    #[track_caller]
    pub fn input_or<T: Data>(&mut self, name: &str, default: T) -> Handle<T> {
        self.add(name, &[], Kind::Input(Some(Arc::new(default))))
    }

    /// A step: `f` of the values of `from`, which is a handle, a tuple of handles, or `()`.
    ///
    /// If some of them are per element, the step is: it runs once per element, with the values of the others for each.
    #[track_caller]
    pub fn node<H: Handles, R: Data>(
        &mut self,
        name: &str,
        from: H,
        f: <H::Arguments as Arguments>::Function<R>,
    ) -> Handle<R, H::Level> {
        self.step::<H, R, Gives>(name, &from, f)
    }

    /// As [`node`](Flow::node), for a function that returns a `Result`.
    #[track_caller]
    pub fn try_node<H: Handles, R: Data, E>(
        &mut self,
        name: &str,
        from: H,
        f: <H::Arguments as Arguments>::Function<Result<R, E>>,
    ) -> Handle<R, H::Level>
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.step::<H, R, MayFail<E>>(name, &from, f)
    }

    #[track_caller]
    fn step<H: Handles, R: Data, F: Returns<R>>(
        &mut self,
        name: &str,
        from: &H,
        f: <H::Arguments as Arguments>::Function<F::Out>,
    ) -> Handle<R, H::Level> {
        let remote = RemoteFunction::node::<H::Arguments, R, F>(f).map_err(|error| error.message());
        if let Err(why) = &remote {
            self.problem(format!("node {name:?}: {why}"), Location::caller());
        }
        let step = Step { remote: remote.ok(), pack: H::pack, read: node::read::<R> };
        self.add(name, &from.nodes(), Kind::Step(step))
    }

    /// A fan-out: each element of what `list` has becomes a value of the node, and what is made of it is per element.
    ///
    /// `list` is a `Vec`, a range, or any value that is serde data and an iterable of its own: a type of yours that names a file, say, and whose
    /// iterator reads it. The iterator runs in this process, and no further ahead than workers are with its elements, unless
    /// something per element waits for all of them.
    #[track_caller]
    pub fn fan_out<V, L: Level>(
        &mut self,
        name: &str,
        list: Handle<V, L>,
    ) -> Handle<V::Item, Each<L>>
    where
        V: Data + Clone + IntoIterator<Item: Data, IntoIter: 'static>,
    {
        let open = |list: Value| -> Box<dyn Iterator<Item = Value>> {
            Box::new(
                owned::<V>(list).into_iter().flatten().map(|element| Arc::new(element) as Value),
            )
        };
        self.add(name, &[(list.flow, list.node)], Kind::Expand(open))
    }

    /// The values of a node in a list, in the order of the elements of the innermost fan-out that it is in.
    #[track_caller]
    pub fn collect<T: Data + Clone, L: Level>(
        &mut self,
        name: &str,
        each: Handle<T, Each<L>>,
    ) -> Handle<Vec<T>, L> {
        self.add(name, &[(each.flow, each.node)], Kind::Collect(node::gather::<T>))
    }

    /// The values of a node, combined into one, beginning with `start`, in the order of the elements of the innermost fan-out that it is in. No
    /// more of them are kept than come out of turn. `f` runs in the process that runs the flow.
    #[track_caller]
    pub fn fold<T: Data, A: Data + Clone, L: Level>(
        &mut self,
        name: &str,
        each: Handle<T, Each<L>>,
        start: A,
        f: fn(A, &T) -> A,
    ) -> Handle<A, L> {
        let combine = move |folded: Value, value: &Value| -> Value {
            match (owned::<A>(folded), value.downcast_ref::<T>()) {
                (Some(folded), Some(value)) => Arc::new(f(folded, value)),
                _ => unreachable!("values have the types of their handles"),
            }
        };
        self.add(
            name,
            &[(each.flow, each.node)],
            Kind::Fold { start: Arc::new(start), combine: Arc::new(combine) },
        )
    }

    /// The values of the nodes called `names`, in that order, in a list: for names that come from a [configuration](Config).
    ///
    /// All of them have values of one type, and as many as each other.
    #[track_caller]
    pub fn group<T: Data + Clone, L: Level>(
        &mut self,
        name: &str,
        names: impl IntoIterator<Item: AsRef<str>>,
    ) -> Handle<Vec<T>, L> {
        let mut from = Vec::new();
        for member in names {
            match self.find::<T, L>(member.as_ref()) {
                Ok(handle) => from.push((handle.flow, handle.node)),
                Err(error) => {
                    self.problem(format!("group {name:?}: {}", error.message()), Location::caller())
                }
            }
        }
        self.add(name, &from, Kind::Group(node::gather::<T>))
    }

    /// The handle of the node called `name`.
    ///
    /// ```
    /// # use ndferry::flow::{Flow, Handle};
    /// let mut flow = Flow::new();
    /// flow.input_or("threshold", 0.5);
    /// let threshold: Handle<f64> = flow.find("threshold")?;
    /// let error = flow.find::<f64, ndferry::flow::Single>("treshold").unwrap_err();
    /// assert!(error.to_string().contains("\"threshold\""));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where there is none, or its values are of another type, or there are as many of them as the handle's type says not.
    pub fn find<T: 'static, L: Level>(&self, name: &str) -> Result<Handle<T, L>> {
        let at = self.node_named(name)?;
        let node = &self.nodes[at];
        if node.type_id != TypeId::of::<T>() || node.path.len() != L::DEPTH {
            let levels = |depth: usize| match depth {
                0 => "one".into(),
                1 => "one per element".into(),
                depth => format!("one per element, {depth} fan-outs deep"),
            };
            return Err(Error::invalid_input(format!(
                "the values of node {name:?} are {} ({}), not {} ({})",
                node.type_name,
                levels(node.path.len()),
                type_name::<T>(),
                levels(L::DEPTH)
            )));
        }
        Ok(Handle::new(self.id, at))
    }

    fn node_named(&self, name: &str) -> Result<usize> {
        let unknown = || {
            let close = near::list(name, self.nodes.iter().map(|node| &*node.name));
            Error::invalid_input(format!("there is no node {name:?}{close}"))
        };
        self.names.get(name).copied().ok_or_else(unknown)
    }

    /// Whether the graph is one that can run, as far as can be told before anything is asked for.
    ///
    /// # Errors
    ///
    /// Every name that was given twice, with both places; every step that joins elements of different fan-outs; every name in a
    /// [`group`](Flow::group) that there is not, with those that are close to it; every handle of another flow.
    pub fn check(&self) -> Result<()> {
        match &*self.problems {
            [] => Ok(()),
            problems => Err(Error::invalid_input(problems.join("; "))),
        }
    }

    fn problem(&mut self, what: String, place: &Location<'_>) {
        self.problems.push(format!("{what} (at {place})"));
    }

    #[track_caller]
    fn add<T: 'static, L: Level>(
        &mut self,
        name: &str,
        from: &[(u64, usize)],
        kind: Kind,
    ) -> Handle<T, L> {
        let (added, at) = (Location::caller(), self.nodes.len());
        let name: Arc<str> = name.into();
        if let Some(other) = self.names.insert(Arc::clone(&name), at) {
            let first = self.nodes[other].added;
            self.names.insert(Arc::clone(&name), other);
            self.problem(
                format!("there are two nodes {name:?}, the first added at {first}"),
                added,
            );
        }
        let mut inputs = Vec::with_capacity(from.len());
        for &(flow, node) in from {
            if flow == self.id {
                inputs.push(node);
            } else {
                self.problem(format!("node {name:?} is made from a node of another flow"), added);
            }
        }
        let mut path = self.joined(&name, &inputs, added);
        match kind {
            Kind::Expand(_) => path = path.iter().copied().chain([at]).collect(),
            Kind::Collect(_) | Kind::Fold { .. } => {
                path = path[..path.len().saturating_sub(1)].into()
            }
            Kind::Input(_) | Kind::Step(_) | Kind::Group(_) => {}
        }
        if path.len() != L::DEPTH {
            // A handle of another flow, or a group without members, has no fan-out to be in.
            self.problem(
                format!(
                    "node {name:?} is said to be per element, and is made from nothing that is"
                ),
                added,
            );
        }
        self.nodes.push(Node {
            name,
            added,
            path,
            inputs,
            kind,
            type_id: TypeId::of::<T>(),
            type_name: type_name::<T>(),
        });
        Handle::new(self.id, at)
    }

    /// The fan-outs that a node made from `inputs` is in, outermost first.
    fn joined(&mut self, name: &str, inputs: &[usize], added: &Location<'_>) -> Arc<[usize]> {
        let paths = || inputs.iter().map(|&input| &self.nodes[input].path);
        let Some(deepest) = paths().max_by_key(|path| path.len()).cloned() else {
            return Arc::new([]);
        };
        let other =
            paths().find_map(|path| path.iter().zip(&*deepest).find(|(one, other)| one != other));
        if let Some((&one, &other)) = other {
            let [one, other] = [one, other].map(|expand| self.nodes[expand].name.clone());
            self.problem(
                format!(
                    "node {name:?} joins elements of {one:?} with elements of {other:?}, which are of different fan-outs: \
                     collect one of them first"
                ),
                added,
            );
        }
        deepest
    }
}

impl Default for Flow {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.nodes.iter().map(|node| &node.name).collect();
        f.debug_tuple("Flow").field(&names).finish()
    }
}
