//! Errors about the names of arrays in a file.

use super::ArrayInfo;
use crate::{Error, dtype::Quoted, near};

/// Returns the error for a name that none of `arrays` has.
pub(super) fn unknown(name: &str, arrays: &[ArrayInfo]) -> Error {
    let names: Vec<_> = arrays.iter().map(ArrayInfo::name).collect();
    Error::invalid_input(no_such(name, &names))
}

/// Returns the error for a missing name if there are several `arrays`.
pub(super) fn missing(arrays: &[ArrayInfo]) -> Error {
    let names: Vec<_> = arrays.iter().map(ArrayInfo::name).collect();
    Error::invalid_input(format!(
        "the file contains {} arrays; give the name of one: {}",
        arrays.len(),
        near::list(&names)
    ))
}

fn no_such(name: &str, names: &[&str]) -> String {
    let hint = match names {
        [] => "; the file contains no arrays".to_owned(),
        [""] => "; the file contains one array, without a name".to_owned(),
        names => near::hint(name, names.iter().copied()),
    };
    format!("no array is named {}{hint}", Quoted(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_error_suggests_or_lists() {
        let message = no_such("wieght", &["bias", "weight"]);
        assert_eq!(message, "no array is named `wieght`; did you mean `weight`?");
        let message = no_such("x", &["bias", "weight"]);
        assert_eq!(message, "no array is named `x`; available: `bias`, `weight`");
        let names: Vec<String> = (0..100).map(|layer| format!("layers.{layer}.weight")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let message = no_such("layer.42.weight", &names);
        assert!(message.contains("did you mean `layers.42.weight` or "), "{message}");
        assert!(no_such("nothing", &names).ends_with(" and 95 others"));
        assert!(no_such("x", &[""]).contains("without a name"));
        assert!(no_such("x", &[]).contains("no arrays"));
    }
}
