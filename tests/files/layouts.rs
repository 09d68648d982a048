//! Arrays of every layout.

use ndferry::{
    AnyArray, SharedArray,
    array::{CopyReason, Order},
    dtype::ByteOrder,
    ndarray::{Array, Array2, Array3, Axis, Ix1, Ix2, Ix3, IxDyn, ShapeBuilder, s},
};

// F7
#[test]
fn layouts_round_trip_and_keep_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    let base = SharedArray::from(Array3::from_shape_fn((4, 5, 6), |(i, j, k)| {
        (i * 30 + j * 6 + k) as f32
    }));
    let shared = |view: SharedArray<f32, IxDyn>| view;
    for (name, array, order) in [
        ("C", shared(base.subview(|view| view.into_dyn())), Order::C),
        ("transposed", shared(base.subview(|view| view.reversed_axes().into_dyn())), Order::F),
        (
            "strided",
            shared(base.subview(|view| view.slice_move(s![..;2, 1..;3, ..]).into_dyn())),
            Order::C,
        ),
        (
            "negative",
            shared(base.subview(|view| view.slice_move(s![..;-1, .., ..;-2]).into_dyn())),
            Order::C,
        ),
        ("0-d", shared(base.subview(|view| view.slice_move(s![1, 2, 3]).into_dyn())), Order::C),
        (
            "empty",
            shared(base.subview(|view| view.slice_move(s![2..2, .., ..]).into_dyn())),
            Order::C,
        ),
        (
            "one",
            shared(base.subview(|view| view.slice_move(s![1..2, 2..3, 3..4]).into_dyn())),
            Order::C,
        ),
        ("column", shared(base.subview(|view| view.slice_move(s![.., 2, 3]).into_dyn())), Order::C),
    ] {
        ndferry::dump(&path, &array).unwrap();
        let file = ndferry::open(&path).unwrap();
        assert_eq!(file.arrays()[0].order(), order, "{name}");
        let back = file.read::<f32, IxDyn>().unwrap();
        assert_eq!(back, array, "{name}");
        assert_eq!(back.copy_reason(), None, "{name}");
        assert_eq!(
            ndferry::load::<Array<f32, IxDyn>>(&path).unwrap(),
            *array,
            "{name} as a plain array"
        );
        ndferry::dump(&path, &array.to_owned()).unwrap();
        assert_eq!(
            ndferry::load::<SharedArray<f32, IxDyn>>(&path).unwrap(),
            array,
            "{name} from a plain array"
        );
    }
    let row = Array::from_iter((0..6).map(f64::from));
    let broadcast = SharedArray::from(row).subview(|view| view.insert_axis(Axis(0)));
    ndferry::dump(&path, &(broadcast.clone(), broadcast.broadcast((3, 6)).unwrap())).unwrap();
    let (one, three): (Array2<f64>, Array2<f64>) = ndferry::load(&path).unwrap();
    assert_eq!(
        (one, three),
        (broadcast.to_owned(), broadcast.broadcast((3, 6)).unwrap().to_owned())
    );
}

#[test]
fn array_steps_and_indices_equal_those_of_ndarray() {
    let base = Array3::from_shape_fn((4, 5, 6), |(i, j, k)| (i * 30 + j * 6 + k) as i16);
    let any = SharedArray::from(base.clone()).to_any();
    for foreign in [false, true] {
        let any = if foreign {
            any.in_byte_order(ByteOrder::NATIVE.opposite()).unwrap()
        } else {
            any.clone()
        };
        for step in [1, 2, 3, 5, 9, isize::MAX] {
            for step in [step, -step] {
                let part = any.step_axis(1, step).unwrap().step_axis(2, -1).unwrap();
                let expected = base.slice(s![.., ..;step, ..;-1]);
                assert_eq!(part.to_array::<i16, Ix3>().unwrap().view(), expected, "{step}");
            }
        }
        for index in 0..5 {
            let part = any.index_axis(1, index).unwrap().to_array::<i16, Ix2>().unwrap();
            assert_eq!(part.view(), base.index_axis(Axis(1), index));
        }
    }
    let empty = any.slice_axis(0, 2..2).unwrap();
    assert_eq!(empty.step_axis(0, -3).unwrap().shape(), [0, 5, 6]);
    assert_eq!(empty.index_axis(1, 4).unwrap().shape(), [0, 6]);
    for (error, reason) in [
        (any.step_axis(3, 1), "the array has 3 axes"),
        (any.step_axis(0, 0), "expected a step other than 0"),
        (any.index_axis(0, 4), "axis 0 has 4 elements"),
        (any.index_axis(0, usize::MAX), "axis 0 has 4 elements"),
        (any.index_axis(3, 0), "the array has 3 axes"),
    ] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

// B2
#[test]
fn map_shares_the_memory_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    ndferry::dump(&path, &Array2::<f64>::ones((1000, 100).f())).unwrap();
    let file = ndferry::open(&path).unwrap();
    let (one, other) = (file.read::<f64, Ix2>().unwrap(), file.read::<f64, Ix2>().unwrap());
    assert_eq!(one.as_ptr(), other.as_ptr(), "two arrays over one map");
    assert_eq!(one.as_ptr().addr() % 4096, 0);
}

