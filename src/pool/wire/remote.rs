//! The one file that names functions across processes.
//!
//! A worker runs the same executable as its parent, so a function of it lies at the same
//! distance from where the program was loaded in both. A task is two of them: a *trampoline*,
//! made by the compiler for the types at hand, and the user's function. Both are named by a
//! [`RemoteFunction`], which only the constructors below can make: they pair a function with
//! the trampoline for exactly its type. A worker resolves the pair only after it has checked
//! that it runs its parent's executable, and only to addresses within that executable's code.

use bytemuck::Pod;
use ndarray::{ArrayRef, Dimension};
use serde::{Serialize, de::DeserializeOwned};

use super::report::FailureReport;
use crate::{
    Error, Result,
    dtype::Element,
    pool::{
        marker::Returns,
        worker::runner::{Invocation, TaskCode, Trampoline},
    },
    sys::{monotonic_nanos, process::Text},
};

/// Tasks that name their function, which is resolved in this program.
pub(crate) const NAMED: TaskCode<'static> = TaskCode::Named(trampoline);

/// A trampoline and the functions that it calls, as offsets in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteFunction {
    trampoline: u64,
    function: u64,
    /// The function that builds the state, if the tasks have one.
    build: u64,
    /// The name of code that every worker has inherited. No function is named then.
    own: Option<&'static str>,
}

impl RemoteFunction {
    fn new(trampoline: Trampoline, function: *const (), build: Option<*const ()>) -> Result<Self> {
        let offset = |what: &str, address: *const ()| {
            Text::own().offset(address.addr()).map(|offset| offset as u64).ok_or_else(|| {
                Error::invalid_input(format!(
                    "the {what} does not lie in the program itself but in a library it loads, where a worker cannot find it"
                ))
            })
        };
        Ok(Self {
            trampoline: offset("code that runs the task", trampoline as *const ())?,
            function: offset("function", function)?,
            build: build.map_or(Ok(0), |build| offset("function that builds the state", build))?,
            own: None,
        })
    }

    /// Names inherited code of type `F` instead of a function.
    pub(crate) fn own<F>() -> Self {
        Self { trampoline: 0, function: 0, build: 0, own: Some(std::any::type_name::<F>()) }
    }

    /// Returns the numbers that name it in a frame's head.
    pub(crate) fn facts(self) -> [u64; 3] {
        [self.trampoline, self.function, self.build]
    }

    /// Returns the name of the user's function.
    pub(crate) fn name(self) -> String {
        if let Some(name) = self.own {
            return name.to_owned();
        }
        let unknown = || String::from("(a function without a name)");
        let Some(address) =
            usize::try_from(self.function).ok().and_then(|offset| Text::own().address(offset))
        else {
            return unknown();
        };
        // Collects names from the innermost inlined function outwards. A closure is called
        // through a shim, which has its own name only if the closure was not inlined into it.
        let mut names = Vec::new();
        // The lookup uses the previous byte, like for return addresses in a backtrace.
        backtrace::resolve(std::ptr::without_provenance_mut(address + 1), |symbol| {
            names.extend(symbol.name().map(|name| format!("{name:#}")));
        });
        match names.iter().rfind(|name| !name.ends_with("FnOnce::call_once")) {
            Some(name) => name.clone(),
            None if names.is_empty() => unknown(),
            None => "(a closure)".into(),
        }
    }

    /// `fn(I) -> R` or `fn(I) -> Result<R, E>`
    pub(crate) fn plain<I, R, T>(function: fn(I) -> T::Out) -> Result<Self>
    where
        I: DeserializeOwned,
        R: Serialize,
        T: Returns<R>,
    {
        Self::new(run_plain::<I, R, T>, function as *const (), None)
    }

    /// `fn(&C, I) -> R` or `fn(&C, I) -> Result<R, E>`
    pub(crate) fn with<C, I, R, T>(function: fn(&C, I) -> T::Out) -> Result<Self>
    where
        C: DeserializeOwned + 'static,
        I: DeserializeOwned,
        R: Serialize,
        T: Returns<R>,
    {
        Self::new(run_with::<C, I, R, T>, function as *const (), None)
    }

    /// `fn(&mut S, I) -> R` or `fn(&mut S, I) -> Result<R, E>`, on what `fn(&C) -> S` or
    /// `fn(&C) -> Result<S, E>` builds.
    pub(crate) fn init<C, S, I, R, B, T>(
        build: fn(&C) -> B::Out,
        function: fn(&mut S, I) -> T::Out,
    ) -> Result<Self>
    where
        C: DeserializeOwned + 'static,
        S: 'static,
        I: DeserializeOwned,
        R: Serialize,
        B: Returns<S>,
        T: Returns<R>,
    {
        Self::new(run_init::<C, S, I, R, B, T>, function as *const (), Some(build as *const ()))
    }
}

