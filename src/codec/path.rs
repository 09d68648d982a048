//! The path of a part within a value, which names its segment:
//! `model.layers.0.weight`.

use super::de::key_text;
use crate::dtype::escape_name;

/// A step from a value to one of its parts.
#[derive(Clone, Copy)]
pub(super) enum PathStep {
    /// A field or an enum variant.
    Field(&'static str),
    /// An element of a sequence or tuple.
    Index(usize),
    /// The value of a map entry. Its key is encoded at this offset of the tree.
    Key(usize),
}

/// Joins the steps to a name.
pub(super) fn name(steps: &[PathStep], tree: &[u8]) -> String {
    let mut name = String::new();
    for (at, step) in steps.iter().enumerate() {
        if at > 0 {
            name.push('.');
        }
        match step {
            PathStep::Field(field) => name.push_str(field),
            PathStep::Index(index) => name.push_str(&index.to_string()),
            PathStep::Key(offset) => name.push_str(&escape_name(&key_text(&tree[*offset..]))),
        }
    }
    name
}
