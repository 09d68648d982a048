//! What is known of some elements: counts, extremes and moments, in a form that merges with what is known of others.

use serde::{Deserialize, Serialize};

use super::moments::Moments;
use crate::value::Value;

/// What is known of some elements of one array.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub nan: u64,
    pub negative_infinite: u64,
    pub positive_infinite: u64,
    pub finite: Option<Finite>,
}

/// What is known of the finite ones, where there are any.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finite {
    pub min: Value,
    pub max: Value,
    pub moments: Moments,
}

impl Finite {
    fn merge(self, other: Self) -> Self {
        Self {
            min: if other.min < self.min { other.min } else { self.min },
            max: if other.max > self.max { other.max } else { self.max },
            moments: self.moments.merge(other.moments),
        }
    }
}

impl From<Finite> for Summary {
    fn from(finite: Finite) -> Self {
        Self { finite: Some(finite), ..Self::default() }
    }
}

impl Summary {
    /// What is known of the elements of both.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self {
            nan: self.nan + other.nan,
            negative_infinite: self.negative_infinite + other.negative_infinite,
            positive_infinite: self.positive_infinite + other.positive_infinite,
            finite: match (self.finite, other.finite) {
                (Some(this), Some(that)) => Some(this.merge(that)),
                (this, that) => this.or(that),
            },
        }
    }

    /// All elements, NaN included.
    pub fn count(&self) -> u64 {
        let finite = self.finite.map_or(0, |finite| finite.moments.count());
        self.nan + self.negative_infinite + self.positive_infinite + finite
    }

    /// The smallest element that is not NaN.
    pub fn min(&self) -> Option<Value> {
        if self.negative_infinite > 0 {
            return Some(Value::Float(f64::NEG_INFINITY));
        }
        let infinite = (self.positive_infinite > 0).then_some(Value::Float(f64::INFINITY));
        self.finite.map(|finite| finite.min).or(infinite)
    }

    /// The largest element that is not NaN.
    pub fn max(&self) -> Option<Value> {
        if self.positive_infinite > 0 {
            return Some(Value::Float(f64::INFINITY));
        }
        let infinite = (self.negative_infinite > 0).then_some(Value::Float(f64::NEG_INFINITY));
        self.finite.map(|finite| finite.max).or(infinite)
    }

    /// The mean of what is not NaN: infinite with infinities of one sign, NaN with both.
    pub fn mean(&self) -> Option<f64> {
        match (self.negative_infinite > 0, self.positive_infinite > 0) {
            (true, true) => Some(f64::NAN),
            (true, false) => Some(f64::NEG_INFINITY),
            (false, true) => Some(f64::INFINITY),
            (false, false) => self.finite.map(|finite| finite.moments.mean()),
        }
    }

    /// The population's standard deviation of what is not NaN: NaN with any infinity.
    pub fn deviation(&self) -> Option<f64> {
        if self.negative_infinite > 0 || self.positive_infinite > 0 {
            return Some(f64::NAN);
        }
        self.finite.map(|finite| match finite.moments.deviation() {
            // Rounding would leave a trace.
            _ if finite.min == finite.max => 0.0,
            deviation => deviation,
        })
    }
}