/// Tasks that fill a chunk of an array.
impl RemoteFunction {
    /// `fn(&mut ArrayRef<A, D>, usize) -> R`, or one that returns a `Result`
    pub(crate) fn fill<A, D, R, T>(
        function: fn(&mut ArrayRef<A, D>, usize) -> T::Out,
    ) -> Result<Self>
    where
        A: Element + Pod,
        D: Dimension,
        R: Serialize,
        T: Returns<R>,
    {
        Self::new(run_fill::<A, D, R, T>, function as *const (), None)
    }

    /// `fn(&C, &mut ArrayRef<A, D>, usize) -> R`, or one that returns a `Result`
    pub(crate) fn fill_with<C, A, D, R, T>(
        function: fn(&C, &mut ArrayRef<A, D>, usize) -> T::Out,
    ) -> Result<Self>
    where
        C: DeserializeOwned + 'static,
        A: Element + Pod,
        D: Dimension,
        R: Serialize,
        T: Returns<R>,
    {
        Self::new(run_fill_with::<C, A, D, R, T>, function as *const (), None)
    }

    /// `fn(&mut S, &mut ArrayRef<A, D>, usize) -> R`, or one that returns a `Result`, on what
    /// `build` makes
    pub(crate) fn fill_init<C, S, A, D, R, B, T>(
        build: fn(&C) -> B::Out,
        function: fn(&mut S, &mut ArrayRef<A, D>, usize) -> T::Out,
    ) -> Result<Self>
    where
        C: DeserializeOwned + 'static,
        S: 'static,
        A: Element + Pod,
        D: Dimension,
        R: Serialize,
        B: Returns<S>,
        T: Returns<R>,
    {
        Self::new(
            run_fill_init::<C, S, A, D, R, B, T>,
            function as *const (),
            Some(build as *const ()),
        )
    }
}

/// Tasks that are nodes of a flow.
impl RemoteFunction {
    /// Names a function of references to the elements of the tuple `A`, which returns `R` or a
    /// `Result` of it.
    pub(crate) fn node<A, R, T>(function: A::Function<T::Out>) -> Result<Self>
    where
        A: Arguments,
        R: Serialize,
        T: Returns<R>,
    {
        Self::new(run_node::<A, R, T>, A::address(function), None)
    }
}

/// The arguments of a node's function: references to the elements of a tuple.
pub trait Arguments: DeserializeOwned + 'static {
    /// The type of a function that returns `O`.
    type Function<O>: Copy;

    #[doc(hidden)]
    fn call<O>(&self, function: Self::Function<O>) -> O;

    #[doc(hidden)]
    fn address<O>(function: Self::Function<O>) -> *const ();

    /// # Safety
    ///
    /// `address` must be the address of such a function.
    #[doc(hidden)]
    unsafe fn at<O>(address: *const ()) -> Self::Function<O>;
}

macro_rules! arguments {
    ($($part:ident $name:ident),*) => {
        impl<$($part: DeserializeOwned + 'static),*> Arguments for ($($part,)*) {
            type Function<O> = fn($(&$part),*) -> O;

            fn call<O>(&self, function: Self::Function<O>) -> O {
                let ($($name,)*) = self;
                function($($name),*)
            }

            fn address<O>(function: Self::Function<O>) -> *const () {
                function as *const ()
            }

            unsafe fn at<O>(address: *const ()) -> Self::Function<O> {
                // SAFETY: the caller guarantees that it is the address of such a function.
                unsafe { std::mem::transmute::<*const (), Self::Function<O>>(address) }
            }
        }
    };
}

arguments!();
arguments!(A a);
arguments!(A a, B b);
arguments!(A a, B b, C c);
arguments!(A a, B b, C c, D d);
arguments!(A a, B b, C c, D d, E e);
arguments!(A a, B b, C c, D d, E e, F f);
arguments!(A a, B b, C c, D d, E e, F f, G g);
arguments!(A a, B b, C c, D d, E e, F f, G g, H h);

/// Returns the trampoline at `offset` in this program.
fn trampoline(offset: u64) -> Option<Trampoline> {
    let address = resolve(offset)?;
    // SAFETY: `RemoteFunction::new` took the offset from a `Trampoline`, in a process that runs
    // the same executable: the worker compared them before its first task. The same code is at
    // the same offset, and a `fn` is never null.
    Some(unsafe { std::mem::transmute::<*const (), Trampoline>(address) })
}

/// Returns the address at `offset`, if it is in the code of this program.
fn resolve(offset: u64) -> Option<*const ()> {
    let address = Text::own().address(usize::try_from(offset).ok()?)?;
    Some(std::ptr::with_exposed_provenance(address))
}

