//! The plan of a run: the nodes that the outputs need, by fan-out, and where their values go.

use std::collections::{BTreeSet, HashMap};

use super::{
    engine::Quoted,
    graph::Flow,
    handle::NodeId,
    node::{Node, NodeKind, ValueTree},
};
use crate::{Error, Result};

pub(super) struct Plan {
    /// Stage 0 is outside of all fan-outs. A stage comes after the stage that it is inside of.
    pub(super) stages: Vec<Stage>,
    /// For each node that is needed, its stage and its slot in that stage.
    slots: Vec<Option<(usize, usize)>>,
    /// For each node, the nodes that use it in the same fan-out or further inside. A node that
    /// uses it twice is listed twice.
    pub(super) consumers: Vec<Vec<usize>>,
}

/// The inside of a fan-out: the nodes that have one value for each element.
#[derive(Default)]
pub(super) struct Stage {
    /// The fan-out node, or `None` for stage 0.
    pub(super) fan_out: Option<usize>,
    pub(super) parent: usize,
    /// The node of each slot.
    pub(super) nodes: Vec<usize>,
    /// For each slot, how many times its value is released: once by each step and each fan-out
    /// that uses it. An output counts as a use that is never released.
    pub(super) uses: Vec<u32>,
    pub(super) children: Vec<usize>,
    /// Slots of the parent whose values the elements of this stage use.
    pub(super) borrowed: BTreeSet<usize>,
    pub(super) exports: Vec<Export>,
    /// For each slot, the exports of its values.
    pub(super) exports_of: Vec<Vec<usize>>,
    /// Whether a node in this stage needs a result of all its elements. Then all elements must be
    /// open at the same time.
    pub(super) needs_all: bool,
}

/// Values that leave a stage.
pub(super) struct Export {
    /// The slot of the values, or `None` for values that an inner stage exports to this one.
    pub(super) slot: Option<usize>,
    pub(super) to: Destination,
}

/// Where the values of a fan-out go when they are complete.
#[derive(Clone, Copy)]
pub(super) enum Destination {
    /// This node, which collects or folds.
    Node(usize),
    /// This export of the parent stage.
    Export(usize),
    /// This output of the run.
    Output(usize),
}

impl Plan {
    /// # Errors
    ///
    /// Returns an error if the flow has problems, an output belongs to another flow, an input is
    /// not set, or values that were set have different numbers of elements.
    pub(super) fn new(
        flow: &Flow,
        outputs: &[NodeId],
        set: &HashMap<usize, ValueTree>,
    ) -> Result<Self> {
        flow.check()?;
        if outputs.iter().any(|output| output.flow != flow.id) {
            return Err(Error::invalid_input("a requested output is a handle of another flow"));
        }
        let outputs: Vec<_> = outputs.iter().map(|output| output.index).collect();
        let needed = needed(flow, &outputs, set)?;
        let mut plan = Self {
            stages: vec![Stage::default()],
            slots: vec![None; flow.nodes.len()],
            consumers: vec![Vec::new(); flow.nodes.len()],
        };
        let mut stage_of = HashMap::new();
        for at in (0..flow.nodes.len()).filter(|&at| needed[at]) {
            let node = &flow.nodes[at];
            if let NodeKind::FanOut(_) = node.kind {
                let outer = node.path.len().checked_sub(2).map(|at| node.path[at]);
                let parent = outer.map_or(0, |outer| stage_of[&outer]);
                stage_of.insert(at, plan.add_stage(at, parent));
            }
            let stage = node.path.last().map_or(0, |fan_out| stage_of[fan_out]);
            let Stage { nodes, uses, .. } = &mut plan.stages[stage];
            plan.slots[at] = Some((stage, nodes.len()));
            nodes.push(at);
            uses.push(0);
        }
        for at in (0..flow.nodes.len()).filter(|&at| needed[at] && !set.contains_key(&at)) {
            flow.nodes[at].inputs.iter().for_each(|&input| plan.connect(flow, at, input));
        }
        for (number, &output) in outputs.iter().enumerate() {
            plan.add_output(&flow.nodes[output], output, number, &stage_of);
        }
        plan.find_stages_that_need_all();
        plan.stages.iter_mut().for_each(Stage::index_exports);
        plan.check_lengths(flow, set)?;
        Ok(plan)
    }

    fn add_stage(&mut self, fan_out: usize, parent: usize) -> usize {
        let stage = self.stages.len();
        self.stages[parent].children.push(stage);
        self.stages.push(Stage { fan_out: Some(fan_out), parent, ..Stage::default() });
        stage
    }

    /// Whether a stage is within another.
    pub(super) fn is_inside(&self, mut stage: usize, outer: usize) -> bool {
        // A stage comes after the stages that it is inside of.
        while stage > outer {
            stage = self.stages[stage].parent;
        }
        stage == outer
    }

    pub(super) fn is_needed(&self, node: usize) -> bool {
        self.slots[node].is_some()
    }

    /// The stage and slot of a node that is needed.
    pub(super) fn slot(&self, node: usize) -> (usize, usize) {
        self.slots[node].expect("the node is needed")
    }

