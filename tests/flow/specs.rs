//! Flows as data: built from a configuration wherever the table of the program is, in workers of workers as well.

use ndferry::flow::{Config, Each, Flow, FlowSpec, Flows, Handle, Single};

use crate::{Watchdog, builder, pools};

/// The flows of this program.
fn flows() -> Flows {
    Flows::new().with("metrics", metrics).with("rows", rows).with("tables", tables)
}

/// Metrics of a list, which of them by configuration.
fn metrics(config: &Config) -> ndferry::Result<Flow> {
    let mut flow = Flow::new();
    let values = flow.input::<Vec<f64>>("values");
    flow.node("largest", values, |values| values.iter().copied().fold(f64::MIN, f64::max));
    flow.node("sum", values, |values| values.iter().sum::<f64>());
    if config.get_or("means", true)? {
        let sum = flow.find::<f64, Single>("sum")?;
        flow.node("mean", (sum, values), |sum, values| sum / values.len() as f64);
    }
    flow.group::<f64, Single>(
        "metrics",
        config.get_or::<Vec<String>>("metrics", vec!["sum".into()])?,
    );
    Ok(flow)
}

/// Runs a flow of this program within a task: its only input is set, its only output is asked for.
fn within<I, O>(spec: &FlowSpec, input: &str, value: I) -> ndferry::Result<O>
where
    I: ndferry::flow::Data,
    O: ndferry::flow::Data + Clone,
{
    let flow = flows().build(spec)?;
    let pool = builder().build()?;
    let wanted: Handle<O> = flow.find(&spec.outputs[0])?;
    let input: Handle<I> = flow.find(input)?;
    flow.on(&pool).set(input, value).get(wanted)
}

fn spec(flow: &str, output: &str, config: Config) -> FlowSpec {
    FlowSpec { flow: flow.into(), config, outputs: vec![output.into()] }
}

/// The metrics of each row, by a flow for each.
fn rows(config: &Config) -> ndferry::Result<Flow> {
    let mut flow = Flow::new();
    let inner = flow.input_or("inner", spec("metrics", "metrics", config.clone()));
    let table = flow.input::<Vec<Vec<f64>>>("table");
    let row = flow.fan_out("row", table);
    let measured = flow.try_node("measured", (inner, row), |spec, row: &Vec<f64>| {
        within::<_, Vec<f64>>(spec, "values", row.clone())
    });
    flow.collect("all", measured);
    Ok(flow)
}

/// The metrics of each row of each table, by a flow for each table, which has one for each row.
fn tables(config: &Config) -> ndferry::Result<Flow> {
    let mut flow = Flow::new();
    let inner = flow.input_or("inner", spec("rows", "all", config.clone()));
    let list = flow.input::<Vec<Vec<Vec<f64>>>>("tables");
    let table = flow.fan_out("table", list);
    let measured = flow.try_node("measured", (inner, table), |spec, table: &Vec<Vec<f64>>| {
        within::<_, Vec<Vec<f64>>>(spec, "table", table.clone())
    });
    let sums = flow.node("sums", measured, |rows| rows.iter().map(|row| row[0]).sum::<f64>());
    flow.collect("tables_sums", sums);
    Ok(flow)
}

// G5
#[test]
fn flows_run_inside_workers_of_workers_of_flows() {
    let _dog = Watchdog::new("nested flows");
    let text = r#"{"flow": "tables", "config": {"metrics": ["sum", "largest"]}, "outputs": ["tables_sums"]}"#;
    let spec: FlowSpec = serde_json::from_str(text).unwrap();
    assert_eq!(
        serde_json::from_str::<FlowSpec>(&serde_json::to_string(&spec).unwrap()).unwrap(),
        spec
    );
    let flow = flows().build(&spec).unwrap();
    let wanted: Vec<Handle<Vec<f64>>> = flow.find_all(&spec.outputs).unwrap();
    let given = vec![vec![vec![1.0, 2.0], vec![3.0]], vec![], vec![vec![4.0, 5.0]]];
    for pool in pools() {
        let input: Handle<Vec<Vec<Vec<f64>>>> = flow.find("tables").unwrap();
        let sums = flow.on(&pool).set(input, given.clone()).get(wanted.clone()).unwrap();
        assert_eq!(sums, [[6.0, 0.0, 9.0]]);
    }
}

