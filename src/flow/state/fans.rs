//! Fan-outs: elements are taken, and what is made of them leaves.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{Fan, Gathered, Kind, Leaving, Scope, State, Tree, Value};
use crate::flow::plan::Target;

/// Elements that may wait to be folded while one before them is not done, as a multiple of those at a time.
const OUT_OF_TURN: usize = 4;
/// How long elements are taken at a time.
const FILLING: Duration = Duration::from_millis(1);

impl State<'_> {
    /// Opens the fan-out `stage` of a scope; without elements it is lost.
    pub(super) fn open_fan(
        &mut self,
        parent: usize,
        stage: usize,
        elements: Option<Box<dyn Iterator<Item = Value>>>,
    ) {
        if elements.is_none() {
            self.skip_inside(stage);
            self.plan.stages[stage].taps.iter().for_each(|tap| self.leave(parent, tap.to, None));
            self.close_fan(parent, stage);
            return;
        }
        let leaving = self.plan.stages[stage].taps.iter().map(|tap| {
            let fold = match tap.to {
                Target::Node(node) => Some(&self.flow.nodes[node].kind),
                Target::Tap(_) | Target::Output(_) => None,
            };
            let gathered = match fold {
                Some(Kind::Fold { start, .. }) => {
                    Gathered::Folded(Some(start.clone()), 0, BTreeMap::new())
                }
                _ => Gathered::All(Vec::new()),
            };
            Leaving { gathered, come: 0, gone: false }
        });
        let leaving = leaving.collect();
        let fan =
            self.fans.insert(Fan { stage, parent, elements, taken: 0, open: Vec::new(), leaving });
        self.scopes.get_mut(parent).fans.push(fan);
        self.active[stage].push(fan);
    }

    /// Nothing in the fan-out `stage` will be.
    fn skip_inside(&mut self, stage: usize) {
        let plan = self.plan;
        plan.stages[stage].nodes.iter().for_each(|&node| self.tallies[node].skipped += 1);
        plan.stages[stage].children.iter().for_each(|&child| self.skip_inside(child));
    }

    /// Takes the next element of a fan, or closes it.
    fn take_element(&mut self, at: usize) {
        let fan = self.fans.get_mut(at);
        let Some(value) = fan.elements.as_mut().and_then(Iterator::next) else {
            fan.elements = None;
            let (stage, taken, parent) = (fan.stage, fan.taken, fan.parent);
            if let Some(place) = self.active[stage].iter().rposition(|active| *active == at) {
                self.active[stage].remove(place);
            }
            let expand = self.plan.stages[stage].expand;
            let within = |node: usize| {
                expand.is_some_and(|expand| self.flow.nodes[node].path.contains(&expand))
            };
            let misfits = self.set.iter().filter(|(node, _)| within(**node)).filter(|(_, found)| {
                !matches!(self.given_tree(found, parent), Some(Tree::Many(trees)) if trees.len() as u64 == taken)
            });
            if let Some(node) = misfits.map(|(node, _)| *node).min() {
                self.complain(node, stage, taken);
            }
            (0..self.plan.stages[stage].taps.len()).for_each(|tap| self.leave_if_all(at, tap));
            self.remove_if_done(at);
            return;
        };
        let (stage, index) = (fan.stage, fan.taken);
        fan.taken += 1;
        for leaving in &mut fan.leaving {
            if let Gathered::All(trees) = &mut leaving.gathered {
                trees.push(Tree::Lost);
            }
        }
        let scope = self.open_scope(stage, at, index);
        if let Some(expand) = self.plan.stages[stage].expand {
            self.give(expand, scope, value);
        }
    }

    /// A value leaves its scope.
    pub(super) fn gather(&mut self, scope: usize, tap: usize, tree: Tree) {
        let Scope { stage, fan: at, index, .. } = *self.scopes.get(scope);
        let to = self.plan.stages[stage].taps[tap].to;
        let Leaving { gathered, come, .. } = &mut self.fans.get_mut(at).leaving[tap];
        *come += 1;
        match gathered {
            Gathered::All(trees) => trees[index as usize] = tree,
            Gathered::Folded(folded, next, early) => {
                let Target::Node(node) = to else { return };
                let Kind::Fold { combine, .. } = &self.flow.nodes[node].kind else { return };
                let mut turn = if index == *next { Some(tree) } else { early.insert(index, tree) };
                while let Some(tree) = turn {
                    *next += 1;
                    *folded = match (folded.take(), tree) {
                        (Some(folded), Tree::One(value)) => Some(combine(folded, &value)),
                        _ => None,
                    };
                    turn = early.remove(next);
                }
            }
        }
        self.leave_if_all(at, tap);
    }

    /// Has the values leave a fan, if there are as many as there will be.
    fn leave_if_all(&mut self, at: usize, tap: usize) {
        let fan = self.fans.get_mut(at);
        let Leaving { gathered, come, gone } = &mut fan.leaving[tap];
        if *gone || fan.elements.is_some() || *come < fan.taken {
            return;
        }
        *gone = true;
        let gathered = std::mem::replace(gathered, Gathered::All(Vec::new()));
        let (to, parent) = (self.plan.stages[fan.stage].taps[tap].to, fan.parent);
        self.leave(parent, to, Some(gathered));
    }

    /// What has been gathered goes to where it is wanted: nothing, where there was no fan to gather it.
    fn leave(&mut self, parent: usize, to: Target, gathered: Option<Gathered>) {
        let tree = match gathered {
            Some(Gathered::All(trees)) => Tree::Many(trees),
            Some(Gathered::Folded(folded, ..)) => folded.map_or(Tree::Lost, Tree::One),
            None => Tree::Lost,
        };
        match (to, tree) {
            (Target::Output(number), tree) => self.outputs[number] = tree,
            (Target::Tap(tap), tree) => self.gather(parent, tap, tree),
            (Target::Node(node), Tree::One(folded)) => self.give(node, parent, folded),
            (Target::Node(node), Tree::Lost) => self.lose(node, parent),
            (Target::Node(node), Tree::Many(trees)) => {
                let values = trees.into_iter().map(|tree| match tree {
                    Tree::One(value) => Some(value),
                    Tree::Many(_) | Tree::Lost => None,
                });
                match (values.collect::<Option<Vec<_>>>(), &self.flow.nodes[node].kind) {
                    (Some(values), Kind::Collect(gather)) => {
                        self.give(node, parent, gather(values))
                    }
                    _ => self.lose(node, parent),
                }
            }
        }
    }

    /// Has what was asked for leave the fans that are open, as far as it is there: the run ends before they do.
    pub(super) fn salvage(&mut self) {
        let mut open: Vec<_> = self.fans.numbers().collect();
        // From the inside out.
        open.sort_unstable_by_key(|&at| std::cmp::Reverse(self.fans.get(at).stage));
        for at in open {
            let (stage, parent) = (self.fans.get(at).stage, self.fans.get(at).parent);
            for (tap, to) in self.plan.stages[stage].taps.iter().map(|tap| tap.to).enumerate() {
                let leaving = &mut self.fans.get_mut(at).leaving[tap];
                if !matches!(to, Target::Node(_)) && !std::mem::replace(&mut leaving.gone, true) {
                    let gathered =
                        std::mem::replace(&mut leaving.gathered, Gathered::All(Vec::new()));
                    self.leave(parent, to, Some(gathered));
                }
            }
        }
    }

    /// Removes a fan whose elements are all done with.
    pub(super) fn remove_if_done(&mut self, at: usize) {
        let fan = self.fans.get(at);
        if fan.elements.is_some() || !fan.open.is_empty() {
            return;
        }
        let Fan { parent, stage, .. } = self.fans.remove(at);
        self.scopes.get_mut(parent).fans.retain(|fan| *fan != at);
        self.close_fan(parent, stage);
    }

    /// All elements of a fan-out of a scope are done with.
    pub(super) fn close_fan(&mut self, parent: usize, stage: usize) {
        self.plan.stages[stage].borrowed.iter().for_each(|&slot| self.release(parent, slot));
        self.less_open(parent);
    }

    /// Takes elements while there is too little to do, and room for them; not for long, as others have to be seen to as well.
    pub(super) fn fill(&mut self) {
        let mut began = None;
        while self.count < self.ahead && self.problem.is_none() {
            let Some(fan) = self.next_fan() else { return };
            let began = *began.get_or_insert_with(Instant::now);
            self.take_element(fan);
            self.settle();
            if began.elapsed() >= FILLING {
                return;
            }
        }
    }

    /// The fan that is next to have an element taken: what is furthest inside goes first.
    pub(super) fn next_fan(&self) -> Option<usize> {
        let stages = self.active.iter().enumerate().rev();
        let mut with_room = stages.filter(|(stage, fans)| {
            !fans.is_empty() && (self.plan.stages[*stage].whole || self.live[*stage] < self.ahead)
        });
        with_room.find_map(|(_, fans)| fans.iter().rev().copied().find(|&fan| self.is_in_turn(fan)))
    }

    /// Whether what is folded in a fan is not too far behind.
    fn is_in_turn(&self, fan: usize) -> bool {
        let Fan { stage, taken, leaving, .. } = self.fans.get(fan);
        let most = OUT_OF_TURN.saturating_mul(self.ahead) as u64;
        let in_turn = |leaving: &Leaving| match leaving.gathered {
            Gathered::Folded(_, next, _) => taken - next < most,
            Gathered::All(_) => true,
        };
        self.plan.stages[*stage].whole || leaving.iter().all(in_turn)
    }
}
