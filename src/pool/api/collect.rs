//! Collecting all results of a job, in a list or folded into one value.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Error, Result,
    pool::{
        api::results::Results,
        engine::run::{Items, Run},
        marker::{InOrder, OnError},
    },
};

/// Returns all results in the order of the items.
pub(crate) fn gather<M, T, R>(mut run: Run<'_>, mut items: Items<T>) -> Result<Vec<M::Item<R>>>
where
    M: OnError,
    T: Iterator<Item: Serialize>,
    R: DeserializeOwned,
{
    let mut results: Vec<Option<M::Item<R>>> = Vec::new();
    let mut decided = Vec::new();
    while run.step(&mut items, u64::MAX, &mut decided)? {
        // If several tasks have failed, report the one with the lowest index.
        decided.sort_unstable_by_key(|(index, _)| *index);
        results.resize_with(usize::try_from(run.taken()).map_err(|_| too_many())?, || None);
        for (index, outcome) in decided.drain(..) {
            results[index as usize] = Some(M::item(outcome).map_err(Error::task)?);
        }
    }
    if run.is_interrupted() {
        while items.take().is_some() {
            let (_, error) = run.skip();
            results.push(Some(M::item(Err(error)).map_err(Error::task)?));
        }
    }
    Ok(results.into_iter().map(|result| result.expect("every task has an outcome")).collect())
}

/// Folds all results into `start` in the order of the items.
pub(crate) fn reduce<M, T, R, A>(
    run: Run<'_>,
    items: Items<T>,
    start: A,
    mut combine: impl FnMut(A, M::Item<R>) -> A,
) -> Result<A>
where
    M: OnError,
    T: Iterator<Item: Serialize>,
    R: DeserializeOwned,
{
    let mut stream = Results::<_, _, InOrder>::new(run, items).telling_all();
    let mut folded = start;
    while let Some(outcome) = stream.outcome()? {
        folded = combine(folded, M::item(outcome).map_err(Error::task)?);
    }
    Ok(folded)
}

fn too_many() -> Error {
    Error::invalid_input("there are more items than memory can address")
}