// G5
#[test]
fn the_error_of_an_inner_flow_is_told_by_the_outer_one() {
    let _dog = Watchdog::new("inner error");
    let flow = flows().build(&spec("rows", "all", Config::new().with("metrics", ["men"]))).unwrap();
    let pool = &pools()[0];
    let table: Handle<Vec<Vec<f64>>> = flow.find("table").unwrap();
    let all: Handle<Vec<Vec<f64>>> = flow.find("all").unwrap();
    let error = flow.on(pool).set(table, vec![vec![1.0]]).get(all).unwrap_err().to_string();
    assert!(
        error.starts_with("node measured failed on row[0]: flow \"metrics\": group \"metrics\": "),
        "{error}"
    );
    assert!(error.contains("did you mean \"mean\""), "{error}");
}

// G6
#[test]
fn nodes_are_collected_by_names_from_a_configuration() {
    let _dog = Watchdog::new("group");
    let config = Config::new().with("metrics", ["mean", "sum", "mean"]);
    let flow = flows().build(&spec("metrics", "metrics", config)).unwrap();
    let [values, wanted] =
        ["values", "metrics"].map(|name| flow.find::<Vec<f64>, Single>(name).unwrap());
    for pool in pools() {
        assert_eq!(
            flow.on(&pool).set(values, vec![1.0, 2.0, 6.0]).get(wanted).unwrap(),
            [3.0, 9.0, 3.0]
        );
    }
    // Per element, too.
    let mut flow = Flow::new();
    let list = flow.input::<Vec<i64>>("list");
    let x = flow.fan_out("x", list);
    flow.node("less", x, |x| x - 1);
    flow.node("more", x, |x| x + 1);
    let both = flow.group::<i64, Each>("both", ["more", "less"]);
    assert_eq!(flow.on(&pools()[1]).set(list, vec![1, 5]).get(both).unwrap(), [[2, 0], [6, 4]]);
}

// G6
#[test]
fn names_that_there_are_not_are_answered_by_those_that_are_close() {
    let cases = [
        (r#"{"flow": "metrcs"}"#, "there is no flow \"metrcs\": did you mean \"metrics\"?"),
        (r#"{"flow": "metrics", "outputs": ["maen"]}"#, "did you mean \"mean\""),
        (r#"{"flow": "metrics", "config": {"metrics": ["larget"]}}"#, "did you mean \"largest\""),
        (
            r#"{"flow": "metrics", "config": {"means": false, "metrics": ["mean"]}}"#,
            "there is no node \"mean\"",
        ),
        (r#"{"flow": "metrics", "config": {"means": 1}}"#, "the configuration has 1 as \"means\""),
    ];
    for (text, said) in cases {
        let spec: FlowSpec = serde_json::from_str(text).unwrap();
        let error = flows().build(&spec).unwrap_err();
        assert!(error.is_invalid_input() && error.to_string().contains(said), "{text}: {error}");
    }
    assert!(serde_json::from_str::<FlowSpec>(r#"{"flow": "a", "confg": {}}"#).is_err());
    let mut flow = Flow::new();
    flow.input_or("x", 1_i64);
    let error = flow.find::<f64, Single>("x").unwrap_err().to_string();
    assert_eq!(error, "the values of node \"x\" are i64 (one), not f64 (one)");
    let error = flow.find::<i64, Each<Each>>("x").unwrap_err().to_string();
    assert_eq!(
        error,
        "the values of node \"x\" are i64 (one), not i64 (one per element, 2 fan-outs deep)"
    );
}
