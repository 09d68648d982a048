//! Steps that fail: what is told, what goes on, what stops.

use std::time::Duration;

use ndferry::{
    flow::Flow,
    pool::{CancelToken, TaskErrorKind},
};

use crate::{Watchdog, pool, pools};

#[test]
fn an_error_names_the_node_the_element_and_the_place_and_is_the_original_one() {
    let _dog = Watchdog::new("names");
    let mut flow = Flow::new();
    let texts = flow.input::<Vec<Vec<String>>>("texts");
    let row = flow.fan_out("row", texts);
    let cell = flow.fan_out("cell", row);
    let number = flow.try_node("number", cell, |text: &String| text.parse::<u8>());
    let added = line!() - 1;
    let all = flow.collect("all", number);
    let rows = vec![vec!["1".to_string()], vec!["2".to_string(), "300".to_string()]];
    for pool in pools() {
        let error = flow.on(&pool).set(texts, rows.clone()).get(all).unwrap_err();
        let task = error.task_error().unwrap();
        assert_eq!(
            task.to_string(),
            "node number failed on row[1]/cell[1]: number too large to fit in target type"
        );
        assert_eq!((task.task(), task.element()), ("number", Some("row[1]/cell[1]")));
        assert_eq!(task.type_name(), Some("core::num::error::ParseIntError"));
        assert!(
            task.call_site().contains(&format!("failures.rs:{added}:")),
            "{}",
            task.call_site()
        );
        let labelled =
            flow.on(pool.job().label("table")).set(texts, rows.clone()).get(number).unwrap_err();
        assert!(
            labelled.to_string().starts_with("node table.number failed on row[1]/cell[1]: "),
            "{labelled}"
        );
    }
    let mut flow = Flow::new();
    let one = flow.node("one", (), || -> i32 { panic!("no") });
    let error = flow.on(&pool()).get(one).unwrap_err();
    let task = error.task_error().unwrap();
    assert!(
        task.to_string().starts_with("node one failed: panicked at tests/flow/failures.rs:"),
        "{task}"
    );
    assert_eq!((task.kind(), task.element(), task.message()), (TaskErrorKind::Panic, None, "no"));
}

#[test]
fn what_does_not_depend_on_a_failure_is_done_when_asked_to_go_on() {
    let _dog = Watchdog::new("going on");
    let mut flow = Flow::new();
    let list = flow.input::<Vec<i64>>("list");
    let x = flow.fan_out("x", list);
    let even =
        flow.try_node(
            "even",
            x,
            |x: &i64| if x % 2 == 0 { Ok(*x) } else { Err(format!("{x} is odd")) },
        );
    let next = flow.node("next", even, |x| x + 1);
    let evens = flow.collect("evens", next);
    let after = flow.node("after", evens, Vec::len);
    let doubled = flow.node("doubled", x, |x| 2 * x);
    let total = flow.fold("total", doubled, 0, |total, x| total + x);
    for pool in pools() {
        let ran = flow
            .on(pool.job().keep_going())
            .set(list, vec![2, 3, 4, 5])
            .run((after, next, total))
            .unwrap();
        assert_eq!(ran.outputs, (None, Some(vec![Some(3), None, Some(5), None]), Some(28)));
        let mut told: Vec<_> = ran.failures.iter().map(ToString::to_string).collect();
        told.sort();
        assert_eq!(
            told,
            ["node even failed on x[1]: 3 is odd", "node even failed on x[3]: 5 is odd"]
        );
        let counts: Vec<_> = ran.report.nodes[2..5]
            .iter()
            .map(|node| (node.done, node.failed, node.skipped))
            .collect();
        assert_eq!(counts, [(2, 2, 0), (2, 0, 2), (0, 0, 1)]);
        // Asked for values alone, it is an error all the same, when all is done.
        let error = flow.on(pool.job().keep_going()).set(list, vec![2, 3, 4, 5]).get(total).err();
        assert!(error.is_none(), "what was asked for does not depend on the failure: {error:?}");
        let error = flow
            .on(pool.job().keep_going())
            .set(list, vec![2, 3, 4, 5])
            .get((total, after))
            .unwrap_err();
        assert!(error.to_string().contains("is odd"), "{error}");
        // Without going on, the first failure and what was done before it.
        let ran = flow.on(&pool).set(list, vec![3]).run((after, total)).unwrap();
        assert_eq!((ran.outputs.0, ran.failures.len()), (None, 1));
    }
}

// P1
#[test]
fn a_death_costs_one_element() {
    let _dog = Watchdog::new("death");
    let mut flow = Flow::new();
    let list = flow.input::<Vec<u32>>("list");
    let x = flow.fan_out("x", list);
    let risky = flow.node("risky", x, |x| if *x == 7 { std::process::abort() } else { x + 1 });
    let last = flow.node("last", risky, |x| x * 10);
    let pool = pool();
    let ran = flow.on(pool.job().keep_going()).set(list, (0..20).collect()).run(last).unwrap();
    let expected: Vec<_> = (0..20).map(|x| (x != 7).then_some((x + 1) * 10)).collect();
    assert_eq!(ran.outputs, Some(expected));
    assert_eq!(ran.failures.len(), 1);
    assert_eq!(
        (ran.failures[0].kind(), ran.failures[0].element()),
        (TaskErrorKind::WorkerDied, Some("x[7]"))
    );
    assert!(flow.on(&pool).set(list, vec![1, 2]).get(last).is_ok(), "the pool goes on");
}

