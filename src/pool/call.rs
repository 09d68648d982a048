//! A call: a function, its items, and who works on them.

use std::{
    cell::RefCell,
    collections::HashMap,
    error::Error as StdError,
    fmt, io,
    panic::Location,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Pool, Shared,
    channel::{Frame, Head, Kind, Payload},
    message::{Incoming, Maps, Outgoing, Side, pack},
    process::{Process, report},
    remote::Remote,
};
use crate::{
    Error, Result, TaskError,
    error::{Circumstances, Report},
    store::Placed,
    sys::socket,
};

/// A call being made up: [`Pool::with`] gives its tasks a context, options follow, a verb (`map`, `try_map`) runs it.
pub struct Call<'p, K> {
    pool: &'p Pool,
    kind: K,
    progress: Option<Watch<'p>>,
}

/// Whoever wants to see the progress of a call.
type Watch<'p> = Box<dyn FnMut(&Progress) + 'p>;

/// The kind of a call whose tasks get their item alone.
#[derive(Clone, Copy, Debug)]
pub struct NoContext;

/// The kind of a call whose tasks get a context as well.
#[derive(Clone, Copy, Debug)]
pub struct WithContext<'c, C>(&'c C);

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Tasks that have a result.
    pub done: u64,
    /// Tasks there will be, where the items tell.
    pub total: Option<u64>,
}

impl Pool {
    /// Applies `f` to every item, each in a worker process, and gives the results in the items' order.
    ///
    /// `f` is a function, a method or a closure that captures nothing. Items and results are any serde values; a
    /// [`SharedArray`](crate::SharedArray) in them is mapped by the receiver where it is large.
    ///
    /// # Errors
    ///
    /// Where a task panics, its worker dies, or an item or a result cannot be passed: the first such failure, when the tasks
    /// that were running beside it have been stopped. An error says which task it was ([`Error::task_error`]). Also where a
    /// worker cannot be started, or `f` lies in a library that the program loads.
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let lengths = pool.map(|word: String| word.len(), ["one".to_string(), "three".to_string()])?;
    /// assert_eq!(lengths, [3, 5]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn map<I, R>(&self, f: fn(I) -> R, items: impl IntoIterator<Item = I>) -> Result<Vec<R>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.call().map(f, items)
    }

    /// As [`map`](Pool::map), for a function that returns a `Result`: an error ends the call and is reported as it was: its
    /// type's name, its message, its causes.
    ///
    /// # Errors
    ///
    /// As [`map`](Pool::map), and where a task returns an error.
    #[track_caller]
    pub fn try_map<I, R, E>(&self, f: fn(I) -> Result<R, E>, items: impl IntoIterator<Item = I>) -> Result<Vec<R>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.call().try_map(f, items)
    }

    /// A call whose tasks get `context` besides their item. Each worker that joins the call is sent it once; its large arrays are
    /// written once and mapped by all of them.
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// use ndarray::{Ix1, array};
    /// use ndferry::SharedArray;
    ///
    /// let weights = SharedArray::from(array![0.5, 2.0, 4.0]);
    /// let weighted = pool.with(&weights).map(|w: &SharedArray<f64, Ix1>, i: usize| w[i] * 10.0, [2, 0])?;
    /// assert_eq!(weighted, [40.0, 5.0]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with<'p, C>(&'p self, context: &'p C) -> Call<'p, WithContext<'p, C>> {
        Call { pool: self, kind: WithContext(context), progress: None }
    }

    /// A call that reports its progress; see [`Call::progress`].
    pub fn progress<'p>(&'p self, watch: impl FnMut(&Progress) + 'p) -> Call<'p, NoContext> {
        self.call().progress(watch)
    }

    fn call(&self) -> Call<'_, NoContext> {
        Call { pool: self, kind: NoContext, progress: None }
    }
}

impl<'p, K> Call<'p, K> {
    /// Calls `watch` when the call begins and after every task, in the calling thread.
    #[must_use]
    pub fn progress(mut self, watch: impl FnMut(&Progress) + 'p) -> Self {
        self.progress = Some(Box::new(watch));
        self
    }

    fn run<I, R>(
        self,
        remote: Result<Remote>,
        context: impl FnOnce(&Shared) -> Result<Option<Outgoing>>,
        items: impl IntoIterator<Item = I>,
        call_site: &'static Location<'static>,
    ) -> Result<Vec<R>>
    where
        I: Serialize,
        R: DeserializeOwned,
    {
        let shared = &*self.pool.0;
        let _under_way = UnderWay::enter(shared)?;
        let remote = remote?;
        let context = context(shared).map_err(|error| error.within("the context cannot be sent"))?;
        let mut run = Run {
            shared,
            call: shared.calls.fetch_add(1, Ordering::Relaxed),
            remote,
            context,
            call_site,
            staff: Vec::new(),
            maps: Maps::default(),
            progress: self.progress,
        };
        run.all(items.into_iter())
    }
}

impl<K> fmt::Debug for Call<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call on {:?}", self.pool)
    }
}

