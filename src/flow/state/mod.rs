//! The state of a run: the values that exist, and the steps that can run next.
//!
//! A *scope* holds the values of one element of a fan-out. The first scope is outside of all
//! fan-outs. An *open fan-out* belongs to a scope. Its elements are read while there is room for
//! them, and it closes when all of them are finished.
//!
//! [`RunState`] is implemented in three files: this one, `fan_out.rs` and `tasks.rs`.

mod fan_out;
mod slab;
mod tasks;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use slab::Slab;

use super::{
    engine::Quoted,
    graph::Flow,
    handle::NodeId,
    node::{ErasedValue, NodeKind, ValueTree},
    plan::Plan,
    report::ElementReport,
};
use crate::{Error, Result, pool::TaskError};

/// The state of a run.
pub(super) struct RunState<'f> {
    flow: &'f Flow,
    plan: &'f Plan,
    /// The values that were set, by node. Those of stage 0 have been moved to their slots.
    set: HashMap<usize, ValueTree>,
    scopes: Slab<Scope>,
    fan_outs: Slab<OpenFanOut>,
    /// The number of scopes of each stage.
    live: Vec<usize>,
    /// The fan-outs of each stage that may have more elements, in the order of opening.
    unread: Vec<Vec<usize>>,
    /// The scopes in which a step can run, by node. The last node goes first, so that values are
    /// used up before new ones are made.
    ready: BTreeMap<usize, VecDeque<usize>>,
    /// The number of steps in `ready`.
    ready_count: usize,
    /// The number of steps that should be ready, and of elements that may be open, at a time.
    ahead: usize,
    /// The node and scope of each running task, beginning with task `first_running`.
    running: VecDeque<Option<(usize, usize)>>,
    first_running: u64,
    /// Values that have not been passed on yet: node, scope and value.
    news: Vec<(usize, usize, Option<ErasedValue>)>,
    outputs: Vec<ValueTree>,
    problem: Option<Error>,
    pub(super) progress: Vec<NodeProgress>,
    /// Whether each element is recorded.
    detailed: bool,
}

/// The counts and times of a node so far.
#[derive(Clone, Default)]
pub(super) struct NodeProgress {
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
    pub(super) time: Duration,
    pub(super) elements: Vec<ElementReport>,
}

struct Scope {
    stage: usize,
    /// The fan-out that the element belongs to.
    fan_out: usize,
    /// The index of the element.
    index: u64,
    slots: Vec<ValueSlot>,
    /// The position among the open scopes of the fan-out.
    place: usize,
    /// The open fan-outs inside of the scope.
    fan_outs: Vec<usize>,
    /// The number of values and fan-outs that are not finished.
    unfinished: usize,
}

#[derive(Clone)]
struct ValueSlot {
    phase: ValuePhase,
    value: Option<ErasedValue>,
    /// The number of inputs that are missing.
    missing: u32,
    /// The number of uses that have not released the value.
    uses: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ValuePhase {
    Waiting,
    /// Ready, running, or about to be passed on.
    Begun,
    Done,
    Lost,
}

struct OpenFanOut {
    stage: usize,
    /// The scope that the fan-out belongs to.
    parent: usize,
    /// The remaining elements, or `None` after the last.
    elements: Option<Box<dyn Iterator<Item = ErasedValue>>>,
    /// The number of elements that were read.
    read: u64,
    /// The scopes of unfinished elements, in no particular order.
    open: Vec<usize>,
    /// The values that leave the fan-out, for each export of the stage.
    gatherings: Vec<Gathering>,
}

/// The values of one export of a fan-out. They are sent when they are complete, even if other
/// nodes of the fan-out are unfinished.
struct Gathering {
    accumulator: Accumulator,
    /// The number of values that have arrived.
    received: u64,
    is_sent: bool,
}

enum Accumulator {
    List(Vec<ValueTree>),
    Fold {
        folded: Option<ErasedValue>,
        /// The index of the next value to fold.
        next: u64,
        /// Values of later elements.
        early: BTreeMap<u64, ValueTree>,
    },
}

impl Gathering {
    /// Takes the values to send them.
    fn take(&mut self) -> Accumulator {
        self.is_sent = true;
        std::mem::replace(&mut self.accumulator, Accumulator::List(Vec::new()))
    }
}

const ROOT_SCOPE: usize = 0;

impl<'f> RunState<'f> {
    pub(super) fn new(
        flow: &'f Flow,
        plan: &'f Plan,
        set: HashMap<usize, ValueTree>,
        outputs: usize,
        detailed: bool,
    ) -> Self {
        let mut state = Self {
            flow,
            plan,
            set,
            scopes: Slab::default(),
            fan_outs: Slab::default(),
            live: vec![0; plan.stages.len()],
            unread: vec![Vec::new(); plan.stages.len()],
            ready: BTreeMap::new(),
            ready_count: 0,
            ahead: 1,
            running: VecDeque::new(),
            first_running: 0,
            news: Vec::new(),
            outputs: vec![ValueTree::Lost; outputs],
            problem: None,
            progress: vec![NodeProgress::default(); flow.nodes.len()],
            detailed,
        };
        state.open_scope(0, usize::MAX, 0);
        for node in &plan.stages[0].nodes {
            if let Some(tree) = state.set.get_mut(node) {
                *tree = ValueTree::Lost;
            }
        }
        state.settle();
        state
    }

