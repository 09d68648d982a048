//! Random graphs, compared with plain loops.
//!
//! Values have every shape: one, a list, one per element, a list per element, and one per element
//! of a nested fan-out. Each value can be lost.

use ndferry::{
    Pool,
    flow::{Flow, Handle, NodeState, RunBuilder, marker::PerElement},
    pool::{Backend, marker::KeepGoing},
};

use crate::{Watchdog, pool};

/// A step's function.
type Unary = fn(i64) -> Option<i64>;

/// The kind of a node, with the nodes that it is made from.
#[derive(Clone, Debug)]
enum Made {
    Input(Shape),
    /// The second node, if any, is in the same fan-out or outside of it.
    Mix(usize, Option<usize>),
    /// Fails for some values.
    Picky(usize),
    /// A list whose length is the value.
    List(usize),
    Sum(usize),
    FanOut(usize),
    Collect(usize),
    Fold(usize),
}

/// The values of a node, after failures.
#[derive(Clone, Debug, PartialEq)]
enum Shape {
    One(Option<i64>),
    List(Option<Vec<i64>>),
    Each(Option<Vec<Option<i64>>>),
    Lists(Option<Vec<Option<Vec<i64>>>>),
    EachEach(Option<Vec<Option<Vec<Option<i64>>>>>),
}

/// A handle of one of the types in the test.
#[derive(Clone, Copy, Debug)]
enum Any {
    One(Handle<i64>),
    List(Handle<Vec<i64>>),
    Each(Handle<i64, PerElement>),
    Lists(Handle<Vec<i64>, PerElement>),
    EachEach(Handle<i64, PerElement<PerElement>>),
}

fn mix(x: i64, y: i64) -> i64 {
    (31 * x + 17 * y + 5).rem_euclid(1009)
}

fn picky(x: i64) -> Option<i64> {
    (x % 5 != 3).then_some(x + 1)
}

fn list(x: i64) -> Vec<i64> {
    (0..x.rem_euclid(4)).map(|y| mix(x, y)).collect()
}

fn sum(values: &[i64]) -> i64 {
    values.iter().fold(1, |sum, x| mix(sum, *x))
}

/// Applies a function to each value of a shape.
fn map(shape: &Shape, f: Unary) -> Shape {
    match shape {
        Shape::One(x) => Shape::One(x.and_then(f)),
        Shape::Each(xs) => {
            Shape::Each(xs.as_ref().map(|xs| xs.iter().map(|x| x.and_then(f)).collect()))
        }
        Shape::EachEach(all) => Shape::EachEach(all.as_ref().map(|all| {
            let inner = |xs: &Option<Vec<Option<i64>>>| {
                xs.as_ref().map(|xs| xs.iter().map(|x| x.and_then(f)).collect())
            };
            all.iter().map(inner).collect()
        })),
        Shape::List(_) | Shape::Lists(_) => unreachable!("no step of the test maps a list"),
    }
}

fn mixed(one: &Shape, other: &Shape) -> Shape {
    fn both(x: Option<i64>, y: Option<i64>) -> Option<i64> {
        Some(mix(x?, y?))
    }
    fn row(
        xs: Option<&Vec<Option<i64>>>,
        y: impl Fn(usize) -> Option<i64>,
    ) -> Option<Vec<Option<i64>>> {
        xs.map(|xs| xs.iter().enumerate().map(|(at, x)| both(*x, y(at))).collect())
    }
    match (one, other) {
        (Shape::One(x), Shape::One(y)) => Shape::One(both(*x, *y)),
        (Shape::Each(xs), Shape::One(y)) => Shape::Each(row(xs.as_ref(), |_| *y)),
        (Shape::Each(xs), Shape::Each(ys)) => {
            Shape::Each(row(xs.as_ref(), |at| ys.as_ref().and_then(|ys| ys[at])))
        }
        (Shape::EachEach(all), other) => Shape::EachEach(all.as_ref().map(|all| {
            let inner = |(i, xs): (usize, &Option<Vec<Option<i64>>>)| {
                row(xs.as_ref(), |j| match other {
                    Shape::One(y) => *y,
                    Shape::Each(ys) => ys.as_ref().and_then(|ys| ys[i]),
                    Shape::EachEach(all) => all.as_ref()?[i].as_ref()?[j],
                    Shape::List(_) | Shape::Lists(_) => unreachable!("{other:?}"),
                })
            };
            all.iter().enumerate().map(inner).collect()
        })),
        _ => unreachable!("{one:?} with {other:?}"),
    }
}