impl Call<'_, NoContext> {
    /// As [`Pool::map`].
    ///
    /// # Errors
    ///
    /// As [`Pool::map`].
    #[track_caller]
    pub fn map<I, R>(self, f: fn(I) -> R, items: impl IntoIterator<Item = I>) -> Result<Vec<R>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.run(Remote::plain(f), |_| Ok(None), items, Location::caller())
    }

    /// As [`Pool::try_map`].
    ///
    /// # Errors
    ///
    /// As [`Pool::try_map`].
    #[track_caller]
    pub fn try_map<I, R, E>(self, f: fn(I) -> Result<R, E>, items: impl IntoIterator<Item = I>) -> Result<Vec<R>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.run(Remote::plain_try(f), |_| Ok(None), items, Location::caller())
    }
}

impl<C: Serialize + DeserializeOwned + 'static> Call<'_, WithContext<'_, C>> {
    /// As [`Pool::map`], for a function of context and item.
    ///
    /// # Errors
    ///
    /// As [`Pool::map`].
    #[track_caller]
    pub fn map<I, R>(self, f: fn(&C, I) -> R, items: impl IntoIterator<Item = I>) -> Result<Vec<R>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let context = self.kind.0;
        self.run(Remote::with(f), |shared| shared.pack(context).map(Some), items, Location::caller())
    }

    /// As [`Pool::try_map`], for a function of context and item.
    ///
    /// # Errors
    ///
    /// As [`Pool::try_map`].
    #[track_caller]
    pub fn try_map<I, R, E>(self, f: fn(&C, I) -> Result<R, E>, items: impl IntoIterator<Item = I>) -> Result<Vec<R>>
    where
        I: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let context = self.kind.0;
        self.run(Remote::with_try(f), |shared| shared.pack(context).map(Some), items, Location::caller())
    }
}

impl Shared {
    fn pack<T: Serialize>(&self, value: &T) -> Result<Outgoing> {
        pack(value, &self.recipe.store, self.recipe.threshold, Side::Parent)
    }
}

/// A call under way.
struct Run<'p> {
    shared: &'p Shared,
    call: u64,
    remote: Remote,
    context: Option<Outgoing>,
    call_site: &'static Location<'static>,
    staff: Vec<Member>,
    maps: Maps,
    progress: Option<Watch<'p>>,
}

/// A worker that works for this call.
struct Member {
    process: Process,
    task: Option<Task>,
}

/// A task that a worker has.
struct Task {
    index: u64,
    since: Instant,
    /// Files in the store that the task's arguments refer to.
    kept: Vec<Arc<Placed>>,
}

thread_local! {
    /// The pools that have a call under way in this thread.
    static UNDER_WAY: RefCell<Vec<*const ()>> = const { RefCell::new(Vec::new()) };
}

/// Keeps a call from being made inside of another of the same pool and thread, which would wait for workers that it holds.
struct UnderWay(*const ());

impl UnderWay {
    fn enter(shared: &Shared) -> Result<Self> {
        let pool = std::ptr::from_ref(shared).cast();
        UNDER_WAY.with_borrow_mut(|calls| {
            if calls.contains(&pool) {
                return Err(Error::usage(
                    "a call on a pool was made from the items or the progress of another call on it, which has its workers",
                ));
            }
            calls.push(pool);
            Ok(Self(pool))
        })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        UNDER_WAY.with_borrow_mut(|calls| calls.retain(|pool| *pool != self.0));
    }
}

