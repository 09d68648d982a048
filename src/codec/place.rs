//! Where in a value the encoder stands, for the names of segments: `model.layers.0.weight`.

use crate::dtype;

/// One step from a value to a part of it.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// A field or an enum variant.
    Field(&'static str),
    /// An element of a sequence or tuple.
    Index(usize),
    /// The value of a map entry whose key was encoded at this position of the tree.
    Key(usize),
}

/// The steps as one name.
pub(super) fn name(steps: &[Step], tree: &[u8]) -> String {
    let mut name = String::new();
    for (at, step) in steps.iter().enumerate() {
        if at > 0 {
            name.push('.');
        }
        match step {
            Step::Field(field) => name.push_str(field),
            Step::Index(index) => name.push_str(&index.to_string()),
            Step::Key(position) => {
                name.push_str(&dtype::step(&super::de::key_text(&tree[*position..])))
            }
        }
    }
    name
}
