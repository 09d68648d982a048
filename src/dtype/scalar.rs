//! The table of scalar element types.
//!
//! [`scalars!`] is the only list of them. To add a scalar, add a row.

/// Calls a macro with the table of scalars, after arguments of the caller's
/// choice.
///
/// A row is a variant of [`Scalar`], its Rust type, its class, and its names.
/// The class determines how bytes are cast to the type, swapped, and passed to
/// serde. The names are:
///
/// 1. the name of the Rust type in messages,
/// 2. NumPy's type code without the byte order,
/// 3. whether NumPy has the type,
/// 4. the name in `.safetensors` files.
macro_rules! scalars {
    ($($callback:tt)::+ ! $arguments:tt) => {
        $($callback)::+! { $arguments
            Bool: bool, boolean, ("bool", "b1", true, Some("BOOL"));
            I8: i8, integer, ("i8", "i1", true, Some("I8"));
            I16: i16, integer, ("i16", "i2", true, Some("I16"));
            I32: i32, integer, ("i32", "i4", true, Some("I32"));
            I64: i64, integer, ("i64", "i8", true, Some("I64"));
            U8: u8, integer, ("u8", "u1", true, Some("U8"));
            U16: u16, integer, ("u16", "u2", true, Some("U16"));
            U32: u32, integer, ("u32", "u4", true, Some("U32"));
            U64: u64, integer, ("u64", "u8", true, Some("U64"));
            F16: half::f16, half, ("f16", "f2", true, Some("F16"));
            BF16: half::bf16, half, ("bf16", "bf2", false, Some("BF16"));
            F32: f32, float, ("f32", "f4", true, Some("F32"));
            F64: f64, float, ("f64", "f8", true, Some("F64"));
            C64: num_complex::Complex<f32>, complex, ("Complex<f32>", "c8", true, Some("C64"));
            C128: num_complex::Complex<f64>, complex, ("Complex<f64>", "c16", true, None);
        }
    };
}
pub(crate) use scalars;

/// A row of the table, at run time.
struct Row {
    rust_name: &'static str,
    code: &'static str,
    size: usize,
    alignment: usize,
    is_complex: bool,
    numpy_supported: bool,
    safetensors_name: Option<&'static str>,
}

macro_rules! define_scalar {
    (() $(
        $scalar:ident: $type:ty, $class:ident,
        ($name:literal, $code:literal, $numpy:literal, $safetensors:expr);
    )*) => {
        /// A boolean or numeric element type, without its byte order.
        ///
        /// Each scalar has a Rust type, which implements
        /// [`Element`](super::Element).
        ///
        /// # Examples
        ///
        /// ```
        /// use ndferry::{DType, dtype::Scalar};
        ///
        /// assert_eq!(DType::of::<f32>().scalar(), Some(Scalar::F32));
        /// assert_eq!(Scalar::C64.code(), "c8");
        /// assert_eq!(Scalar::ALL.iter().map(|scalar| scalar.size()).max(), Some(16));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Scalar {
            $(
                #[doc = concat!("[`", stringify!($type), "`], with NumPy's code `", $code, "`")]
                $scalar,
            )*
        }

        impl Scalar {
            /// All scalars, in the order of the table in the
            /// [module](crate::dtype).
            pub const ALL: [Self; [$(Self::$scalar),*].len()] = [$(Self::$scalar),*];
        }

        static TABLE: [Row; Scalar::ALL.len()] = [$(Row {
            rust_name: $name,
            code: $code,
            size: size_of::<$type>(),
            alignment: align_of::<$type>(),
            is_complex: is_complex!($class),
            numpy_supported: $numpy,
            safetensors_name: $safetensors,
        }),*];
    };
}

macro_rules! is_complex {
    (complex) => {
        true
    };
    ($class:ident) => {
        false
    };
}

scalars!(define_scalar!());

impl Scalar {
    const fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// Returns NumPy's type code without the byte order, such as `f8`.
    ///
    /// NumPy has no type for [`Scalar::BF16`]. Its code is `bf2`.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::dtype::Scalar;
    ///
    /// assert_eq!(Scalar::F64.code(), "f8");
    /// ```
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().code
    }

    /// Returns the scalar with NumPy's type code `code`.
    pub(super) fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scalar| scalar.code() == code)
    }

    /// Returns the size of an element in bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::dtype::Scalar;
    ///
    /// assert_eq!(Scalar::C64.size(), 8);
    /// ```
    #[must_use]
    pub const fn size(self) -> usize {
        self.row().size
    }

    /// Returns the size of the unit that a byte swap reverses, in bytes.
    ///
    /// A complex number is two units, any other scalar is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::dtype::Scalar;
    ///
    /// assert_eq!(Scalar::F64.swap_width(), 8);
    /// assert_eq!(Scalar::C128.swap_width(), 8);
    /// ```
    #[must_use]
    pub const fn swap_width(self) -> usize {
        if self.is_complex() { self.size() / 2 } else { self.size() }
    }

    /// Returns the alignment of the Rust type in bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::dtype::Scalar;
    ///
    /// assert_eq!(Scalar::C64.alignment(), 4);
    /// ```
    #[must_use]
    pub const fn alignment(self) -> usize {
        self.row().alignment
    }

    /// Returns whether the scalar is a complex number.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::dtype::Scalar;
    ///
    /// assert!(Scalar::C128.is_complex() && !Scalar::F64.is_complex());
    /// ```
    #[must_use]
    pub const fn is_complex(self) -> bool {
        self.row().is_complex
    }

    /// Returns the name of the Rust type, such as `f64` or `Complex<f32>`.
    pub(crate) const fn rust_name(self) -> &'static str {
        self.row().rust_name
    }

    /// Returns whether NumPy has this type.
    pub(crate) const fn numpy_supported(self) -> bool {
        self.row().numpy_supported
    }

    /// Returns the name of the type in `.safetensors` files, if the format has
    /// it.
    pub(crate) const fn safetensors_name(self) -> Option<&'static str> {
        self.row().safetensors_name
    }

    /// Returns the scalar called `name` in `.safetensors` files.
    pub(crate) fn from_safetensors_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scalar| scalar.safetensors_name() == Some(name))
    }
}

/// Evaluates an expression in which `$A` is the Rust type of a [`Scalar`].
macro_rules! dispatch {
    ($scalar:expr, $A:ident => $body:expr) => {
        $crate::dtype::scalars!($crate::dtype::dispatch_rows!($scalar, $A, $body))
    };
}
pub(crate) use dispatch;

/// The `match` of [`dispatch!`].
macro_rules! dispatch_rows {
    (
        ($value:expr, $A:ident, $body:expr)
        $($scalar:ident: $type:ty, $class:ident, $names:tt;)*
    ) => {
        match $value {
            $($crate::dtype::Scalar::$scalar => {
                type $A = $type;
                $body
            })*
        }
    };
}
pub(crate) use dispatch_rows;