// F5
#[test]
fn ferry_segments_are_aligned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    let bytes = |length: usize| SharedArray::from(vec![7u8; length]);
    let arrays: Vec<_> = [1, 2, 3, 63, 64, 65, 65_535, 65_536, 65_537, 5].map(bytes).into();
    ndferry::dump(&path, &arrays).unwrap();
    let file = ndferry::open(&path).unwrap();
    assert_eq!(file.arrays().len(), arrays.len());
    for info in file.arrays() {
        let wanted = if info.nbytes() >= 65_536 { 4096 } else { 64 };
        assert!(info.alignment() >= wanted, "{} at {}", info.name(), info.offset());
        assert_eq!(file.read_array::<u8, Ix1>(info.name()).unwrap().len() as u64, info.nbytes());
    }
}

#[test]
fn npy_misaligned_array_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.raw");
    let mut bytes = vec![0xff; 3];
    bytes.extend((0..10).flat_map(|i| f64::from(i).to_ne_bytes()));
    std::fs::write(&path, bytes).unwrap();
    let dtype = ndferry::DType::of::<f64>();
    let file = ndferry::file::RawLayout::new(dtype, [10]).offset(3).open(&path).unwrap();
    assert!(!file.arrays()[0].is_mappable());
    let array = file.read::<f64, Ix1>().unwrap();
    assert_eq!(array.copy_reason(), Some(CopyReason::Misaligned));
    assert_eq!(array.sum(), 45.0);
    assert_eq!(array.source().unwrap().offset(), 3);
}

// B5
#[test]
fn slice_of_foreign_file_swaps_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let all: AnyArray =
        SharedArray::from(Array2::from_shape_fn((50, 40), |(i, j)| (i * 40 + j) as i32)).into();
    let foreign = ndferry::dtype::ByteOrder::NATIVE.opposite();
    for order in [Order::C, Order::F] {
        ndferry::file::DumpOptions::new()
            .byte_order(foreign)
            .order(order)
            .write_npy(&path, &all)
            .unwrap();
        let file = ndferry::open(&path).unwrap();
        let part = file
            .read_dyn("")
            .unwrap()
            .slice_axis(0, 10..13)
            .unwrap()
            .slice_axis(1, 39..40)
            .unwrap();
        let part = part.to_array::<i32, Ix2>().unwrap();
        assert_eq!(part.iter().copied().collect::<Vec<_>>(), [439, 479, 519]);
        assert_eq!(part.source().unwrap().byte_order(), Some(foreign));
    }
}

#[test]
fn bool_neither_0_nor_1_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.raw");
    std::fs::write(&path, [0, 1, 2]).unwrap();
    let layout =
        |length: usize| ndferry::file::RawLayout::new(ndferry::DType::of::<bool>(), [length]);
    assert_eq!(layout(2).open(&path).unwrap().read::<bool, Ix1>().unwrap().to_vec(), [false, true]);
    let error = layout(3).open(&path).unwrap().read::<bool, Ix1>().unwrap_err().to_string();
    assert!(error.contains("neither 0 nor 1"), "{error}");
}

// F2
#[test]
fn bool_in_any_field_is_verified() {
    let dtype: ndferry::DType =
        "[('a', '<u2'), ('b', '|b1', (2,)), ('', '|V1'), ('c', [('x', '|u1'), ('y', '|b1')], (3,)), ('d', '|S0')]"
            .parse()
            .unwrap();
    assert_eq!(dtype.item_size(), 11);
    for (at, wrong) in (0..22).map(|at| (at, [2, 3, 6, 8, 10].contains(&(at % 11)))) {
        let mut bytes = vec![1; 22];
        bytes[at] = 2;
        let raw = ndferry::file::OpenOptions::new()
            .raw(ndferry::file::RawLayout::new(dtype.clone(), [2]));
        let verified = raw.open_slice(bytes).unwrap().verify();
        assert_eq!(verified.is_err(), wrong, "byte {at}");
        if let Err(error) = verified {
            assert!(
                error.to_string().contains(&format!(
                    "invalid bool: expected 0 or 1, found 2 at byte {at} of the file"
                )),
                "{error}"
            );
        }
    }
}