    /// Sets the number of steps that should be ready at a time.
    pub(super) fn look_ahead(&mut self, steps: u64) {
        self.ahead = usize::try_from(steps).unwrap_or(usize::MAX).max(1);
    }

    /// Whether every node has all its values or has lost them.
    pub(super) fn is_done(&self) -> bool {
        self.scopes.get(ROOT_SCOPE).unfinished == 0
    }

    /// Whether the run is unfinished and no step will become ready.
    pub(super) fn is_stalled(&self) -> bool {
        self.ready_count == 0 && !self.is_done() && self.next_fan_out().is_none()
    }

    /// Whether a node's values were set.
    pub(super) fn is_set(&self, node: usize) -> bool {
        self.set.contains_key(&node)
    }

    /// Whether a node has all its values.
    pub(super) fn is_finished(&self, node: usize) -> bool {
        let (stage, slot) = self.plan.slot(node);
        let is_done = |slot: &ValueSlot| slot.phase == ValuePhase::Done;
        self.is_done() || (stage == 0 && is_done(&self.scopes.get(ROOT_SCOPE).slots[slot]))
    }

    /// Takes the error about values that were set and do not fit.
    pub(super) fn take_problem(&mut self) -> Option<Error> {
        self.problem.take()
    }

    /// The values of the outputs, which are the values of `nodes`.
    pub(super) fn into_outputs(mut self, nodes: &[NodeId]) -> Vec<ValueTree> {
        self.send_incomplete_outputs();
        let root = self.scopes.get(ROOT_SCOPE);
        for (output, node) in self.outputs.iter_mut().zip(nodes) {
            if self.flow.nodes[node.index].path.is_empty() {
                let (_, slot) = self.plan.slot(node.index);
                *output = root.slots[slot].value.clone().map_or(ValueTree::Lost, ValueTree::One);
            }
        }
        // The other references to the values are dropped here, so that the caller need not clone.
        std::mem::take(&mut self.outputs)
    }

    /// Records the outcome of task `index`. Returns its error, which names node and element.
    pub(super) fn finish_task(
        &mut self,
        index: u64,
        outcome: Result<(u64, ErasedValue), TaskError>,
    ) -> Option<TaskError> {
        let at = usize::try_from(index.checked_sub(self.first_running)?).ok()?;
        let (node, scope) = self.running.get_mut(at)?.take()?;
        while let Some(None) = self.running.front() {
            self.running.pop_front();
            self.first_running += 1;
        }
        let (value, time, error) = match outcome {
            Ok((nanos, value)) => (Some(value), Duration::from_nanos(nanos), None),
            Err(error) => (None, error.elapsed(), Some(self.locate(error, node, scope))),
        };
        let progress = &mut self.progress[node];
        progress.time += time;
        progress.failed += u64::from(value.is_none());
        self.record(node, scope, value.is_some(), time);
        self.news.push((node, scope, value));
        self.settle();
        error
    }

