//! Compressing and decompressing arrays.

use std::{
    fmt,
    io::{self, Write},
    str::FromStr,
};

use crate::{Error, Result, dtype::Quoted, error::Cause};

/// The compression of an array in a `.ferry` file.
///
/// The text form, which the command line uses, is `zstd`, `zstd:19` or `lz4`. To compress
/// arrays, use [`DumpOptions::compress`](crate::file::DumpOptions::compress).
///
/// # Examples
///
/// ```
/// use ndferry::file::Compression;
///
/// assert_eq!("zstd:19".parse::<Compression>()?, Compression::Zstd(19));
/// assert_eq!("zstd".parse::<Compression>()?.to_string(), "zstd:3");
/// assert!("zstd:99".parse::<Compression>().is_err());
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// [zstd](https://facebook.github.io/zstd/), with a level from 1 (fast) to 22 (small).
    ///
    /// The usual level is 3. High levels need much memory for writing: about 90 MB at level
    /// 19, and 700 MB at level 22. Requires the feature `zstd`.
    Zstd(u8),
    /// [LZ4](https://lz4.org), which is faster and compresses less than zstd.
    ///
    /// Requires the feature `lz4`.
    Lz4,
}

/// The default level of zstd.
const DEFAULT_LEVEL: u8 = 3;

impl Compression {
    /// Checks that the level exists, and that the codec's feature is enabled.
    pub(super) fn check(self) -> Result<()> {
        match self {
            Self::Zstd(level) if !(1..=22).contains(&level) => Err(Error::invalid_input(format!(
                "expected a zstd level from 1 to 22, found {level}"
            ))),
            _ => self.codec().check(),
        }
    }

    pub(super) fn codec(self) -> Codec {
        match self {
            Self::Zstd(_) => Codec::Zstd,
            Self::Lz4 => Codec::Lz4,
        }
    }
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let level =
            |text: &str| text.parse().ok().map(Self::Zstd).filter(|zstd| zstd.check().is_ok());
        let known = match text.split_once(':') {
            None if text == "zstd" => Some(Self::Zstd(DEFAULT_LEVEL)),
            None if text == "lz4" => Some(Self::Lz4),
            Some(("zstd", text)) => level(text),
            _ => None,
        };
        known.ok_or_else(|| {
            Error::invalid_input(format!(
                "expected compression zstd, zstd:1 to zstd:22 or lz4, found {}",
                Quoted(text)
            ))
        })
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zstd(level) => write!(f, "zstd:{level}"),
            Self::Lz4 => f.write_str("lz4"),
        }
    }
}

/// A codec, as the header records it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Codec {
    Zstd,
    Lz4,
}

impl Codec {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
        }
    }

    fn check(self) -> Result<()> {
        let built = match self {
            Self::Zstd => cfg!(feature = "zstd"),
            Self::Lz4 => cfg!(feature = "lz4"),
        };
        if built { Ok(()) } else { Err(Error::invalid_input(self.missing_feature())) }
    }

    fn missing_feature(self) -> String {
        format!("ndferry was built without its feature `{}`", self.name())
    }

    /// Decompresses `stored` into `array`. Returns an error unless `stored` is exactly one
    /// frame of this length.
    pub(super) fn decode(self, stored: &[u8], array: &mut [u8]) -> Result<()> {
        let made = match self {
            #[cfg(feature = "zstd")]
            Self::Zstd => unpack_zstd(stored, array),
            #[cfg(feature = "lz4")]
            Self::Lz4 => unpack_lz4(stored, array),
            #[allow(unreachable_patterns, reason = "if a codec's feature is disabled")]
            _ => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{}: {} bytes", self.missing_feature(), array.len()),
            )),
        };
        made.map_err(|error| {
            let (bytes, codec) = (stored.len(), self.name());
            let is_built = self.check().is_ok();
            let cause = if is_built { Cause::Unspecified } else { Cause::Unsupported };
            Error::invalid_data(format!("cannot decompress {bytes} bytes of {codec}: {error}"))
                .with_cause(cause)
        })
    }
}

