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
        marker::{
            InOrder, OnError, ResultOrder, ReturnsResult, ReturnsValue, TaskContext, Unordered,
        },
        transport::MemorySharing,
        wire::remote::RemoteFunction,
    },
};

/// Methods that run the tasks.
///
/// The function's signature depends on the job: `fn(I) -> R` after [`Pool::job`](crate::Pool::job),
/// `fn(&C, I) -> R` after [`Pool::with`](crate::Pool::with), and `fn(&mut S, I) -> R` after
/// [`Pool::with_init`](crate::Pool::with_init).
impl<'p, K: TaskContext, M: OnError> Job<'p, K, M> {
    /// Applies `f` to each item, and returns the results in the order of the items.
    ///
    /// After [`keep_going`](Job::keep_going) the result for each item is a `Result<R, TaskError>`.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let results = pool.job().retries(1).map(|x: u64| x * x, [1, 2, 3])?;
    /// assert_eq!(results, [1, 4, 9]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the first failure of a task; see [`Pool::map`](crate::Pool::map). After
    /// [`keep_going`](Job::keep_going), returns an error only if the job itself fails.
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
        let remote = self.context.remote::<I, R, ReturnsValue>(f);
        self.collect(remote, items, Location::caller())
    }

    /// Like [`map`](Job::map), but for a function that returns a `Result`.
    ///
    /// # Errors
    ///
    /// See [`Pool::try_map`](crate::Pool::try_map).
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
        let remote = self.context.remote::<I, R, ReturnsResult<E>>(f);
        self.collect(remote, items, Location::caller())
    }

    /// Combines the results into one value, in the order of the items.
    ///
    /// Each result is dropped after `combine`, so this works for any number of items.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let sum = pool.job().fold(|x: u64| x * x, 1..=1000, 0, |sum, square| sum + square)?;
    /// assert_eq!(sum, 333_833_500);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`map`](Job::map).
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
        let remote = self.context.remote::<I, R, ReturnsValue>(f);
        self.reduce(remote, items, start, combine, Location::caller())
    }

    /// Like [`fold`](Job::fold), but for a function that returns a `Result`.
    ///
    /// # Errors
    ///
    /// See [`try_map`](Job::try_map).
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
        let remote = self.context.remote::<I, R, ReturnsResult<E>>(f);
        self.reduce(remote, items, start, combine, Location::caller())
    }

    /// Returns an iterator of the results in the order of the items, while the tasks run.
    ///
    /// Items are taken when workers have room for them, so there may be infinitely many. Until
    /// you take the first result, at most workers × (prefetch + 1) batches of items are taken.
    /// Workers make progress while you wait for a result, and on the batches that were [sent
    /// ahead](Job::prefetch_batches). Dropping the iterator ends the job.
    ///
    /// The first failure ends the iterator, after the results of all items before it. After
    /// [`keep_going`](Job::keep_going) it takes the place of the result.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let squares = pool.job().imap(|x: u64| x * x, 1..)?;
    /// let large = squares.map(Result::unwrap).find(|square| *square > 1000);
    /// assert_eq!(large, Some(1024));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the job cannot be started. The iterator returns the failures of
    /// tasks.
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
        let remote = self.context.remote::<T::Item, R, ReturnsValue>(f);
        self.start(remote, items, Location::caller())
    }

    /// Like [`imap`](Job::imap), but for a function that returns a `Result`.
    ///
    /// # Errors
    ///
    /// See [`imap`](Job::imap).
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
        let remote = self.context.remote::<T::Item, R, ReturnsResult<E>>(f);
        self.start(remote, items, Location::caller())
    }

    /// Like [`imap`](Job::imap), but returns results as they finish, each with the index of its
    /// item.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let mut results: Vec<_> =
    ///     pool.job().imap_unordered(|x: u64| x * x, [1, 2, 3])?.collect::<ndferry::Result<_>>()?;
    /// results.sort(); // by index
    /// assert_eq!(results, [(0, 1), (1, 4), (2, 9)]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`imap`](Job::imap).
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
        let remote = self.context.remote::<T::Item, R, ReturnsValue>(f);
        self.start(remote, items, Location::caller())
    }

    /// Like [`imap_unordered`](Job::imap_unordered), but for a function that returns a `Result`.
    ///
    /// # Errors
    ///
    /// See [`imap`](Job::imap).
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
        let remote = self.context.remote::<T::Item, R, ReturnsResult<E>>(f);
        self.start(remote, items, Location::caller())
    }

    /// Starts one task without waiting for it.
    ///
    /// If all workers are busy, the task is queued. Queued tasks start in the order in which
    /// they were submitted.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let sum = pool.submit(|n: u64| (1..=n).sum::<u64>(), 1000)?;
    /// // Do something else here.
    /// assert_eq!(sum.join()?, 500_500);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the item or the context cannot be encoded. [`TaskHandle::join`]
    /// returns the failure of the task.
    #[track_caller]
    pub fn submit<I, R>(self, f: K::Task<I, R>, item: I) -> Result<TaskHandle<R>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        let remote = self.context.remote::<I, R, ReturnsValue>(f);
        self.begin(remote, &item, Location::caller())
    }

    /// Like [`submit`](Job::submit), but for a function that returns a `Result`.
    ///
    /// # Errors
    ///
    /// See [`submit`](Job::submit).
    #[track_caller]
    pub fn try_submit<I, R, E>(self, f: K::Task<I, Result<R, E>>, item: I) -> Result<TaskHandle<R>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let remote = self.context.remote::<I, R, ReturnsResult<E>>(f);
        self.begin(remote, &item, Location::caller())
    }

    /// Applies `f` to chunks of `array` along `axis`, and returns the results in order.
    ///
    /// Each task gets `chunk` indices of the axis, and the last one may get fewer. The array is
    /// not copied. An array of a file
    /// ([`ArrayFile::read_dyn`](crate::file::ArrayFile::read_dyn)) may have any byte order:
    /// each worker maps the file and swaps only its chunk, so the file may be larger than
    /// memory.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// use ndarray::{Array2, Axis, Ix2};
    /// use ndferry::SharedArray;
    ///
    /// let table = SharedArray::from(Array2::from_shape_fn((100, 3), |(row, _)| row as f64));
    /// let sums =
    ///     pool.job().map_axis_chunks(&table, Axis(0), 40, |rows: SharedArray<f64, Ix2>| rows.sum())?;
    /// assert_eq!(sums, [2340.0, 7140.0, 5370.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the array has no such axis, `chunk` is 0, or the array has other
    /// elements or another number of dimensions than `f` takes. Otherwise see
    /// [`map`](Job::map).
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
        let remote = self.context.remote::<SharedArray<A, D>, R, ReturnsValue>(f);
        self.collect(remote, blocks, Location::caller())
    }

    /// Like [`map_axis_chunks`](Job::map_axis_chunks), but for a function that returns a `Result`.
    ///
    /// # Errors
    ///
    /// See [`map_axis_chunks`](Job::map_axis_chunks) and [`try_map`](Job::try_map).
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
        let remote = self.context.remote::<SharedArray<A, D>, R, ReturnsResult<E>>(f);
        self.collect(remote, blocks, Location::caller())
    }

    /// Fills chunks of `array` along `axis` in place, and returns the results in order.
    ///
    /// Each task gets a mutable view of `chunk` indices of the axis, and the first of these
    /// indices. The last task may get fewer. No two tasks get the same element, and other code
    /// cannot access the array meanwhile. Nothing is copied: when the job returns, the array
    /// contains the new elements. When the job returns, and before a task is retried, no
    /// process can write to the chunk any more. The chunk of a failed task may be partly
    /// filled.
    ///
    /// # Examples
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
    /// pool.job().fill_axis_chunks(&mut table, Axis(0), 64, number)?;
    /// assert_eq!(table[(700, 2)], 700.0);
    /// let table = table.freeze()?; // share it with further tasks
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the array has no such axis, or `chunk` is 0. Otherwise see
    /// [`map`](Job::map).
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
        let remote = self.context.remote_fill::<A, D, R, ReturnsValue>(f);
        self.fill(remote, array, axis, chunk, Location::caller())
    }

    /// Like [`fill_axis_chunks`](Job::fill_axis_chunks), but for a function that returns a
    /// `Result`.
    ///
    /// # Errors
    ///
    /// See [`fill_axis_chunks`](Job::fill_axis_chunks) and [`try_map`](Job::try_map).
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
        let remote = self.context.remote_fill::<A, D, R, ReturnsResult<E>>(f);
        self.fill(remote, array, axis, chunk, Location::caller())
    }
}

/// Cuts an array into chunks along an axis.
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
        // The parts borrow the array until no process can write to it any more.
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
