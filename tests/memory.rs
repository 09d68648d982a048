//! What reading and writing costs in memory. A test program of its own, with one test: the peak of a process is shared by all
//! its threads.
#![cfg(target_os = "linux")]

use std::fs::{self, File};

use ndferry::{
    ByteOrder, DType, DumpOptions, Order, RawLayout, SharedArray,
    ndarray::{Array2, Ix1, s},
};

const MIB: u64 = 1 << 20;

/// A figure of `/proc/self/status`, in bytes.
fn status(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let kib: u64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

/// How far the resident size goes up while `run` runs.
fn peak_of(run: impl FnOnce()) -> u64 {
    // From here on the peak is counted anew (proc(5)).
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS");
    run();
    status("VmHWM").saturating_sub(before)
}

// B2 F7
#[test]
fn a_map_costs_no_memory_of_its_own_and_writing_costs_a_few_blocks() {
    if std::env::var_os("NDFERRY_TEST_EMULATED").is_some() {
        eprintln!("left out: under emulation the memory is the emulator's");
        return;
    }
    let folder = tempfile::tempdir().unwrap();

    let path = folder.path().join("large.raw");
    File::create(&path).unwrap().set_len(512 * MIB).unwrap();
    let before = status("RssAnon");
    let layout = RawLayout::new(DType::of::<f64>(), [64 * MIB as usize]);
    let array = layout.open(&path).unwrap().array::<f64, Ix1>().unwrap();
    assert_eq!(array.iter().sum::<f64>(), 0.0);
    let grown = status("RssAnon").saturating_sub(before);
    assert!(grown < 4 * MIB, "512 MiB were read, {grown} bytes of them copied");
    drop(array);

    let square = SharedArray::from(Array2::<f64>::ones((2048, 4096)));
    let turned = square.subview(|view| view.reversed_axes());
    let strided = square.subview(|view| view.slice_move(s![..;-1, ..]));
    for (name, view) in [("C", &square), ("F", &turned), ("strided", &strided)] {
        for (byte_order, order) in [(ByteOrder::Little, Order::C), (ByteOrder::Big, Order::F)] {
            let options = DumpOptions::new().byte_order(byte_order).order(order);
            let ferry = peak_of(|| options.dump(folder.path().join("a.ferry"), view).unwrap());
            let npy = peak_of(|| options.write_npy(folder.path().join("a.npy"), &view.to_any()).unwrap());
            assert!(ferry.max(npy) < 16 * MIB, "{name}, 64 MiB as {byte_order} {order}: {ferry} and {npy} bytes more");
        }
    }
    let plain = square.to_owned();
    let peak = peak_of(|| ndferry::dump(folder.path().join("a.ferry"), &("value", &plain)).unwrap());
    assert!(peak < 16 * MIB, "a plain array of 64 MiB in a value: {peak} bytes more");
}
