//! What can be seen of a flow: its picture, and what a run has done.

use std::time::Duration;

use ndferry::flow::{Flow, NodeState};

use crate::{Watchdog, pools};

// G9
#[test]
fn the_picture_has_the_nodes_the_edges_and_what_is_inside_of_a_fan_out() {
    let mut flow = Flow::new();
    let list = flow.input::<Vec<i64>>("list \"a\"");
    let x = flow.fan_out("x", list);
    let squared = flow.node("squared", x, |x| x * x);
    let squares = flow.collect("squares", squared);
    flow.node("unused", squares, Vec::len);
    let picture = flow.dot();
    for part in [
        r#"n0 [label="list \"a\"", shape=ellipse"#,
        "subgraph cluster_1 {",
        r#"label="each x""#,
        "n0 -> n1;",
        "n1 -> n2;",
        "n2 -> n3;",
        "trapezium",
        "invtrapezium",
    ] {
        assert!(picture.contains(part), "{part}: {picture}");
    }
    let inside = picture.split_once("subgraph").unwrap().1.split_once('}').unwrap().0;
    assert!(inside.contains("\"squared\"") && !inside.contains("\"squares\""), "{picture}");

    let ran = flow.on(&pools()[2]).set(list, vec![1, 2, 3]).run(squares).unwrap();
    let after = flow.dot_after(&ran.report);
    let line =
        |name: &str| after.lines().find(|line| line.contains(&format!("label=\"{name}"))).unwrap();
    assert!(
        line("squared").contains("squared\\n3 values\\n") && line("squared").contains("palegreen"),
        "{after}"
    );
    assert!(line("unused").contains("gray90"), "{after}");
}

// G9
#[test]
fn a_report_has_the_state_and_time_of_each_node_and_element() {
    let _dog = Watchdog::new("report");
    let mut flow = Flow::new();
    let list = flow.input::<Vec<u64>>("list");
    let unused = flow.node("unused", list, Vec::len);
    let x = flow.fan_out("x", list);
    let inner = flow.node("inner", x, |x| (0..*x).collect::<Vec<_>>());
    let y = flow.fan_out("y", inner);
    let slow = flow.try_node("slow", y, |y: &u64| {
        std::thread::sleep(Duration::from_millis(20));
        if *y < 2 { Ok(*y) } else { Err("two") }
    });
    let rest = flow.collect("rest", slow);
    for pool in pools() {
        let ran = flow.on(pool.job().keep_going()).set(list, vec![1, 3]).run(rest).unwrap();
        let states: Vec<_> = ran.report.nodes.iter().map(|node| node.state).collect();
        use NodeState::{Done, Failed, Given, NotNeeded};
        assert_eq!(states, [Given, NotNeeded, Done, Done, Done, Failed, Failed]);
        let slow = &ran.report.nodes[5];
        assert_eq!((slow.done, slow.failed, slow.skipped), (3, 1, 0));
        assert!(
            slow.time >= Duration::from_millis(80)
                && ran.report.elapsed >= Duration::from_millis(40),
            "{slow:?}"
        );
        let mut elements: Vec<_> =
            slow.elements.iter().map(|element| (element.path.clone(), element.done)).collect();
        elements.sort();
        assert_eq!(
            elements,
            [(vec![0, 0], true), (vec![1, 0], true), (vec![1, 1], true), (vec![1, 2], false)]
        );
        assert!(
            slow.elements.iter().all(|element| element.time >= Duration::from_millis(20)),
            "{slow:?}"
        );
    }
    let _ = unused;
}
