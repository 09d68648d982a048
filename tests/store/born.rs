//! Arrays made in the store, without workers.

use std::{fs, process::Command, process::Stdio};

use ndferry::{
    SharedArray,
    array::Order,
    dtype::ByteOrder,
    ndarray::{Array, Array2, ArrayD, ArrayRef, Axis, Dimension, Ix2, IxDyn, ShapeBuilder, s},
    store::Store,
};

use crate::{
    actor::{say, skipped},
    is_empty, place,
    processes::{eventually, session_name},
    start,
};

/// A store of each kind.
fn stores() -> Vec<Store> {
    let mut stores = Vec::new();
    for byte_order in [ByteOrder::Little, ByteOrder::Big] {
        let store = Store::builder().byte_order(byte_order);
        stores.extend([store.clone(), store.memfd()].map(|store| store.build().unwrap()));
    }
    stores
}

/// Returns the writable maps of this process whose line contains `part`.
fn writable_maps(part: &str) -> Vec<String> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines()
        .filter(|line| line.contains(part) && line.contains(" rw"))
        .map(str::to_owned)
        .collect()
}

macro_rules! every_type {
    ($($type:ty, $make:expr;)*) => {$(
        for store in stores() {
            for shape in [&[][..], &[1], &[0], &[3, 0, 2], &[7], &[40, 1, 30], &[3, 4, 5, 2]] {
                for order in [Order::C, Order::F] {
                    let what = format!("{} {shape:?} {order} in {store:?}", stringify!($type));
                    let make = |index: IxDyn| {
                        let number = index.slice().iter().fold(1, |number, at| (3 * number + at) % 101);
                        $make(number)
                    };
                    let shape = || IxDyn(shape).set_f(order == Order::F);
                    let expected: ArrayD<$type> = Array::from_shape_fn(shape(), make);
                    let mut zeros = store.zeros::<$type, _>(shape()).unwrap();
                    assert_eq!(*zeros, ArrayD::from_elem(shape(), <$type>::default()), "{what}");
                    zeros.assign(&expected);
                    let zeros = zeros.freeze().unwrap();
                    let made = store.from_shape_fn(shape(), make).unwrap();
                    for array in [&zeros, &made] {
                        assert_eq!((&**array, array.copy_reason()), (&*expected, None), "{what}");
                        if !array.is_empty() {
                            assert_eq!(array.strides(), expected.strides(), "{what}");
                        }
                    }
                    assert_eq!(made.into_owned(), expected, "{what}");
                }
            }
        }
    )*};
}

// F7
#[test]
fn store_zeros_works_for_every_type_and_layout() {
    every_type! {
        bool, |number| number % 2 == 1;
        u8, |number: usize| number as u8;
        i16, |number: usize| -(number as i16);
        u32, |number: usize| number as u32;
        i64, |number: usize| -(number as i64);
        half::f16, |number: usize| half::f16::from_f32(number as f32);
        f64, |number: usize| number as f64 / 7.0;
        num_complex::Complex<f64>, |number: usize| num_complex::Complex::new(number as f64, -1.0);
    }
}

#[test]
fn store_zeros_file_is_a_container_from_the_start() {
    for byte_order in [ByteOrder::Little, ByteOrder::Big] {
        let store = Store::builder().byte_order(byte_order).build().unwrap();
        let mut table = store.zeros::<f64, _>((300, 50).f()).unwrap();
        let [path] = &*store.files().unwrap() else { panic!("one file") };
        table[(2, 49)] = 1.5;
        let file = ndferry::open(path).unwrap();
        let info = &file.arrays()[0];
        assert_eq!(
            (info.shape(), info.order(), info.dtype().is_native()),
            (&[300, 50][..], Order::F, true)
        );
        assert_eq!(file.read::<f64, IxDyn>().unwrap()[[2, 49]], 1.5);
        drop(file);
        let table = table.freeze().unwrap();
        assert_eq!(store.files().unwrap(), std::slice::from_ref(path));
        let again: SharedArray<f64, IxDyn> = ndferry::load(path).unwrap();
        assert_eq!(again, table.subview(|view| view.into_dyn()));
        drop(table);
        assert!(store.files().unwrap().is_empty() && !path.exists());

        let given_up = store.zeros::<u8, _>(100_000).unwrap();
        assert_eq!(store.files().unwrap().len(), 1);
        drop(given_up);
        assert!(store.files().unwrap().is_empty());
    }
}

