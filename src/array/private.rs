//! Arrays of a file that can be written to without changing it.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use ndarray::{ArrayRef, Dimension, IxDyn, ShapeBuilder};

use super::{ArraySource, Layout, Order, Short, cast::KeptMut};
use crate::{Error, Result, bytes::map::WritableMap, dtype::Element};

/// A copy-on-write map of an array of a file, by [`ArrayFile::copy_on_write`](crate::file::ArrayFile::copy_on_write): what is written to it stays in this program, and costs
/// the memory of the pages that are written to.
///
/// It dereferences to [`ndarray::ArrayRef`], mutably. A part of the file that was not yet written to here is seen as it is now, as with any map.
pub struct CowArray<A: Element, D: Dimension> {
    elements: KeptMut<A, D>,
    source: ArraySource,
}

impl<A: Element, D: Dimension> CowArray<A, D> {
    /// The array of `layout` in `order` in `map`.
    pub(crate) fn new(
        map: WritableMap,
        layout: &Layout,
        order: Order,
        source: ArraySource,
    ) -> Result<Self> {
        let shape = D::from_dimension(&IxDyn(layout.shape())).ok_or_else(|| {
            let axes = D::NDIM.unwrap_or(0);
            let found = layout.shape().len();
            Error::invalid_data(format!(
                "has {found} axes, shape {}; {axes} were asked for",
                Short(layout.shape())
            ))
        })?;
        Ok(Self { elements: KeptMut::whole(map, shape.set_f(order == Order::F))?, source })
    }

    /// The file the array is of.
    #[must_use]
    pub fn source(&self) -> &ArraySource {
        &self.source
    }
}

impl<A: Element, D: Dimension> Deref for CowArray<A, D> {
    type Target = ArrayRef<A, D>;

    fn deref(&self) -> &ArrayRef<A, D> {
        self.elements.array()
    }
}

impl<A: Element, D: Dimension> DerefMut for CowArray<A, D> {
    fn deref_mut(&mut self) -> &mut ArrayRef<A, D> {
        self.elements.array_mut()
    }
}

impl<A: Element, D: Dimension> fmt::Debug for CowArray<A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
