//! Flows: what a graph costs over the bare pool.
//!
//!     cargo bench --bench flow
//!
//! The peer is a call of the same pool with the same function over the same items, its results folded as the flow's are.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion};
use ndferry::{
    Pool,
    flow::{Flow, Handle},
};

fn main() {
    ndferry::init();
    let mut criterion =
        Criterion::default().configure_from_args().measurement_time(Duration::from_secs(3));
    elements(&mut criterion);
    graphs(&mut criterion);
    parent(
        &std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect::<Vec<_>>(),
    );
    criterion.final_summary();
}

/// Keeps a core busy for so many microseconds of processor time.
fn busy(microseconds: u64) -> u64 {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let until = now() + Duration::from_micros(microseconds);
    while microseconds > 0 && now() < until {}
    microseconds
}

/// Elements that each keep a core busy for some time: a graph of one step, and of a chain of five.
fn one_step() -> (Flow, Handle<Vec<u64>>, Handle<u64>) {
    let mut flow = Flow::new();
    let items = flow.input("items");
    let item = flow.fan_out("item", items);
    let done = flow.node("done", item, |item| busy(*item));
    let sum = flow.fold("sum", done, 0, |sum, item| sum + item);
    (flow, items, sum)
}

fn elements(criterion: &mut Criterion) {
    let pool = Pool::builder().workers(2).build().unwrap();
    let mut group = criterion.benchmark_group("elements");
    group.sample_size(10);
    for (microseconds, count) in [(0, 20_000), (10, 20_000), (100, 4000), (1000, 500)] {
        let items = vec![microseconds; count];
        group.bench_with_input(
            BenchmarkId::new("bare pool", format!("{microseconds} µs")),
            &items,
            |bencher, items| {
                bencher.iter(|| {
                    pool.job().fold(busy, items.iter().copied(), 0, |sum, item| sum + item).unwrap()
                });
            },
        );
        let (flow, input, sum) = one_step();
        group.bench_with_input(
            BenchmarkId::new("flow", format!("{microseconds} µs")),
            &items,
            |bencher, items| {
                bencher.iter(|| flow.on(&pool).set(input, items.clone()).get(sum).unwrap());
            },
        );
    }
    group.finish();
}

/// A graph of ten thousand nodes: half of them a chain, half of them made of two others.
fn large() -> (Flow, Handle<u64>) {
    let mut flow = Flow::new();
    let (mut last, mut before) = (flow.input_or("a", 1_u64), flow.input_or("b", 2_u64));
    for number in 0..4999 {
        let next = flow.node(&format!("chain{number}"), last, |x| x.wrapping_add(1));
        let both = flow.node(&format!("both{number}"), (next, before), |x, y| x.wrapping_add(*y));
        (before, last) = (next, both);
    }
    (flow, last)
}

fn graphs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("10 000 nodes");
    group.sample_size(20);
    group.bench_function("built and checked (limit: 100 ms)", |bencher| {
        bencher.iter(|| {
            let (flow, last) = large();
            flow.check().unwrap();
            black_box(last);
        });
    });
    let serial =
        Pool::builder().workers(1).backend(ndferry::pool::Backend::Serial).build().unwrap();
    let (flow, last) = large();
    group.bench_function("run, one after another in this thread", |bencher| {
        bencher.iter(|| flow.on(&serial).get(last).unwrap());
    });
    group.finish();
}

/// What the parent uses of a core while its workers are busy.
fn parent(filter: &[String]) {
    if !(filter.is_empty() || filter.iter().any(|word| "parent".contains(&**word))) {
        return;
    }
    let pool = Pool::builder().workers(2).build().unwrap();
    let (flow, input, sum) = one_step();
    for (microseconds, count) in [(1000, 4000), (10_000, 400)] {
        let used = || {
            let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
            Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
        };
        let (began, before) = (Instant::now(), used());
        flow.on(&pool).set(input, vec![microseconds; count]).get(sum).unwrap();
        let share = (used() - before).as_secs_f64() / began.elapsed().as_secs_f64();
        println!(
            "parent while two workers have elements of {microseconds} µs: {:.1} % of a core",
            100.0 * share
        );
    }
}
