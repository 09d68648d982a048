//! Drawing a flow in the language of Graphviz.

use std::fmt::Write;

use super::{
    graph::Flow,
    node::NodeKind,
    report::{FlowReport, NodeState},
};

impl Flow {
    /// Draws the graph in the DOT language of Graphviz.
    ///
    /// Render it with `dot -Tsvg`. Inputs are ellipses, steps are boxes, and each fan-out has a
    /// frame around its steps.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut flow = ndferry::flow::Flow::new();
    /// let x = flow.input::<f64>("x");
    /// flow.node("double", x, |x| 2.0 * x);
    /// assert!(flow.dot().contains("n0 -> n1;"));
    /// ```
    #[must_use]
    pub fn dot(&self) -> String {
        self.draw(None)
    }

    /// Draws the graph after a run.
    ///
    /// Like [`dot`](Flow::dot), but each node shows its state as a color, the number of its values
    /// and the time of its function.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndferry::{Pool, flow::Flow, pool::Backend};
    /// # let pool = Pool::builder().workers(1).backend(Backend::Serial).build()?;
    /// let mut flow = Flow::new();
    /// let x = flow.input_or("x", 1.5);
    /// let double = flow.node("double", x, |x| 2.0 * x);
    /// let outcome = flow.on(&pool).run(double)?;
    /// assert!(flow.dot_after(&outcome.report).contains("double\\n1 value"));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn dot_after(&self, report: &FlowReport) -> String {
        self.draw(Some(report))
    }

    fn draw(&self, report: Option<&FlowReport>) -> String {
        let mut text = String::from(
            "digraph flow {\n  rankdir=LR;\n  graph [fontname=\"sans-serif\"]; \
             node [fontname=\"sans-serif\", style=filled];\n",
        );
        self.draw_inside(None, 1, report, &mut text);
        for (at, node) in self.nodes.iter().enumerate() {
            for input in &node.inputs {
                let _ = writeln!(text, "  n{input} -> n{at};");
            }
        }
        text.push_str("}\n");
        text
    }

    /// Draws the nodes whose innermost fan-out is `fan_out`, and the fan-outs inside of it.
    fn draw_inside(
        &self,
        fan_out: Option<usize>,
        depth: usize,
        report: Option<&FlowReport>,
        text: &mut String,
    ) {
        let indent = "  ".repeat(depth);
        for (at, node) in self.nodes.iter().enumerate() {
            let opens_fan_out = matches!(node.kind, NodeKind::FanOut(_));
            let path = if opens_fan_out { &node.path[..node.path.len() - 1] } else { &node.path };
            if path.last().copied() != fan_out {
                continue;
            }
            let shape = match node.kind {
                NodeKind::Input(_) => "ellipse",
                NodeKind::Step(_) => "box",
                // The graph goes from left to right, so a trapezium is turned to widen that way.
                NodeKind::FanOut(_) => "trapezium, orientation=90",
                NodeKind::Collect(_) | NodeKind::Fold { .. } => "invtrapezium, orientation=90",
                NodeKind::Group(_) => "hexagon",
            };
            let (result, color) = result_and_color(report, at);
            let _ = writeln!(
                text,
                "{indent}n{at} [label=\"{}{result}\", shape={shape}, fillcolor=\"{color}\"];",
                escaped(&node.name)
            );
            if opens_fan_out {
                let _ = writeln!(text, "{indent}subgraph cluster_{at} {{");
                let label = escaped(&node.name);
                let _ = writeln!(text, "{indent}  label=\"each {label}\"; style=rounded;");
                self.draw_inside(Some(at), depth + 1, report, text);
                let _ = writeln!(text, "{indent}}}");
            }
        }
    }
}

/// The lines below a node's name, and its color.
fn result_and_color(report: Option<&FlowReport>, at: usize) -> (String, &'static str) {
    let Some(node) = report.and_then(|report| report.nodes.get(at)) else {
        return (String::new(), "white");
    };
    let color = match node.state {
        NodeState::NotNeeded => "gray90",
        NodeState::Given => "lightblue",
        NodeState::Unfinished => "khaki",
        NodeState::Done => "palegreen",
        NodeState::Failed => "salmon",
    };
    let mut result = String::new();
    if node.done + node.failed + node.skipped > 0 {
        let unit = if node.done == 1 { "value" } else { "values" };
        let _ = write!(result, "\\n{} {unit}", node.done);
        for (count, what) in [(node.failed, "failed"), (node.skipped, "skipped")] {
            if count > 0 {
                let _ = write!(result, ", {count} {what}");
            }
        }
        if !node.time.is_zero() {
            let _ = write!(result, "\\n{:.1?}", node.time);
        }
    }
    (result, color)
}

fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
