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
    /// Whether a task has failed and the job ends with its failure: no further item is taken.
    has_failed: bool,
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
            has_failed: false,
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
            let mut next = self.decided.iter();
            // Results go before the failure that ends the job.
            let next = match next.next() {
                Some((_, Err(_))) if self.has_failed => {
                    let is_result = |index, outcome: &Result<R, TaskError>| {
                        outcome.is_ok() && O::is_next(index, self.given)
                    };
                    next.find(|(index, outcome)| is_result(**index, outcome))
                        .or(self.decided.first_key_value())
                }
                first => first,
            };
            let next = next.map(|(index, _)| *index);
            if let Some(index) = next.filter(|index| O::is_next(*index, self.given)) {
                let outcome = self.decided.remove(&index).expect("it was just looked at");
                self.given += 1;
                if self.has_failed && outcome.is_err() {
                    self.run = None;
                }
                return Ok(Some(outcome.map(|result| O::item(index, result))));
            }
            let window = match self.has_failed {
                true => 0,
                false => self.given.saturating_add(run.window()),
            };
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
            self.has_failed |=
                !run.keeps_going() && decided.iter().any(|(_, outcome)| outcome.is_err());
            self.decided.extend(decided.drain(..));
            if self.has_failed && self.tells_all {
                // The results are of no use without the rest, so the failure does not wait.
                let failed = self.decided.iter().find(|(_, outcome)| outcome.is_err());
                let failed = failed.map(|(index, _)| *index).expect("a task has failed");
                self.run = None;
                let outcome = self.decided.remove(&failed);
                return Ok(outcome.map(|outcome| outcome.map(|result| O::item(failed, result))));
            }
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
