//! The iterator of results.

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

/// An iterator of the results of a job; see [`Job::imap`](crate::pool::Job::imap).
///
/// It is an ordinary, blocking iterator. Dropping it ends the job: running tasks are killed,
/// and their workers are replaced.
///
/// # Examples
///
/// ```
/// # fn main() -> ndferry::Result<()> {
/// # ndferry::init();
/// # let pool = ndferry::Pool::builder().workers(2).build()?;
/// let mut results = pool.job().imap(|x: u32| x + 1, [1, 2, 3])?;
/// assert_eq!(results.next().unwrap()?, 2);
/// drop(results); // ends the job
/// # Ok(())
/// # }
/// ```
#[must_use = "the job makes progress only while you take results"]
pub struct Results<'p, T: Iterator, R, O> {
    run: Option<Run<'p>>,
    items: Items<T>,
    /// Outcomes that were not returned yet, by index.
    decided: BTreeMap<u64, Result<R, TaskError>>,
    given: u64,
    /// Whether an interrupted job reports every item, and not only the first that was not
    /// taken. There may be infinitely many items.
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

    /// Makes an interrupted job report every item.
    pub(crate) fn telling_all(self) -> Self {
        Self { tells_all: true, ..self }
    }

    /// Returns the next outcome, or `None` at the end.
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
                let (index, outcome) = self.decided.pop_first().expect("there is a first outcome");
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
                // A failure does not wait for earlier results.
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
            // The job itself failed.
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
