//! A run under way: which values there are, and what can be done next.
//!
//! A *scope* is one element of a fan-out, with its values; the first is the outside of all. A *fan* is one fan-out of one scope: its elements
//! are taken as there is room for them, and it is closed when all of them are.

mod fans;
mod slab;
mod work;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use slab::Slab;

use super::{
    Flow, Kind, Value,
    handle::{Found, Tree},
    plan::Plan,
    report::ElementReport,
};
use crate::{Error, Result, pool::TaskError};

/// A run under way.
pub(super) struct State<'f> {
    flow: &'f Flow,
    plan: &'f Plan,
    /// What was set; single values have gone on from here.
    set: HashMap<usize, Found>,
    scopes: Slab<Scope>,
    fans: Slab<Fan>,
    /// How many scopes each stage has.
    live: Vec<usize>,
    /// Fans that may have more elements, by stage, what was opened last at the end.
    active: Vec<Vec<usize>>,
    /// Steps that can run, by node, each with its scope. What is furthest along goes first, so that values can go.
    ready: BTreeMap<usize, VecDeque<usize>>,
    /// How many of them there are.
    count: usize,
    /// How many of them there should be, and elements of a fan-out at a time.
    ahead: usize,
    /// What runs: node and scope of each task from number `first` on, but for those that are done.
    running: VecDeque<Option<(usize, usize)>>,
    first: u64,
    /// What has happened, and is still to be passed on: node, scope, value.
    news: Vec<(usize, usize, Option<Value>)>,
    outputs: Vec<Tree>,
    problem: Option<Error>,
    pub(super) tallies: Vec<Tally>,
    /// Whether every element is noted.
    detailed: bool,
}

/// What has become of a node so far.
#[derive(Clone, Default)]
pub(super) struct Tally {
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
    pub(super) time: Duration,
    pub(super) elements: Vec<ElementReport>,
}

struct Scope {
    stage: usize,
    /// The fan whose element it is, and which one.
    fan: usize,
    index: u64,
    slots: Vec<Slot>,
    /// The place among the open scopes of the fan.
    place: usize,
    /// The open fans of it.
    fans: Vec<usize>,
    /// Values and fans in it that are not there yet.
    open: usize,
}

#[derive(Clone)]
struct Slot {
    phase: Phase,
    value: Option<Value>,
    /// Inputs that it waits for.
    missing: u32,
    /// What the value is still needed for.
    uses: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    /// Ready, running, or about to be passed on.
    Begun,
    Done,
    Lost,
}

struct Fan {
    stage: usize,
    /// The scope that it is a fan-out of.
    parent: usize,
    elements: Option<Box<dyn Iterator<Item = Value>>>,
    taken: u64,
    /// The scopes of its elements, in no order, but for those that are closed.
    open: Vec<usize>,
    /// What leaves it, by tap of the stage.
    leaving: Vec<Leaving>,
}

/// The values of a node on their way out of a fan: they go when the last has come, whatever else is open.
struct Leaving {
    gathered: Gathered,
    /// How many have come.
    come: u64,
    /// Whether they have gone.
    gone: bool,
}

enum Gathered {
    All(Vec<Tree>),
    /// Folded so far; the index of the next; what came out of turn.
    Folded(Option<Value>, u64, BTreeMap<u64, Tree>),
}

const ROOT: usize = 0;

impl<'f> State<'f> {
    pub(super) fn new(
        flow: &'f Flow,
        plan: &'f Plan,
        set: HashMap<usize, Found>,
        outputs: usize,
        detailed: bool,
    ) -> Self {
        let mut state = Self {
            flow,
            plan,
            set,
            scopes: Slab::default(),
            fans: Slab::default(),
            live: vec![0; plan.stages.len()],
            active: vec![Vec::new(); plan.stages.len()],
            ready: BTreeMap::new(),
            count: 0,
            ahead: 1,
            running: VecDeque::new(),
            first: 0,
            news: Vec::new(),
            outputs: vec![Tree::Lost; outputs],
            problem: None,
            tallies: vec![Tally::default(); flow.nodes.len()],
            detailed,
        };
        state.open_scope(0, usize::MAX, 0);
        for node in &plan.stages[0].nodes {
            if let Some(found) = state.set.get_mut(node) {
                *found = Found(Tree::Lost);
            }
        }
        state.settle();
        state
    }