/// Like [`resolve`], but for a function of the user.
fn function_at(offset: u64) -> Result<*const (), FailureReport> {
    resolve(offset).ok_or_else(|| FailureReport::Argument {
        message: "the function is not in this program".into(),
    })
}

/// Returns a function of the user as a `$type`.
macro_rules! function {
    ($offset:expr, $type:ty) => {{
        let address = function_at($offset)?;
        // SAFETY: see `trampoline`. The type is correct, because only the constructors of
        // `RemoteFunction` name this trampoline, and they take a function of this very type
        // with it.
        unsafe { std::mem::transmute::<*const (), $type>(address) }
    }};
}

fn run_plain<I, R, T>(job: &mut Invocation<'_>) -> Result<(), FailureReport>
where
    I: DeserializeOwned,
    R: Serialize,
    T: Returns<R>,
{
    let function = function!(job.function(), fn(I) -> T::Out);
    let item = job.item()?;
    job.reply(&T::outcome(function(item))?)
}

fn run_with<C, I, R, T>(job: &mut Invocation<'_>) -> Result<(), FailureReport>
where
    C: DeserializeOwned + 'static,
    I: DeserializeOwned,
    R: Serialize,
    T: Returns<R>,
{
    let function = function!(job.function(), fn(&C, I) -> T::Out);
    let context = job.context()?;
    let item = job.item()?;
    job.reply(&T::outcome(function(&context, item))?)
}

fn run_init<C, S, I, R, B, T>(job: &mut Invocation<'_>) -> Result<(), FailureReport>
where
    C: DeserializeOwned + 'static,
    S: 'static,
    I: DeserializeOwned,
    R: Serialize,
    B: Returns<S>,
    T: Returns<R>,
{
    let function = function!(job.function(), fn(&mut S, I) -> T::Out);
    let build = function!(job.build(), fn(&C) -> B::Out);
    let item = job.item()?;
    let state = job.state(|spec| B::outcome(build(spec)))?;
    let outcome = T::outcome(function(state, item))?;
    job.reply(&outcome)
}

fn run_fill<A, D, R, T>(job: &mut Invocation<'_>) -> Result<(), FailureReport>
where
    A: Element + Pod,
    D: Dimension,
    R: Serialize,
    T: Returns<R>,
{
    let function = function!(job.function(), fn(&mut ArrayRef<A, D>, usize) -> T::Out);
    let (start, mut part) = job.part::<A, D>()?;
    let out = function(part.array_mut(), start);
    // Unmapped before the end of the task is reported.
    drop(part);
    job.reply(&T::outcome(out)?)
}

fn run_fill_with<C, A, D, R, T>(job: &mut Invocation<'_>) -> Result<(), FailureReport>
where
    C: DeserializeOwned + 'static,
    A: Element + Pod,
    D: Dimension,
    R: Serialize,
    T: Returns<R>,
{
    let function = function!(job.function(), fn(&C, &mut ArrayRef<A, D>, usize) -> T::Out);
    let context = job.context()?;
    let (start, mut part) = job.part::<A, D>()?;
    let out = function(&context, part.array_mut(), start);
    drop(part);
    job.reply(&T::outcome(out)?)
}

fn run_fill_init<C, S, A, D, R, B, T>(job: &mut Invocation<'_>) -> Result<(), FailureReport>
where
    C: DeserializeOwned + 'static,
    S: 'static,
    A: Element + Pod,
    D: Dimension,
    R: Serialize,
    B: Returns<S>,
    T: Returns<R>,
{
    let function = function!(job.function(), fn(&mut S, &mut ArrayRef<A, D>, usize) -> T::Out);
    let build = function!(job.build(), fn(&C) -> B::Out);
    let (start, mut part) = job.part::<A, D>()?;
    let out = function(job.state(|spec| B::outcome(build(spec)))?, part.array_mut(), start);
    drop(part);
    job.reply(&T::outcome(out)?)
}

/// Returns the result together with the nanoseconds that the function took.
fn run_node<A, R, T>(job: &mut Invocation<'_>) -> Result<(), FailureReport>
where
    A: Arguments,
    R: Serialize,
    T: Returns<R>,
{
    let address = function_at(job.function())?;
    // SAFETY: see `trampoline`. Only `RemoteFunction::node` names this trampoline, and it takes
    // a function of this very type with it.
    let function = unsafe { A::at::<T::Out>(address) };
    let arguments: A = job.item()?;
    let began = monotonic_nanos();
    let out = T::outcome(arguments.call(function))?;
    job.reply(&(monotonic_nanos().saturating_sub(began), out))
}
