//! Words in nested brackets, in the layout of NumPy.

use super::edges;

/// Characters of a line, NumPy's `linewidth`.
const LINE_WIDTH: usize = 75;

/// The words of an array of this shape, which has elements, in nested brackets. If the array is
/// summarised, the words are those of its [edges](edges::blocks).
pub fn nest(shape: &[usize], words: Vec<String>, is_summarised: bool) -> String {
    let mut nest = Nest { words: words.into_iter(), is_summarised };
    nest.list(shape, 1, LINE_WIDTH)
}

struct Nest {
    words: std::vec::IntoIter<String>,
    is_summarised: bool,
}

impl Nest {
    /// The list of this shape, whose lines are indented from the second on.
    fn list(&mut self, shape: &[usize], indent: usize, width: usize) -> String {
        let Some((&length, inner)) = shape.split_first() else {
            return self.words.next().expect("an array has a word for each element");
        };
        let has_gap = self.is_summarised && edges::is_long(length);
        let items = if has_gap { 2 * edges::EDGE + 1 } else { length };
        let item = |nest: &mut Self, at: usize| match at {
            edges::EDGE if has_gap => "...".to_owned(),
            _ => nest.list(inner, indent + 1, width.saturating_sub(1)),
        };
        let blank = " ".repeat(indent);
        let mut text = String::new();
        if inner.is_empty() {
            let mut line = blank.clone();
            // The rest of the line is for the closing bracket.
            let (mut used, room) = (indent, width.saturating_sub(1));
            for at in 0..items {
                let word = item(self, at);
                let word_width = word.chars().count();
                if used + word_width > room && used > indent {
                    text += line.trim_end();
                    text += "\n";
                    (line, used) = (blank.clone(), indent);
                }
                line += &word;
                used += word_width;
                if at + 1 < items {
                    line += " ";
                    used += 1;
                }
            }
            text += &line;
        } else {
            for at in 0..items {
                text += &blank;
                text += &item(self, at);
                if at + 1 < items {
                    text += &"\n".repeat(inner.len());
                }
            }
        }
        format!("[{}]", &text[indent..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The expected texts were printed by NumPy 2.4.
    #[test]
    fn show_brackets_equal_numpy() {
        let words = |count: usize| (0..count).map(|at| at.to_string()).collect();
        for (shape, is_summarised, expected) in [
            (&[][..], false, "0"),
            (&[3], false, "[0 1 2]"),
            (&[2, 2], false, "[[0 1]\n [2 3]]"),
            (&[2, 1, 2], false, "[[[0 1]]\n\n [[2 3]]]"),
            (&[2000], true, "[0 1 2 ... 3 4 5]"),
            (
                &[500, 3],
                true,
                "[[0 1 2]\n [3 4 5]\n [6 7 8]\n ...\n [9 10 11]\n [12 13 14]\n [15 16 17]]",
            ),
        ] {
            assert_eq!(nest(shape, words(18), is_summarised), expected, "{shape:?}");
        }
        let wide: Vec<_> = (0..4).map(|at| at.to_string().repeat(25)).collect();
        let [a, b, c, d] = [&wide[0], &wide[1], &wide[2], &wide[3]];
        assert_eq!(nest(&[4], wide.clone(), false), format!("[{a} {b}\n {c} {d}]"));
        let long = vec!["x".repeat(90); 2];
        assert_eq!(nest(&[2], long.clone(), false), format!("[{}\n {}]", long[0], long[1]));
    }
}