    /// How many steps should be ready at a time.
    pub(super) fn look_ahead(&mut self, steps: u64) {
        self.ahead = usize::try_from(steps).unwrap_or(usize::MAX).max(1);
    }

    /// Whether everything has its value, or lost it.
    pub(super) fn is_done(&self) -> bool {
        self.scopes.get(ROOT).open == 0
    }

    /// Whether nothing can be done, now or later.
    pub(super) fn is_stuck(&self) -> bool {
        self.count == 0 && !self.is_done() && self.next_fan().is_none()
    }

    /// Whether a node's values were set.
    pub(super) fn is_set(&self, node: usize) -> bool {
        self.set.contains_key(&node)
    }

    /// Whether a node has all the values that it is to have.
    pub(super) fn is_finished(&self, node: usize) -> bool {
        let (stage, slot) = self.plan.place(node);
        self.is_done() || (stage == 0 && self.scopes.get(ROOT).slots[slot].phase == Phase::Done)
    }

    /// What is wrong with values that were set.
    pub(super) fn problem(&mut self) -> Option<Error> {
        self.problem.take()
    }

    /// The values that were asked for, outputs at these nodes.
    pub(super) fn outputs(mut self, wanted: &[(u64, usize)]) -> Vec<Found> {
        self.salvage();
        let root = self.scopes.get(ROOT);
        for (output, &(_, node)) in self.outputs.iter_mut().zip(wanted) {
            if self.flow.nodes[node].path.is_empty() {
                let (_, slot) = self.plan.place(node);
                *output = root.slots[slot].value.clone().map_or(Tree::Lost, Tree::One);
            }
        }
        // Nobody else has the values from here on.
        let outputs = std::mem::take(&mut self.outputs);
        drop(self);
        outputs.into_iter().map(Found).collect()
    }

    /// What has become of task number `index`.
    pub(super) fn decide(
        &mut self,
        index: u64,
        outcome: Result<(u64, Value), TaskError>,
    ) -> Option<TaskError> {
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        let (node, scope) = self.running.get_mut(at)?.take()?;
        while let Some(None) = self.running.front() {
            self.running.pop_front();
            self.first += 1;
        }
        let (value, took, error) = match outcome {
            Ok((took, value)) => (Some(value), Duration::from_nanos(took), None),
            Err(error) => (None, error.elapsed(), Some(self.name(error, node, scope))),
        };
        let tally = &mut self.tallies[node];
        tally.time += took;
        tally.failed += u64::from(value.is_none());
        self.note(node, scope, value.is_some(), took);
        self.news.push((node, scope, value));
        self.settle();
        error
    }

    /// The error, of a node at work on an element.
    fn name(&self, error: TaskError, node: usize, scope: usize) -> TaskError {
        let Self { flow, .. } = self;
        let places = flow.nodes[node].path.iter().zip(self.path(scope));
        let element: Vec<_> =
            places.map(|(expand, at)| format!("{}[{at}]", flow.nodes[*expand].name)).collect();
        error.of_node(
            flow.nodes[node].name.to_string(),
            element.join("/"),
            flow.nodes[node].added.to_string(),
        )
    }

    /// The place of a scope among the elements of each fan-out that it is in, outermost first.
    fn path(&self, mut scope: usize) -> Vec<u64> {
        let mut path = Vec::new();
        while scope != ROOT {
            let Scope { fan, index, .. } = self.scopes.get(scope);
            path.push(*index);
            scope = self.fans.get(*fan).parent;
        }
        path.reverse();
        path
    }

    fn note(&mut self, node: usize, scope: usize, done: bool, time: Duration) {
        if self.detailed {
            let path = self.path(scope);
            self.tallies[node].elements.push(ElementReport { path, done, time });
        }
    }

    /// Passes on all that has happened.
    fn settle(&mut self) {
        while let Some((node, scope, value)) = self.news.pop() {
            self.pass_on(node, scope, value);
        }
    }

