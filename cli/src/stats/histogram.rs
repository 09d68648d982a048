//! Histograms: counting elements in bins, and drawing the counts.

use serde::{Deserialize, Serialize};

use super::number::{MAX_RUN_LEN, Number, Visitor};
use crate::{
    text::{Align::Right, pad, width},
    value::Value,
};

/// Bins of a histogram.
const MAX_BINS: usize = 24;
/// Columns of a drawing.
const MAX_DRAWING_WIDTH: usize = 48;

/// Intervals of equal length between two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bins {
    low: Value,
    high: Value,
    number: usize,
}

impl Bins {
    /// Bins from `low` to `high`. A few integers get a bin each.
    pub fn between(low: Value, high: Value) -> Self {
        let number = match (low, high) {
            _ if low == high => 1,
            (Value::Integer(low), Value::Integer(high)) => {
                (high - low + 1).min(MAX_BINS as i128) as usize
            }
            _ => MAX_BINS,
        };
        Self { low, high, number }
    }

    /// Columns of one bin in a drawing.
    fn columns(&self) -> usize {
        MAX_DRAWING_WIDTH / self.number
    }
}

/// The number of elements in each bin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    bins: Bins,
    counts: Vec<u64>,
}

impl Histogram {
    /// A histogram without elements.
    pub fn new(bins: Bins) -> Self {
        Self { bins, counts: vec![0; bins.number] }
    }

    /// The counts of both, which must have the same bins.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.counts.iter_mut().zip(other.counts).for_each(|(this, that)| *this += that);
        self
    }

    /// Draws the histogram in `rows` lines of block characters.
    pub fn draw(&self, rows: usize) -> Vec<String> {
        let max = self.counts.iter().copied().max().unwrap_or(0).max(1);
        let columns = self.bins.columns();
        let line = |row: usize| {
            let below = row as u64 * 8;
            let bar = |&count: &u64| {
                // In eighths of a row. A count above 0 is always visible.
                let height = (count as f64 / max as f64 * (rows * 8) as f64).round() as u64;
                let height = height.max(u64::from(count > 0)).saturating_sub(below).min(8);
                BLOCKS[height as usize].to_string().repeat(columns)
            };
            self.counts.iter().map(bar).collect()
        };
        (0..rows).rev().map(line).collect()
    }

    /// The line below a drawing, with the ends of the range.
    pub fn axis(&self) -> String {
        let (low, high) = (self.bins.low.to_string(), self.bins.high.to_string());
        let columns = self.bins.number * self.bins.columns();
        let high = pad(&high, Right, columns.saturating_sub(width(&low) + 1));
        format!("{low} {high}")
    }
}

/// Blocks that fill a character cell from 0 to 8 eighths.
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Tables that take turns, so that an increment need not wait for the last one.
const TURNS: usize = 4;

impl Visitor for Histogram {
    fn visit<A: Number>(&mut self, run: &[A]) {
        let mut buffer = [0.0; MAX_RUN_LEN];
        let values = &mut buffer[..run.len()];
        A::widen(run, values);

        // Halved, because the length of the range can overflow.
        let (low, high) = (self.bins.low.to_f64() / 2.0, self.bins.high.to_f64() / 2.0);
        let scale = self.bins.number as f64 / (high - low);
        let last = self.bins.number as u32 - 1;
        let mut places = [0; MAX_RUN_LEN];
        for (place, &mut value) in places.iter_mut().zip(values) {
            // NaN, as in a range of length 0, becomes 0.
            let bin = ((value / 2.0 - low) * scale) as u32;
            // Elements that are not finite go to an extra bin.
            *place = if value.is_finite() { bin.min(last) } else { MAX_BINS as u32 };
        }

        let mut tables = [[0; MAX_BINS + 1]; TURNS];
        for places in places[..run.len()].chunks(TURNS) {
            for (table, &place) in tables.iter_mut().zip(places) {
                table[place as usize] += 1;
            }
        }
        for (at, count) in self.counts.iter_mut().enumerate() {
            *count += tables.iter().map(|table| table[at]).sum::<u64>();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts<A: Number>(low: Value, high: Value, elements: &[A]) -> Vec<u64> {
        let mut histogram = Histogram::new(Bins::between(low, high));
        histogram.visit(elements);
        histogram.counts
    }

    #[test]
    fn stats_histogram_counts_every_finite_element() {
        use Value::{Float, Integer};
        assert_eq!(counts(Integer(0), Integer(1), &[true, false, true]), [1, 2]);
        assert_eq!(counts(Integer(-1), Integer(2), &[-1i8, 0, 0, 1, 2, 2, 2]), [1, 2, 1, 3]);
        assert_eq!(counts(Integer(5), Integer(5), &[5u64; 3]), [3]);
        let ends = [f64::MIN, f64::MAX, 0.0, f64::NAN, f64::INFINITY];
        let counted = counts(Float(f64::MIN), Float(f64::MAX), &ends);
        assert_eq!((counted[0], counted[MAX_BINS / 2], counted[MAX_BINS - 1]), (1, 1, 1));
        assert_eq!(counts(Float(0.0), Float(5e-324), &[0.0, 5e-324]).iter().sum::<u64>(), 2);
    }

    #[test]
    fn stats_histogram_drawing_shows_every_bin() {
        let bins = Bins::between(Value::Integer(0), Value::Integer(3));
        let histogram = Histogram { bins, counts: vec![0, 1, 500, 1000] };
        let bar = |one: &str| one.repeat(12);
        assert_eq!(histogram.draw(1), [[bar(" "), bar("▁"), bar("▄"), bar("█")].concat()]);
        assert_eq!(
            histogram.draw(2),
            [
                [bar(" "), bar(" "), bar(" "), bar("█")].concat(),
                [bar(" "), bar("▁"), bar("█"), bar("█")].concat()
            ]
        );
    }
}
