//! Open fan-outs: reading their elements, and gathering the values that leave them.
//!
//! This file and `mod.rs` implement one type, [`RunState`], and call each other.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{
    Accumulator, ErasedValue, Gathering, NodeKind, OpenFanOut, RunState, Scope, ValueTree,
};
use crate::flow::plan::Destination;

/// Limits the values that wait to be folded after an unfinished element, as a multiple of the
/// elements that are open at a time.
const MAX_FOLD_BACKLOG: usize = 4;
/// Limits the time for reading elements, because running workers need attention as well.
const MAX_READ_TIME: Duration = Duration::from_millis(1);

impl RunState<'_> {
    /// Opens the fan-out `stage` of a scope. Without elements, its values are lost.
    pub(super) fn open_fan_out(
        &mut self,
        parent: usize,
        stage: usize,
        elements: Option<Box<dyn Iterator<Item = ErasedValue>>>,
    ) {
        if elements.is_none() {
            self.skip_stage(stage);
            let exports = &self.plan.stages[stage].exports;
            exports.iter().for_each(|export| self.send(parent, export.to, None));
            self.close_fan_out(parent, stage);
            return;
        }
        let gatherings = self.plan.stages[stage].exports.iter().map(|export| {
            let kind = match export.to {
                Destination::Node(node) => Some(&self.flow.nodes[node].kind),
                Destination::Export(_) | Destination::Output(_) => None,
            };
            let accumulator = match kind {
                Some(NodeKind::Fold { start, .. }) => Accumulator::Fold {
                    folded: Some(start.clone()),
                    next: 0,
                    early: BTreeMap::new(),
                },
                _ => Accumulator::List(Vec::new()),
            };
            Gathering { accumulator, received: 0, is_sent: false }
        });
        let gatherings = gatherings.collect();
        let fan_out = OpenFanOut { stage, parent, elements, read: 0, open: Vec::new(), gatherings };
        let fan_out = self.fan_outs.insert(fan_out);
        self.scopes.get_mut(parent).fan_outs.push(fan_out);
        self.unread[stage].push(fan_out);
    }

    /// Counts the nodes of a stage without elements as skipped.
    fn skip_stage(&mut self, stage: usize) {
        let plan = self.plan;
        plan.stages[stage].nodes.iter().for_each(|&node| self.progress[node].skipped += 1);
        plan.stages[stage].children.iter().for_each(|&child| self.skip_stage(child));
    }

    /// Reads the next element of a fan-out and opens its scope. After the last element, the
    /// fan-out closes as soon as its scopes do.
    fn take_element(&mut self, at: usize) {
        let fan_out = self.fan_outs.get_mut(at);
        let Some(value) = fan_out.elements.as_mut().and_then(Iterator::next) else {
            fan_out.elements = None;
            let (stage, read, parent) = (fan_out.stage, fan_out.read, fan_out.parent);
            if let Some(place) = self.unread[stage].iter().rposition(|unread| *unread == at) {
                self.unread[stage].remove(place);
            }
            self.check_set_lengths(stage, parent, read);
            (0..self.plan.stages[stage].exports.len())
                .for_each(|export| self.send_if_complete(at, export));
            self.remove_if_done(at);
            return;
        };
        let (stage, index) = (fan_out.stage, fan_out.read);
        fan_out.read += 1;
        for gathering in &mut fan_out.gatherings {
            if let Accumulator::List(trees) = &mut gathering.accumulator {
                trees.push(ValueTree::Lost);
            }
        }
        let scope = self.open_scope(stage, at, index);
        if let Some(fan_out) = self.plan.stages[stage].fan_out {
            self.give(fan_out, scope, value);
        }
    }

    /// Checks that values that were set inside of a fan-out have its number of elements.
    fn check_set_lengths(&mut self, stage: usize, parent: usize, elements: u64) {
        let fan_out = self.plan.stages[stage].fan_out;
        let is_inside = |node: usize| {
            fan_out.is_some_and(|fan_out| self.flow.nodes[node].path.contains(&fan_out))
        };
        let fits = |tree: &ValueTree| match self.set_tree(tree, parent) {
            Some(ValueTree::Many(trees)) => trees.len() as u64 == elements,
            _ => false,
        };
        let set = self.set.iter().filter(|(node, _)| is_inside(**node));
        let misfit = set.filter(|(_, tree)| !fits(tree)).map(|(node, _)| *node).min();
        if let Some(node) = misfit {
            self.report_misfit(node, stage, elements);
        }
    }

    /// Adds the value of a scope to an export of its fan-out.
    pub(super) fn gather(&mut self, scope: usize, export: usize, tree: ValueTree) {
        let Scope { stage, fan_out: at, index, .. } = *self.scopes.get(scope);
        let to = self.plan.stages[stage].exports[export].to;
        let gathering = &mut self.fan_outs.get_mut(at).gatherings[export];
        gathering.received += 1;
        match &mut gathering.accumulator {
            Accumulator::List(trees) => trees[index as usize] = tree,
            Accumulator::Fold { folded, next, early } => {
                let Destination::Node(node) = to else { return };
                let NodeKind::Fold { combine, .. } = &self.flow.nodes[node].kind else { return };
                let mut turn = if index == *next { Some(tree) } else { early.insert(index, tree) };
                while let Some(tree) = turn {
                    *next += 1;
                    *folded = match (folded.take(), tree) {
                        (Some(folded), ValueTree::One(value)) => Some(combine(folded, &value)),
                        _ => None,
                    };
                    turn = early.remove(next);
                }
            }
        }
        self.send_if_complete(at, export);
    }

    /// Sends an export of a fan-out to its destination if it has the values of all elements.
    fn send_if_complete(&mut self, at: usize, export: usize) {
        let fan_out = self.fan_outs.get_mut(at);
        let gathering = &mut fan_out.gatherings[export];
        if gathering.is_sent || fan_out.elements.is_some() || gathering.received < fan_out.read {
            return;
        }
        let accumulator = gathering.take();
        let to = self.plan.stages[fan_out.stage].exports[export].to;
        let parent = fan_out.parent;
        self.send(parent, to, Some(accumulator));
    }

    /// Sends gathered values to their destination. `None` means that they are lost.
    fn send(&mut self, parent: usize, to: Destination, gathered: Option<Accumulator>) {
        let tree = match gathered {
            Some(Accumulator::List(trees)) => ValueTree::Many(trees),
            Some(Accumulator::Fold { folded, .. }) => {
                folded.map_or(ValueTree::Lost, ValueTree::One)
            }
            None => ValueTree::Lost,
        };
        match (to, tree) {
            (Destination::Output(number), tree) => self.outputs[number] = tree,
            (Destination::Export(export), tree) => self.gather(parent, export, tree),
            (Destination::Node(node), ValueTree::One(folded)) => self.give(node, parent, folded),
            (Destination::Node(node), ValueTree::Lost) => self.lose(node, parent),
            (Destination::Node(node), ValueTree::Many(trees)) => {
                let values = trees.into_iter().map(|tree| match tree {
                    ValueTree::One(value) => Some(value),
                    ValueTree::Many(_) | ValueTree::Lost => None,
                });
                match (values.collect::<Option<Vec<_>>>(), &self.flow.nodes[node].kind) {
                    (Some(values), NodeKind::Collect(gather)) => {
                        self.give(node, parent, gather(values))
                    }
                    _ => self.lose(node, parent),
                }
            }
        }
    }

    /// Sends the incomplete outputs of open fan-outs, because the run ends before they close.
    pub(super) fn send_incomplete_outputs(&mut self) {
        let mut open: Vec<_> = self.fan_outs.numbers().collect();
        // Inner fan-outs first.
        open.sort_unstable_by_key(|&at| std::cmp::Reverse(self.fan_outs.get(at).stage));
        for at in open {
            let (stage, parent) = (self.fan_outs.get(at).stage, self.fan_outs.get(at).parent);
            for (export, to) in self.plan.stages[stage].exports.iter().map(|it| it.to).enumerate() {
                let gathering = &mut self.fan_outs.get_mut(at).gatherings[export];
                if !matches!(to, Destination::Node(_)) && !gathering.is_sent {
                    let accumulator = gathering.take();
                    self.send(parent, to, Some(accumulator));
                }
            }
        }
    }

    /// Removes a fan-out if all its elements are finished.
    pub(super) fn remove_if_done(&mut self, at: usize) {
        let fan_out = self.fan_outs.get(at);
        if fan_out.elements.is_some() || !fan_out.open.is_empty() {
            return;
        }
        let OpenFanOut { parent, stage, .. } = self.fan_outs.remove(at);
        self.scopes.get_mut(parent).fan_outs.retain(|fan_out| *fan_out != at);
        self.close_fan_out(parent, stage);
    }

    fn close_fan_out(&mut self, parent: usize, stage: usize) {
        self.plan.stages[stage].borrowed.iter().for_each(|&slot| self.release(parent, slot));
        self.finish_one(parent);
    }

    /// Reads elements while too few steps are ready and there is room for more elements.
    pub(super) fn take_elements(&mut self) {
        let mut began = None;
        while self.ready_count < self.ahead && self.problem.is_none() {
            let Some(fan_out) = self.next_fan_out() else { return };
            let began = *began.get_or_insert_with(Instant::now);
            self.take_element(fan_out);
            self.settle();
            if began.elapsed() >= MAX_READ_TIME {
                return;
            }
        }
    }

    /// The fan-out to read the next element from. Inner fan-outs go first.
    pub(super) fn next_fan_out(&self) -> Option<usize> {
        let has_room =
            |stage: usize| self.plan.stages[stage].needs_all || self.live[stage] < self.ahead;
        let stages = self.unread.iter().enumerate().rev();
        let mut fan_outs = stages
            .filter(|(stage, _)| has_room(*stage))
            .flat_map(|(_, unread)| unread.iter().rev());
        fan_outs.find(|&&fan_out| self.can_fold_more(fan_out)).copied()
    }

    /// Whether the folds of a fan-out are close enough to the last element that was read.
    fn can_fold_more(&self, fan_out: usize) -> bool {
        let OpenFanOut { stage, read, gatherings, .. } = self.fan_outs.get(fan_out);
        let max_backlog = MAX_FOLD_BACKLOG.saturating_mul(self.ahead) as u64;
        let is_close = |gathering: &Gathering| match gathering.accumulator {
            Accumulator::Fold { next, .. } => read - next < max_backlog,
            Accumulator::List(_) => true,
        };
        self.plan.stages[*stage].needs_all || gatherings.iter().all(is_close)
    }
}
