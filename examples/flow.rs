//! A flow over a volume: two metrics of each of its slices, two collects of the one fan-out, one report.
//!
//!     cargo run --release --example flow [PICTURE.dot]
//!
//! The volume is a big-endian one, in `fixtures/`. PICTURE.dot gets the graph as it was run, for `dot -Tsvg`.

use ndarray::{Axis, Ix2, Ix3};
use ndferry::{Pool, SharedArray, array::Order, file::RawLayout, flow::Flow, ndarray};
use serde::{Deserialize, Serialize};

/// The slices of a volume. Each is a view: none is copied, here or on its way to a worker.
#[derive(Clone, Serialize, Deserialize)]
struct Slices(SharedArray<i16, Ix3>);

type Slice = SharedArray<i16, Ix2>;

impl IntoIterator for Slices {
    type Item = Slice;
    type IntoIter = Box<dyn Iterator<Item = Slice>>;

    fn into_iter(self) -> Self::IntoIter {
        let Self(volume) = self;
        Box::new(
            (0..volume.len_of(Axis(2)))
                .map(move |z| volume.subview(|volume| volume.index_axis_move(Axis(2), z))),
        )
    }
}

fn mean(slice: &Slice) -> f64 {
    slice.iter().map(|x| f64::from(*x)).sum::<f64>() / slice.len() as f64
}

fn deviation(slice: &Slice, mean: &f64) -> f64 {
    (slice.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / slice.len() as f64).sqrt()
}

/// A report of so many lines: the mean and the contrast of some slices, and which is the brightest.
fn report(means: &[f64], contrasts: &[f64], brightest: f64, lines: usize) -> String {
    let mut text = String::from("slice      mean  contrast\n");
    for z in (0..means.len()).step_by(means.len().div_ceil(lines.max(1)).max(1)) {
        let mark = if means[z] == brightest { "  brightest" } else { "" };
        text += &format!("{z:>5} {:>9.1} {:>9.3}{mark}\n", means[z], contrasts[z]);
    }
    let mean = means.iter().sum::<f64>() / means.len() as f64;
    text + &format!("  all {mean:>9.1}\n")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    ndferry::init();

    let mut flow = Flow::new();
    let slices = flow.input::<Slices>("slices");
    let lines = flow.input_or("lines", 25_usize);
    let slice = flow.fan_out("slice", slices);
    let mean = flow.node("mean", slice, mean);
    let deviation = flow.node("deviation", (slice, mean), deviation);
    let contrast = flow.node("contrast", (deviation, mean), |deviation, mean| deviation / mean);
    let means = flow.collect("means", mean);
    let contrasts = flow.collect("contrasts", contrast);
    let brightest = flow.fold("brightest", mean, f64::MIN, |brightest, mean| brightest.max(*mean));
    let report = flow.node(
        "report",
        (means, contrasts, brightest, lines),
        |means, contrasts, brightest, lines| report(means, contrasts, *brightest, *lines),
    );

    let layout = RawLayout::new(">i2".parse()?, [33, 41, 25]).order(Order::F).offset(352);
    let volume = layout.open("fixtures/nifti/anatomical.nii")?.read()?;
    let pool = Pool::new()?;
    let ran = flow.on(&pool).set(slices, Slices(volume)).run(report)?;
    if let Some(failure) = ran.failures.into_iter().next() {
        return Err(failure.into());
    }
    print!("{}", ran.outputs.unwrap_or_default());
    if let Some(picture) = std::env::args_os().nth(1) {
        std::fs::write(picture, flow.dot_after(&ran.report))?;
    }
    Ok(())
}
