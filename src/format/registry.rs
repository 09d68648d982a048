//! The table of file formats.
//!
//! A new format is a file that implements [`FileFormat`], and one row of this
//! table. Detection, help texts and error messages are generated from the table.

use std::{fmt, path::Path};

use super::{
    ferry, foreign,
    interface::{Capabilities, Feature, FileFormat, Filler, Writer},
    npy, npz,
    options::DumpOptions,
    raw, safetensors,
};
use crate::{Error, Result, dtype::Quoted, error::Cause, near};

/// The number of bytes that the formats need to detect a file.
pub(super) const START_LEN: usize = 64;

macro_rules! formats {
    ($($([$cfg:meta])? $name:ident => $format:expr, $doc:literal;)*) => {
        /// The format of a file.
        ///
        /// [`open`](crate::open) detects the format by the content of the file. Writing
        /// functions choose it by the [extension](Format::from_path).
        ///
        /// # Examples
        ///
        /// ```
        /// use ndferry::file::Format;
        ///
        /// let writable: Vec<_> = Format::all().iter().filter(|format| format.is_writable()).collect();
        /// assert_eq!(writable, [&Format::Ferry, &Format::Npy, &Format::Npz, &Format::Safetensors]);
        /// assert_eq!(Format::Npz.to_string(), "npz");
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Format {
            $($(#[$cfg])? #[doc = $doc] $name,)*
        }

        impl Format {
            /// Returns all formats, in the order of help texts.
            #[must_use]
            pub fn all() -> &'static [Self] {
                &[$($(#[$cfg])? Self::$name,)*]
            }

            fn row(self) -> &'static dyn FileFormat {
                match self {
                    $($(#[$cfg])? Self::$name => &$format,)*
                }
            }
        }
    };
}

formats! {
    Ferry => ferry::Ferry, "This crate's container: a value with any number of arrays.";
    Npy => npy::Npy, "NumPy's `.npy`: one array.";
    Npz => npz::Npz, "NumPy's `.npz`: named arrays, each a `.npy` file, in a zip file.";
    Safetensors => safetensors::Safetensors, "Named arrays after a JSON header, as used for models.";
    Raw => raw::Raw, "Bytes without a header, described by a [`RawLayout`](super::RawLayout).";
    [cfg(test)] Sample => super::sample::Sample, "A format for tests.";
}

impl Format {
    /// Returns the file name extension, without the dot. Raw binary has none.
    #[must_use]
    pub fn extension(self) -> Option<&'static str> {
        self.row().extension()
    }

    /// Reports whether files of this format can be written.
    #[must_use]
    pub fn is_writable(self) -> bool {
        self.row().writer().is_some()
    }

    /// Returns the format of a file to be written, by its extension.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::file::Format;
    ///
    /// assert_eq!(Format::from_path("model.NPZ")?, Format::Npz);
    /// let error = Format::from_path("model.ferri").unwrap_err();
    /// assert!(error.to_string().ends_with("did you mean `.ferry`?"));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the extension is not that of a writable format. The error
    /// lists these extensions.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_path_if(path.as_ref(), Self::is_writable)
    }

    /// Returns the format for an array that is filled in place in its file.
    pub(super) fn for_filling(path: &Path) -> Result<Self> {
        Self::from_path_if(path, |format| format.filler().is_some())
    }

    fn from_path_if(path: &Path, usable: impl Fn(Self) -> bool) -> Result<Self> {
        let found = extension(path);
        let format = Self::all().iter().copied().find(|format| {
            usable(*format)
                && format.extension().is_some_and(|known| {
                    found.is_some_and(|found| found.eq_ignore_ascii_case(known))
                })
        });
        format.ok_or_else(|| {
            let known = dotted(usable);
            let message = match found {
                Some(found) => {
                    let found = format!(".{}", found.to_ascii_lowercase());
                    let list = known.join(", ");
                    let suggestion = near::suggestion(&found, known.iter().map(String::as_str));
                    let hint = suggestion.map(|hint| format!("; {hint}")).unwrap_or_default();
                    format!("the extension {} is not one of {list}{hint}", Quoted(&found))
                }
                None => format!("the path has no extension; expected one of {}", known.join(", ")),
            };
            Error::invalid_input(message).at(path)
        })
    }

    /// Returns the format of a file that begins with `start`, of which 64 bytes
    /// suffice.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::file::Format;
    ///
    /// assert_eq!(Format::detect(b"\x93NUMPY\x01\x00")?, Format::Npy);
    /// assert!(Format::detect(b"hello").is_err());
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are those of raw binary or of another kind of
    /// file. The error names the kind if ndferry recognizes it.
    pub fn detect(start: &[u8]) -> Result<Self> {
        Self::detect_file(start, Path::new(""))
    }

    /// Returns the format of a file. For a file of another format, the error depends on
    /// all its bytes and its name, if they are known.
    pub(super) fn detect_file(bytes: &[u8], path: &Path) -> Result<Self> {
        let start = &bytes[..bytes.len().min(START_LEN)];
        if let Some(format) = Self::all().iter().find(|format| format.row().detect(start)) {
            return Ok(*format);
        }
        if let Some(error) = foreign::in_file(bytes, path) {
            return Err(error);
        }
        let message = if start.is_empty() {
            "not an array file: the file is empty; write or download it again".to_owned()
        } else {
            let shown = &start[..start.len().min(9)];
            let known = dotted(|format| format.row().extension().is_some());
            format!(
                "not an array file: it begins with bytes {shown:02X?}, unlike {} (to read raw \
                 binary, give its dtype and shape)",
                known.join(", ")
            )
        };
        Err(Error::invalid_data(message).with_cause(Cause::ForeignFormat))
    }

    /// Returns the length of a file that begins with `start`, if it records it.
    pub(super) fn length(self, start: &[u8]) -> Result<Option<u64>> {
        self.row().length(start)
    }

    /// Parses the bytes of a whole file.
    pub(super) fn index(self, file: &[u8]) -> Result<super::entry::Index> {
        self.row().index(file)
    }

    pub(super) fn escapes_names(self) -> bool {
        self.row().escapes_names()
    }

    pub(super) fn writer(self) -> Option<Writer> {
        self.row().writer()
    }

    pub(super) fn filler(self) -> Option<Filler> {
        self.row().filler()
    }

    pub(super) fn capabilities(self) -> Capabilities {
        self.row().capabilities()
    }

    /// Checks that a file of this format can be written with `options`.
    pub(super) fn check_options(self, options: &DumpOptions) -> Result<()> {
        let capabilities = self.capabilities();
        match Feature::requested(options).find(|feature| !feature.is_in(&capabilities)) {
            Some(feature) => {
                let others =
                    dotted(|format| format.is_writable() && feature.is_in(&format.capabilities()));
                let advice = format!("write a {} file instead", or_list(&others));
                Err(refusal(&format!("`.{self}` output"), feature, &advice))
            }
            None => options.check_values(),
        }
    }

    /// Checks that an array can be filled in place with `options`.
    pub(super) fn check_filling(self, options: &DumpOptions) -> Result<()> {
        const SUBJECT: &str = "filling an array in its file";
        for feature in Feature::requested(options) {
            let advice = match feature {
                Feature::Compression => "convert the file afterwards",
                Feature::ByteOrder(byte_order) if !byte_order.is_native() => {
                    "convert the file afterwards"
                }
                Feature::Order(_) => "set the order in the shape, for example `(3, 4).f()`",
                _ => continue,
            };
            return Err(refusal(SUBJECT, feature, advice));
        }
        self.check_options(options)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().name())
    }
}

/// Returns the error for a feature that `subject` does not support.
fn refusal(subject: &str, feature: Feature, advice: &str) -> Error {
    Error::invalid_input(format!("{subject} does not support {}; {advice}", feature.words()))
}

/// Returns the extension of a path.
fn extension(path: &Path) -> Option<&str> {
    path.extension().and_then(|extension| extension.to_str())
}

/// Returns the extensions of the formats that `select` accepts, with their dots.
fn dotted(select: impl Fn(Format) -> bool) -> Vec<String> {
    let selected = Format::all().iter().filter(|format| select(**format));
    selected.filter_map(|format| Some(format!(".{}", format.extension()?))).collect()
}

/// Joins names as in "`a`, `b` or `c`".
fn or_list(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match &*names {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        names => names.concat(),
    }
}