/// Computes a node with plain loops.
fn evaluate(made: &Made, values: &[Shape]) -> Shape {
    let all = |xs: &Option<Vec<Option<i64>>>| {
        xs.as_ref().and_then(|xs| xs.iter().copied().collect::<Option<Vec<_>>>())
    };
    match *made {
        Made::Input(ref shape) => shape.clone(),
        Made::Mix(x, Some(y)) => mixed(&values[x], &values[y]),
        Made::Mix(x, None) => map(&values[x], |x| Some(mix(x, x))),
        Made::Picky(x) => map(&values[x], picky),
        Made::List(x) => match &values[x] {
            Shape::One(x) => Shape::List(x.map(list)),
            Shape::Each(xs) => {
                Shape::Lists(xs.as_ref().map(|xs| xs.iter().map(|x| x.map(list)).collect()))
            }
            other => unreachable!("{other:?}"),
        },
        Made::Sum(x) => match &values[x] {
            Shape::List(xs) => Shape::One(xs.as_deref().map(sum)),
            Shape::Lists(all) => Shape::Each(
                all.as_ref().map(|all| all.iter().map(|xs| xs.as_deref().map(sum)).collect()),
            ),
            other => unreachable!("{other:?}"),
        },
        Made::FanOut(x) => match &values[x] {
            Shape::List(xs) => {
                Shape::Each(xs.as_ref().map(|xs| xs.iter().copied().map(Some).collect()))
            }
            Shape::Lists(all) => Shape::EachEach(all.as_ref().map(|all| {
                let some = |xs: &Vec<i64>| xs.iter().copied().map(Some).collect();
                all.iter().map(|xs| xs.as_ref().map(some)).collect()
            })),
            other => unreachable!("{other:?}"),
        },
        Made::Collect(x) => match &values[x] {
            Shape::Each(xs) => Shape::List(all(xs)),
            Shape::EachEach(rows) => {
                Shape::Lists(rows.as_ref().map(|rows| rows.iter().map(all).collect()))
            }
            other => unreachable!("{other:?}"),
        },
        Made::Fold(x) => match &values[x] {
            Shape::Each(xs) => Shape::One(all(xs).map(|xs| sum(&xs))),
            Shape::EachEach(rows) => Shape::Each(
                rows.as_ref()
                    .map(|rows| rows.iter().map(|xs| all(xs).map(|xs| sum(&xs))).collect()),
            ),
            other => unreachable!("{other:?}"),
        },
    }
}

/// The number of values that are not lost.
fn count(shape: &Shape) -> u64 {
    let count = match shape {
        Shape::One(x) => usize::from(x.is_some()),
        Shape::List(x) => usize::from(x.is_some()),
        Shape::Each(xs) => xs.iter().flatten().flatten().count(),
        Shape::Lists(xs) => xs.iter().flatten().flatten().count(),
        Shape::EachEach(all) => all.iter().flatten().flatten().flatten().flatten().count(),
    };
    count as u64
}

/// A reproducible generator of pseudo-random numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }
}

