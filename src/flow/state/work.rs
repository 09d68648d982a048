//! Steps that are ready, as the tasks of a call.

use super::{Kind, State, Value};
use crate::{
    Error, Result,
    flow::{
        Step,
        handle::{Packing, Shared},
    },
    pool::{MessageEntry, Packer, Reading, RemoteFunction, Work},
};

impl State<'_> {
    /// The step that is next.
    fn next(&self) -> Option<Step> {
        let (&node, _) = self.ready.last_key_value()?;
        match self.flow.nodes[node].kind {
            Kind::Step(step) => Some(step),
            _ => None,
        }
    }
}

impl Work<(u64, Value)> for State<'_> {
    fn is_empty(&mut self) -> bool {
        self.fill();
        self.count == 0 || self.problem.is_some()
    }

    fn has_ended(&self) -> bool {
        self.count == 0 && self.active.iter().all(Vec::is_empty)
    }

    fn left(&self) -> Option<usize> {
        self.ready.last_key_value().map(|(_, scopes)| scopes.len())
    }

    fn remote(&self) -> Option<RemoteFunction> {
        self.next().and_then(|step| step.remote)
    }

    fn pack_next(&mut self, index: u64, packer: &mut Packer) -> Result<()> {
        let none = || Error::invalid_data("there is no step to take");
        let step = self.next().ok_or_else(none)?;
        let mut furthest = self.ready.last_entry().ok_or_else(none)?;
        let node = *furthest.key();
        let scope = furthest.get_mut().pop_front().ok_or_else(none)?;
        if furthest.get().is_empty() {
            furthest.remove();
        }
        self.count -= 1;
        let values: Vec<_> = self.inputs(node, scope).into_iter().map(Shared).collect();
        self.running.resize(usize::try_from(index - self.first).map_err(|_| none())?, None);
        self.running.push_back(Some((node, scope)));
        let packed = (step.pack)(&values, index, &mut Packing(packer));
        drop(values);
        self.release_inputs(node, scope);
        packed
    }

    fn read(&self, index: u64, reading: Reading<'_>) -> MessageEntry<(u64, Value)> {
        let at = index.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        let running = at.and_then(|at| *self.running.get(at)?);
        match running.map(|(node, _)| &self.flow.nodes[node].kind) {
            Some(Kind::Step(step)) => (step.read)(reading),
            _ => MessageEntry::Value(Err(Error::invalid_data(format!(
                "task {index} is not one of the flow's"
            )))),
        }
    }
}
