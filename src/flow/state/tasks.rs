//! The steps that can run, as the tasks of one job.

use super::{ErasedValue, NodeKind, RunState};
use crate::{
    Error, Result,
    flow::{
        engine::{MessageEntry, Packer, Reading, RemoteFunction, Work},
        node::StepFunction,
    },
};

impl RunState<'_> {
    fn next_step(&self) -> Option<StepFunction> {
        let (&node, _) = self.ready.last_key_value()?;
        match self.flow.nodes[node].kind {
            NodeKind::Step(step) => Some(step),
            _ => None,
        }
    }
}

impl Work<(u64, ErasedValue)> for RunState<'_> {
    fn is_empty(&mut self) -> bool {
        self.take_elements();
        self.ready_count == 0 || self.problem.is_some()
    }

    fn has_ended(&self) -> bool {
        self.ready_count == 0 && self.unread.iter().all(Vec::is_empty)
    }

    fn left(&self) -> Option<usize> {
        self.ready.last_key_value().map(|(_, scopes)| scopes.len())
    }

    fn remote(&self) -> Option<RemoteFunction> {
        self.next_step().and_then(|step| step.remote)
    }

    fn pack_next(&mut self, index: u64, packer: &mut Packer) -> Result<()> {
        let none = || Error::invalid_data("internal error: no step of the flow is ready");
        let step = self.next_step().ok_or_else(none)?;
        let mut entry = self.ready.last_entry().ok_or_else(none)?;
        let node = *entry.key();
        let scope = entry.get_mut().pop_front().ok_or_else(none)?;
        if entry.get().is_empty() {
            entry.remove();
        }
        self.ready_count -= 1;
        let values = self.inputs(node, scope);
        self.running.resize(usize::try_from(index - self.first_running).map_err(|_| none())?, None);
        self.running.push_back(Some((node, scope)));
        let packed = (step.pack)(&values, index, packer);
        drop(values);
        self.release_inputs(node, scope);
        packed
    }

    fn read(&self, index: u64, reading: Reading<'_>) -> MessageEntry<(u64, ErasedValue)> {
        let at = index.checked_sub(self.first_running).and_then(|at| usize::try_from(at).ok());
        let running = at.and_then(|at| *self.running.get(at)?);
        match running.map(|(node, _)| &self.flow.nodes[node].kind) {
            Some(NodeKind::Step(step)) => (step.read)(reading),
            _ => MessageEntry::Value(Err(Error::invalid_data(format!(
                "internal error: task {index} is not a step of the flow"
            )))),
        }
    }
}
