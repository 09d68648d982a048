//! The numbers that are elements, by name.

use super::dispatch;

/// A number or `bool` with a Rust type of its own, apart from its byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scalar {
    /// `bool`: one byte, 0 or 1.
    Bool,
    /// `i8`
    I8,
    /// `i16`
    I16,
    /// `i32`
    I32,
    /// `i64`
    I64,
    /// `u8`
    U8,
    /// `u16`
    U16,
    /// `u32`
    U32,
    /// `u64`
    U64,
    /// [`half::f16`]
    F16,
    /// [`half::bf16`], which NumPy has no type for
    BF16,
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// [`num_complex::Complex<f32>`]
    C64,
    /// [`num_complex::Complex<f64>`]
    C128,
}

impl Scalar {
    /// Every scalar there is, in the order of the type codes' usual listing.
    pub const ALL: [Self; 15] = [
        Self::Bool,
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::U8,
        Self::U16,
        Self::U32,
        Self::U64,
        Self::F16,
        Self::BF16,
        Self::F32,
        Self::F64,
        Self::C64,
        Self::C128,
    ];

    /// NumPy's code without the byte order: kind and size in bytes (`f8`). That of `bf16`, `bf2`, NumPy does not know.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Bool => "b1",
            Self::I8 => "i1",
            Self::I16 => "i2",
            Self::I32 => "i4",
            Self::I64 => "i8",
            Self::U8 => "u1",
            Self::U16 => "u2",
            Self::U32 => "u4",
            Self::U64 => "u8",
            Self::F16 => "f2",
            Self::BF16 => "bf2",
            Self::F32 => "f4",
            Self::F64 => "f8",
            Self::C64 => "c8",
            Self::C128 => "c16",
        }
    }

    /// Bytes of one element.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 | Self::F16 | Self::BF16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 | Self::C64 => 8,
            Self::C128 => 16,
        }
    }

    /// Bytes of the unit whose bytes a change of byte order reverses: a complex number is two of them.
    #[must_use]
    pub const fn swap_width(self) -> usize {
        match self {
            Self::C64 | Self::C128 => self.size() / 2,
            _ => self.size(),
        }
    }

    /// Alignment of the Rust type, in bytes.
    #[must_use]
    pub fn alignment(self) -> usize {
        dispatch!(self, A => align_of::<A>())
    }

    /// Whether the scalar is `Complex<f32>` or `Complex<f64>`.
    #[must_use]
    pub const fn is_complex(self) -> bool {
        matches!(self, Self::C64 | Self::C128)
    }

    /// The name of the Rust type (`f64`, `Complex<f32>`).
    #[must_use]
    pub const fn rust_name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::C64 => "Complex<f32>",
            Self::C128 => "Complex<f64>",
        }
    }
}
