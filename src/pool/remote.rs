//! The one file that names functions across processes.
//!
//! A worker runs the same executable as its parent, so a function of it lies at the same distance from where the program was
//! loaded in both. A task is two of them: a *trampoline*, made by the compiler for the types at hand, and the user's function.
//! Both are named by a [`Remote`], which only the constructors below can make: they pair a function with the trampoline for
//! exactly its type. A worker resolves the pair only after it has checked that it runs its parent's executable, and only
//! to addresses within that executable's code.

use std::error::Error as StdError;

use serde::{Serialize, de::DeserializeOwned};

use super::worker::{Job, describe};
use crate::{Error, Result, error::Report, sys::process::Text};

/// What a worker calls to run a task: gets the job, and calls the user's function with what it decodes from it.
pub(super) type Trampoline = fn(&mut Job<'_>) -> Result<(), Report>;

/// A trampoline and the function it is to call, as offsets in the program.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remote {
    pub(super) trampoline: u64,
    pub(super) function: u64,
}

impl Remote {
    fn new(trampoline: Trampoline, function: *const ()) -> Result<Self> {
        let offset = |what: &str, address: *const ()| {
            Text::own().offset(address.addr()).map(|offset| offset as u64).ok_or_else(|| {
                Error::usage(format!(
                    "the {what} does not lie in the program itself but in a library it loads, where a worker cannot find it"
                ))
            })
        };
        Ok(Self {
            trampoline: offset("code that runs the task", trampoline as *const ())?,
            function: offset("function", function)?,
        })
    }

    /// The name of the user's function.
    pub(super) fn name(self) -> String {
        let unknown = || String::from("(a function without a name)");
        let Some(address) = usize::try_from(self.function).ok().and_then(|offset| Text::own().address(offset)) else {
            return unknown();
        };
        // From the innermost of what was inlined to the function itself. A closure is called by way of a shim, which has a
        // name of its own only where the closure was not inlined into it.
        let mut names = Vec::new();
        // The symbol is looked up for the byte before, as fits the return addresses of a backtrace.
        backtrace::resolve(std::ptr::without_provenance_mut(address + 1), |symbol| {
            names.extend(symbol.name().map(|name| format!("{name:#}")));
        });
        match names.iter().rfind(|name| !name.ends_with("FnOnce::call_once")) {
            Some(name) => name.clone(),
            None if names.is_empty() => unknown(),
            None => "(a closure)".into(),
        }
    }

    /// `fn(I) -> R`
    pub(super) fn plain<I: DeserializeOwned, R: Serialize>(function: fn(I) -> R) -> Result<Self> {
        Self::new(run_plain::<I, R>, function as *const ())
    }

    /// `fn(I) -> Result<R, E>`
    pub(super) fn plain_try<I, R, E>(function: fn(I) -> Result<R, E>) -> Result<Self>
    where
        I: DeserializeOwned,
        R: Serialize,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        Self::new(run_plain_try::<I, R, E>, function as *const ())
    }

    /// `fn(&C, I) -> R`
    pub(super) fn with<C, I, R>(function: fn(&C, I) -> R) -> Result<Self>
    where
        C: DeserializeOwned + 'static,
        I: DeserializeOwned,
        R: Serialize,
    {
        Self::new(run_with::<C, I, R>, function as *const ())
    }

    /// `fn(&C, I) -> Result<R, E>`
    pub(super) fn with_try<C, I, R, E>(function: fn(&C, I) -> Result<R, E>) -> Result<Self>
    where
        C: DeserializeOwned + 'static,
        I: DeserializeOwned,
        R: Serialize,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        Self::new(run_with_try::<C, I, R, E>, function as *const ())
    }
}

/// The trampoline at `offset` in this program.
pub(super) fn trampoline(offset: u64) -> Option<Trampoline> {
    let address = resolve(offset)?;
    // SAFETY: the offset was taken from a `Trampoline` by `Remote::new`, in a process that runs the same executable as this
    // one: the worker compared them before it took its first task. The same code lies at the same offset, and a `fn` is
    // not null.
    Some(unsafe { std::mem::transmute::<*const (), Trampoline>(address) })
}

/// The address `offset` stands for, within this program's code.
fn resolve(offset: u64) -> Option<*const ()> {
    let address = Text::own().address(usize::try_from(offset).ok()?)?;
    Some(std::ptr::with_exposed_provenance(address))
}

/// The user's function, as a `$type`.
macro_rules! function {
    ($job:ident as $type:ty) => {{
        let Some(address) = resolve($job.function()) else {
            return Err(Report::Argument { message: "the function is not in this program".into() });
        };
        // SAFETY: as in `trampoline`; and the type is the function's own, because the only places that name this trampoline
        // are the constructors of `Remote`, which take a function of that very type beside it.
        unsafe { std::mem::transmute::<*const (), $type>(address) }
    }};
}

fn run_plain<I: DeserializeOwned, R: Serialize>(job: &mut Job<'_>) -> Result<(), Report> {
    let function = function!(job as fn(I) -> R);
    let item = job.item()?;
    job.reply(&function(item))
}

fn run_plain_try<I, R, E>(job: &mut Job<'_>) -> Result<(), Report>
where
    I: DeserializeOwned,
    R: Serialize,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    let function = function!(job as fn(I) -> Result<R, E>);
    let item = job.item()?;
    job.reply(&function(item).map_err(describe)?)
}

fn run_with<C, I, R>(job: &mut Job<'_>) -> Result<(), Report>
where
    C: DeserializeOwned + 'static,
    I: DeserializeOwned,
    R: Serialize,
{
    let function = function!(job as fn(&C, I) -> R);
    let context = job.context()?;
    let item = job.item()?;
    job.reply(&function(&context, item))
}

fn run_with_try<C, I, R, E>(job: &mut Job<'_>) -> Result<(), Report>
where
    C: DeserializeOwned + 'static,
    I: DeserializeOwned,
    R: Serialize,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    let function = function!(job as fn(&C, I) -> Result<R, E>);
    let context = job.context()?;
    let item = job.item()?;
    job.reply(&function(&context, item).map_err(describe)?)
}
