//! Elements as values, and as words of an array that NumPy prints.

use half::{bf16, f16};
use ndarray::IxDyn;
use ndferry::{
    AnyArray,
    dtype::{DTypeKind, Element, Scalar},
};
use num_complex::Complex;

use super::{
    float::{self, FloatFormat, FloatType},
    quote,
};
use crate::{failure::reason, text::OneLine, time::Time};

/// Elements of one dtype without fields.
pub enum Values {
    Bool(Vec<bool>),
    Integer(Vec<i128>),
    Float(Vec<f64>, FloatType),
    /// Real and imaginary parts.
    Complex(Vec<[f64; 2]>, FloatType),
    Bytes(Vec<Vec<u8>>),
    Text(Vec<String>),
    Time(Vec<Time>),
    /// Bytes of unknown meaning.
    Void(Vec<Vec<u8>>),
    /// This many records without fields.
    Empty(usize),
}

impl Values {
    /// The elements of arrays of one dtype, in C order, one array after another.
    /// `Err` has the reason why they cannot be read.
    pub fn read(arrays: &[AnyArray]) -> Result<Self, String> {
        let Some(first) = arrays.first() else { return Ok(Self::Empty(0)) };
        let dtype = first.dtype();
        if let Some(time) = Time::of(dtype) {
            let mut times = Vec::new();
            for array in arrays {
                let counts = array.timestamps_i64::<IxDyn>().map_err(|error| reason(&error))?;
                times.extend(counts.iter().map(|&count| time(count)));
            }
            return Ok(Self::Time(times));
        }
        let scalar = match dtype.kind() {
            DTypeKind::Scalar(scalar) => *scalar,
            DTypeKind::Bytes(_) => return Ok(Self::Bytes(byte_strings(arrays)?)),
            DTypeKind::Void(_) => return Ok(Self::Void(byte_strings(arrays)?)),
            DTypeKind::Text(_) => return Ok(Self::Text(strings(arrays)?)),
            DTypeKind::Struct(0) => {
                return Ok(Self::Empty(arrays.iter().map(AnyArray::len).sum()));
            }
            _ => return Err(format!("cannot print elements of dtype {dtype}")),
        };
        Ok(match scalar {
            Scalar::Bool => Self::Bool(convert(arrays, |value: bool| value)?),
            Scalar::I8 => Self::Integer(convert(arrays, i128::from as fn(i8) -> i128)?),
            Scalar::I16 => Self::Integer(convert(arrays, i128::from as fn(i16) -> i128)?),
            Scalar::I32 => Self::Integer(convert(arrays, i128::from as fn(i32) -> i128)?),
            Scalar::I64 => Self::Integer(convert(arrays, i128::from as fn(i64) -> i128)?),
            Scalar::U8 => Self::Integer(convert(arrays, i128::from as fn(u8) -> i128)?),
            Scalar::U16 => Self::Integer(convert(arrays, i128::from as fn(u16) -> i128)?),
            Scalar::U32 => Self::Integer(convert(arrays, i128::from as fn(u32) -> i128)?),
            Scalar::U64 => Self::Integer(convert(arrays, i128::from as fn(u64) -> i128)?),
            Scalar::F16 => Self::Float(convert(arrays, f16::to_f64)?, FloatType::F16),
            Scalar::BF16 => Self::Float(convert(arrays, bf16::to_f64)?, FloatType::BF16),
            Scalar::F32 => {
                Self::Float(convert(arrays, f64::from as fn(f32) -> f64)?, FloatType::F32)
            }
            Scalar::F64 => Self::Float(convert(arrays, |value: f64| value)?, FloatType::F64),
            Scalar::C64 => {
                let parts = |value: Complex<f32>| [value.re.into(), value.im.into()];
                Self::Complex(convert(arrays, parts)?, FloatType::F32)
            }
            Scalar::C128 => {
                let parts = |value: Complex<f64>| [value.re, value.im];
                Self::Complex(convert(arrays, parts)?, FloatType::F64)
            }
            _ => return Err(format!("cannot print elements of dtype {dtype}")),
        })
    }

    /// Whether the values are numbers, which are aligned to the right.
    pub fn is_number(&self) -> bool {
        !matches!(self, Self::Bytes(_) | Self::Text(_) | Self::Void(_) | Self::Empty(_))
    }

