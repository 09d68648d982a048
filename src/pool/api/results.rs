//! Results one by one, while the tasks run.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Error, Result,
    pool::{
        TaskError,
        engine::run::{Items, Run},
        marker::ResultOrder,
    },
};

/// The results of a call, one by one: [`Job::stream`](crate::pool::Job::stream).
///
/// Dropping it ends the call: running tasks are killed, their workers replaced.
#[must_use = "a stream works while it is asked for results"]
pub struct Results<'p, T: Iterator, R, O> {
    run: Option<Run<'p>>,
    items: Items<T>,
    /// What was decided and not yet given away.
    decided: BTreeMap<u64, Result<R, TaskError>>,
    given: u64,
    /// Whether every item is told of that is not taken any more, and not the first alone: there may be no end of them.
    tells_all: bool,
    order: PhantomData<O>,
}

impl<'p, T, R, O> Results<'p, T, R, O>
where
    T: Iterator<Item: Serialize>,
    R: DeserializeOwned,
    O: ResultOrder,
{
    pub(crate) fn new(run: Run<'p>, items: Items<T>) -> Self {
        Self {
            run: Some(run),
            items,
            decided: BTreeMap::new(),
            given: 0,
            tells_all: false,
            order: PhantomData,
        }
    }

    /// Tells of every item what became of it, also when the call is interrupted.
    pub(crate) fn telling_all(self) -> Self {
        Self { tells_all: true, ..self }
    }

    /// What became of the next task; `None`: of all of them it was told.
    pub(crate) fn outcome(&mut self) -> Result<Option<Result<O::Item<R>, TaskError>>> {
        let Some(run) = &mut self.run else {
            return Ok(None);
        };
        let mut decided = Vec::new();
        loop {
            if self
                .decided
                .first_key_value()
                .is_some_and(|(index, _)| O::is_next(*index, self.given))
            {
                let (index, outcome) = self.decided.pop_first().expect("it was just looked at");
                self.given += 1;
                return Ok(Some(outcome.map(|result| O::item(index, result))));
            }
            let window = self.given.saturating_add(run.window());
            if !run.step(&mut self.items, window, &mut decided)? {
                if run.is_interrupted() && self.items.take().is_some() {
                    let (_, error) = run.skip();
                    if !self.tells_all {
                        self.run = None;
                    }
                    return Ok(Some(Err(error)));
                }
                self.run = None;
                return Ok(None);
            }
            if !run.keeps_going() {
                // It does not wait for its turn.
                let failed = decided
                    .iter()
                    .filter(|(_, outcome)| outcome.is_err())
                    .map(|(index, _)| *index)
                    .min();
                if let Some(failed) = failed {
                    self.run = None;
                    let outcome = decided
                        .into_iter()
                        .find(|(index, _)| *index == failed)
                        .map(|(_, outcome)| outcome);
                    return Ok(outcome.map(|outcome| outcome.map(|result| O::item(failed, result))));
                }
            }
            self.decided.extend(decided.drain(..));
        }
    }
}

impl<T, R, O> Iterator for Results<'_, T, R, O>
where
    T: Iterator<Item: Serialize>,
    R: DeserializeOwned,
    O: ResultOrder,
{
    type Item = Result<O::Item<R>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.outcome() {
            Ok(outcome) => outcome.map(|outcome| outcome.map_err(Error::task)),
            // It is the call's, and not one task's.
            Err(error) => {
                self.run = None;
                Some(Err(error))
            }
        }
    }
}

impl<T: Iterator, R, O> fmt::Debug for Results<'_, T, R, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Results({} results given)", self.given)
    }
}
