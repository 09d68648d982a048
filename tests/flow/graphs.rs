//! What graphs of every shape give, the same over every backend.

use ndferry::flow::{Each, Flow, Handle};

use crate::{Watchdog, pools};

fn square(x: &i64) -> i64 {
    x * x
}

fn sum(values: &[i64]) -> i64 {
    values.iter().sum()
}

// G1
#[test]
fn several_collects_of_one_expand_are_joined_downstream_and_nothing_is_done_twice() {
    let _dog = Watchdog::new("several collects");
    let mut flow = Flow::new();
    let count = flow.input::<i64>("count");
    let list = flow.node("list", count, |count| (1..=*count).collect::<Vec<_>>());
    let x = flow.fan_out("x", list);
    let squared = flow.node("squared", x, square);
    let halved = flow.node("halved", squared, |x| *x as f64 / 2.0);
    let squares = flow.collect("squares", squared);
    let halves = flow.collect("halves", halved);
    let total = flow.fold("total", squared, 0, |total, x| total + x);
    let joined =
        flow.node("joined", (squares, halves, total), |squares: &Vec<i64>, halves, total| {
            (squares.len(), halves.iter().sum::<f64>(), *total)
        });
    for pool in pools() {
        let ran =
            flow.on(&pool).set(count, 20).run((joined, total, squares, halves, squares)).unwrap();
        let squared: Vec<_> = (1..=20).map(|x| x * x).collect();
        let total = squared.iter().sum::<i64>();
        let halved: Vec<_> = squared.iter().map(|x| *x as f64 / 2.0).collect();
        assert_eq!(
            ran.outputs,
            (
                Some((20, total as f64 / 2.0, total)),
                Some(total),
                Some(squared.clone()),
                Some(halved),
                Some(squared)
            )
        );
        let done: Vec<_> = ran.report.nodes.iter().map(|node| (&*node.name, node.done)).collect();
        let expected = [
            ("count", 1),
            ("list", 1),
            ("x", 20),
            ("squared", 20),
            ("halved", 20),
            ("squares", 1),
            ("halves", 1),
            ("total", 1),
            ("joined", 1),
        ];
        assert_eq!(done, expected);
    }
}

// G2
#[test]
fn fan_outs_of_every_shape_keep_their_order() {
    let _dog = Watchdog::new("fan-outs");
    let mut flow = Flow::new();
    let outer = flow.input::<Vec<i64>>("outer");
    let weight = flow.input_or("weight", 10_i64);
    // Ragged: element x has x elements.
    let x = flow.fan_out("x", outer);
    let scaled = flow.node("scaled", (x, weight), |x, weight| x * weight);
    let inner = flow.node("inner", x, |x| (0..*x).collect::<Vec<_>>());
    let y = flow.fan_out("y", inner);
    // One per element of the inner, with one per element of the outer and one for all beside it.
    let z: Handle<i64, Each<Each>> =
        flow.node("z", (y, scaled, weight), |y, scaled, weight| scaled + y + 1000 * weight);
    let zs = flow.collect("zs", z);
    let inner_sum = flow.node("inner_sum", zs, |zs| sum(zs));
    let sums = flow.collect("sums", inner_sum);
    let all = flow.collect("all", zs);
    // Straight into a collect.
    let same = flow.collect("same", x);
    // A second fan-out, from what the first gave, and a third beside it.
    let again = flow.fan_out("again", sums);
    let negated = flow.node("negated", again, |x| -x);
    let negatives = flow.collect("negatives", negated);
    let beside = flow.fan_out("beside", outer);
    let pairs =
        flow.node("pairs", (beside, negatives), |x, negatives: &Vec<i64>| (*x, negatives.len()));

    for pool in pools() {
        for items in [vec![3, 0, 2, 1], vec![], vec![0], vec![0, 0], (0..30).collect()] {
            let (zs_of_all, inner_sums, copied, negative, each_z, each_pair) = flow
                .on(&pool)
                .set(outer, items.clone())
                .get((all, sums, same, negatives, z, pairs))
                .unwrap();
            let z = |x: i64| (0..x).map(|y| 10 * x + y + 10_000).collect::<Vec<_>>();
            let expected: Vec<_> = items.iter().map(|x| z(*x)).collect();
            assert_eq!((&zs_of_all, &each_z, &copied), (&expected, &expected, &items));
            let expected: Vec<_> = expected.iter().map(|zs| sum(zs)).collect();
            assert_eq!(inner_sums, expected);
            assert_eq!(negative, expected.iter().map(|x| -x).collect::<Vec<_>>());
            assert_eq!(each_pair, items.iter().map(|x| (*x, items.len())).collect::<Vec<_>>());
        }
    }
}