/// Adds a node to a flow. Its function is the one that the loops use.
fn add(flow: &mut Flow, name: &str, made: &Made, handles: &[Any]) -> Any {
    let refuse = |x: &i64| picky(*x).ok_or("picky");
    match *made {
        Made::Input(ref shape) => match shape {
            Shape::One(_) => Any::One(flow.input(name)),
            _ => Any::List(flow.input(name)),
        },
        Made::Mix(x, None) => match handles[x] {
            Any::One(x) => Any::One(flow.node(name, x, |x| mix(*x, *x))),
            Any::Each(x) => Any::Each(flow.node(name, x, |x| mix(*x, *x))),
            Any::EachEach(x) => Any::EachEach(flow.node(name, x, |x| mix(*x, *x))),
            other => unreachable!("{other:?}"),
        },
        Made::Mix(x, Some(y)) => match (handles[x], handles[y]) {
            (Any::One(x), Any::One(y)) => Any::One(flow.node(name, (x, y), |x, y| mix(*x, *y))),
            (Any::Each(x), Any::One(y)) => Any::Each(flow.node(name, (x, y), |x, y| mix(*x, *y))),
            (Any::Each(x), Any::Each(y)) => Any::Each(flow.node(name, (x, y), |x, y| mix(*x, *y))),
            (Any::EachEach(x), Any::One(y)) => {
                Any::EachEach(flow.node(name, (x, y), |x, y| mix(*x, *y)))
            }
            (Any::EachEach(x), Any::Each(y)) => {
                Any::EachEach(flow.node(name, (x, y), |x, y| mix(*x, *y)))
            }
            (Any::EachEach(x), Any::EachEach(y)) => {
                Any::EachEach(flow.node(name, (x, y), |x, y| mix(*x, *y)))
            }
            other => unreachable!("{other:?}"),
        },
        Made::Picky(x) => match handles[x] {
            Any::One(x) => Any::One(flow.try_node(name, x, refuse)),
            Any::Each(x) => Any::Each(flow.try_node(name, x, refuse)),
            Any::EachEach(x) => Any::EachEach(flow.try_node(name, x, refuse)),
            other => unreachable!("{other:?}"),
        },
        Made::List(x) => match handles[x] {
            Any::One(x) => Any::List(flow.node(name, x, |x| list(*x))),
            Any::Each(x) => Any::Lists(flow.node(name, x, |x| list(*x))),
            other => unreachable!("{other:?}"),
        },
        Made::Sum(x) => match handles[x] {
            Any::List(x) => Any::One(flow.node(name, x, |x| sum(x))),
            Any::Lists(x) => Any::Each(flow.node(name, x, |x| sum(x))),
            other => unreachable!("{other:?}"),
        },
        Made::FanOut(x) => match handles[x] {
            Any::List(x) => Any::Each(flow.fan_out(name, x)),
            Any::Lists(x) => Any::EachEach(flow.fan_out(name, x)),
            other => unreachable!("{other:?}"),
        },
        Made::Collect(x) => match handles[x] {
            Any::Each(x) => Any::List(flow.collect(name, x)),
            Any::EachEach(x) => Any::Lists(flow.collect(name, x)),
            other => unreachable!("{other:?}"),
        },
        Made::Fold(x) => match handles[x] {
            Any::Each(x) => Any::One(flow.fold(name, x, 1, |sum, x| mix(sum, *x))),
            Any::EachEach(x) => Any::Each(flow.fold(name, x, 1, |sum, x| mix(sum, *x))),
            other => unreachable!("{other:?}"),
        },
    }
}

/// Makes a random graph.
fn random(rng: &mut Random) -> (Flow, Vec<Made>, Vec<Any>) {
    let mut flow = Flow::new();
    let (mut made, mut handles, mut paths): (Vec<Made>, Vec<Any>, Vec<Vec<usize>>) =
        Default::default();
    for at in 0..6 + rng.below(20) {
        let next = loop {
            if at < 2 {
                let items = (0..rng.below(7) as i64).map(|x| 7 * x + at as i64).collect();
                break if at == 0 {
                    Made::Input(Shape::One(Some(8)))
                } else {
                    Made::Input(Shape::List(Some(items)))
                };
            }
            let x = rng.below(at);
            let kind = rng.below(8);
            match (&handles[x], kind) {
                (Any::List(_) | Any::Lists(_), 0) => break Made::Sum(x),
                (Any::List(_) | Any::Lists(_), 1 | 2) => break Made::FanOut(x),
                (Any::One(_) | Any::Each(_), 3) => break Made::List(x),
                (Any::Each(_) | Any::EachEach(_), 4) => break Made::Collect(x),
                (Any::Each(_) | Any::EachEach(_), 5) => break Made::Fold(x),
                (Any::One(_) | Any::Each(_) | Any::EachEach(_), 6) if rng.below(3) == 0 => {
                    break Made::Picky(x);
                }
                (Any::One(_) | Any::Each(_) | Any::EachEach(_), 7) => {
                    let y = rng.below(at);
                    let fits = paths[x].starts_with(&paths[y])
                        && matches!(handles[y], Any::One(_) | Any::Each(_) | Any::EachEach(_));
                    break Made::Mix(x, fits.then_some(y));
                }
                _ => {}
            }
        };
        let path = match next {
            Made::Input(_) => Vec::new(),
            Made::FanOut(x) => [&paths[x][..], &[at]].concat(),
            Made::Collect(x) | Made::Fold(x) => paths[x][..paths[x].len() - 1].to_vec(),
            Made::Mix(x, _) | Made::Picky(x) | Made::List(x) | Made::Sum(x) => paths[x].clone(),
        };
        handles.push(add(&mut flow, &format!("n{at}"), &next, &handles));
        made.push(next);
        paths.push(path);
    }
    (flow, made, handles)
}

fn set<'r>(
    run: RunBuilder<'r, KeepGoing>,
    handle: Any,
    shape: &Shape,
) -> RunBuilder<'r, KeepGoing> {
    match (handle, shape) {
        (Any::One(x), Shape::One(Some(value))) => run.set(x, *value),
        (Any::List(x), Shape::List(Some(values))) => run.set(x, values.clone()),
        (Any::Each(x), Shape::Each(Some(values))) => {
            run.set(x, values.iter().map(|x| x.unwrap()).collect())
        }
        other => unreachable!("{other:?}"),
    }
}

