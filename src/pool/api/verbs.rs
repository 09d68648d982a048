//! Methods that run jobs.

use std::{error::Error as StdError, panic::Location};

use bytemuck::Pod;
use ndarray::{Axis, Dimension};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    collect::{gather, reduce},
    job::Job,
    results::Results,
    task_handle::TaskHandle,
};
use crate::{
    AnyArray, Error, Result, SharedArray,
    array::SharedArrayMut,
    dtype::Element,
    pool::{
        engine::{run::Items, submit},
        marker::{Gives, InOrder, MayFail, OnError, ResultOrder, TaskContext, Unordered},
        transport::MemorySharing,
        wire::remote::RemoteFunction,
    },
};

/// Verbs. Functions are `fn(I) -> R` after [`Pool::call`](crate::Pool::call), `fn(&C, I) -> R` after [`Pool::with`](crate::Pool::with), `fn(&mut S, I) -> R` after [`Pool::with_init`](crate::Pool::with_init).
impl<'p, K: TaskContext, M: OnError> Job<'p, K, M> {
    /// Applies `f` to every item and gives the results in the items' order: plain ones, or after [`keep_going`](Job::keep_going) a
    /// `Result<R, TaskError>` for each item.
    ///
    /// # Errors
    ///
    /// As [`Pool::map`](crate::Pool::map); after [`keep_going`](Job::keep_going), only where the call as such cannot be made.
    #[track_caller]
    pub fn map<I, R>(
        self,
        f: K::Task<I, R>,
        items: impl IntoIterator<Item = I>,
    ) -> Result<Vec<M::Item<R>>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let remote = self.context.remote::<I, R, Gives>(f);
        self.collect(remote, items, Location::caller())
    }

    /// As [`map`](Job::map), for a function that returns a `Result`.
    ///
    /// # Errors
    ///
    /// As [`Pool::try_map`](crate::Pool::try_map).
    #[track_caller]
    pub fn try_map<I, R, E>(
        self,
        f: K::Task<I, Result<R, E>>,
        items: impl IntoIterator<Item = I>,
    ) -> Result<Vec<M::Item<R>>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let remote = self.context.remote::<I, R, MayFail<E>>(f);
        self.collect(remote, items, Location::caller())
    }

    /// Folds the results into one value, in the items' order, as they come: none is kept.
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let sum = pool.call().fold(|x: u64| x * x, 1..=1000, 0, |sum, square| sum + square)?;
    /// assert_eq!(sum, 333_833_500);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`map`](Job::map).
    #[track_caller]
    pub fn fold<I, R, A>(
        self,
        f: K::Task<I, R>,
        items: impl IntoIterator<Item = I>,
        start: A,
        combine: impl FnMut(A, M::Item<R>) -> A,
    ) -> Result<A>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let remote = self.context.remote::<I, R, Gives>(f);
        self.reduce(remote, items, start, combine, Location::caller())
    }

    /// As [`fold`](Job::fold), for a function that returns a `Result`.
    ///
    /// # Errors
    ///
    /// As [`try_map`](Job::try_map).
    #[track_caller]
    pub fn try_fold<I, R, E, A>(
        self,
        f: K::Task<I, Result<R, E>>,
        items: impl IntoIterator<Item = I>,
        start: A,
        combine: impl FnMut(A, M::Item<R>) -> A,
    ) -> Result<A>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let remote = self.context.remote::<I, R, MayFail<E>>(f);
        self.reduce(remote, items, start, combine, Location::caller())
    }

    /// The results one by one, in the items' order, while the tasks run; items are taken as they are needed, so there may be
    /// infinitely many. Dropping the stream ends the call.
    ///
    /// Work goes on while the stream is asked for results: what workers [have been sent ahead](Job::prefetch) they do meanwhile, no more. Until
    /// one result was taken, at most workers × (prefetch + 1) batches of items are.
    ///
    /// The first failure ends the stream, or after [`keep_going`](Job::keep_going) takes the place of its result.
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let squares = pool.call().stream(|x: u64| x * x, 1..)?;
    /// let large = squares.map(Result::unwrap).find(|square| *square > 1000);
    /// assert_eq!(large, Some(1024));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Where the call cannot be made; the failures of tasks are the stream's.
    #[track_caller]
    pub fn imap<I, R, T>(
        self,
        f: K::Task<I, R>,
        items: T,
    ) -> Result<Results<'p, T::IntoIter, R, InOrder>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        T: IntoIterator<Item = I>,
    {
        let remote = self.context.remote::<T::Item, R, Gives>(f);
        self.start(remote, items, Location::caller())
    }

    /// As [`stream`](Job::stream), for a function that returns a `Result`.
    ///
    /// # Errors
    ///
    /// As [`stream`](Job::stream).
    #[track_caller]
    pub fn try_imap<I, R, E, T>(
        self,
        f: K::Task<I, Result<R, E>>,
        items: T,
    ) -> Result<Results<'p, T::IntoIter, R, InOrder>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        E: Into<Box<dyn StdError + Send + Sync>>,
        T: IntoIterator<Item = I>,
    {
        let remote = self.context.remote::<T::Item, R, MayFail<E>>(f);
        self.start(remote, items, Location::caller())
    }

    /// As [`stream`](Job::stream), with results in the order in which they come, each with the index of its item.
    ///
    /// # Errors
    ///
    /// As [`stream`](Job::stream).
    #[track_caller]
    pub fn imap_unordered<I, R, T>(
        self,
        f: K::Task<I, R>,
        items: T,
    ) -> Result<Results<'p, T::IntoIter, R, Unordered>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        T: IntoIterator<Item = I>,
    {
        let remote = self.context.remote::<T::Item, R, Gives>(f);
        self.start(remote, items, Location::caller())
    }

    /// As [`imap_unordered`](Job::imap_unordered), for a function that returns a `Result`.
    ///
    /// # Errors
    ///
    /// As [`stream`](Job::stream).
    #[track_caller]
    pub fn try_imap_unordered<I, R, E, T>(
        self,
        f: K::Task<I, Result<R, E>>,
        items: T,
    ) -> Result<Results<'p, T::IntoIter, R, Unordered>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        E: Into<Box<dyn StdError + Send + Sync>>,
        T: IntoIterator<Item = I>,
    {
        let remote = self.context.remote::<T::Item, R, MayFail<E>>(f);
        self.start(remote, items, Location::caller())
    }

    /// Begins one task, without waiting for it.
    ///
    /// Where no worker is free, it waits for its turn; tasks are begun in the order in which they were submitted.
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let sum = pool.submit(|n: u64| (1..=n).sum::<u64>(), 1000)?;
    /// // … and meanwhile something else …
    /// assert_eq!(sum.wait()?, 500_500);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Where the item or the context cannot be encoded, or the call not be made; the failure of the task is
    /// [`TaskHandle::wait`]'s.
    #[track_caller]
    pub fn submit<I, R>(self, f: K::Task<I, R>, item: I) -> Result<TaskHandle<R>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        let remote = self.context.remote::<I, R, Gives>(f);
        self.begin(remote, &item, Location::caller())
    }

    /// As [`submit`](Job::submit), for a function that returns a `Result`.
    ///
    /// # Errors
    ///
    /// As [`submit`](Job::submit).
    #[track_caller]
    pub fn try_submit<I, R, E>(self, f: K::Task<I, Result<R, E>>, item: I) -> Result<TaskHandle<R>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let remote = self.context.remote::<I, R, MayFail<E>>(f);
        self.begin(remote, &item, Location::caller())
    }

    /// Applies `f` to blocks of `array`, `chunk` indices of `axis` each (the last may be shorter), and gives the results in the
    /// blocks' order. Nothing of the array is copied to cut it up.
    ///
    /// A file's array ([`ArrayFile::any`](crate::file::ArrayFile::any)) of either byte order is mapped by every worker, which swaps the block at hand:
    /// files larger than memory work.
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// use ndarray::{Array2, Axis, Ix2};
    /// use ndferry::SharedArray;
    ///
    /// let table = SharedArray::from(Array2::from_shape_fn((100, 3), |(row, _)| row as f64));
    /// let sums = pool.call().map_axis_chunks(&table, Axis(0), 40, |rows: SharedArray<f64, Ix2>| rows.sum())?;
    /// assert_eq!(sums, [2340.0, 7140.0, 5370.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`map`](Job::map); and where there is no such axis, `chunk` is 0, or the array has other elements or dimensions than `f` takes.
    #[track_caller]
    pub fn map_axis_chunks<A, D, R>(
        self,
        array: impl Into<AnyArray>,
        axis: Axis,
        chunk: usize,
        f: K::Task<SharedArray<A, D>, R>,
    ) -> Result<Vec<M::Item<R>>>
    where
        A: Element,
        D: Dimension,
        SharedArray<A, D>: DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let blocks = blocks(array.into(), axis, chunk)?;
        let remote = self.context.remote::<SharedArray<A, D>, R, Gives>(f);
        self.collect(remote, blocks, Location::caller())
    }

    /// As [`map_axis_chunks`](Job::map_axis_chunks), for a function that returns a `Result`.
    ///
    /// # Errors
    ///
    /// As [`map_axis_chunks`](Job::map_axis_chunks) and [`try_map`](Job::try_map).
    #[track_caller]
    pub fn try_map_axis_chunks<A, D, R, E>(
        self,
        array: impl Into<AnyArray>,
        axis: Axis,
        chunk: usize,
        f: K::Task<SharedArray<A, D>, Result<R, E>>,
    ) -> Result<Vec<M::Item<R>>>
    where
        A: Element,
        D: Dimension,
        SharedArray<A, D>: DeserializeOwned,
        R: Serialize + DeserializeOwned,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let blocks = blocks(array.into(), axis, chunk)?;
        let remote = self.context.remote::<SharedArray<A, D>, R, MayFail<E>>(f);
        self.collect(remote, blocks, Location::caller())
    }

    /// Has `array` filled by the tasks, each of which gets `chunk` indices of `axis` (the last may get fewer) to change in place, and
    /// the first of these indices. Gives what the tasks return, in the order of the parts. Nothing is copied: when the call returns,
    /// the array holds what the tasks wrote.
    ///
    /// No two tasks get the same element, and nobody else can look at the array meanwhile. When the call returns, and before a task is tried
    /// again, no process is left that could write to it. A part whose task has failed may be partly filled.
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// use ndarray::{ArrayRef, Axis, Ix2};
    ///
    /// fn number(rows: &mut ArrayRef<f64, Ix2>, first: usize) {
    ///     for (row, mut elements) in rows.outer_iter_mut().enumerate() {
    ///         elements.fill((first + row) as f64);
    ///     }
    /// }
    ///
    /// let mut table = pool.store().zeros::<f64, _>((1000, 3))?;
    /// pool.call().fill_axis_chunks(&mut table, Axis(0), 64, number)?;
    /// assert_eq!(table[(700, 2)], 700.0);
    /// let table = table.freeze()?; // to be shared with further tasks
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`map`](Job::map); and where there is no such axis, or `chunk` is 0.
    #[track_caller]
    pub fn fill_axis_chunks<A, D, R>(
        self,
        array: &mut SharedArrayMut<A, D>,
        axis: Axis,
        chunk: usize,
        f: K::Fill<A, D, R>,
    ) -> Result<Vec<M::Item<R>>>
    where
        A: Element + Pod,
        D: Dimension,
        R: Serialize + DeserializeOwned,
    {
        let remote = self.context.remote_fill::<A, D, R, Gives>(f);
        self.fill(remote, array, axis, chunk, Location::caller())
    }

    /// As [`fill_axis_chunks`](Job::fill_axis_chunks), for a function that returns a `Result`.
    ///
    /// # Errors
    ///
    /// As [`fill_axis_chunks`](Job::fill_axis_chunks) and [`try_map`](Job::try_map).
    #[track_caller]
    pub fn try_fill_axis_chunks<A, D, R, E>(
        self,
        array: &mut SharedArrayMut<A, D>,
        axis: Axis,
        chunk: usize,
        f: K::Fill<A, D, Result<R, E>>,
    ) -> Result<Vec<M::Item<R>>>
    where
        A: Element + Pod,
        D: Dimension,
        R: Serialize + DeserializeOwned,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let remote = self.context.remote_fill::<A, D, R, MayFail<E>>(f);
        self.fill(remote, array, axis, chunk, Location::caller())
    }
}