#[test]
fn store_frozen_array_has_no_writable_map() {
    for store in stores() {
        let session = session_name(&store);
        let table = store.zeros::<f64, _>((300, 50)).unwrap();
        assert_eq!(writable_maps(&session).len(), 1, "as long as it is filled");
        let table = table.freeze().unwrap();
        assert_eq!(writable_maps(&session), <[String; 0]>::default());
        drop(table);
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        assert!(!maps.contains(&session), "{maps}");
    }
}

#[test]
fn store_from_shape_fn_panic_leaves_nothing() {
    for store in stores() {
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            store.from_shape_fn((1000, 1000), |(i, j)| {
                if (i, j) == (500, 0) { panic!("on purpose") } else { 1u8 }
            })
        }));
        assert!(panicked.is_err() && store.files().unwrap().is_empty());
    }
}

#[test]
fn store_freeze_keeps_permuted_and_sliced_axes() {
    for store in stores() {
        let made = || {
            let mut array = store.zeros::<u32, _>((4, 6)).unwrap();
            array.indexed_iter_mut().for_each(|((i, j), element)| *element = (10 * i + j) as u32);
            array
        };
        let change: [fn(&mut ArrayRef<u32, Ix2>); 4] = [
            |array| array.swap_axes(0, 1),
            |array| array.invert_axis(Axis(1)),
            |array| array.slice_collapse(s![1..;2, ..4]),
            |array| array.slice_collapse(s![2..2, ..]),
        ];
        for change in change {
            let mut array = made();
            change(&mut array);
            let expected = (*array).to_owned();
            assert_eq!(*array.freeze().unwrap(), expected);
        }
    }
}

#[test]
fn store_array_outlives_its_store() {
    for store in stores() {
        let mut table = store.zeros::<u16, _>((100, 1000)).unwrap();
        let home = store.session_dir().to_owned();
        drop(store);
        eventually("the session has ended", || !home.exists());
        table.fill(3);
        let table = table.freeze().unwrap();
        assert_eq!(*table, Array2::from_elem((100, 1000), 3));
    }
}

// S5
#[test]
fn store_zeros_without_room_is_an_error() {
    for store in stores() {
        let error = store.zeros::<u8, _>(1 << 50).unwrap_err();
        assert_eq!(error.io_kind(), Some(std::io::ErrorKind::StorageFull), "{error}");
        assert!(error.to_string().contains("bytes are free") || store.is_memfd(), "{error}");
        let error = store.zeros::<f64, _>((usize::MAX, 2)).unwrap_err().to_string();
        assert!(error.contains("larger than memory can address"), "{error}");
        assert!(store.files().unwrap().is_empty());
    }
}

// S5
#[test]
fn store_zeros_falls_through_a_full_root() {
    let (_temp, place) = place();
    for root in ["one", "two"] {
        fs::create_dir(place.join(root)).unwrap();
    }
    let script = format!(
        "mount -t tmpfs -o size=64k,mode=700 tmpfs '{}/one' && exec \"$@\"",
        place.display()
    );
    let unshare = || {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
        unshare
    };
    if !unshare().arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return skipped("a_full_root_passes_an_array_on", "no mount namespaces here");
    }
    let mut command = unshare();
    let mut actor =
        start(command.args([&script, "sh"]).arg(std::env::current_exe().unwrap()), "born", &place);
    assert_eq!(actor.says(), "one, two: 10000 10000");
    assert_eq!(actor.ends(), "");
    assert!(is_empty(&place.join("one")) && is_empty(&place.join("two")));
}

/// The role "born": arrays in two roots, the first with room for 64 KiB.
pub(crate) fn in_a_small_root() {
    let place = std::path::PathBuf::from(std::env::var_os("NDFERRY_DIR").unwrap());
    let store =
        Store::builder().roots(["one", "two"].map(|root| place.join(root))).build().unwrap();
    let arrays = [(); 2].map(|()| store.from_shape_fn(10_000, |_| 1u32).unwrap());
    let files = store.files().unwrap();
    let root = |at: usize| {
        files[at].strip_prefix(&place).unwrap().iter().next().unwrap().to_str().unwrap()
    };
    say(format!("{}, {}: {} {}", root(0), root(1), arrays[0].sum(), arrays[1].sum()));
}
