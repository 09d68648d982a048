//! Fan-outs: elements are taken, and what is made of them leaves.

use std::collections::BTreeMap;

use super::{Fan, Gathered, Kind, Leaving, Scope, State, Tree, Value};
use crate::flow::plan::Target;

/// Elements that may wait to be folded while one before them is not done, as a multiple of those at a time.
const OUT_OF_TURN: usize = 4;

impl State<'_> {
    /// Opens the fan-out `stage` of a scope; without elements it is lost.
    pub(super) fn open_fan(&mut self, parent: usize, stage: usize, elements: Option<Box<dyn Iterator<Item = Value>>>) {
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
                Some(Kind::Fold { start, .. }) => Gathered::Folded(Some(start.clone()), 0, BTreeMap::new()),
                _ => Gathered::All(Vec::new()),
            };
            Leaving { gathered, come: 0 }
        });
        let leaving = leaving.collect();
        let fan = self.fans.insert(Fan { stage, parent, elements, taken: 0, open: 0, leaving });
        self.active.push(fan);
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
            let (stage, taken, parent, done) = (fan.stage, fan.taken, fan.parent, fan.open == 0);
            self.active.retain(|active| *active != at);
            let expand = self.plan.stages[stage].expand;
            let within = |node: usize| expand.is_some_and(|expand| self.flow.nodes[node].path.contains(&expand));
            let misfit = self.set.iter().filter(|(node, _)| within(**node)).find(|(_, found)| {
                !matches!(self.given_tree(found, parent), Some(Tree::Many(trees)) if trees.len() as u64 == taken)
            });
            if let Some((&node, _)) = misfit {
                self.complain(node, stage, taken);
            }
            (0..self.plan.stages[stage].taps.len()).for_each(|tap| self.leave_if_all(at, tap));
            if done {
                self.fans.remove(at);
                self.close_fan(parent, stage);
            }
            return;
        };
        let (stage, index) = (fan.stage, fan.taken);
        fan.taken += 1;
        fan.open += 1;
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
        let Leaving { gathered, come } = &mut self.fans.get_mut(at).leaving[tap];
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
        let Leaving { gathered, come } = &mut fan.leaving[tap];
        if fan.elements.is_some() || *come < fan.taken {
            return;
        }
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
                    (Some(values), Kind::Collect(gather)) => self.give(node, parent, gather(values)),
                    _ => self.lose(node, parent),
                }
            }
        }
    }

    /// All elements of a fan-out of a scope are done with.
    pub(super) fn close_fan(&mut self, parent: usize, stage: usize) {
        self.plan.stages[stage].borrowed.iter().for_each(|&slot| self.release(parent, slot));
        self.less_open(parent);
    }

    /// Takes elements while there is too little to do, and room for them.
    pub(super) fn fill(&mut self) {
        while self.count < self.ahead && self.problem.is_none() {
            let Some(&fan) = self.active.iter().rev().find(|fan| self.has_room(**fan)) else { return };
            self.take_element(fan);
            self.settle();
        }
    }

    /// Whether a fan may have another element now.
    fn has_room(&self, fan: usize) -> bool {
        let Fan { stage, taken, leaving, .. } = self.fans.get(fan);
        let most = OUT_OF_TURN.saturating_mul(self.ahead) as u64;
        let in_turn = |leaving: &Leaving| match leaving.gathered {
            Gathered::Folded(_, next, _) => taken - next < most,
            Gathered::All(_) => true,
        };
        self.plan.stages[*stage].whole || (self.live[*stage].len() < self.ahead && leaving.iter().all(in_turn))
    }
}