/// Chooses a node to set to other values, in about half of the graphs.
fn change(rng: &mut Random, made: &[Made], plain: &[Shape]) -> Option<(usize, Shape)> {
    let at = rng.below(made.len());
    let changed = match &plain[at] {
        Shape::One(Some(x)) => Shape::One(Some(x + 1)),
        Shape::List(Some(values)) => Shape::List(Some(values.iter().map(|x| x + 1).collect())),
        Shape::Each(Some(values)) if values.iter().all(Option::is_some) => {
            Shape::Each(Some(values.iter().map(|x| x.map(|x| x + 1)).collect()))
        }
        _ => return None,
    };
    (rng.below(2) == 0 && !matches!(made[at], Made::Input(_))).then_some((at, changed))
}

fn try_graph(seed: u64, pool: &Pool) {
    let mut rng = Random(seed);
    let (flow, made, handles) = random(&mut rng);
    let all = |changed: Option<&(usize, Shape)>| {
        made.iter().enumerate().fold(Vec::new(), |mut values: Vec<Shape>, (at, made)| {
            let value = match changed {
                Some((other, value)) if *other == at => value.clone(),
                _ => evaluate(made, &values),
            };
            values.push(value);
            values
        })
    };
    let changed = change(&mut rng, &made, &all(None));
    let expected = all(changed.as_ref());
    let call = pool.job().keep_going();
    // With few elements open at a time, a step that waits for unread elements would never run.
    let mut run =
        flow.on(if seed % 2 == 0 { call } else { call.batch_size(1).prefetch_batches(0) });
    for (at, made) in made.iter().enumerate() {
        if let Made::Input(shape) = made {
            run = set(run, handles[at], shape);
        }
    }
    if let Some((at, shape)) = &changed {
        run = set(run, handles[*at], shape);
    }
    let (mut ones, mut lists, mut each, mut each_lists, mut each_each) =
        (vec![], vec![], vec![], vec![], vec![]);
    let mut wanted = [const { Vec::new() }; 5];
    for at in (0..made.len()).filter(|_| rng.below(3) == 0) {
        let kind = match handles[at] {
            Any::One(x) => (ones.push(x), 0).1,
            Any::List(x) => (lists.push(x), 1).1,
            Any::Each(x) => (each.push(x), 2).1,
            Any::Lists(x) => (each_lists.push(x), 3).1,
            Any::EachEach(x) => (each_each.push(x), 4).1,
        };
        wanted[kind].push(at);
    }
    let outcome = run.run((ones, lists, each, each_lists, each_each)).unwrap();
    let (ones, lists, each, each_lists, each_each) = outcome.outputs;
    let found = [
        ones.into_iter().map(Shape::One).collect::<Vec<_>>(),
        lists.into_iter().map(Shape::List).collect(),
        each.into_iter().map(Shape::Each).collect(),
        each_lists.into_iter().map(Shape::Lists).collect(),
        each_each.into_iter().map(Shape::EachEach).collect(),
    ];
    for (at, found) in wanted.into_iter().flatten().zip(found.into_iter().flatten()) {
        assert_eq!(found, expected[at], "seed {seed}: n{at} of {made:?}, with {changed:?}");
    }
    // Each value was computed once, and each failure reported once.
    for (at, node) in outcome
        .report
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.state != NodeState::NotNeeded)
    {
        assert_eq!(
            node.done,
            count(&expected[at]),
            "seed {seed}: n{at} of {made:?}, with {changed:?}"
        );
        assert!(node.elements.len() as u64 >= node.done + node.failed, "seed {seed}: n{at}");
    }
    let failed = outcome.report.nodes.iter().map(|node| node.failed).sum::<u64>();
    assert_eq!(outcome.failures.len() as u64, failed, "seed {seed}");
}

// G3
#[test]
fn flow_random_graphs_match_plain_loops() {
    let _dog = Watchdog::new("random graphs");
    let within =
        |backend, workers| Pool::builder().workers(workers).backend(backend).build().unwrap();
    let few = if crate::common::emulated() { 10 } else { 1 };
    for (pool, graphs) in
        [(within(Backend::Serial, 1), 1000), (within(Backend::Threads, 2), 300), (pool(), 300)]
    {
        (0..graphs / few).for_each(|seed| try_graph(seed, &pool));
    }
}