impl Run<'_> {
    fn all<I: Serialize, R: DeserializeOwned>(&mut self, mut items: impl Iterator<Item = I>) -> Result<Vec<R>> {
        let total = match items.size_hint() {
            (low, Some(high)) if low == high => Some(high as u64),
            _ => None,
        };
        let mut results: HashMap<u64, R> = HashMap::new();
        self.tell(0, total);
        let mut next = 0;
        let mut item = items.next();
        loop {
            while item.is_some() {
                let Some(free) = self.free_member()? else { break };
                if let Some(item) = item.take() {
                    self.assign(free, next, &item)?;
                    next += 1;
                }
                item = items.next();
            }
            if self.staff.iter().all(|member| member.task.is_none()) {
                break;
            }
            self.wait()?;
            for (index, result) in self.collect()? {
                results.insert(index, result);
                self.tell(results.len() as u64, total);
            }
            self.share(item.is_some());
        }
        Ok((0..next).map(|index| results.remove(&index).expect("every task has its result")).collect())
    }

    fn tell(&mut self, done: u64, total: Option<u64>) {
        if let Some(watch) = &mut self.progress {
            watch(&Progress { done, total });
        }
    }

    /// A worker that has nothing to do; `None` where all that can be had are busy.
    fn free_member(&mut self) -> Result<Option<usize>> {
        if let Some(free) = self.staff.iter().position(|member| member.task.is_none()) {
            return Ok(Some(free));
        }
        let process = if self.staff.is_empty() {
            self.shared.wait_for_one()?
        } else {
            match self.shared.take() {
                Ok(Some(process)) => process,
                // Those that are there go on without one that cannot be had.
                Ok(None) | Err(_) => return Ok(None),
            }
        };
        self.staff.push(Member { process, task: None });
        if let Some(context) = &self.context {
            let newest = self.staff.last_mut().expect("it was just added");
            let head = Head::new(Kind::Context, self.call, 0);
            newest.process.send(head, &context.payload).map_err(|error| Error::io("cannot send the context", error))?;
        }
        Ok(Some(self.staff.len() - 1))
    }

    fn assign<I: Serialize>(&mut self, member: usize, index: u64, item: &I) -> Result<()> {
        let mut head = Head::new(Kind::Task, self.call, index);
        (head.trampoline, head.function) = (self.remote.trampoline, self.remote.function);
        let since = Instant::now();
        let sent = self.shared.pack(item).and_then(|message| {
            let process = &mut self.staff[member].process;
            process.send(head, &message.payload).map_err(|error| Error::io("cannot send", error))?;
            Ok(message.kept)
        });
        match sent {
            Ok(kept) => {
                self.staff[member].task = Some(Task { index, since, kept });
                Ok(())
            }
            Err(error) => {
                let worker = self.staff[member].process.id();
                let report = Report::Argument { message: error.to_string() };
                Err(self.failure(report, index, worker, since.elapsed()))
            }
        }
    }

    /// Waits until some worker has something to say.
    fn wait(&self) -> Result<()> {
        let mut waits: Vec<_> = self.staff.iter().flat_map(|member| member.process.waits()).collect();
        socket::wait(&mut waits).map_err(|error: io::Error| Error::io("cannot wait for the workers", error))
    }

    /// What the workers have said: results, by index.
    fn collect<R: DeserializeOwned>(&mut self) -> Result<Vec<(u64, R)>> {
        let mut results = Vec::new();
        let mut at = 0;
        while at < self.staff.len() {
            match self.staff[at].process.receive() {
                None => at += 1,
                Some(Ok(frame)) => {
                    if let Some((index, result)) = self.finished(at, frame)? {
                        results.push((index, result));
                    }
                }
                Some(Err(report)) => {
                    let mut member = self.staff.swap_remove(at);
                    member.process.finish();
                    self.shared.lost();
                    let worker = member.process.id();
                    match member.task {
                        Some(task) => return Err(self.failure(report, task.index, worker, task.since.elapsed())),
                        // One that dies without a task has nobody's work on its hands, unless it never came to life.
                        None if matches!(report, Report::Start { .. }) => {
                            return Err(self.failure(report, 0, worker, Duration::ZERO));
                        }
                        None => {}
                    }
                }
            }
        }
        Ok(results)
    }

    /// A frame about the task that member `at` had.
    fn finished<R: DeserializeOwned>(&mut self, at: usize, frame: Frame) -> Result<Option<(u64, R)>> {
        let head = frame.head;
        let (call, member) = (self.call, &mut self.staff[at]);
        let Some(task) = member.task.take_if(|task| head.call == call && task.index == head.index) else {
            return Ok(None);
        };
        let worker = member.process.id();
        let elapsed = task.since.elapsed();
        if head.kind == Kind::Failed {
            return Err(self.failure(report(&frame), task.index, worker, elapsed));
        }
        let context = self.context.as_ref().map_or(&[][..], |context| &context.kept);
        let result = Incoming::new(frame, &self.shared.recipe.store)
            .and_then(|message| message.unpack(&mut self.maps, &[&task.kept, context]));
        match result {
            Ok(result) => Ok(Some((task.index, result))),
            Err(error) => {
                let report = Report::Result { message: error.to_string() };
                Err(self.failure(report, task.index, worker, elapsed))
            }
        }
    }

    fn failure(&self, report: Report, index: u64, worker: u32, elapsed: Duration) -> Error {
        Error::task(TaskError::new(
            report,
            Circumstances { task: self.remote.name(), call_site: self.call_site.to_string(), index, worker, elapsed },
        ))
    }

    /// Gives idle workers back: all of them when there is nothing more to do for them, and else one for each call that has
    /// none, but for the last this one has.
    fn share(&mut self, more: bool) {
        while !more || (self.staff.len() > 1 && self.shared.is_wanted()) {
            let Some(free) = self.staff.iter().position(|member| member.task.is_none()) else {
                return;
            };
            let member = self.staff.swap_remove(free);
            self.dismiss(member);
        }
    }

    /// Sends a worker back to the pool. One that still has a task of this call is ended: nobody waits for its result.
    fn dismiss(&self, mut member: Member) {
        let idle = member.task.is_none();
        if idle && member.process.send(Head::new(Kind::End, self.call, 0), &Payload::default()).is_ok() {
            self.shared.give_back(member.process);
        } else {
            member.process.finish();
            self.shared.lost();
        }
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let staff = std::mem::take(&mut self.staff);
        // All at once, and then each is waited for.
        staff.iter().filter(|member| member.task.is_some()).for_each(|member| member.process.kill());
        for member in staff {
            self.dismiss(member);
        }
    }
}