/// The blocks of `chunk` indices along `axis`.
fn blocks(
    array: AnyArray,
    axis: Axis,
    chunk: usize,
) -> Result<impl ExactSizeIterator<Item = AnyArray>> {
    let Some(&length) = array.shape().get(axis.0) else {
        return Err(Error::invalid_input(format!(
            "there is no axis {} in shape {:?}",
            axis.0,
            array.shape()
        )));
    };
    if chunk == 0 {
        return Err(Error::invalid_input("blocks of 0 indices: at least 1 is needed"));
    }
    let block = move |number: usize| {
        let start = number * chunk;
        let end = start.saturating_add(chunk).min(length);
        array.slice_axis(axis.0, start..end).expect("a block lies within its axis")
    };
    Ok((0..length.div_ceil(chunk)).map(block))
}

impl<'p, K: TaskContext, M: OnError> Job<'p, K, M> {
    fn fill<A: Element + Pod, D: Dimension, R: DeserializeOwned>(
        self,
        remote: Result<RemoteFunction>,
        array: &mut SharedArrayMut<A, D>,
        axis: Axis,
        chunk: usize,
        call_site: &'static Location<'static>,
    ) -> Result<Vec<M::Item<R>>> {
        let pool = &self.pool.0;
        if pool.capabilities(self.options.runs_in_caller(pool)).memory == MemorySharing::None {
            return Err(Error::invalid_input(
                "an array can only be filled by workers that share memory with this process: use map_axis_chunks",
            ));
        }
        let parts = array.lend(axis.0, chunk)?;
        let output = parts.output().clone();
        // The parts lend the array until the call is over, and with it every process that could still write.
        self.collect(remote, parts.map(|part| (output.clone(), part)), call_site)
    }