    /// Records that `node` uses the value of `input`.
    fn connect(&mut self, flow: &Flow, node: usize, input: usize) {
        let (from, slot) = self.slot(input);
        if let NodeKind::Collect(_) | NodeKind::Fold { .. } = flow.nodes[node].kind {
            let export = Export { slot: Some(slot), to: Destination::Node(node) };
            self.stages[from].exports.push(export);
            return;
        }
        self.consumers[input].push(node);
        let (mut to, _) = self.slot(node);
        if let NodeKind::FanOut(_) = flow.nodes[node].kind {
            // The list of a fan-out is used in the stage around the fan-out.
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

    /// Makes the values of node `at` output `number`.
    fn add_output(
        &mut self,
        node: &Node,
        at: usize,
        number: usize,
        stage_of: &HashMap<usize, usize>,
    ) {
        let (stage, slot) = self.slot(at);
        let mut to = Destination::Output(number);
        for fan_out in &*node.path {
            let outer = stage_of[fan_out];
            let export = Export { slot: (outer == stage).then_some(slot), to };
            self.stages[outer].exports.push(export);
            to = Destination::Export(self.stages[outer].exports.len() - 1);
        }
        if node.path.is_empty() {
            self.stages[stage].uses[slot] += 1;
        }
    }

    /// Finds the stages with a node that needs a result of all elements of the stage.
    ///
    /// Consider a graph of the nodes and the ends of the stages. The end of a stage depends on all
    /// nodes inside, and a collect or fold depends on the end. The stages are those whose end is
    /// on a cycle. Nodes without predecessors or without successors are removed repeatedly. The
    /// rest is on a cycle, or between two cycles, which also counts.
    fn find_stages_that_need_all(&mut self) {
        let end = |stage: usize| self.slots.len() + stage;
        let mut edges: Vec<(usize, usize)> = Vec::new();
        for (node, slot) in self.slots.iter().enumerate() {
            edges.extend(self.consumers[node].iter().map(|&consumer| (node, consumer)));
            edges.extend(slot.iter().map(|&(stage, _)| (node, end(stage))));
        }
        for (at, stage) in self.stages.iter().enumerate().skip(1) {
            edges.push((end(at), end(stage.parent)));
            edges.extend(stage.exports.iter().filter_map(|export| match export.to {
                Destination::Node(node) => Some((end(at), node)),
                Destination::Export(_) | Destination::Output(_) => None,
            }));
        }
        let mut left = vec![true; self.slots.len() + self.stages.len()];
        remove_acyclic(&mut left, edges.iter().copied());
        remove_acyclic(&mut left, edges.iter().map(|&(from, to)| (to, from)));
        for (at, stage) in self.stages.iter_mut().enumerate() {
            stage.needs_all = left[self.slots.len() + at];
        }
    }

    /// Checks that values that were set inside of one fan-out have the same number of elements.
    fn check_lengths(&self, flow: &Flow, set: &HashMap<usize, ValueTree>) -> Result<()> {
        for stage in &self.stages[1..] {
            let mut trees = stage.nodes.iter().filter_map(|node| Some((*node, set.get(node)?)));
            let Some((first, tree)) = trees.next() else { continue };
            if let Some((other, _)) = trees.find(|(_, other)| !same_shape(tree, other)) {
                return Err(Error::invalid_input(format!(
                    "the values set for {} and {} belong to one fan-out, but have different \
                     numbers of elements",
                    Quoted(&flow.nodes[first].name),
                    Quoted(&flow.nodes[other].name),
                )));
            }
        }
        Ok(())
    }
}

impl Stage {
    fn index_exports(&mut self) {
        self.exports_of = vec![Vec::new(); self.nodes.len()];
        for (at, export) in self.exports.iter().enumerate() {
            if let Some(slot) = export.slot {
                self.exports_of[slot].push(at);
            }
        }
    }
}

/// Removes the entries of `left` that have no incoming edge, until all others have one.
fn remove_acyclic(left: &mut [bool], edges: impl Iterator<Item = (usize, usize)>) {
    let mut successors = vec![Vec::new(); left.len()];
    let mut predecessors = vec![0_usize; left.len()];
    for (from, to) in edges.filter(|&(from, to)| left[from] && left[to]) {
        successors[from].push(to);
        predecessors[to] += 1;
    }
    let is_free = |&at: &usize| left[at] && predecessors[at] == 0;
    let mut free: Vec<_> = (0..left.len()).filter(is_free).collect();
    while let Some(at) = free.pop() {
        left[at] = false;
        for &to in &successors[at] {
            predecessors[to] -= 1;
            if predecessors[to] == 0 {
                free.push(to);
            }
        }
    }
}

fn same_shape(one: &ValueTree, other: &ValueTree) -> bool {
    match (one, other) {
        (ValueTree::Many(one), ValueTree::Many(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| same_shape(one, other))
        }
        (ValueTree::Many(_), _) | (_, ValueTree::Many(_)) => false,
        _ => true,
    }
}

/// For each node, whether the outputs need its value.
fn needed(flow: &Flow, outputs: &[usize], set: &HashMap<usize, ValueTree>) -> Result<Vec<bool>> {
    let mut needed = vec![false; flow.nodes.len()];
    let mut missing = BTreeSet::new();
    let mut pending = outputs.to_vec();
    while let Some(at) = pending.pop() {
        if std::mem::replace(&mut needed[at], true) {
            continue;
        }
        let node = &flow.nodes[at];
        pending.extend(&*node.path);
        if set.contains_key(&at) {
            continue;
        }
        pending.extend(&node.inputs);
        if let NodeKind::Input(None) = node.kind {
            missing.insert(at);
        }
    }
    if missing.is_empty() {
        return Ok(needed);
    }
    let missing: Vec<_> =
        missing.into_iter().map(|node| Quoted(&flow.nodes[node].name).to_string()).collect();
    Err(Error::invalid_input(format!("inputs are not set: {}", missing.join(", "))))
}
