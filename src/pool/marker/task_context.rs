//! The arguments of a job's tasks besides their item.

use std::fmt;

use bytemuck::Pod;
use ndarray::{ArrayRef, Dimension};
use serde::{Serialize, de::DeserializeOwned};

use super::{Returns, sealed::Sealed};
use crate::{
    Result,
    dtype::Element,
    pool::wire::{message::Packer, remote::RemoteFunction},
};

/// The arguments of tasks besides their item. It determines the signature of their function.
pub trait TaskContext: Sealed {
    /// The type of a task's function, from an item to its result.
    type Task<I, O>;

    /// The function that fills part of an array, which it gets beside the part's first index on
    /// the axis.
    type Fill<A, D, O>;

    #[doc(hidden)]
    fn remote<I, R, F>(&self, f: Self::Task<I, F::Out>) -> Result<RemoteFunction>
    where
        I: DeserializeOwned,
        R: Serialize,
        F: Returns<R>;

    #[doc(hidden)]
    fn remote_fill<A, D, R, F>(&self, f: Self::Fill<A, D, F::Out>) -> Result<RemoteFunction>
    where
        A: Element + Pod,
        D: Dimension,
        R: Serialize,
        F: Returns<R>;

    #[doc(hidden)]
    fn pack(&self, packer: &mut Packer) -> Result<()>;
}

/// Tasks get only their item; see [`Pool::job`](crate::Pool::job).
#[derive(Clone, Copy, Debug)]
pub struct NoContext;

/// Tasks get a context and their item; see [`Pool::with`](crate::Pool::with).
#[derive(Clone, Copy, Debug)]
pub struct WithContext<'c, C>(pub(crate) &'c C);

/// Tasks get state and their item; see [`Pool::with_init`](crate::Pool::with_init).
pub struct WithState<'c, C, S, B: Returns<S>> {
    pub(crate) spec: &'c C,
    pub(crate) build: fn(&C) -> B::Out,
}

impl Sealed for NoContext {}

impl TaskContext for NoContext {
    type Task<I, O> = fn(I) -> O;
    type Fill<A, D, O> = fn(&mut ArrayRef<A, D>, usize) -> O;

    fn remote<I, R, F>(&self, f: fn(I) -> F::Out) -> Result<RemoteFunction>
    where
        I: DeserializeOwned,
        R: Serialize,
        F: Returns<R>,
    {
        RemoteFunction::plain::<I, R, F>(f)
    }

    fn remote_fill<A, D, R, F>(
        &self,
        f: fn(&mut ArrayRef<A, D>, usize) -> F::Out,
    ) -> Result<RemoteFunction>
    where
        A: Element + Pod,
        D: Dimension,
        R: Serialize,
        F: Returns<R>,
    {
        RemoteFunction::fill::<A, D, R, F>(f)
    }

    fn pack(&self, _: &mut Packer) -> Result<()> {
        Ok(())
    }
}

impl<C> Sealed for WithContext<'_, C> {}

impl<C: Serialize + DeserializeOwned + 'static> TaskContext for WithContext<'_, C> {
    type Task<I, O> = fn(&C, I) -> O;
    type Fill<A, D, O> = fn(&C, &mut ArrayRef<A, D>, usize) -> O;

    fn remote<I, R, F>(&self, f: fn(&C, I) -> F::Out) -> Result<RemoteFunction>
    where
        I: DeserializeOwned,
        R: Serialize,
        F: Returns<R>,
    {
        RemoteFunction::with::<C, I, R, F>(f)
    }

    fn remote_fill<A, D, R, F>(
        &self,
        f: fn(&C, &mut ArrayRef<A, D>, usize) -> F::Out,
    ) -> Result<RemoteFunction>
    where
        A: Element + Pod,
        D: Dimension,
        R: Serialize,
        F: Returns<R>,
    {
        RemoteFunction::fill_with::<C, A, D, R, F>(f)
    }

    fn pack(&self, packer: &mut Packer) -> Result<()> {
        packer.push(0, self.0)
    }
}

impl<C, S, B: Returns<S>> Sealed for WithState<'_, C, S, B> {}

impl<C, S, B> TaskContext for WithState<'_, C, S, B>
where
    C: Serialize + DeserializeOwned + 'static,
    S: 'static,
    B: Returns<S>,
{
    type Task<I, O> = fn(&mut S, I) -> O;
    type Fill<A, D, O> = fn(&mut S, &mut ArrayRef<A, D>, usize) -> O;

    fn remote<I, R, F>(&self, f: fn(&mut S, I) -> F::Out) -> Result<RemoteFunction>
    where
        I: DeserializeOwned,
        R: Serialize,
        F: Returns<R>,
    {
        RemoteFunction::init::<C, S, I, R, B, F>(self.build, f)
    }

    fn remote_fill<A, D, R, F>(
        &self,
        f: fn(&mut S, &mut ArrayRef<A, D>, usize) -> F::Out,
    ) -> Result<RemoteFunction>
    where
        A: Element + Pod,
        D: Dimension,
        R: Serialize,
        F: Returns<R>,
    {
        RemoteFunction::fill_init::<C, S, A, D, R, B, F>(self.build, f)
    }

    fn pack(&self, packer: &mut Packer) -> Result<()> {
        packer.push(0, self.spec)
    }
}

impl<C: fmt::Debug, S, B: Returns<S>> fmt::Debug for WithState<'_, C, S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithState").field("spec", self.spec).finish_non_exhaustive()
    }
}