    fn collect<R: DeserializeOwned>(
        self,
        remote: Result<RemoteFunction>,
        items: impl IntoIterator<Item: Serialize>,
        call_site: &'static Location<'static>,
    ) -> Result<Vec<M::Item<R>>> {
        let items = Items::new(items.into_iter());
        gather::<M, _, _>(self.run(remote?, items.total, call_site)?, items)
    }

    fn reduce<R: DeserializeOwned, A>(
        self,
        remote: Result<RemoteFunction>,
        items: impl IntoIterator<Item: Serialize>,
        start: A,
        combine: impl FnMut(A, M::Item<R>) -> A,
        call_site: &'static Location<'static>,
    ) -> Result<A> {
        let items = Items::new(items.into_iter());
        reduce::<M, _, _, _>(self.run(remote?, items.total, call_site)?, items, start, combine)
    }

    fn start<T, R, O>(
        mut self,
        remote: Result<RemoteFunction>,
        items: T,
        call_site: &'static Location<'static>,
    ) -> Result<Results<'p, T::IntoIter, R, O>>
    where
        T: IntoIterator<Item: Serialize>,
        R: DeserializeOwned,
        O: ResultOrder,
    {
        self.options.batch_size.get_or_insert(1);
        let items = Items::new(items.into_iter());
        let run = self.run(remote?, items.total, call_site)?;
        Ok(Results::new(run, items))
    }

    fn begin<R: DeserializeOwned + Send + 'static>(
        self,
        remote: Result<RemoteFunction>,
        item: &impl Serialize,
        call_site: &'static Location<'static>,
    ) -> Result<TaskHandle<R>> {
        if self.on_progress.is_some() {
            return Err(Error::invalid_input(
                "a submitted task has no progress to tell: it is done or not",
            ));
        }
        let remote = remote?;
        let context = self.pack_context()?;
        let pool = &self.pool.0;
        submit::submit(pool, self.options, remote, context, item, call_site).map(TaskHandle::new)
    }
}