#[cfg(feature = "zstd")]
fn unpack_zstd(stored: &[u8], array: &mut [u8]) -> io::Result<()> {
    // Other readers expect one frame. zstd also has frames without content.
    let frame = zstd::zstd_safe::find_frame_compressed_size(stored);
    match frame.map_err(|code| io::Error::other(zstd::zstd_safe::get_error_name(code)))? {
        all if all == stored.len() && stored.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) => {}
        part => {
            return Err(io::Error::other(format!(
                "expected a frame of {} bytes, found one of {part}",
                stored.len()
            )));
        }
    }
    // This needs no other memory than the array, whatever size the frame declares.
    match zstd::bulk::Decompressor::new()?.decompress_to_buffer(stored, array)? {
        found if found == array.len() => Ok(()),
        found => Err(io::Error::other(format!(
            "expected {} decompressed bytes, found {found}",
            array.len()
        ))),
    }
}

#[cfg(feature = "lz4")]
fn unpack_lz4(stored: &[u8], array: &mut [u8]) -> io::Result<()> {
    use io::Read;
    let mut decoder = lz4_flex::frame::FrameDecoder::new(stored);
    decoder.read_exact(array)?;
    if decoder.read(&mut [0])? > 0 || !decoder.get_ref().is_empty() {
        return Err(io::Error::other(format!(
            "expected {} decompressed bytes, found more",
            array.len()
        )));
    }
    // The decoder accepts a frame without an end mark: four zeros, before an optional checksum.
    let checksum = stored.get(4).map_or(0, |flags| usize::from(flags & 4));
    match stored.len().checked_sub(checksum).and_then(|end| stored[..end].last_chunk()) {
        Some([0, 0, 0, 0]) => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Compresses bytes in parts.
pub(super) struct Encoder(Box<dyn FrameEncoder>);

/// An encoder of a codec that writes into a vector.
trait FrameEncoder: Write {
    /// Returns the compressed bytes, which the caller removes.
    fn compressed(&mut self) -> &mut Vec<u8>;
    /// Returns the rest of the frame.
    fn finish(self: Box<Self>) -> io::Result<Vec<u8>>;
}

#[cfg(feature = "zstd")]
impl FrameEncoder for zstd::stream::write::Encoder<'static, Vec<u8>> {
    fn compressed(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }

    fn finish(self: Box<Self>) -> io::Result<Vec<u8>> {
        (*self).finish()
    }
}

#[cfg(feature = "lz4")]
impl FrameEncoder for lz4_flex::frame::FrameEncoder<Vec<u8>> {
    fn compressed(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }

    fn finish(self: Box<Self>) -> io::Result<Vec<u8>> {
        Ok((*self).finish()?)
    }
}

impl Encoder {
    /// Begins a frame. It records `nbytes` if the size is known.
    pub(super) fn new(compression: Compression, nbytes: Option<u64>) -> Result<Self> {
        compression.check()?;
        let encoder: io::Result<Box<dyn FrameEncoder>> = match compression {
            #[cfg(feature = "zstd")]
            Compression::Zstd(level) => zstd::stream::write::Encoder::new(Vec::new(), level.into())
                .and_then(|mut encoder| {
                    encoder.set_pledged_src_size(nbytes)?;
                    Ok(Box::new(encoder) as Box<dyn FrameEncoder>)
                }),
            #[cfg(feature = "lz4")]
            Compression::Lz4 => {
                use lz4_flex::frame::{BlockSize, FrameEncoder as Lz4Encoder, FrameInfo};
                let info = FrameInfo::new().block_size(BlockSize::Max1MB).content_size(nbytes);
                Ok(Box::new(Lz4Encoder::with_frame_info(info, Vec::new())))
            }
            #[allow(unreachable_patterns, reason = "if a codec's feature is disabled")]
            _ => Err(io::Error::new(io::ErrorKind::Unsupported, format!("{nbytes:?} bytes"))),
        };
        encoder.map(Self).map_err(|error| Error::io("cannot compress", error))
    }

    /// Compresses `bytes`. Returns the number of bytes written to `file`.
    pub(super) fn write(&mut self, bytes: &[u8], file: &mut impl Write) -> io::Result<u64> {
        self.0.write_all(bytes)?;
        drain(self.0.compressed(), file)
    }

    /// Ends the frame. Returns the number of bytes written to `file`.
    pub(super) fn finish(self, file: &mut impl Write) -> io::Result<u64> {
        drain(&mut self.0.finish()?, file)
    }
}

/// Moves the compressed bytes to `file`.
fn drain(compressed: &mut Vec<u8>, file: &mut impl Write) -> io::Result<u64> {
    file.write_all(compressed)?;
    let length = compressed.len() as u64;
    compressed.clear();
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(compression: Compression, bytes: &[u8], known: bool) -> Vec<u8> {
        let mut encoder = Encoder::new(compression, known.then_some(bytes.len() as u64)).unwrap();
        let mut stored = Vec::new();
        let mut length = 0;
        for part in bytes.chunks(100_000) {
            length += encoder.write(part, &mut stored).unwrap();
        }
        length += encoder.finish(&mut stored).unwrap();
        assert_eq!(length, stored.len() as u64);
        stored
    }

    fn codecs() -> impl Iterator<Item = Compression> {
        let all =
            [Compression::Zstd(1), Compression::Zstd(3), Compression::Zstd(12), Compression::Lz4];
        all.into_iter().filter(|compression| compression.check().is_ok())
    }

    // F10
    #[test]
    fn compress_round_trips() {
        for compression in codecs() {
            for length in [0, 1, 1000, 100_000, 3_000_001] {
                let bytes: Vec<u8> = (0..length).map(|at: u32| (at / 7 % 251) as u8).collect();
                for known in [false, true] {
                    let stored = encoded(compression, &bytes, known);
                    assert!(
                        length <= 1000 || stored.len() < bytes.len() / 2,
                        "{compression}: {}",
                        stored.len()
                    );
                    let mut back = vec![0; bytes.len()];
                    compression.codec().decode(&stored, &mut back).unwrap();
                    assert!(back == bytes, "{compression}, {length} bytes");
                }
            }
        }
    }

    // F1 F2
    #[test]
    fn compress_rejects_frames_of_other_lengths() {
        for compression in codecs() {
            let (codec, bytes) = (compression.codec(), [7; 5000]);
            let stored = encoded(compression, &bytes, false);
            let decode = |stored: &[u8], length: usize| codec.decode(stored, &mut vec![0; length]);
            for length in [0, 1, 4999, 5001, 100_000] {
                let error = decode(&stored, length).unwrap_err().to_string();
                assert!(error.starts_with("cannot decompress "), "{error}");
            }
            for cut in 0..stored.len() {
                let mut array = vec![0; 5000];
                assert!(
                    codec.decode(&stored[..cut], &mut array).is_err(),
                    "{compression} cut to {cut} bytes"
                );
            }
            for more in [&[0][..], &stored] {
                assert!(decode(&[&stored, more].concat(), 5000).is_err(), "{compression}");
            }
            assert!(decode(b"neither the one nor the other", 5000).is_err());
        }
    }

    // F1
    #[test]
    fn compress_decoder_never_panics() {
        for compression in codecs() {
            let stored = encoded(compression, &[7; 5000], true);
            for at in 0..stored.len() {
                for bit in 0..8 {
                    let mut broken = stored.clone();
                    broken[at] ^= 1 << bit;
                    let _ = compression.codec().decode(&broken, &mut [0; 5000]);
                }
            }
        }
    }
}