#[test]
fn options_of_a_call_are_for_each_step() {
    let _dog = Watchdog::new("options");
    let mut flow = Flow::new();
    let list = flow.input::<Vec<u64>>("list");
    let x = flow.fan_out("x", list);
    let slow = flow
        .node("slow", x, |x| std::thread::sleep(Duration::from_secs(if *x == 1 { 60 } else { 0 })));
    let failing = flow.try_node("failing", x, |_: &u64| Err::<u64, _>("never"));
    let pool = pool();
    let on = || pool.job().keep_going();
    let ran = flow
        .on(on().timeout(Duration::from_millis(300)))
        .set(list, vec![0, 1, 2])
        .run(slow)
        .unwrap();
    assert_eq!(ran.outputs, Some(vec![Some(()), None, Some(())]));
    assert_eq!(ran.failures[0].kind(), TaskErrorKind::Timeout);
    let ran = flow.on(on().retries(2)).set(list, vec![0]).run(failing).unwrap();
    assert_eq!(ran.failures[0].attempt(), 3);
    let ran =
        flow.on(on().deadline(Duration::from_millis(100))).set(list, vec![1]).run(slow).unwrap();
    assert_eq!((ran.outputs, ran.failures[0].kind()), (Some(vec![None]), TaskErrorKind::Cancelled));
    let token = CancelToken::new();
    token.cancel();
    let error = flow.on(pool.job().cancel_token(&token)).set(list, vec![1]).get(slow).unwrap_err();
    assert_eq!(error.task_error().unwrap().kind(), TaskErrorKind::Cancelled);
}

#[test]
fn a_list_that_fails_takes_its_fan_out_along_and_nothing_else() {
    let _dog = Watchdog::new("lost list");
    let mut flow = Flow::new();
    let count = flow.input::<i64>("count");
    let list =
        flow.try_node(
            "list",
            count,
            |count| if *count > 0 { Ok(vec![*count; 2]) } else { Err("none") },
        );
    let x = flow.fan_out("x", list);
    let inner = flow.node("inner", x, |x| vec![*x]);
    let y = flow.fan_out("y", inner);
    let doubled = flow.node("doubled", y, |y| 2 * y);
    let rows = flow.collect("rows", doubled);
    let folded = flow.fold("folded", x, 0, |sum, x| sum + x);
    let beside = flow.node("beside", count, |count| count - 1);
    for pool in pools() {
        let on = |value| {
            flow.on(pool.job().keep_going())
                .set(count, value)
                .run((rows, folded, doubled, beside))
                .unwrap()
        };
        assert_eq!(on(0).outputs, (None, None, None, Some(-1)));
        assert_eq!(on(0).failures.len(), 1);
        let every = Some(vec![Some(vec![Some(6)]), Some(vec![Some(6)])]);
        assert_eq!(
            on(3).outputs,
            (Some(vec![Some(vec![6]), Some(vec![6])]), Some(6), every, Some(2))
        );
    }
}

#[test]
fn what_was_done_when_the_time_was_over_is_there_and_that_it_was_over_is_told() {
    let _dog = Watchdog::new("partly");
    let mut flow = Flow::new();
    let list = flow.input::<Vec<u64>>("list");
    let x = flow.fan_out("x", list);
    let slow = flow.try_node("slow", x, |x: &u64| {
        if *x == 0 {
            return Err("zero");
        }
        std::thread::sleep(Duration::from_millis(if *x > 10 { 60_000 } else { 0 }));
        Ok(*x)
    });
    let pool = pool();
    let call = pool.job().keep_going().batch_size(1).deadline(Duration::from_secs(2));
    let ran = flow.on(call).set(list, (0..1000).collect()).run(slow).unwrap();
    let done = ran.outputs.unwrap();
    assert_eq!(done[..11], (0..11).map(|x| (x > 0).then_some(x)).collect::<Vec<_>>());
    assert!(done.len() < 1000 && done[11..].iter().all(Option::is_none), "{done:?}");
    let told: Vec<_> = ran.failures.iter().map(ndferry::pool::TaskError::kind).collect();
    assert!(
        told.contains(&TaskErrorKind::Error) && told.contains(&TaskErrorKind::Cancelled),
        "{told:?}"
    );
}

/// A list without an end.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Endless;

impl IntoIterator for Endless {
    type Item = u64;
    type IntoIter = std::ops::RangeFrom<u64>;

    fn into_iter(self) -> Self::IntoIter {
        0..
    }
}

#[test]
fn a_flow_ends_when_it_is_told_to_also_without_steps() {
    let _dog = Watchdog::new("no steps");
    let mut flow = Flow::new();
    let list = flow.input_or("list", Endless);
    let x = flow.fan_out("x", list);
    let sum = flow.fold("sum", x, 0_u64, |sum, x| sum.wrapping_add(*x));
    for pool in pools() {
        let error = flow.on(pool.job().deadline(Duration::from_millis(50))).get(sum).unwrap_err();
        assert_eq!(error.task_error().unwrap().kind(), TaskErrorKind::Cancelled);
    }
}
