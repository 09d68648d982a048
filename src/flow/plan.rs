//! What has to be done for what is wanted: which nodes, in which fan-outs, and where their values go.

use std::collections::{BTreeSet, HashMap};

use super::{
    Flow, Kind,
    handle::{Found, Tree},
    node::Node,
};
use crate::{Error, Result};

/// What has to be done.
pub(super) struct Plan {
    /// Stage 0 is outside of all fan-outs; a stage comes after that which it is inside of.
    pub(super) stages: Vec<Stage>,
    /// For each node that is needed, its stage, and its place among that stage's nodes.
    pub(super) places: Vec<Option<(usize, usize)>>,
    /// For each node, those that are made from it in the same fan-out or further inside, each as often as it is.
    pub(super) consumers: Vec<Vec<usize>>,
}

/// The inside of a fan-out: what is there once per element.
#[derive(Default)]
pub(super) struct Stage {
    /// The node whose elements these are. Outside of all fan-outs there is none.
    pub(super) expand: Option<usize>,
    pub(super) parent: usize,
    pub(super) nodes: Vec<usize>,
    /// For each of the nodes, how many of its uses end by themselves: in a step, in a fan-out as a whole, never.
    pub(super) uses: Vec<u32>,
    pub(super) children: Vec<usize>,
    /// Places of the parent's nodes whose values go to elements in here.
    pub(super) borrowed: BTreeSet<usize>,
    pub(super) taps: Vec<Tap>,
    /// For each of the nodes, which of the taps its values leave by.
    pub(super) taps_of: Vec<Vec<usize>>,
    /// Whether something in here waits for all elements, so that all have to be there at a time.
    pub(super) whole: bool,
}

/// Values of a stage that leave it.
pub(super) struct Tap {
    /// The place of the node whose values they are; `None`: the values that leave a stage further inside.
    pub(super) node: Option<usize>,
    pub(super) to: Target,
}

/// Where the values of a fan-out go, once they are all there.
#[derive(Clone, Copy)]
pub(super) enum Target {
    /// To this node, which collects or folds.
    Node(usize),
    /// To this tap of the parent.
    Tap(usize),
    /// To whoever asked for them, as output number so and so.
    Output(usize),
}

impl Plan {
    /// # Errors
    ///
    /// Where the flow has [problems](Flow::check), a handle is of another flow, an input is needed and not set, or values were set that
    /// cannot be.
    pub(super) fn new(
        flow: &Flow,
        wanted: &[(u64, usize)],
        set: &HashMap<usize, Found>,
    ) -> Result<Self> {
        flow.check()?;
        if wanted.iter().any(|(id, _)| *id != flow.id) {
            return Err(Error::invalid_input(
                "an output is asked for by the handle of another flow",
            ));
        }
        let outputs: Vec<_> = wanted.iter().map(|(_, node)| *node).collect();
        let needed = needed(flow, &outputs, set)?;
        let mut plan = Self {
            stages: vec![Stage::default()],
            places: vec![None; flow.nodes.len()],
            consumers: vec![Vec::new(); flow.nodes.len()],
        };
        let mut stage_of = HashMap::new();
        for at in (0..flow.nodes.len()).filter(|&at| needed[at]) {
            let node = &flow.nodes[at];
            if let Kind::Expand(_) = node.kind {
                let outer = node.path.len().checked_sub(2).map(|at| node.path[at]);
                let parent = outer.map_or(0, |outer| stage_of[&outer]);
                stage_of.insert(at, plan.inside(at, parent));
            }
            let stage = node.path.last().map_or(0, |expand| stage_of[expand]);
            let Stage { nodes, uses, .. } = &mut plan.stages[stage];
            plan.places[at] = Some((stage, nodes.len()));
            nodes.push(at);
            uses.push(0);
        }
        for at in (0..flow.nodes.len()).filter(|&at| needed[at] && !set.contains_key(&at)) {
            flow.nodes[at].inputs.iter().for_each(|&input| plan.connect(flow, at, input));
        }
        for (number, &output) in outputs.iter().enumerate() {
            plan.bring_out(&flow.nodes[output], output, number, &stage_of);
        }
        plan.find_whole();
        plan.stages.iter_mut().for_each(Stage::sort_taps);
        plan.check_lengths(flow, set)?;
        Ok(plan)
    }

    /// Adds the inside of `expand`.
    fn inside(&mut self, expand: usize, parent: usize) -> usize {
        let stage = self.stages.len();
        self.stages[parent].children.push(stage);
        self.stages.push(Stage { expand: Some(expand), parent, ..Stage::default() });
        stage
    }

    /// Whether a stage is within another.
    pub(super) fn is_inside(&self, mut stage: usize, outer: usize) -> bool {
        // A stage comes after those that it is inside of.
        while stage > outer {
            stage = self.stages[stage].parent;
        }
        stage == outer
    }

    /// The place of a node that is needed.
    pub(super) fn place(&self, node: usize) -> (usize, usize) {
        self.places[node].expect("the node is needed")
    }

    /// `node` needs the value of `input`.
    fn connect(&mut self, flow: &Flow, node: usize, input: usize) {
        let (from, slot) = self.place(input);
        if let Kind::Collect(_) | Kind::Fold { .. } = flow.nodes[node].kind {
            self.stages[from].taps.push(Tap { node: Some(slot), to: Target::Node(node) });
            return;
        }
        self.consumers[input].push(node);
        let (mut to, _) = self.place(node);
        if let Kind::Expand(_) = flow.nodes[node].kind {
            // Its list is used where that is.
            to = self.stages[to].parent;
        }
        if to == from {
            self.stages[from].uses[slot] += 1;
            return;
        }
        while self.stages[to].parent != from {
            to = self.stages[to].parent;
        }
        if self.stages[to].borrowed.insert(slot) {
            self.stages[from].uses[slot] += 1;
        }
    }

