//! The graph: adding nodes, finding them, checking what their types do not show.

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

use super::{
    axes::{Axes, PerElement},
    engine::{Arguments, Quoted, RemoteFunction, Returns, ReturnsResult, ReturnsValue},
    handle::{Handle, NodeId},
    inputs::Inputs,
    node::{self, ErasedValue, Node, NodeKind, StepFunction, Value, owned},
};
use crate::{Error, Result};

/// A graph of named steps.
///
/// Add nodes from the [handles](Handle) of earlier nodes, then [run](Flow::on) the flow on a pool.
/// Nothing is computed before that, and only the nodes that the requested outputs need. See the
/// [module documentation](crate::flow) for a guide.
///
/// Use a flow if several results are computed from shared intermediate values. To apply one
/// function to a list of items, use [`Pool::map`](crate::Pool::map) instead.
///
/// # Examples
///
/// ```
/// use ndferry::{Pool, flow::Flow};
///
/// fn main() -> ndferry::Result<()> {
///     ndferry::init(); // in a worker, this call does not return
///
///     let mut flow = Flow::new();
///     let text = flow.input::<String>("text");
///     let words = flow.node("words", text, |text: &String| {
///         text.split(' ').map(String::from).collect::<Vec<_>>()
///     });
///     let word = flow.fan_out("word", words);
///     let length = flow.node("length", word, String::len);
///     let first = flow.node("first", word, |word| word.chars().next());
///     let lengths = flow.collect("lengths", length);
///     let longest = flow.fold("longest", length, 0, |longest, length| longest.max(*length));
///     let firsts = flow.collect("firsts", first);
///
///     let pool = Pool::builder().workers(2).build()?;
///     let run = flow.on(&pool).set(text, "to be or not".to_string());
///     let (lengths, longest, firsts) = run.get((lengths, longest, firsts))?;
///     assert_eq!((lengths, longest), (vec![2, 2, 2, 3], 3));
///     assert_eq!(firsts, ['t', 'b', 'o', 'n'].map(Some));
///     Ok(())
/// }
/// ```
pub struct Flow {
    pub(super) id: u64,
    pub(super) nodes: Vec<Node>,
    names: HashMap<Arc<str>, usize>,
    problems: Vec<String>,
}

impl Flow {
    /// Creates an empty flow.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut flow = ndferry::flow::Flow::new();
    /// let x = flow.input::<f64>("x");
    /// ```
    #[must_use]
    pub fn new() -> Self {
        static FLOWS: AtomicU64 = AtomicU64::new(0);

        let id = FLOWS.fetch_add(1, Ordering::Relaxed);
        Self { id, nodes: Vec::new(), names: HashMap::new(), problems: Vec::new() }
    }

    /// Adds an input, which each run [sets](crate::flow::RunBuilder::set).
    ///
    /// A run that needs the input and does not set it is an error. For an input with a default,
    /// use [`input_or`](Flow::input_or).
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndferry::{Pool, flow::Flow, pool::Backend};
    /// # let pool = Pool::builder().workers(1).backend(Backend::Serial).build()?;
    /// let mut flow = Flow::new();
    /// let x = flow.input::<f64>("x");
    /// assert!(flow.on(&pool).get(x).is_err());
    /// assert_eq!(flow.on(&pool).set(x, 1.5).get(x)?, 1.5);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[track_caller]
    pub fn input<T: Value>(&mut self, name: &str) -> Handle<T> {
        self.add(name, &[], NodeKind::Input(None))
    }

    /// Adds an input with a default value.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndferry::{Pool, flow::Flow, pool::Backend};
    /// # let pool = Pool::builder().workers(1).backend(Backend::Serial).build()?;
    /// let mut flow = Flow::new();
    /// let factor = flow.input_or("factor", 2.0);
    /// assert_eq!(flow.on(&pool).get(factor)?, 2.0);
    /// assert_eq!(flow.on(&pool).set(factor, 3.0).get(factor)?, 3.0);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[track_caller]
    pub fn input_or<T: Value>(&mut self, name: &str, default: T) -> Handle<T> {
        self.add(name, &[], NodeKind::Input(Some(Arc::new(default))))
    }