#[test]
fn what_is_per_element_may_need_what_all_elements_give() {
    let _dog = Watchdog::new("normalised");
    let mut flow = Flow::new();
    let range = flow.input::<std::ops::Range<i64>>("range");
    let x = flow.fan_out("x", range);
    let squared = flow.node("squared", x, square);
    let largest = flow.fold("largest", squared, 0, |largest, x| largest.max(*x));
    let share = flow.node("share", (squared, largest), |x, largest| *x as f64 / *largest as f64);
    let shares = flow.collect("shares", share);
    for pool in pools() {
        // More elements than would be there at a time otherwise.
        let shares = flow.on(&pool).set(range, 0..101).get(shares).unwrap();
        assert_eq!(shares, (0..101).map(|x| f64::from(x * x) / 10_000.0).collect::<Vec<_>>());
    }
}

// G2
#[test]
fn fan_outs_may_each_need_what_the_other_gives() {
    let _dog = Watchdog::new("mutual");
    let mut flow = Flow::new();
    let range = flow.input_or("range", 0..50_i64);
    let [x, y] = ["x", "y"].map(|name| flow.fan_out(name, range));
    let [one, other] =
        [("one", x), ("other", y)].map(|(name, each)| flow.node(name, each, |x| x + 1));
    let [ones, others] = [("ones", one), ("others", other)]
        .map(|(name, each)| flow.fold(name, each, 0, |sum, x| sum + x));
    let crossed = flow.node("crossed", (one, others), |one, others| one - others);
    let back = flow.node("back", (other, ones), |other, ones| other - ones);
    // One that waits for itself by way of another, also where nothing of that is computed.
    let list = flow.collect("list", one);
    let z = flow.fan_out("z", list);
    let third = flow.node("third", z, |z| *z);
    let thirds = flow.collect("thirds", third);
    let around = flow.node("around", (x, thirds), |x, thirds: &Vec<i64>| x + thirds[0]);
    for pool in pools() {
        let on = || flow.on(pool.job().batch_size(1).prefetch_batches(0));
        let expected: Vec<_> = (1..=50).map(|x| x - 1275).collect();
        assert_eq!(on().get((crossed, back)).unwrap(), (expected.clone(), expected));
        assert_eq!(on().get(around).unwrap(), (1..=50).collect::<Vec<_>>());
        assert_eq!(on().set(third, vec![7; 50]).get(around).unwrap(), (7..57).collect::<Vec<_>>());
    }
}

#[test]
fn a_node_can_have_no_inputs_or_eight_and_be_a_function_a_method_or_a_closure() {
    let _dog = Watchdog::new("arity");
    let mut flow = Flow::new();
    let none = flow.node("none", (), || String::from("abc"));
    let length = flow.node("length", none, String::len);
    let one = flow.node("one", (length,), |length| *length as i64);
    let squared = flow.node("squared", one, square);
    let eight = flow.node(
        "eight",
        (one, one, one, one, squared, squared, squared, length),
        |a, b, c, d, e, f, g, h| a + b + c + d + e + f + g + *h as i64,
    );
    for pool in pools() {
        assert_eq!(flow.on(&pool).get((none, eight)).unwrap(), ("abc".into(), 3 * 4 + 9 * 3 + 3));
    }
}

#[test]
fn values_that_are_set_take_the_place_of_what_would_give_them() {
    let _dog = Watchdog::new("set");
    let mut flow = Flow::new();
    let list = flow.input::<Vec<i64>>("list");
    let x = flow.fan_out("x", list);
    let squared = flow.node("squared", x, square);
    let squares = flow.collect("squares", squared);
    let total = flow.node("total", squares, |squares| sum(squares));
    let inner = flow.node("inner", squared, |x| vec![*x, *x]);
    let y = flow.fan_out("y", inner);
    let next = flow.node("next", y, |y| y + 1);
    let nexts = flow.collect("nexts", next);
    let items = vec![1, 2, 3];
    for pool in pools() {
        // A single value: nothing that only it needs is asked for.
        assert_eq!(flow.on(&pool).set(squares, vec![5, 6]).get(total).unwrap(), 11);
        // Values per element, of a step, of the expand itself, and further inside.
        let on = || flow.on(&pool).set(list, items.clone());
        assert_eq!(
            on().set(squared, vec![10, 20, 30]).get((total, squared)).unwrap(),
            (60, vec![10, 20, 30])
        );
        assert_eq!(flow.on(&pool).set(x, vec![3, 4]).get((total, x)).unwrap(), (25, vec![3, 4]));
        assert_eq!(
            on().set(y, vec![vec![7], vec![], vec![8, 9]]).get(nexts).unwrap(),
            [vec![8], vec![], vec![9, 10]]
        );
        let wanted = vec![vec![0, 0], vec![1, 1], vec![2, 2]];
        assert_eq!(on().set(next, wanted.clone()).get((nexts, total)).unwrap(), (wanted, 14));
    }
}