    /// `node` has its value, or never will.
    fn pass_on(&mut self, node: usize, scope: usize, value: Option<Value>) {
        let plan = self.plan;
        let (stage, slot) = plan.place(node);
        let lost = value.is_none();
        self.tallies[node].done += u64::from(!lost);
        let place = &mut self.scopes.get_mut(scope).slots[slot];
        place.phase = if lost { Phase::Lost } else { Phase::Done };
        // Whoever is the last to get the value is its only owner: what is then taken apart is not copied.
        let mut value = value;
        place.value = if place.uses > 0 { value.clone() } else { None };
        let taps = &plan.stages[stage].taps_of[slot];
        for (at, &tap) in taps.iter().enumerate() {
            let last = at + 1 == taps.len();
            let leaving = if last { value.take() } else { value.clone() };
            self.gather(scope, tap, leaving.map_or(Tree::Lost, Tree::One));
        }
        drop(value);
        for &consumer in &plan.consumers[node] {
            let (within, _) = plan.place(consumer);
            if let Kind::Expand(open) = self.flow.nodes[consumer].kind {
                let list = self.scopes.get(scope).slots[slot].value.clone();
                self.release(scope, slot);
                self.open_fan(scope, within, list.map(open));
            } else if within == stage {
                self.supply(consumer, scope, lost);
            } else {
                let mut below = Vec::new();
                self.find_inside(scope, within, &mut below);
                below.into_iter().for_each(|inner| self.supply(consumer, inner, lost));
            }
        }
        self.less_open(scope);
    }

    /// All scopes of `stage` that are inside of `scope`.
    fn find_inside(&self, scope: usize, stage: usize, found: &mut Vec<usize>) {
        for fan in self.scopes.get(scope).fans.iter().map(|&fan| self.fans.get(fan)) {
            if fan.stage == stage {
                found.extend(&fan.open);
            } else if self.plan.is_inside(stage, fan.stage) {
                fan.open.iter().for_each(|&inner| self.find_inside(inner, stage, found));
            }
        }
    }

    /// The scope of `stage` that `scope` is in.
    fn outer(&self, mut scope: usize, stage: usize) -> usize {
        while self.scopes.get(scope).stage != stage {
            scope = self.fans.get(self.scopes.get(scope).fan).parent;
        }
        scope
    }