    /// Adds the node and the element to an error.
    fn locate(&self, error: TaskError, node: usize, scope: usize) -> TaskError {
        let Self { flow, .. } = self;
        let indices = flow.nodes[node].path.iter().zip(self.path(scope));
        let element: Vec<_> = indices
            .map(|(fan_out, index)| format!("{}[{index}]", flow.nodes[*fan_out].name))
            .collect();
        error.of_node(
            flow.nodes[node].name.to_string(),
            element.join("/"),
            flow.nodes[node].added.to_string(),
        )
    }

    /// The index of a scope in each fan-out that it is in, outermost first.
    fn path(&self, mut scope: usize) -> Vec<u64> {
        let mut path = Vec::new();
        while scope != ROOT_SCOPE {
            let Scope { fan_out, index, .. } = self.scopes.get(scope);
            path.push(*index);
            scope = self.fan_outs.get(*fan_out).parent;
        }
        path.reverse();
        path
    }

    fn record(&mut self, node: usize, scope: usize, done: bool, time: Duration) {
        if self.detailed {
            let path = self.path(scope);
            self.progress[node].elements.push(ElementReport { path, done, time });
        }
    }

    /// Passes on all new values, and the values that this makes.
    fn settle(&mut self) {
        while let Some((node, scope, value)) = self.news.pop() {
            self.pass_on(node, scope, value);
        }
    }

    /// Passes the value of a node to its uses. `None` means that it is lost.
    fn pass_on(&mut self, node: usize, scope: usize, value: Option<ErasedValue>) {
        let plan = self.plan;
        let (stage, slot) = plan.slot(node);
        let lost = value.is_none();
        self.progress[node].done += u64::from(!lost);
        let place = &mut self.scopes.get_mut(scope).slots[slot];
        place.phase = if lost { ValuePhase::Lost } else { ValuePhase::Done };
        // The last use gets the only reference, so that it can take the value apart without a copy.
        let mut value = value;
        place.value = if place.uses > 0 { value.clone() } else { None };
        let exports = &plan.stages[stage].exports_of[slot];
        for (at, &export) in exports.iter().enumerate() {
            let is_last = at + 1 == exports.len();
            let exported = if is_last { value.take() } else { value.clone() };
            self.gather(scope, export, exported.map_or(ValueTree::Lost, ValueTree::One));
        }
        drop(value);
        for &consumer in &plan.consumers[node] {
            let (within, _) = plan.slot(consumer);
            if let NodeKind::FanOut(open) = self.flow.nodes[consumer].kind {
                let list = self.scopes.get(scope).slots[slot].value.clone();
                self.release(scope, slot);
                self.open_fan_out(scope, within, list.map(open));
            } else if within == stage {
                self.supply(consumer, scope, lost);
            } else {
                let mut inner = Vec::new();
                self.find_inside(scope, within, &mut inner);
                inner.into_iter().for_each(|inner| self.supply(consumer, inner, lost));
            }
        }
        self.finish_one(scope);
    }

    /// Finds all scopes of `stage` inside of `scope`.
    fn find_inside(&self, scope: usize, stage: usize, found: &mut Vec<usize>) {
        let fan_outs = &self.scopes.get(scope).fan_outs;
        for fan_out in fan_outs.iter().map(|&fan_out| self.fan_outs.get(fan_out)) {
            if fan_out.stage == stage {
                found.extend(&fan_out.open);
            } else if self.plan.is_inside(stage, fan_out.stage) {
                fan_out.open.iter().for_each(|&inner| self.find_inside(inner, stage, found));
            }
        }
    }

    /// The scope of `stage` that `scope` is in.
    fn outer(&self, mut scope: usize, stage: usize) -> usize {
        while self.scopes.get(scope).stage != stage {
            scope = self.fan_outs.get(self.scopes.get(scope).fan_out).parent;
        }
        scope
    }