    /// Adds a step: `f` applied to the values of other nodes.
    ///
    /// `from` is a handle, a tuple of up to eight handles, or `()`. `f` gets a reference to each
    /// value. It is a function, a method, or a closure that captures nothing. Any other value that
    /// `f` needs must be an input as well, because `f` runs in a worker process.
    ///
    /// If a handle in `from` is per element, the step runs for each element. Values from outside
    /// of the fan-out are sent to each.
    ///
    /// If `f` returns a `Result`, use [`try_node`](Flow::try_node).
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndferry::{Pool, flow::Flow, pool::Backend};
    /// # let pool = Pool::builder().workers(1).backend(Backend::Serial).build()?;
    /// let mut flow = Flow::new();
    /// let text = flow.node("text", (), || String::from("abc"));
    /// let length = flow.node("length", text, String::len);
    /// let both = flow.node("both", (text, length), |text, length| format!("{text}: {length}"));
    /// assert_eq!(flow.on(&pool).get(both)?, "abc: 3");
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[track_caller]
    pub fn node<I: Inputs, R: Value>(
        &mut self,
        name: &str,
        from: I,
        f: <I::Arguments as Arguments>::Function<R>,
    ) -> Handle<R, I::Axes> {
        self.step::<I, R, ReturnsValue>(name, &from, f)
    }