    /// An input of `node` is there, or never will be.
    fn supply(&mut self, node: usize, scope: usize, lost: bool) {
        let (_, slot) = self.plan.place(node);
        let place = &mut self.scopes.get_mut(scope).slots[slot];
        if place.phase != Phase::Waiting {
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

    /// `node` has what it needs.
    fn begin(&mut self, node: usize, scope: usize) {
        let (_, slot) = self.plan.place(node);
        self.scopes.get_mut(scope).slots[slot].phase = Phase::Begun;
        match &self.flow.nodes[node].kind {
            Kind::Step(_) => {
                self.ready.entry(node).or_default().push_back(scope);
                self.count += 1;
            }
            Kind::Group(gather) => {
                let values = self.inputs(node, scope);
                self.release_inputs(node, scope);
                self.note(node, scope, true, Duration::ZERO);
                self.news.push((node, scope, Some(gather(values))));
            }
            Kind::Input(_) | Kind::Expand(_) | Kind::Collect(_) | Kind::Fold { .. } => {}
        }
    }

    /// `node` will not have what it needs.
    fn skip(&mut self, node: usize, scope: usize) {
        let (_, slot) = self.plan.place(node);
        self.scopes.get_mut(scope).slots[slot].phase = Phase::Begun;
        self.release_inputs(node, scope);
        self.lose(node, scope);
    }

    fn lose(&mut self, node: usize, scope: usize) {
        self.tallies[node].skipped += 1;
        self.note(node, scope, false, Duration::ZERO);
        self.news.push((node, scope, None));
    }

    /// The values that `node` is made from, which are there.
    fn inputs(&self, node: usize, scope: usize) -> Vec<Value> {
        let value = |&input: &usize| {
            let (stage, slot) = self.plan.place(input);
            self.scopes.get(self.outer(scope, stage)).slots[slot]
                .value
                .clone()
                .expect("it is kept for its uses")
        };
        self.flow.nodes[node].inputs.iter().map(value).collect()
    }

    /// `node` does not need its inputs any more. Those from further outside go with their fan-out.
    fn release_inputs(&mut self, node: usize, scope: usize) {
        for &input in &self.flow.nodes[node].inputs {
            let (stage, slot) = self.plan.place(input);
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
    fn open_scope(&mut self, stage: usize, fan: usize, index: u64) -> usize {
        let (flow, plan) = (self.flow, self.plan);
        let within = &plan.stages[stage];
        let slot = |&uses: &u32| Slot { phase: Phase::Waiting, value: None, missing: 0, uses };
        let slots = within.uses.iter().map(slot).collect();
        let open = within.nodes.len() + within.children.len();
        let place = if stage == 0 { 0 } else { self.fans.get(fan).open.len() };
        let scope =
            self.scopes.insert(Scope { stage, fan, index, slots, place, fans: Vec::new(), open });
        if stage > 0 {
            self.fans.get_mut(fan).open.push(scope);
        }
        self.live[stage] += 1;
        for (slot, &node) in within.nodes.iter().enumerate() {
            if let Some(found) = self.set.get(&node).filter(|_| within.expand != Some(node)) {
                match self.given(found, scope) {
                    Some(value) => self.give(node, scope, value),
                    None => self.complain(node, stage, index + 1),
                }
                continue;
            }
            match &flow.nodes[node].kind {
                Kind::Input(Some(default)) => self.give(node, scope, default.clone()),
                Kind::Step(_) | Kind::Group(_) => {
                    let mut missing = 0;
                    let mut lost = false;
                    for &input in &flow.nodes[node].inputs {
                        let (from, place) = plan.place(input);
                        let phase = self.scopes.get(self.outer(scope, from)).slots[place].phase;
                        lost |= phase == Phase::Lost;
                        missing += u32::from(phase != Phase::Done);
                    }
                    self.scopes.get_mut(scope).slots[slot].missing = missing;
                    match (lost, missing) {
                        (true, _) => self.skip(node, scope),
                        (false, 0) => self.begin(node, scope),
                        (false, _) => {}
                    }
                }
                // They are told.
                Kind::Input(None) | Kind::Expand(_) | Kind::Collect(_) | Kind::Fold { .. } => {}
            }
        }
        for &child in &within.children {
            let found = plan.stages[child].expand.and_then(|expand| self.set.get(&expand));
            let Some(found) = found else { continue };
            let Some(Tree::Many(elements)) = self.given_tree(found, scope) else {
                self.complain(plan.stages[child].expand.unwrap_or_default(), stage, index + 1);
                continue;
            };
            let elements = elements.clone().into_iter().filter_map(|element| match element {
                Tree::One(value) => Some(value),
                Tree::Many(_) | Tree::Lost => None,
            });
            self.open_fan(scope, child, Some(Box::new(elements)));
        }
        scope
    }

    fn give(&mut self, node: usize, scope: usize, value: Value) {
        let (_, slot) = self.plan.place(node);
        self.scopes.get_mut(scope).slots[slot].phase = Phase::Begun;
        self.note(node, scope, true, Duration::ZERO);
        self.news.push((node, scope, Some(value)));
    }

    /// What was set for a scope, of what was set for all.
    fn given_tree<'t>(&self, found: &'t Found, scope: usize) -> Option<&'t Tree> {
        self.path(scope).into_iter().try_fold(&found.0, |tree, index| match tree {
            Tree::Many(trees) => trees.get(usize::try_from(index).ok()?),
            Tree::One(_) | Tree::Lost => None,
        })
    }

    fn given(&self, found: &Found, scope: usize) -> Option<Value> {
        match self.given_tree(found, scope) {
            Some(Tree::One(value)) => Some(value.clone()),
            Some(Tree::Many(_) | Tree::Lost) | None => None,
        }
    }

    /// What was set for `node` is for another number of elements than the fan-out `stage` has, of which so many are known.
    fn complain(&mut self, node: usize, stage: usize, count: u64) {
        let names = [node, self.plan.stages[stage].expand.unwrap_or(node)]
            .map(|node| &self.flow.nodes[node].name);
        let what = format!(
            "the values set for {:?} are for another number of elements than {:?} has, which has at least {count}",
            names[0], names[1]
        );
        self.problem.get_or_insert(Error::invalid_input(what));
    }

    /// One thing less is open in a scope, which is closed with the last.
    fn less_open(&mut self, at: usize) {
        let scope = self.scopes.get_mut(at);
        scope.open -= 1;
        if scope.open > 0 || at == ROOT {
            return;
        }
        let Scope { stage, fan: of, place, .. } = self.scopes.remove(at);
        self.live[stage] -= 1;
        let fan = self.fans.get_mut(of);
        fan.open.swap_remove(place);
        if let Some(&moved) = fan.open.get(place) {
            self.scopes.get_mut(moved).place = place;
        }
        self.remove_if_done(of);
    }
}
