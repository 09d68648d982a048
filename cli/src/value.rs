//! Numbers as exact as the elements they were made from.

use std::{cmp::Ordering, fmt};

use serde::{Deserialize, Serialize, Serializer};

/// A number as exact as its dtype.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    Integer(i128),
    /// Infinite or NaN too.
    Float(f64),
}

impl Value {
    pub fn to_f64(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }

    /// A float to seven digits, which is what a crowded table has room for.
    pub fn shortened(self) -> Self {
        match self {
            Self::Integer(_) => self,
            Self::Float(float) => Self::Float(format!("{float:.6e}").parse().unwrap_or(float)),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(this), Self::Integer(that)) => this.partial_cmp(that),
            _ => self.to_f64().partial_cmp(&other.to_f64()),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(integer) => write!(f, "{integer}"),
            Self::Float(float) if float.is_nan() => f.write_str("nan"),
            // As many digits as tell it from its neighbours; an exponent where it is very large or small.
            Self::Float(float) => write!(f, "{float:?}"),
        }
    }
}

/// A number, or none where nothing is left to count.
#[derive(Clone, Copy)]
pub struct Figure(pub Option<Value>);

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            None => serializer.serialize_none(),
            Some(Value::Integer(integer)) => serializer.serialize_i128(integer),
            Some(Value::Float(float)) if float.is_finite() => serializer.serialize_f64(float),
            // JSON has no such numbers.
            Some(Value::Float(float)) if float.is_nan() => serializer.serialize_str("nan"),
            Some(Value::Float(float)) => {
                serializer.serialize_str(if float > 0.0 { "inf" } else { "-inf" })
            }
        }
    }
}