    /// Records that an input of `node` has arrived, or is lost.
    fn supply(&mut self, node: usize, scope: usize, lost: bool) {
        let (_, slot) = self.plan.slot(node);
        let place = &mut self.scopes.get_mut(scope).slots[slot];
        if place.phase != ValuePhase::Waiting {
            return;
        }
        if lost {
            self.skip(node, scope);
            return;
        }
        place.missing -= 1;
        if place.missing == 0 {
            self.begin(node, scope);
        }
    }

    /// Makes a node ready, because all its inputs have arrived.
    fn begin(&mut self, node: usize, scope: usize) {
        let (_, slot) = self.plan.slot(node);
        self.scopes.get_mut(scope).slots[slot].phase = ValuePhase::Begun;
        match &self.flow.nodes[node].kind {
            NodeKind::Step(_) => {
                self.ready.entry(node).or_default().push_back(scope);
                self.ready_count += 1;
            }
            NodeKind::Group(gather) => {
                let values = self.inputs(node, scope);
                self.release_inputs(node, scope);
                self.record(node, scope, true, Duration::ZERO);
                self.news.push((node, scope, Some(gather(values))));
            }
            NodeKind::Input(_)
            | NodeKind::FanOut(_)
            | NodeKind::Collect(_)
            | NodeKind::Fold { .. } => {}
        }
    }

    /// Skips a node, because one of its inputs is lost.
    fn skip(&mut self, node: usize, scope: usize) {
        let (_, slot) = self.plan.slot(node);
        self.scopes.get_mut(scope).slots[slot].phase = ValuePhase::Begun;
        self.release_inputs(node, scope);
        self.lose(node, scope);
    }

    fn lose(&mut self, node: usize, scope: usize) {
        self.progress[node].skipped += 1;
        self.record(node, scope, false, Duration::ZERO);
        self.news.push((node, scope, None));
    }

    /// The input values of a node, which have all arrived.
    fn inputs(&self, node: usize, scope: usize) -> Vec<ErasedValue> {
        let value = |&input: &usize| {
            let (stage, slot) = self.plan.slot(input);
            self.scopes.get(self.outer(scope, stage)).slots[slot]
                .value
                .clone()
                .expect("a value is kept for its uses")
        };
        self.flow.nodes[node].inputs.iter().map(value).collect()
    }

    /// Releases the inputs of a node. Inputs from outside of the fan-out are released when it
    /// closes.
    fn release_inputs(&mut self, node: usize, scope: usize) {
        for &input in &self.flow.nodes[node].inputs {
            let (stage, slot) = self.plan.slot(input);
            if stage == self.scopes.get(scope).stage {
                self.release(scope, slot);
            }
        }
    }

    fn release(&mut self, scope: usize, slot: usize) {
        let place = &mut self.scopes.get_mut(scope).slots[slot];
        place.uses -= 1;
        if place.uses == 0 {
            place.value = None;
        }
    }

