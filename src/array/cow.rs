//! Arrays of a file that can be changed in memory only.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use ndarray::{ArrayRef, Dimension, IxDyn, ShapeBuilder};

use super::{
    layout::{Layout, Order, ShortShape},
    source::ArraySource,
    view::OwnedViewMut,
};
use crate::{Error, Result, bytes::map::WritableMap, dtype::Element};

/// A copy-on-write map of an array in a file.
///
/// [`ArrayFile::copy_on_write`](crate::file::ArrayFile::copy_on_write) returns
/// it. It dereferences to a mutable [`ndarray::ArrayRef`]. Changes are visible
/// in this process only, and need memory only for the pages that you write to.
/// To read an array without changing it, use
/// [`SharedArray`](crate::SharedArray).
///
/// Pages that you have not written to show the current content of the file, so
/// the file must not be changed meanwhile. See [the safety section of
/// `SharedArray`](crate::SharedArray#safety).
///
/// # Examples
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("a.ferry");
/// use ndferry::ndarray::{Array1, Ix1, array};
///
/// ndferry::dump(&path, &array![1.0, 2.0])?;
/// let file = ndferry::open(&path)?;
/// let mut array = file.copy_on_write::<f64, Ix1>(&file.arrays()[0])?;
/// array[0] = 5.0;
/// assert_eq!(array.sum(), 7.0);
/// assert_eq!(ndferry::load::<Array1<f64>>(&path)?, array![1.0, 2.0]);
/// # Ok::<(), ndferry::Error>(())
/// ```
pub struct CowArray<A: Element, D: Dimension> {
    elements: OwnedViewMut<A, D>,
    source: ArraySource,
}

impl<A: Element, D: Dimension> CowArray<A, D> {
    /// Makes an array with the shape of `layout`, in `order`, of the bytes of
    /// `map`.
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
                "has {found} axes (shape {}), expected {axes}",
                ShortShape(layout.shape())
            ))
        })?;
        Ok(Self { elements: OwnedViewMut::whole(map, shape.set_f(order == Order::F))?, source })
    }

    /// Returns the file that the array is a map of.
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
