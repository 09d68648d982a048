//! The bytes of a strided array in logical order.

use super::layout::Layout;

/// Calls `each` with the bytes of the elements in C order, in contiguous runs.
pub(super) fn runs(bytes: &[u8], layout: &Layout, mut each: impl FnMut(&[u8])) {
    let item_size = layout.item_size();
    if layout.len() == 0 || item_size == 0 {
        return;
    }
    let (shape, strides) = (layout.shape(), layout.strides());
    // The trailing axes that are contiguous make one run.
    let (mut outer, mut run) = (shape.len(), item_size);
    while outer > 0 && (shape[outer - 1] == 1 || strides[outer - 1] == run as isize) {
        outer -= 1;
        run *= shape[outer];
    }
    let Some(inner) = outer.checked_sub(1) else {
        return each(&bytes[layout.start()..layout.start() + run]);
    };
    let mut index = vec![0; inner];
    let mut start = layout.start() as isize;
    loop {
        let mut at = start;
        for _ in 0..shape[inner] {
            each(&bytes[at as usize..at as usize + run]);
            at += strides[inner];
        }
        // Count the index up, like an odometer.
        let mut axis = inner;
        loop {
            let Some(previous) = axis.checked_sub(1) else {
                return;
            };
            axis = previous;
            index[axis] += 1;
            start += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            start -= strides[axis] * shape[axis] as isize;
            index[axis] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, ArrayViewD, Axis, ShapeBuilder, s};

    use super::*;

    fn gathered(view: &ArrayViewD<'_, u8>, all: &[u8]) -> Vec<u8> {
        let start = view.as_ptr().addr() - all.as_ptr().addr();
        let layout = Layout::strided(view.shape(), view.strides(), start, all.len(), 1).unwrap();
        let mut bytes = Vec::new();
        runs(all, &layout, |run| bytes.extend_from_slice(run));
        bytes
    }

    #[test]
    fn gather_every_layout_in_logical_order() {
        for c_order in [true, false] {
            let mut array = Array3::<u8>::zeros((4, 5, 6).set_f(!c_order));
            array.iter_mut().enumerate().for_each(|(at, element)| *element = at as u8);
            let all = array.as_slice_memory_order().unwrap();
            let mut flipped = array.view();
            flipped.invert_axis(Axis(1));
            for view in [
                array.view().into_dyn(),
                array.t().into_dyn(),
                array.slice(s![..;2, 1..4, ..;-3]).into_dyn(),
                array.slice(s![1, .., ..]).into_dyn(),
                array.slice(s![1, 2, 3]).into_dyn(),
                array.slice(s![.., 2..2, ..]).into_dyn(),
                flipped.into_dyn(),
                array.slice(s![1, 2, ..]).broadcast((3, 2, 6)).unwrap().into_dyn(),
            ] {
                assert_eq!(
                    gathered(&view, all),
                    view.iter().copied().collect::<Vec<_>>(),
                    "{view:?}"
                );
            }
        }
    }
}
