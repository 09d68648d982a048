//! How elements are spread between the smallest and the largest: counting, and drawing.

use serde::{Deserialize, Serialize};

use super::{
    block::Visitor,
    kernel::{Number, STRETCH},
};
use crate::value::Value;

/// Bins, at most.
const MOST: usize = 24;
/// Columns of the terminal that a drawing may be wide.
const WIDTH: usize = 48;

/// Intervals of equal length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bins {
    low: Value,
    high: Value,
    number: usize,
}

impl Bins {
    /// Bins from `low` to `high`: for a few integers one each.
    pub fn between(low: Value, high: Value) -> Self {
        let number = match (low, high) {
            _ if low == high => 1,
            (Value::Integer(low), Value::Integer(high)) => {
                (high - low + 1).min(MOST as i128) as usize
            }
            _ => MOST,
        };
        Self { low, high, number }
    }

    /// Columns of the terminal that each is drawn on.
    fn columns(&self) -> usize {
        WIDTH / self.number
    }
}

/// How many elements there are in each bin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    bins: Bins,
    counts: Vec<u64>,
}

impl Histogram {
    /// Nothing counted yet.
    pub fn new(bins: Bins) -> Self {
        Self { bins, counts: vec![0; bins.number] }
    }

    /// The counts of both, which have the same bins.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.counts.iter_mut().zip(other.counts).for_each(|(this, that)| *this += that);
        self
    }

    /// The histogram in `rows` lines of block characters.
    pub fn drawn(&self, rows: usize) -> Vec<String> {
        let most = self.counts.iter().copied().max().unwrap_or(0).max(1);
        let columns = self.bins.columns();
        let line = |row: usize| {
            let below = row as u64 * 8;
            let bar = |&count: &u64| {
                // In eighths of a row, and none that is not zero unseen.
                let height = (count as f64 / most as f64 * (rows * 8) as f64).round() as u64;
                let height = height.max(u64::from(count > 0)).saturating_sub(below).min(8);
                BLOCKS[height as usize].to_string().repeat(columns)
            };
            self.counts.iter().map(bar).collect()
        };
        (0..rows).rev().map(line).collect()
    }

    /// The line beneath a drawing: where it begins and where it ends.
    pub fn axis(&self) -> String {
        let (low, high) = (self.bins.low.to_string(), self.bins.high.to_string());
        let width = self.bins.number * self.bins.columns();
        let room = width.saturating_sub(low.len() + 1);
        format!("{low} {high:>room$}")
    }
}

/// Eighths of a character cell, from none to all.
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Tables that are counted in by turns, so that one count does not wait for the last.
const TURNS: usize = 4;

impl Visitor for Histogram {
    fn visit<A: Number>(&mut self, stretch: &[A]) {
        let mut buffer = [0.0; STRETCH];
        let values = &mut buffer[..stretch.len()];
        A::widen(stretch, values);

        // Halves, for the distance between the two ends of the range may be beyond it.
        let (low, high) = (self.bins.low.to_f64() / 2.0, self.bins.high.to_f64() / 2.0);
        let scale = self.bins.number as f64 / (high - low);
        let last = self.bins.number as u32 - 1;
        let mut places = [0; STRETCH];
        for (place, &mut value) in places.iter_mut().zip(values) {
            // What is NaN, as in a range of no length, becomes 0.
            let bin = ((value / 2.0 - low) * scale) as u32;
            // What is not finite goes into a bin too many.
            *place = if value.is_finite() { bin.min(last) } else { MOST as u32 };
        }

        let mut tables = [[0; MOST + 1]; TURNS];
        for places in places[..stretch.len()].chunks(TURNS) {
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
    fn every_finite_element_falls_into_a_bin() {
        use Value::{Float, Integer};
        assert_eq!(counts(Integer(0), Integer(1), &[true, false, true]), [1, 2]);
        assert_eq!(counts(Integer(-1), Integer(2), &[-1i8, 0, 0, 1, 2, 2, 2]), [1, 2, 1, 3]);
        assert_eq!(counts(Integer(5), Integer(5), &[5u64; 3]), [3]);
        let ends = [f64::MIN, f64::MAX, 0.0, f64::NAN, f64::INFINITY];
        let counted = counts(Float(f64::MIN), Float(f64::MAX), &ends);
        assert_eq!((counted[0], counted[MOST / 2], counted[MOST - 1]), (1, 1, 1));
        assert_eq!(counts(Float(0.0), Float(5e-324), &[0.0, 5e-324]).iter().sum::<u64>(), 2);
    }

    #[test]
    fn a_drawing_is_as_high_as_the_fullest_bin_and_hides_none() {
        let bins = Bins::between(Value::Integer(0), Value::Integer(3));
        let histogram = Histogram { bins, counts: vec![0, 1, 500, 1000] };
        let bar = |one: &str| one.repeat(12);
        assert_eq!(histogram.drawn(1), [[bar(" "), bar("▁"), bar("▄"), bar("█")].concat()]);
        assert_eq!(
            histogram.drawn(2),
            [
                [bar(" "), bar(" "), bar(" "), bar("█")].concat(),
                [bar(" "), bar("▁"), bar("█"), bar("█")].concat()
            ]
        );
    }
}
