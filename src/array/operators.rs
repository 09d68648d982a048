//! What ndarray's own arrays have beyond the methods of [`ArrayRef`](ndarray::ArrayRef):
//! iteration, `Zip`, and arithmetic, for references to a [`SharedArray`].

use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

use ndarray::{
    Array, ArrayView, DimMax, Dimension, IntoNdProducer, NdProducer, ScalarOperand, iter,
};

use super::shared::SharedArray;
use crate::dtype::Element;

/// Iterates over the elements in C order.
impl<'a, A: Element, D: Dimension> IntoIterator for &'a SharedArray<A, D> {
    type Item = &'a A;
    type IntoIter = iter::Iter<'a, A, D>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// For [`Zip`](ndarray::Zip) and [`azip!`](ndarray::azip).
impl<'a, A: Element, D: Dimension> IntoNdProducer for &'a SharedArray<A, D> {
    type Item = <ArrayView<'a, A, D> as NdProducer>::Item;
    type Dim = D;
    type Output = ArrayView<'a, A, D>;

    fn into_producer(self) -> Self::Output {
        self.view()
    }
}

macro_rules! implement_operators {
    ($($operator:ident::$method:ident),*) => {$(
        /// Like the operator of ndarray's arrays: shapes are broadcast, and the result is owned.
        impl<A, D, E> $operator<&SharedArray<A, E>> for &SharedArray<A, D>
        where
            A: Element + $operator<Output = A>,
            D: Dimension + DimMax<E>,
            E: Dimension,
        {
            type Output = Array<A, <D as DimMax<E>>::Output>;

            fn $method(self, other: &SharedArray<A, E>) -> Self::Output {
                $operator::$method(&self.view(), &other.view())
            }
        }

        /// Like the operator of ndarray's arrays, with the same number for each element.
        impl<A, D> $operator<A> for &SharedArray<A, D>
        where
            A: Element + ScalarOperand + $operator<Output = A>,
            D: Dimension,
        {
            type Output = Array<A, D>;

            fn $method(self, number: A) -> Self::Output {
                $operator::$method(&self.view(), number)
            }
        }
    )*};
}

implement_operators!(Add::add, Sub::sub, Mul::mul, Div::div, Rem::rem);

impl<A: Element + Neg<Output = A>, D: Dimension> Neg for &SharedArray<A, D> {
    type Output = Array<A, D>;

    fn neg(self) -> Self::Output {
        self.mapv(|element| -element)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Zip, array};

    use super::*;

    #[test]
    fn array_operators_equal_those_of_ndarray() {
        let (own, row) = (array![[1.5, -2.0], [0.25, 8.0]], array![4.0, 0.5]);
        let (shared, shared_row) = (SharedArray::from(own.clone()), SharedArray::from(row.clone()));
        assert_eq!(&shared + &shared, &own + &own);
        assert_eq!(&shared - &shared_row, &own - &row);
        assert_eq!(&shared * &shared_row, &own * &row);
        assert_eq!(&shared / 2.0, &own / 2.0);
        assert_eq!(&shared % 1.0, &own % 1.0);
        assert_eq!(-&shared, -&own);
    }

    #[test]
    fn array_is_iterated_and_zipped() {
        let shared = SharedArray::from(array![[1, 2], [3, 4]]);
        let mut seen = Vec::new();
        for element in &shared {
            seen.push(*element);
        }
        assert_eq!(seen, [1, 2, 3, 4]);
        let mut sums = array![[10, 20], [30, 40]];
        Zip::from(&mut sums).and(&shared).for_each(|sum, element| *sum += element);
        assert_eq!(sums, array![[11, 22], [33, 44]]);
    }
}
