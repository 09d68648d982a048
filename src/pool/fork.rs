//! Workers that are forks of this process: for state that can neither be sent nor built again.
//!
//! It owns what a forked worker does and which verbs its calls have. All else is as over any worker process: a fork is one more way to
//! come by a [`Process`].

use std::{
    error::Error as StdError,
    io::{self, Write as _},
    os::fd::AsFd as _,
    panic::Location,
};

use ndarray::{Axis, Dimension};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Job, Pool, Shared,
    channel::Channel,
    gather::{gather, reduce},
    inside,
    message::Side,
    mode::Mode,
    notes::Notes,
    output, panics,
    process::{Process, Recipe},
    remote::{Gives, MayFail, Remote, Returns},
    run::{Items, Run, Start},
    staff::Lent,
    stream::{InOrder, Results, StreamOrder, Unordered},
    task::{Code, Invocation, Own, Runner},
    verbs::blocks,
    worker::{self, Post},
};
use crate::{
    AnyArray, Error, Result, SharedArray,
    bytes::map::Page,
    dtype::Element,
    error::Report,
    store::Member,
    sys::{self, fork::Refused},
};

/// Tasks are closures over what a forked worker has inherited: [`PoolBuilder::fork`](crate::pool::PoolBuilder::fork).
#[derive(Clone, Copy, Debug)]
pub struct Forked(pub(super) ());

/// Applies `f` to every item, each in a fork of this process, and gives the results in the items' order.
///
/// For state that can neither be sent nor built again: `f` may capture anything by reference, and finds it as it is when the call is made.
/// Nothing of it is copied but the pages of memory that a task, or this process meanwhile, writes to. Only items and results travel;
/// what cannot, is captured as well and sent as its index: `fork_map(2, 0..items.len(), |i| work(&items[i]))`.
///
/// Workers are forked when the call begins, at most `workers` of them, and end with it. What a task changes, by a lock or a
/// [`RefCell`](std::cell::RefCell), later tasks of the same worker see, and nobody else. A worker that has died, or whose task has panicked,
/// is replaced by a new fork. What draws random numbers from an inherited state draws the same ones in each worker.
/// [`init`](crate::init) is not needed.
///
/// [`PoolBuilder::fork`](crate::pool::PoolBuilder::fork) makes the same call with options and other verbs.
///
/// ```
/// use std::sync::Mutex;
///
/// // Not serialisable, and a copy would be dear.
/// let model = Mutex::new(vec![0.5; 1_000_000]);
/// let sums = ndferry::pool::fork_map(2, [10, 20], |n: usize| model.lock().unwrap()[..n].iter().sum::<f64>())?;
/// assert_eq!(sums, [5.0, 10.0]);
/// # Ok::<(), ndferry::Error>(())
/// ```
///
/// # Errors
///
/// Where other threads run in this process: a lock that one of them holds would stay locked in the fork for ever. The failures of tasks
/// are as for [`Pool::map`].
#[track_caller]
pub fn fork_map<I, R>(
    workers: usize,
    items: impl IntoIterator<Item = I>,
    f: impl Fn(I) -> R,
) -> Result<Vec<R>>
where
    I: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    Pool::builder().workers(workers).fork()?.map(f, items)
}

/// As [`fork_map`], with results one by one while the tasks run, as [`Job::stream`](crate::pool::Job) gives them.
///
/// Workers are forked when there is something to do for them: all find the state as it is by then.
///
/// ```
/// let names = std::cell::RefCell::new(vec!["zero", "one", "two"]);
/// let mut lengths = ndferry::pool::fork_imap(2, 0.., |i: usize| names.borrow()[i % 3].len())?;
/// assert_eq!(lengths.nth(4).unwrap()?, 3);
/// # Ok::<(), ndferry::Error>(())
/// ```
///
/// # Errors
///
/// As [`fork_map`]; the failures of tasks are the stream's.
#[track_caller]
pub fn fork_imap<'f, I, R, T>(
    workers: usize,
    items: T,
    f: impl Fn(I) -> R + 'f,
) -> Result<Results<'f, T::IntoIter, R, InOrder>>
where
    I: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
    T: IntoIterator<Item = I>,
{
    Pool::builder().workers(workers).fork()?.imap(f, items)
}