    /// Adds a step whose function returns a `Result`.
    ///
    /// Like [`node`](Flow::node), but an error fails the step. The run's error then contains the
    /// original message, the type of the error and its sources.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndferry::{Pool, flow::Flow, pool::Backend};
    /// # let pool = Pool::builder().workers(1).backend(Backend::Serial).build()?;
    /// let mut flow = Flow::new();
    /// let text = flow.input::<String>("text");
    /// let number = flow.try_node("number", text, |text: &String| text.parse::<i32>());
    /// assert_eq!(flow.on(&pool).set(text, "7".into()).get(number)?, 7);
    /// let error = flow.on(&pool).set(text, "seven".into()).get(number).unwrap_err();
    /// assert_eq!(error.to_string(), "node number failed: invalid digit found in string");
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[track_caller]
    pub fn try_node<I: Inputs, R: Value, E>(
        &mut self,
        name: &str,
        from: I,
        f: <I::Arguments as Arguments>::Function<Result<R, E>>,
    ) -> Handle<R, I::Axes>
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.step::<I, R, ReturnsResult<E>>(name, &from, f)
    }

    #[track_caller]
    fn step<I: Inputs, R: Value, F: Returns<R>>(
        &mut self,
        name: &str,
        from: &I,
        f: <I::Arguments as Arguments>::Function<F::Out>,
    ) -> Handle<R, I::Axes> {
        let remote = RemoteFunction::node::<I::Arguments, R, F>(f).map_err(|error| error.message());
        if let Err(why) = &remote {
            self.problem(format!("node {}: {why}", Quoted(name)), Location::caller());
        }
        let step = StepFunction { remote: remote.ok(), pack: I::pack, read: node::read::<R> };
        self.add(name, &from.nodes(), NodeKind::Step(step))
    }

    /// Adds a fan-out: later steps run for each element of `list`.
    ///
    /// `list` is a `Vec`, a range, or a type of your own that is serde data and [`IntoIterator`].
    /// Such a type can contain the path of a file and read elements from it. The iterator runs in
    /// the process that runs the flow. It is asked for an element only when workers have room for
    /// one, unless a step for an element needs a result of all elements.
    ///
    /// To bring the elements together, use [`collect`](Flow::collect) or [`fold`](Flow::fold), as
    /// often as you like. Fan-outs can be nested.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndferry::{Pool, flow::Flow, pool::Backend};
    /// # let pool = Pool::builder().workers(1).backend(Backend::Serial).build()?;
    /// let mut flow = Flow::new();
    /// let range = flow.input::<std::ops::Range<u64>>("range");
    /// let x = flow.fan_out("x", range);
    /// let square = flow.node("square", x, |x| x * x);
    /// assert_eq!(flow.on(&pool).set(range, 1..4).get(square)?, [1, 4, 9]);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[track_caller]
    pub fn fan_out<V, A: Axes>(
        &mut self,
        name: &str,
        list: Handle<V, A>,
    ) -> Handle<V::Item, PerElement<A>>
    where
        V: Value + Clone + IntoIterator<Item: Value, IntoIter: 'static>,
    {
        let open = |list: ErasedValue| -> Box<dyn Iterator<Item = ErasedValue>> {
            let elements = owned::<V>(list).into_iter().flatten();
            Box::new(elements.map(|element| Arc::new(element) as ErasedValue))
        };
        self.add(name, &[list.id], NodeKind::FanOut(open))
    }

    /// Adds a list of a node's values for all elements of its innermost fan-out.
    ///
    /// The list has the order of the elements. If you only need a summary of the values, use
    /// [`fold`](Flow::fold), which does not keep them.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndferry::{Pool, flow::Flow, pool::Backend};
    /// # let pool = Pool::builder().workers(1).backend(Backend::Serial).build()?;
    /// let mut flow = Flow::new();
    /// let list = flow.input::<Vec<u64>>("list");
    /// let x = flow.fan_out("x", list);
    /// let square = flow.node("square", x, |x| x * x);
    /// let squares = flow.collect("squares", square);
    /// let count = flow.node("count", squares, Vec::len);
    /// assert_eq!(flow.on(&pool).set(list, vec![3, 4]).get((squares, count))?, (vec![9, 16], 2));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[track_caller]
    pub fn collect<T: Value + Clone, A: Axes>(
        &mut self,
        name: &str,
        each: Handle<T, PerElement<A>>,
    ) -> Handle<Vec<T>, A> {
        self.add(name, &[each.id], NodeKind::Collect(node::gather::<T>))
    }

    /// Adds a value that combines all elements of the innermost fan-out.
    ///
    /// `f` is applied to `start` and each value, in the order of the elements. It runs in the
    /// process that runs the flow. Only values that finish before an earlier element are kept.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndferry::{Pool, flow::Flow, pool::Backend};
    /// # let pool = Pool::builder().workers(1).backend(Backend::Serial).build()?;
    /// let mut flow = Flow::new();
    /// let list = flow.input::<Vec<u64>>("list");
    /// let x = flow.fan_out("x", list);
    /// let sum = flow.fold("sum", x, 0, |sum, x| sum + x);
    /// assert_eq!(flow.on(&pool).set(list, vec![3, 4]).get(sum)?, 7);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[track_caller]
    pub fn fold<T: Value, R: Value + Clone, A: Axes>(
        &mut self,
        name: &str,
        each: Handle<T, PerElement<A>>,
        start: R,
        f: fn(R, &T) -> R,
    ) -> Handle<R, A> {
        let combine = move |folded: ErasedValue, value: &ErasedValue| -> ErasedValue {
            match (owned::<R>(folded), value.downcast_ref::<T>()) {
                (Some(folded), Some(value)) => Arc::new(f(folded, value)),
                _ => unreachable!("values have the types of their handles"),
            }
        };
        let kind = NodeKind::Fold { start: Arc::new(start), combine: Arc::new(combine) };
        self.add(name, &[each.id], kind)
    }

    /// Adds a list of the values of several nodes, given by name.
    ///
    /// Use it if the names come from a [configuration](crate::flow::FlowConfig). All nodes must
    /// have values of one type and belong to the same fan-out. [`check`](Flow::check) reports
    /// unknown names. If you have the handles, pass them to [`node`](Flow::node) as a tuple.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndferry::{Pool, flow::{Flow, Handle}, pool::Backend};
    /// # let pool = Pool::builder().workers(1).backend(Backend::Serial).build()?;
    /// let mut flow = Flow::new();
    /// let x = flow.input_or("x", 3.0);
    /// flow.node("double", x, |x| 2.0 * x);
    /// flow.node("square", x, |x| x * x);
    /// let chosen: Handle<Vec<f64>> = flow.group("chosen", ["square", "double"]);
    /// assert_eq!(flow.on(&pool).get(chosen)?, [9.0, 6.0]);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[track_caller]
    pub fn group<T: Value + Clone, A: Axes>(
        &mut self,
        name: &str,
        names: impl IntoIterator<Item: AsRef<str>>,
    ) -> Handle<Vec<T>, A> {
        let mut from = Vec::new();
        for member in names {
            match self.find::<T, A>(member.as_ref()) {
                Ok(handle) => from.push(handle.id),
                Err(error) => self.problem(
                    format!("group {}: {}", Quoted(name), error.message()),
                    Location::caller(),
                ),
            }
        }
        self.add(name, &from, NodeKind::Group(node::gather::<T>))
    }

    /// Returns the handle of the node `name`.
    ///
    /// Use it if the graph was built elsewhere, such as by a
    /// [`FlowRegistry`](crate::flow::FlowRegistry). The types of the handle are checked.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::flow::{Flow, Handle, marker::Single};
    ///
    /// let mut flow = Flow::new();
    /// flow.input_or("threshold", 0.5);
    /// let threshold: Handle<f64> = flow.find("threshold")?;
    /// let error = flow.find::<f64, Single>("treshold").unwrap_err();
    /// assert!(error.to_string().contains("did you mean"));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if
    ///
    /// - the flow has no node of that name (the error lists similar names), or
    /// - the node's values have another type or are in another number of fan-outs.
    pub fn find<T: 'static, A: Axes>(&self, name: &str) -> Result<Handle<T, A>> {
        let index = self.index_of(name)?;
        let node = &self.nodes[index];
        if node.type_id != TypeId::of::<T>() || node.path.len() != A::DEPTH {
            let number = |depth: usize| match depth {
                0 => "one value".into(),
                1 => "one value per element".into(),
                depth => format!("one value per element, {depth} fan-outs deep"),
            };
            return Err(Error::invalid_input(format!(
                "node {}: expected {} ({}), found {} ({})",
                Quoted(name),
                type_name::<T>(),
                number(A::DEPTH),
                node.type_name,
                number(node.path.len()),
            )));
        }
        Ok(Handle::new(NodeId { flow: self.id, index }))
    }

    /// Returns the handles of the nodes `names`, which all have one type.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::flow::{Flow, Handle};
    ///
    /// let mut flow = Flow::new();
    /// flow.input_or("low", 0.0);
    /// flow.input_or("high", 1.0);
    /// let handles: Vec<Handle<f64>> = flow.find_all(["low", "high"])?;
    /// assert_eq!(handles.len(), 2);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [`find`](Flow::find).
    pub fn find_all<T: 'static, A: Axes>(
        &self,
        names: impl IntoIterator<Item: AsRef<str>>,
    ) -> Result<Vec<Handle<T, A>>> {
        names.into_iter().map(|name| self.find(name.as_ref())).collect()
    }

    pub(super) fn index_of(&self, name: &str) -> Result<usize> {
        let unknown = || {
            let close = crate::near::hint(name, self.nodes.iter().map(|node| &*node.name));
            Error::invalid_input(format!("no node {}{close}", Quoted(name)))
        };
        self.names.get(name).copied().ok_or_else(unknown)
    }

    /// Checks what the types of the handles cannot show.
    ///
    /// Every run calls it first. Call it yourself to find mistakes without running the flow, such
    /// as in a test.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut flow = ndferry::flow::Flow::new();
    /// flow.input::<f64>("x");
    /// flow.check()?;
    /// flow.input::<f64>("x");
    /// let error = flow.check().unwrap_err().to_string();
    /// assert!(error.starts_with("node `x` is added twice"));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error that lists, with the places in your code,
    ///
    /// - each name that two nodes have,
    /// - each step that combines elements of different fan-outs,
    /// - each unknown name in a [`group`](Flow::group), with similar names,
    /// - each handle of another flow, and
    /// - each function that workers cannot find.
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
    fn add<T: 'static, A: Axes>(
        &mut self,
        name: &str,
        from: &[NodeId],
        kind: NodeKind,
    ) -> Handle<T, A> {
        let (added, index) = (Location::caller(), self.nodes.len());
        let name: Arc<str> = name.into();
        let quoted = Quoted(&name);
        if let Some(&other) = self.names.get(&name) {
            let first = self.nodes[other].added;
            self.problem(format!("node {quoted} is added twice, first at {first}"), added);
        } else {
            self.names.insert(Arc::clone(&name), index);
        }
        let mut inputs = Vec::with_capacity(from.len());
        for node in from {
            if node.flow == self.id {
                inputs.push(node.index);
            } else {
                self.problem(format!("node {quoted} has an input from another flow"), added);
            }
        }
        let mut path = self.common_path(&name, &inputs, added);
        match kind {
            NodeKind::FanOut(_) => path = path.iter().copied().chain([index]).collect(),
            NodeKind::Collect(_) | NodeKind::Fold { .. } => {
                path = path[..path.len().saturating_sub(1)].into()
            }
            NodeKind::Input(_) | NodeKind::Step(_) | NodeKind::Group(_) => {}
        }
        if path.len() != A::DEPTH {
            // The input is a handle of another flow, or a group has no members.
            self.problem(
                format!("node {quoted} is declared per element, but none of its inputs is"),
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
        Handle::new(NodeId { flow: self.id, index })
    }

    /// The fan-outs that a node with these inputs is in, outermost first.
    fn common_path(&mut self, name: &str, inputs: &[usize], added: &Location<'_>) -> Arc<[usize]> {
        let paths = || inputs.iter().map(|&input| &self.nodes[input].path);
        let Some(deepest) = paths().max_by_key(|path| path.len()).cloned() else {
            return Arc::new([]);
        };
        let mismatch = paths().find_map(|path| path.iter().zip(&*deepest).find(|(a, b)| a != b));
        if let Some((&a, &b)) = mismatch {
            let [a, b] = [a, b].map(|fan_out| &*self.nodes[fan_out].name);
            let problem = format!(
                "node {} combines elements of {} with elements of {}, which are different \
                 fan-outs; collect one of them first",
                Quoted(name),
                Quoted(a),
                Quoted(b)
            );
            self.problem(problem, added);
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
