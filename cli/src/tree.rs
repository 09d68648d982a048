//! A tree of dotted names, with one level for each step of a name.

use std::collections::HashMap;

/// Levels of a tree. Further steps of a name stay together, so that the size of
/// a tree is proportional to the size of its names.
const MAX_DEPTH: usize = 16;

/// A node of a tree. `steps` is one step, or several joined by dots if no other
/// name shares the first of them.
pub enum Node<'a, T> {
    /// The item of a name.
    Leaf { steps: &'a str, item: T },
    /// Names that share their first steps.
    Branch { steps: &'a str, nodes: Vec<Node<'a, T>> },
}

/// Builds the tree of these names, in their order. If names are `escaped`, a dot
/// after a backslash belongs to a step.
pub fn tree<'a, T>(
    items: impl IntoIterator<Item = (&'a str, T)>,
    escaped: bool,
) -> Vec<Node<'a, T>> {
    let mut root = Builder::default();
    for (name, item) in items {
        let (mut at, mut start) = (&mut root, 0);
        for _ in 1..MAX_DEPTH {
            let Some(length) = first_dot(&name[start..], escaped) else { break };
            at = at.branch(Steps { name, start, end: start + length });
            start += length + 1;
        }
        at.parts.push(Part::Leaf(Steps { name, start, end: name.len() }, item));
    }
    root.build()
}

/// The position of the first dot that ends a step.
fn first_dot(name: &str, escaped: bool) -> Option<usize> {
    let mut is_escaped = false;
    name.bytes().position(|byte| {
        let ends = byte == b'.' && !is_escaped;
        is_escaped = escaped && byte == b'\\' && !is_escaped;
        ends
    })
}

/// Some steps of a name.
#[derive(Clone, Copy)]
struct Steps<'a> {
    name: &'a str,
    start: usize,
    end: usize,
}

impl<'a> Steps<'a> {
    fn text(self) -> &'a str {
        &self.name[self.start..self.end]
    }
}

/// A branch that is being built.
struct Builder<'a, T> {
    parts: Vec<Part<'a, T>>,
    /// For each step, the index of its branch in `parts`.
    branches: HashMap<&'a str, usize>,
}

enum Part<'a, T> {
    Leaf(Steps<'a>, T),
    Branch(Steps<'a>, Builder<'a, T>),
}

impl<T> Default for Builder<'_, T> {
    fn default() -> Self {
        Self { parts: Vec::new(), branches: HashMap::new() }
    }
}

impl<'a, T> Builder<'a, T> {
    fn branch(&mut self, step: Steps<'a>) -> &mut Self {
        let parts = &mut self.parts;
        let at = *self.branches.entry(step.text()).or_insert_with(|| {
            parts.push(Part::Branch(step, Self::default()));
            parts.len() - 1
        });
        match &mut parts[at] {
            Part::Branch(_, branch) => branch,
            Part::Leaf(..) => unreachable!("`branches` has the indices of branches only"),
        }
    }

    fn build(self) -> Vec<Node<'a, T>> {
        self.parts.into_iter().map(|part| part.build(None)).collect()
    }
}

impl<'a, T> Part<'a, T> {
    /// Builds the node. If it is joined to the branch above, its steps begin at
    /// `start`.
    fn build(self, start: Option<usize>) -> Node<'a, T> {
        let from = |steps: Steps<'a>| Steps { start: start.unwrap_or(steps.start), ..steps };
        match self {
            Self::Leaf(steps, item) => Node::Leaf { steps: from(steps).text(), item },
            Self::Branch(steps, mut branch) if branch.parts.len() == 1 => {
                let only = branch.parts.pop().expect("the length is 1");
                // Both have the same name, so the steps can be joined.
                only.build(Some(from(steps).start))
            }
            Self::Branch(steps, branch) => {
                Node::Branch { steps: from(steps).text(), nodes: branch.build() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(nodes: &[Node<'_, usize>]) -> String {
        let node = |node: &Node<'_, usize>| match node {
            Node::Leaf { steps, item } => format!("{steps}={item}"),
            Node::Branch { steps, nodes } => format!("{steps}({})", text(nodes)),
        };
        nodes.iter().map(node).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn tree_branches_where_names_differ_and_joins_single_steps() {
        for (names, escaped, expected) in [
            (&["a"][..], true, "a=0"),
            (&[""], true, "=0"),
            (&["a.b.c"], true, "a.b.c=0"),
            (&["m.0.w", "m.0.b", "m.1.w", "head"], true, "m(0(w=0 b=1) 1.w=2) head=3"),
            (&["m.x.0.w", "m.x.0.b"], true, "m.x.0(w=0 b=1)"),
            (&["a.b", "c", "a.d"], true, "a(b=0 d=2) c=1"),
            (&["a", "a.b", "a"], true, "a=0 a.b=1 a=2"),
            (&[".", "..", ""], true, "(=0 .=1) =2"),
            (&["a\\.b.c", "a\\.b.d", "a\\\\.b"], true, "a\\.b(c=0 d=1) a\\\\.b=2"),
            (&["a\\.b", "a\\.c"], false, "a\\(b=0 c=1)"),
        ] {
            let items = names.iter().enumerate().map(|(at, name)| (*name, at));
            assert_eq!(text(&tree(items, escaped)), expected, "{names:?}");
        }
    }

    #[test]
    fn tree_of_names_with_many_steps_is_not_deep() {
        let names: Vec<_> = (1..300).map(|depth| format!("{}x", "a.".repeat(depth))).collect();
        let nodes = tree(names.iter().map(|name| (name.as_str(), 0)), true);
        fn depth(nodes: &[Node<'_, usize>]) -> usize {
            let below = nodes.iter().map(|node| match node {
                Node::Leaf { .. } => 0,
                Node::Branch { nodes, .. } => depth(nodes),
            });
            1 + below.max().unwrap_or(0)
        }
        assert_eq!(depth(&nodes), MAX_DEPTH);
        assert!(text(&nodes).len() < 2 * names.concat().len());
    }
}