/// Verbs of calls whose workers are forked, as those of other calls but for what `f` may be.
impl<'p, M: Mode> Job<'p, Forked, M> {
    /// Applies `f` to every item and gives the results in the items' order: plain ones, or after [`keep_going`](Job::keep_going) a
    /// `Result<R, TaskError>` for each item.
    ///
    /// # Errors
    ///
    /// As [`fork_map`]; after [`keep_going`](Job::keep_going), only where the call as such cannot be made.
    #[track_caller]
    pub fn map<I, R>(
        self,
        f: impl Fn(I) -> R,
        items: impl IntoIterator<Item = I>,
    ) -> Result<Vec<M::Item<R>>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.collect::<I, I, R, Gives>(f, items, Location::caller())
    }

    /// As `map`, for a closure that returns a `Result`.
    ///
    /// # Errors
    ///
    /// As `map`, and where a task returns an error.
    #[track_caller]
    pub fn try_map<I, R, E>(
        self,
        f: impl Fn(I) -> Result<R, E>,
        items: impl IntoIterator<Item = I>,
    ) -> Result<Vec<M::Item<R>>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.collect::<I, I, R, MayFail<E>>(f, items, Location::caller())
    }

    /// Folds the results into one value, in the items' order, as they come: none is kept.
    ///
    /// # Errors
    ///
    /// As `map`.
    #[track_caller]
    pub fn fold<I, R, A>(
        self,
        f: impl Fn(I) -> R,
        items: impl IntoIterator<Item = I>,
        start: A,
        combine: impl FnMut(A, M::Item<R>) -> A,
    ) -> Result<A>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let items = Items::new(items.into_iter());
        reduce::<M, _, _, _>(
            self.run::<I, R, Gives>(f, items.total, Location::caller())?,
            items,
            start,
            combine,
        )
    }

    /// As `fold`, for a closure that returns a `Result`.
    ///
    /// # Errors
    ///
    /// As `try_map`.
    #[track_caller]
    pub fn try_fold<I, R, E, A>(
        self,
        f: impl Fn(I) -> Result<R, E>,
        items: impl IntoIterator<Item = I>,
        start: A,
        combine: impl FnMut(A, M::Item<R>) -> A,
    ) -> Result<A>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let items = Items::new(items.into_iter());
        reduce::<M, _, _, _>(
            self.run::<I, R, MayFail<E>>(f, items.total, Location::caller())?,
            items,
            start,
            combine,
        )
    }

    /// The results one by one, in the items' order, while the tasks run: as for other calls, there may be infinitely many items, and
    /// dropping the stream ends the call.
    ///
    /// # Errors
    ///
    /// Where the call cannot be made; the failures of tasks are the stream's.
    #[track_caller]
    pub fn imap<I, R, T>(
        self,
        f: impl Fn(I) -> R + 'p,
        items: T,
    ) -> Result<Results<'p, T::IntoIter, R, InOrder>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        T: IntoIterator<Item = I>,
    {
        self.start::<T, R, Gives, _>(f, items, Location::caller())
    }

    /// As `stream`, for a closure that returns a `Result`.
    ///
    /// # Errors
    ///
    /// As `stream`.
    #[track_caller]
    pub fn try_imap<I, R, E, T>(
        self,
        f: impl Fn(I) -> Result<R, E> + 'p,
        items: T,
    ) -> Result<Results<'p, T::IntoIter, R, InOrder>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        E: Into<Box<dyn StdError + Send + Sync>>,
        T: IntoIterator<Item = I>,
    {
        self.start::<T, R, MayFail<E>, _>(f, items, Location::caller())
    }

    /// As `stream`, with results in the order in which they come, each with the index of its item.
    ///
    /// # Errors
    ///
    /// As `stream`.
    #[track_caller]
    pub fn imap_unordered<I, R, T>(
        self,
        f: impl Fn(I) -> R + 'p,
        items: T,
    ) -> Result<Results<'p, T::IntoIter, R, Unordered>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        T: IntoIterator<Item = I>,
    {
        self.start::<T, R, Gives, _>(f, items, Location::caller())
    }

    /// As `imap_unordered`, for a closure that returns a `Result`.
    ///
    /// # Errors
    ///
    /// As `stream`.
    #[track_caller]
    pub fn try_imap_unordered<I, R, E, T>(
        self,
        f: impl Fn(I) -> Result<R, E> + 'p,
        items: T,
    ) -> Result<Results<'p, T::IntoIter, R, Unordered>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        E: Into<Box<dyn StdError + Send + Sync>>,
        T: IntoIterator<Item = I>,
    {
        self.start::<T, R, MayFail<E>, _>(f, items, Location::caller())
    }

    /// Applies `f` to blocks of `array`, `chunk` indices of `axis` each (the last may be shorter), and gives the results in the blocks' order.
    ///
    /// # Errors
    ///
    /// As `map`; and where there is no such axis, `chunk` is 0, or the array has other elements or dimensions than `f` takes.
    #[track_caller]
    pub fn map_axis_chunks<A, D, R>(
        self,
        array: impl Into<AnyArray>,
        axis: Axis,
        chunk: usize,
        f: impl Fn(SharedArray<A, D>) -> R,
    ) -> Result<Vec<M::Item<R>>>
    where
        A: Element,
        D: Dimension,
        SharedArray<A, D>: DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.collect::<_, SharedArray<A, D>, R, Gives>(
            f,
            blocks(array.into(), axis, chunk)?,
            Location::caller(),
        )
    }

    /// As `map_axis_chunks`, for a closure that returns a `Result`.
    ///
    /// # Errors
    ///
    /// As `map_axis_chunks` and `try_map`.
    #[track_caller]
    pub fn try_map_axis_chunks<A, D, R, E>(
        self,
        array: impl Into<AnyArray>,
        axis: Axis,
        chunk: usize,
        f: impl Fn(SharedArray<A, D>) -> Result<R, E>,
    ) -> Result<Vec<M::Item<R>>>
    where
        A: Element,
        D: Dimension,
        SharedArray<A, D>: DeserializeOwned,
        R: Serialize + DeserializeOwned,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.collect::<_, SharedArray<A, D>, R, MayFail<E>>(
            f,
            blocks(array.into(), axis, chunk)?,
            Location::caller(),
        )
    }

    fn collect<T, I, R, F>(
        self,
        f: impl Fn(I) -> F::Out,
        items: impl IntoIterator<Item = T>,
        call_site: &'static Location<'static>,
    ) -> Result<Vec<M::Item<R>>>
    where
        T: Serialize,
        I: DeserializeOwned,
        R: Serialize + DeserializeOwned,
        F: Returns<R>,
    {
        let items = Items::new(items.into_iter());
        gather::<M, _, _>(self.run::<I, R, F>(f, items.total, call_site)?, items)
    }

    fn start<T, R, F, O>(
        mut self,
        f: impl Fn(T::Item) -> F::Out + 'p,
        items: T,
        call_site: &'static Location<'static>,
    ) -> Result<Results<'p, T::IntoIter, R, O>>
    where
        T: IntoIterator<Item: Serialize + DeserializeOwned>,
        R: Serialize + DeserializeOwned,
        F: Returns<R>,
        O: StreamOrder,
    {
        self.options.batch.get_or_insert(1);
        let items = Items::new(items.into_iter());
        Ok(Results::new(self.run::<T::Item, R, F>(f, items.total, call_site)?, items))
    }

    fn run<'f, I, R, F>(
        self,
        f: impl Fn(I) -> F::Out + 'f,
        total: Option<u64>,
        call_site: &'static Location<'static>,
    ) -> Result<Run<'f>>
    where
        'p: 'f,
        I: DeserializeOwned,
        R: Serialize,
        F: Returns<R>,
    {
        let start =
            Start { remote: named_after(&f), context: None, call_site, total, watch: self.watch };
        let code = move |job: &mut Invocation<'_>| {
            job.item().and_then(|item| job.reply(&F::outcome(f(item))?))
        };
        let run = Run::new(&self.pool.0, self.options, start)?;
        Ok(run.with_forks(Box::new(move |shared| hire(shared, &code))))
    }
}

