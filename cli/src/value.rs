//! Numbers that keep the precision of the elements they come from.

use std::{cmp::Ordering, fmt};

use serde::{Deserialize, Serialize, Serializer};

/// A number with the precision of its dtype.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    Integer(i128),
    /// May be infinite or NaN.
    Float(f64),
}

impl Value {
    pub fn to_f64(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }

    /// Rounds a float to seven digits, for a narrow table.
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
            // The shortest digits that identify the float, with an exponent if
            // it is very large or very small.
            Self::Float(float) => write!(f, "{float:?}"),
        }
    }
}

/// A number in JSON, or `null` if there is none.
#[derive(Clone, Copy)]
pub struct Figure(pub Option<Value>);

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            None => serializer.serialize_none(),
            Some(Value::Integer(integer)) => serializer.serialize_i128(integer),
            Some(Value::Float(float)) if float.is_finite() => serializer.serialize_f64(float),
            // JSON has no numbers that are not finite.
            Some(Value::Float(float)) if float.is_nan() => serializer.serialize_str("nan"),
            Some(Value::Float(float)) => {
                serializer.serialize_str(if float > 0.0 { "inf" } else { "-inf" })
            }
        }
    }
}