    /// The values of `node` are output number `number`.
    fn bring_out(
        &mut self,
        node: &Node,
        at: usize,
        number: usize,
        stage_of: &HashMap<usize, usize>,
    ) {
        let (stage, slot) = self.place(at);
        let mut to = Target::Output(number);
        for expand in &*node.path {
            let outer = stage_of[expand];
            let tap = Tap { node: (outer == stage).then_some(slot), to };
            self.stages[outer].taps.push(tap);
            to = Target::Tap(self.stages[outer].taps.len() - 1);
        }
        if node.path.is_empty() {
            self.stages[stage].uses[slot] += 1;
        }
    }

    /// Finds the stages of which something waits for all elements, also by way of another stage.
    ///
    /// What depends on what is a graph of nodes, and of the ends of stages: an end needs all that is inside, and what collects or folds needs the end.
    /// Ends on a cycle of it are those stages. Whatever is on no cycle is peeled off, from either side; what is left is on one, or
    /// between two.
    fn find_whole(&mut self) {
        let end = |stage: usize| self.places.len() + stage;
        let mut edges: Vec<(usize, usize)> = Vec::new();
        for (node, place) in self.places.iter().enumerate() {
            edges.extend(self.consumers[node].iter().map(|&consumer| (node, consumer)));
            edges.extend(place.iter().map(|&(stage, _)| (node, end(stage))));
        }
        for (at, stage) in self.stages.iter().enumerate().skip(1) {
            edges.push((end(at), end(stage.parent)));
            edges.extend(stage.taps.iter().filter_map(|tap| match tap.to {
                Target::Node(node) => Some((end(at), node)),
                Target::Tap(_) | Target::Output(_) => None,
            }));
        }
        let mut left = vec![true; self.places.len() + self.stages.len()];
        peel(&mut left, edges.iter().copied());
        peel(&mut left, edges.iter().map(|&(from, to)| (to, from)));
        for (at, stage) in self.stages.iter_mut().enumerate() {
            stage.whole = left[self.places.len() + at];
        }
    }

    /// Whether values that were set for one fan-out are equally many.
    fn check_lengths(&self, flow: &Flow, set: &HashMap<usize, Found>) -> Result<()> {
        for stage in &self.stages[1..] {
            let mut given = stage.nodes.iter().filter_map(|node| Some((*node, &set.get(node)?.0)));
            let Some((first, tree)) = given.next() else { continue };
            if let Some((other, _)) = given.find(|(_, other)| !same_shape(tree, other)) {
                let [first, other] = [first, other].map(|node| &flow.nodes[node].name);
                return Err(Error::invalid_input(format!(
                    "the values set for {first:?} and for {other:?} are for different numbers of elements of one fan-out"
                )));
            }
        }
        Ok(())
    }
}

impl Stage {
    fn sort_taps(&mut self) {
        self.taps_of = vec![Vec::new(); self.nodes.len()];
        for (at, tap) in self.taps.iter().enumerate() {
            if let Some(slot) = tap.node {
                self.taps_of[slot].push(at);
            }
        }
    }
}

/// Takes what no edge leads to from what is `left`, and again, until an edge leads to each.
fn peel(left: &mut [bool], edges: impl Iterator<Item = (usize, usize)>) {
    let mut after = vec![Vec::new(); left.len()];
    let mut before = vec![0_usize; left.len()];
    for (from, to) in edges.filter(|&(from, to)| left[from] && left[to]) {
        after[from].push(to);
        before[to] += 1;
    }
    let mut free: Vec<_> = (0..left.len()).filter(|&at| left[at] && before[at] == 0).collect();
    while let Some(at) = free.pop() {
        left[at] = false;
        for &to in &after[at] {
            before[to] -= 1;
            if before[to] == 0 {
                free.push(to);
            }
        }
    }
}

fn same_shape(one: &Tree, other: &Tree) -> bool {
    match (one, other) {
        (Tree::Many(one), Tree::Many(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| same_shape(one, other))
        }
        (Tree::Many(_), _) | (_, Tree::Many(_)) => false,
        _ => true,
    }
}

/// Which nodes have to have values.
fn needed(flow: &Flow, outputs: &[usize], set: &HashMap<usize, Found>) -> Result<Vec<bool>> {
    let mut needed = vec![false; flow.nodes.len()];
    let mut missing = BTreeSet::new();
    let mut ahead = outputs.to_vec();
    while let Some(at) = ahead.pop() {
        if std::mem::replace(&mut needed[at], true) {
            continue;
        }
        let node = &flow.nodes[at];
        ahead.extend(&*node.path);
        if set.contains_key(&at) {
            continue;
        }
        ahead.extend(&node.inputs);
        if let Kind::Input(None) = node.kind {
            missing.insert(at);
        }
    }
    if missing.is_empty() {
        return Ok(needed);
    }
    let missing: Vec<_> =
        missing.into_iter().map(|node| format!("{:?}", flow.nodes[node].name)).collect();
    Err(Error::invalid_input(format!(
        "inputs that are needed were not set: {}",
        missing.join(", ")
    )))
}