fn named_after<F>(_: &F) -> Remote {
    Remote::own::<F>()
}

/// Whether this process can be forked, as far as that can be told before.
pub(super) fn check() -> Result<()> {
    sys::fork::alone().map_err(refused)
}

fn refused(why: Refused) -> Error {
    match why {
        Refused::Threads(threads) => Error::invalid_input(format!(
            "cannot fork a worker: {threads} other {} in this process, and a lock held there would stay locked in the fork for \
             ever; fork before threads are started, or give workers what they need by Pool::with or Pool::with_init",
            if threads == 1 { "thread runs" } else { "threads run" }
        )),
        Refused::System(error) => Error::io("cannot fork a worker", error),
    }
}

/// Forks a worker that runs `code`.
fn hire(shared: &Shared, code: &Own<'_>) -> Result<Lent> {
    let recipe = &shared.recipe;
    let cannot = |error: io::Error| Error::io("cannot fork a worker", error);
    let (ours, theirs) = sys::socket::pair().map_err(cannot)?;
    // Whoever forks from here on lets go of the parent's end, and this fork of all other workers' as well.
    let ours = Channel::new(ours);
    let (page, notes) = inside::page().map_err(cannot)?;
    let (parent, member) = (std::process::id(), recipe.store.new_member()?);
    let first = worker::first_process(&recipe.store);
    // What was printed and is still here would be printed by both. What cannot be written now is this process's to lose.
    let flushed = io::stdout().flush().is_ok();
    let child = sys::fork::fork(|| {
        let own = page.as_fd().try_clone_to_owned().and_then(|page| Page::of(page.into()));
        if let Ok(page) = own {
            panics::leave_words_on(page);
        }
        let worker = Worker { parent, first, member, flushed };
        worker.work(Channel::new(theirs), recipe, notes, code);
    });
    let process = Process::forked(child.map_err(refused)?, ours, page, recipe, member);
    Ok(shared.started(Box::new(process)))
}

/// A forked worker, from inside.
struct Worker {
    parent: u32,
    /// The process that began the session.
    first: u32,
    member: Member,
    /// Whether nothing that was printed before is still to be written.
    flushed: bool,
}

impl Worker {
    fn work(self, mut channel: Channel, recipe: &Recipe, notes: Notes, code: &Own<'_>) {
        panics::note();
        let Ok(post) = Post::take(self.parent, &channel) else { return };
        post.look_after(self.first);
        output::keep_none();
        let inherited = &recipe.store;
        match post.join(
            inherited.session_dir(),
            inherited.byte_order(),
            inherited.is_memfd(),
            self.member,
        ) {
            Ok(store) => {
                let mut runner = Runner::new(&store, recipe.threshold, Side::Worker, notes);
                if !self.flushed {
                    runner = runner.without_printing();
                }
                if let Err(error) = worker::serve(&mut channel, runner, Code::Own(code)) {
                    worker::give_up(&mut channel, &error);
                }
            }
            Err(error) => {
                let _ =
                    worker::refuse(&mut channel, 0, Report::Start { message: error.to_string() });
            }
        }
        post.leave()
    }
}