    /// Opens the scope of an element.
    fn open_scope(&mut self, stage: usize, fan_out: usize, index: u64) -> usize {
        let (flow, plan) = (self.flow, self.plan);
        let within = &plan.stages[stage];
        let slot =
            |&uses: &u32| ValueSlot { phase: ValuePhase::Waiting, value: None, missing: 0, uses };
        let slots = within.uses.iter().map(slot).collect();
        let unfinished = within.nodes.len() + within.children.len();
        let place = if stage == 0 { 0 } else { self.fan_outs.get(fan_out).open.len() };
        let fan_outs = Vec::new();
        let scope = Scope { stage, fan_out, index, slots, place, fan_outs, unfinished };
        let scope = self.scopes.insert(scope);
        if stage > 0 {
            self.fan_outs.get_mut(fan_out).open.push(scope);
        }
        self.live[stage] += 1;
        for (slot, &node) in within.nodes.iter().enumerate() {
            if let Some(tree) = self.set.get(&node).filter(|_| within.fan_out != Some(node)) {
                match self.set_value(tree, scope) {
                    Some(value) => self.give(node, scope, value),
                    None => self.report_misfit(node, stage, index + 1),
                }
                continue;
            }
            match &flow.nodes[node].kind {
                NodeKind::Input(Some(default)) => self.give(node, scope, default.clone()),
                NodeKind::Step(_) | NodeKind::Group(_) => {
                    let mut missing = 0;
                    let mut lost = false;
                    for &input in &flow.nodes[node].inputs {
                        let (from, place) = plan.slot(input);
                        let phase = self.scopes.get(self.outer(scope, from)).slots[place].phase;
                        lost |= phase == ValuePhase::Lost;
                        missing += u32::from(phase != ValuePhase::Done);
                    }
                    self.scopes.get_mut(scope).slots[slot].missing = missing;
                    match (lost, missing) {
                        (true, _) => self.skip(node, scope),
                        (false, 0) => self.begin(node, scope),
                        (false, _) => {}
                    }
                }
                // These get their values from elsewhere.
                NodeKind::Input(None)
                | NodeKind::FanOut(_)
                | NodeKind::Collect(_)
                | NodeKind::Fold { .. } => {}
            }
        }
        for &child in &within.children {
            let Some(fan_out) = plan.stages[child].fan_out else { continue };
            let Some(tree) = self.set.get(&fan_out) else { continue };
            let Some(ValueTree::Many(elements)) = self.set_tree(tree, scope) else {
                self.report_misfit(fan_out, stage, index + 1);
                continue;
            };
            let elements = elements.clone().into_iter().filter_map(|element| match element {
                ValueTree::One(value) => Some(value),
                ValueTree::Many(_) | ValueTree::Lost => None,
            });
            self.open_fan_out(scope, child, Some(Box::new(elements)));
        }
        scope
    }

    /// Sets the value of a node that is not a step.
    fn give(&mut self, node: usize, scope: usize, value: ErasedValue) {
        let (_, slot) = self.plan.slot(node);
        self.scopes.get_mut(scope).slots[slot].phase = ValuePhase::Begun;
        self.record(node, scope, true, Duration::ZERO);
        self.news.push((node, scope, Some(value)));
    }

    /// The part of `tree`, which was set for all scopes, that belongs to `scope`.
    fn set_tree<'t>(&self, tree: &'t ValueTree, scope: usize) -> Option<&'t ValueTree> {
        self.path(scope).into_iter().try_fold(tree, |tree, index| match tree {
            ValueTree::Many(trees) => trees.get(usize::try_from(index).ok()?),
            ValueTree::One(_) | ValueTree::Lost => None,
        })
    }

    fn set_value(&self, tree: &ValueTree, scope: usize) -> Option<ErasedValue> {
        match self.set_tree(tree, scope) {
            Some(ValueTree::One(value)) => Some(value.clone()),
            Some(ValueTree::Many(_) | ValueTree::Lost) | None => None,
        }
    }

    /// Records that the values set for `node` do not fit the fan-out `stage`, of which at least
    /// `elements` elements are known.
    fn report_misfit(&mut self, node: usize, stage: usize, elements: u64) {
        let fan_out = self.plan.stages[stage].fan_out.unwrap_or(node);
        let problem = format!(
            "the values set for {} have another number of elements than {}, which has at least \
             {elements}",
            Quoted(&self.flow.nodes[node].name),
            Quoted(&self.flow.nodes[fan_out].name)
        );
        self.problem.get_or_insert(Error::invalid_input(problem));
    }

    /// Counts a value or fan-out of a scope as finished. The scope closes with the last.
    fn finish_one(&mut self, at: usize) {
        let scope = self.scopes.get_mut(at);
        scope.unfinished -= 1;
        if scope.unfinished > 0 || at == ROOT_SCOPE {
            return;
        }
        let Scope { stage, fan_out: parent, place, .. } = self.scopes.remove(at);
        self.live[stage] -= 1;
        let fan_out = self.fan_outs.get_mut(parent);
        fan_out.open.swap_remove(place);
        if let Some(&moved) = fan_out.open.get(place) {
            self.scopes.get_mut(moved).place = place;
        }
        self.remove_if_done(parent);
    }
}