    /// The values in the common format in which NumPy prints them in an array.
    pub fn words(&self) -> Vec<String> {
        match self {
            Self::Bool(values) => {
                let word = |&value: &bool| if value { " True" } else { "False" }.to_owned();
                values.iter().map(word).collect()
            }
            Self::Integer(values) => aligned(values.iter().map(i128::to_string).collect()),
            Self::Float(values, float) => {
                let format = FloatFormat::of(values, *float, false);
                values.iter().map(|&value| format.text(value)).collect()
            }
            Self::Complex(values, float) => {
                let parts = |part: usize| values.iter().map(|value| value[part]).collect();
                let [real, imaginary]: [Vec<f64>; 2] = [parts(0), parts(1)];
                let real = FloatFormat::of(&real, *float, false);
                let imaginary = FloatFormat::of(&imaginary, *float, true);
                let word = |&[re, im]: &[f64; 2]| {
                    let im = imaginary.text(im);
                    let digits = im.trim_end();
                    format!("{}{digits}j{}", real.text(re), &im[digits.len()..])
                };
                values.iter().map(word).collect()
            }
            Self::Time(values) => {
                let quoted = |time: &Time| match time.is_nat() || time.is_datetime() {
                    true => format!("'{time}'"),
                    false => time.count().to_string(),
                };
                let times = values.iter().filter(|time| !time.is_nat());
                // NumPy makes room for the earliest and the latest time only.
                let earliest = times.clone().min_by_key(|time| time.count());
                let latest = times.max_by_key(|time| time.count());
                let nat = values.iter().find(|time| time.is_nat());
                let widths = earliest.into_iter().chain(latest).chain(nat);
                let width = widths.map(|time| quoted(time).len()).max().unwrap_or(0);
                values.iter().map(|time| format!("{:>width$}", quoted(time))).collect()
            }
            Self::Bytes(values) => values.iter().map(|value| quote::bytes(value)).collect(),
            Self::Text(values) => values.iter().map(|value| quote::text(value)).collect(),
            Self::Void(values) => values.iter().map(|value| quote::void(value)).collect(),
            Self::Empty(count) => vec!["()".to_owned(); *count],
        }
    }

    /// Each value alone, as NumPy prints an array without axes.
    pub fn scalars(&self) -> Vec<String> {
        match self {
            Self::Bool(values) => {
                let word = |&value: &bool| if value { "True" } else { "False" }.to_owned();
                values.iter().map(word).collect()
            }
            Self::Integer(values) => values.iter().map(i128::to_string).collect(),
            Self::Float(values, float) => {
                values.iter().map(|&value| float::scalar(value, *float)).collect()
            }
            Self::Complex(values, float) => {
                values.iter().map(|&value| float::complex_scalar(value, *float)).collect()
            }
            Self::Time(values) => values.iter().map(Time::to_string).collect(),
            Self::Text(values) => values.iter().map(|text| OneLine(text).to_string()).collect(),
            Self::Bytes(_) | Self::Void(_) | Self::Empty(_) => self.words(),
        }
    }
}

/// Pads words on the left to the same width.
fn aligned(words: Vec<String>) -> Vec<String> {
    let width = words.iter().map(String::len).max().unwrap_or(0);
    words.iter().map(|word| format!("{word:>width$}")).collect()
}

fn convert<A: Element + Copy, T>(
    arrays: &[AnyArray],
    convert: impl Fn(A) -> T,
) -> Result<Vec<T>, String> {
    let mut values = Vec::new();
    for array in arrays {
        let elements = array.to_array::<A, IxDyn>().map_err(|error| reason(&error))?;
        values.extend(elements.iter().map(|&element| convert(element)));
    }
    Ok(values)
}

fn byte_strings(arrays: &[AnyArray]) -> Result<Vec<Vec<u8>>, String> {
    let mut values = Vec::new();
    for array in arrays {
        values.extend(array.byte_strings().map_err(|error| reason(&error))?.map(<[u8]>::to_vec));
    }
    Ok(values)
}

fn strings(arrays: &[AnyArray]) -> Result<Vec<String>, String> {
    let mut values = Vec::new();
    for array in arrays {
        for text in array.strings().map_err(|error| reason(&error))? {
            values.push(text.map_err(|error| reason(&error))?);
        }
    }
    Ok(values)
}
