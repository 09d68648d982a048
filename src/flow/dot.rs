//! A flow as a picture, in the language of Graphviz.

use std::fmt::Write;

use super::{Flow, FlowReport, Kind, NodeState};

impl Flow {
    /// The graph for Graphviz (`dot -Tsvg`): an ellipse for each input, a box for each step, a box around all that is per element of an expand; what
    /// opens a fan-out widens, what collects or folds it narrows.
    #[must_use]
    pub fn dot(&self) -> String {
        self.draw(None)
    }

    /// As [`dot`](Flow::dot), after a run: with each node's state, the number of its values and the time that they took.
    #[must_use]
    pub fn dot_after(&self, report: &FlowReport) -> String {
        self.draw(Some(report))
    }

    fn draw(&self, report: Option<&FlowReport>) -> String {
        let mut text = String::from(
            "digraph flow {\n  rankdir=LR;\n  graph [fontname=\"sans-serif\"]; node [fontname=\"sans-serif\", style=filled];\n",
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

    /// What is per element of `expand`, and of no fan-out further inside, and then those.
    fn draw_inside(
        &self,
        expand: Option<usize>,
        depth: usize,
        report: Option<&FlowReport>,
        text: &mut String,
    ) {
        let indent = "  ".repeat(depth);
        for (at, node) in self.nodes.iter().enumerate() {
            let is_expand = matches!(node.kind, Kind::Expand(_));
            let path = if is_expand { &node.path[..node.path.len() - 1] } else { &node.path };
            if path.last().copied() != expand {
                continue;
            }
            let shape = match node.kind {
                Kind::Input(_) => "ellipse",
                Kind::Step(_) => "box",
                // Seen from the side, as the graph goes from left to right.
                Kind::Expand(_) => "trapezium, orientation=90",
                Kind::Collect(_) | Kind::Fold { .. } => "invtrapezium, orientation=90",
                Kind::Group(_) => "hexagon",
            };
            let (more, color) = told(report, at);
            let _ = writeln!(
                text,
                "{indent}n{at} [label=\"{}{more}\", shape={shape}, fillcolor=\"{color}\"];",
                quoted(&node.name)
            );
            if is_expand {
                let _ = writeln!(text, "{indent}subgraph cluster_{at} {{");
                let _ = writeln!(
                    text,
                    "{indent}  label=\"each {}\"; style=rounded;",
                    quoted(&node.name)
                );
                self.draw_inside(Some(at), depth + 1, report, text);
                let _ = writeln!(text, "{indent}}}");
            }
        }
    }
}

/// What a report has to say of a node, and in what color.
fn told(report: Option<&FlowReport>, at: usize) -> (String, &'static str) {
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
    let mut more = String::new();
    if node.done + node.failed + node.skipped > 0 {
        let _ =
            write!(more, "\\n{} {}", node.done, if node.done == 1 { "value" } else { "values" });
        for (count, what) in [(node.failed, "failed"), (node.skipped, "skipped")] {
            if count > 0 {
                let _ = write!(more, ", {count} {what}");
            }
        }
        if !node.time.is_zero() {
            let _ = write!(more, "\\n{:.1?}", node.time);
        }
    }
    (more, color)
}

fn quoted(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