// G4
#[test]
fn what_types_cannot_say_is_found_before_anything_runs() {
    let _dog = Watchdog::new("checks");
    let mut flow = Flow::new();
    let list = flow.input::<Vec<i64>>("list");
    let other = flow.input::<Vec<i64>>("other");
    let x = flow.fan_out("x", list);
    let y = flow.fan_out("y", other);
    flow.check().unwrap();
    let missing = flow.on(&pools()[2]).get((x, y)).unwrap_err();
    assert!(missing.is_invalid_input(), "{missing}");
    assert!(missing.to_string().contains("\"list\", \"other\""), "{missing}");

    let mut joined = Flow::new();
    let [list, other] = ["list", "other"].map(|name| joined.input::<Vec<i64>>(name));
    let [a, b] = [("a", list), ("b", other)].map(|(name, list)| joined.fan_out(name, list));
    let sum = joined.node("sum", (a, b), |a, b| a + b);
    let error = joined
        .on(&pools()[2])
        .set(list, vec![1])
        .set(other, vec![1])
        .get(sum)
        .unwrap_err()
        .to_string();
    for part in ["\"sum\"", "\"a\"", "\"b\"", "different fan-outs", "graphs.rs:"] {
        assert!(error.contains(part), "{error}");
    }

    let mut twice = Flow::new();
    twice.input::<i64>("same");
    let first = line!() - 1;
    twice.input::<i64>("same");
    let error = twice.check().unwrap_err().to_string();
    for part in ["\"same\"", &format!("graphs.rs:{first}:"), &format!("graphs.rs:{}:", first + 2)] {
        assert!(error.contains(part), "{error}");
    }

    let mut empty = Flow::new();
    empty.group::<i64, Each>("none", [""; 0]);
    assert!(empty.check().unwrap_err().to_string().contains("\"none\" is said to be per element"));

    let mut foreign = Flow::new();
    foreign.node("far", x, square);
    assert!(foreign.check().unwrap_err().to_string().contains("another flow"));
    let error = Flow::new().on(&pools()[2]).get(x).unwrap_err();
    assert!(error.to_string().contains("another flow"), "{error}");
    let error = foreign.on(&pools()[2]).set(x, vec![1]).get(x).unwrap_err();
    assert!(error.to_string().contains("another flow"), "{error}");
}

// G4
#[test]
fn values_set_for_another_number_of_elements_are_refused() {
    let _dog = Watchdog::new("lengths");
    let mut flow = Flow::new();
    let list = flow.input::<Vec<i64>>("list");
    let x = flow.fan_out("x", list);
    let one = flow.node("one", x, square);
    let two = flow.node("two", x, square);
    let both = flow.node("both", (one, two), |one, two| one + two);
    let inner = flow.node("inner", x, |x| vec![*x]);
    let y = flow.fan_out("y", inner);
    let z = flow.node("z", y, square);
    for pool in pools() {
        let on = || flow.on(&pool).set(list, vec![1, 2, 3]);
        let cases = [
            // Before anything runs.
            (
                on().set(one, vec![1, 2]).set(two, vec![1, 2, 3]).get(both).unwrap_err(),
                ["\"one\"", "\"two\""],
            ),
            (
                on().set(x, vec![1]).set(one, vec![1, 2]).get(both).unwrap_err(),
                ["\"x\"", "\"one\""],
            ),
            // When it turns out: too few, too many, further inside.
            (on().set(one, vec![1, 2]).get(both).unwrap_err(), ["\"one\"", "\"x\""]),
            (on().set(one, vec![1, 2, 3, 4]).get(both).unwrap_err(), ["\"one\"", "\"x\""]),
            (on().set(y, vec![vec![1], vec![2]]).get(z).unwrap_err(), ["\"y\"", "\"x\""]),
            (
                on().set(z, vec![vec![1], vec![2, 3], vec![4]]).get(z).unwrap_err(),
                ["\"z\"", "\"y\""],
            ),
            (on().set(z, vec![vec![1]; 4]).get(z).unwrap_err(), ["\"z\"", "\"x\""]),
        ];
        for (error, parts) in cases {
            assert!(error.is_invalid_input(), "{error}");
            let text = error.to_string();
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
    }
}

#[test]
fn ten_thousand_nodes_in_a_chain_run() {
    let _dog = Watchdog::new("chain");
    let mut flow = Flow::new();
    let mut last = flow.input_or("first", 0_i64);
    for number in 0..10_000 {
        last = flow.node(&format!("node{number}"), last, |x| x + 1);
    }
    flow.check().unwrap();
    assert_eq!(flow.on(&pools()[2]).get(last).unwrap(), 10_000);
}
