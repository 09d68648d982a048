//! Names joined by dots, as a tree of their steps.

use std::collections::HashMap;

/// How many steps of a name are told apart; what follows stays in one piece. So a tree is never deep, and takes hardly more room than
/// its names.
const DEEPEST: usize = 16;

/// A part of a tree. Its steps are one, or several joined by dots where nothing else begins with the first of them.
pub enum Node<'a, T> {
    /// What a name belongs to.
    Leaf { steps: &'a str, item: T },
    /// Names that begin alike.
    Branch { steps: &'a str, nodes: Vec<Node<'a, T>> },
}

/// The tree of these names, in their order. Where names are `escaped`, a dot behind a backslash ends no step.
pub fn tree<'a, T>(
    items: impl IntoIterator<Item = (&'a str, T)>,
    escaped: bool,
) -> Vec<Node<'a, T>> {
    let mut root = Growing::default();
    for (name, item) in items {
        let (mut at, mut start) = (&mut root, 0);
        for _ in 1..DEEPEST {
            let Some(length) = first_dot(&name[start..], escaped) else { break };
            at = at.branch(Steps { name, start, end: start + length });
            start += length + 1;
        }
        at.parts.push(Part::Leaf(Steps { name, start, end: name.len() }, item));
    }
    root.grown()
}

/// Where the first step of a name ends, if it is not all of it.
fn first_dot(name: &str, escaped: bool) -> Option<usize> {
    let mut kept = false;
    name.bytes().position(|byte| {
        let ends = byte == b'.' && !kept;
        kept = escaped && byte == b'\\' && !kept;
        ends
    })
}

/// Steps of a name.
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

/// A branch to which more may come.
struct Growing<'a, T> {
    parts: Vec<Part<'a, T>>,
    /// Where among the parts the branch of a step is.
    branches: HashMap<&'a str, usize>,
}

enum Part<'a, T> {
    Leaf(Steps<'a>, T),
    Branch(Steps<'a>, Growing<'a, T>),
}

impl<T> Default for Growing<'_, T> {
    fn default() -> Self {
        Self { parts: Vec::new(), branches: HashMap::new() }
    }
}

impl<'a, T> Growing<'a, T> {
    fn branch(&mut self, step: Steps<'a>) -> &mut Self {
        let parts = &mut self.parts;
        let at = *self.branches.entry(step.text()).or_insert_with(|| {
            parts.push(Part::Branch(step, Self::default()));
            parts.len() - 1
        });
        match &mut parts[at] {
            Part::Branch(_, branch) => branch,
            Part::Leaf(..) => unreachable!("only branches are kept in mind"),
        }
    }

    fn grown(self) -> Vec<Node<'a, T>> {
        self.parts.into_iter().map(|part| part.grown(None)).collect()
    }
}

impl<'a, T> Part<'a, T> {
    /// The node, its steps counted from `start` on where an only part is joined to what is above it.
    fn grown(self, start: Option<usize>) -> Node<'a, T> {
        let from = |steps: Steps<'a>| Steps { start: start.unwrap_or(steps.start), ..steps };
        match self {
            Self::Leaf(steps, item) => Node::Leaf { steps: from(steps).text(), item },
            // An only part came with the name that its branch came with.
            Self::Branch(steps, mut branch) if branch.parts.len() == 1 => {
                let only = branch.parts.pop().expect("there is one");
                only.grown(Some(from(steps).start))
            }
            Self::Branch(steps, branch) => {
                Node::Branch { steps: from(steps).text(), nodes: branch.grown() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(nodes: &[Node<'_, usize>]) -> String {
        let node = |node: &Node<'_, usize>| match node {
            Node::Leaf { steps, item } => format!("{steps}={item}"),
            Node::Branch { steps, nodes } => format!("{steps}({})", drawn(nodes)),
        };
        nodes.iter().map(node).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn names_that_begin_alike_are_a_branch_and_an_only_one_is_joined() {
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
            assert_eq!(drawn(&tree(items, escaped)), expected, "{names:?}");
        }
    }

    #[test]
    fn names_of_any_number_of_steps_make_no_deep_tree() {
        let names: Vec<_> = (1..300).map(|depth| format!("{}x", "a.".repeat(depth))).collect();
        let nodes = tree(names.iter().map(|name| (name.as_str(), 0)), true);
        fn depth(nodes: &[Node<'_, usize>]) -> usize {
            let below = nodes.iter().map(|node| match node {
                Node::Leaf { .. } => 0,
                Node::Branch { nodes, .. } => depth(nodes),
            });
            1 + below.max().unwrap_or(0)
        }
        assert_eq!(depth(&nodes), DEEPEST);
        assert!(drawn(&nodes).len() < 2 * names.concat().len());
    }
}
