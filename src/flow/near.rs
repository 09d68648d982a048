//! Names that somebody may have meant.

/// What to say of names close to `word`: `", did you mean "a"?"`, or what there is, or nothing.
pub(super) fn list<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> String {
    const MOST: usize = 3;

    let names: Vec<_> = names.collect();
    let mut close: Vec<_> = names
        .iter()
        .map(|name| (strsim::damerau_levenshtein(word, name), *name))
        .filter(|(distance, name)| {
            *distance <= (name.chars().count().max(word.chars().count()) / 3).max(1)
        })
        .collect();
    close.sort_unstable();
    let quoted = |names: &[&str]| {
        names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
    };
    if !close.is_empty() {
        let close: Vec<_> = close.into_iter().take(MOST).map(|(_, name)| name).collect();
        format!(": did you mean {}?", quoted(&close))
    } else if names.is_empty() {
        String::new()
    } else if names.len() <= 2 * MOST {
        format!(": there are {}", quoted(&names))
    } else {
        format!(": there are {} and {} others", quoted(&names[..MOST]), names.len() - MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_close_is_offered_and_else_what_there_is() {
        let names = ["mean", "median", "maximum"];
        let many: Vec<_> = (0..9).map(|number| format!("node{number}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let cases: [(&str, &[&str], &str); 5] = [
            ("maen", &names, r#": did you mean "mean"?"#),
            ("medain", &names, r#": did you mean "median", "mean"?"#),
            ("zzzzzzzz", &names, r#": there are "mean", "median", "maximum""#),
            ("zzzzzzzz", &many, r#": there are "node0", "node1", "node2" and 6 others"#),
            ("mean", &[], ""),
        ];
        for (word, names, said) in cases {
            assert_eq!(list(word, names.iter().copied()), said, "{word}");
        }
    }
}
