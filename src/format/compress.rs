//! Compressed arrays: what they are made by, and made back from.

use std::{
    fmt,
    io::{self, Write},
    str::FromStr,
};

use crate::{Error, Result, dtype::Quoted};

/// How an array is compressed in a `.ferry` file.
///
/// In words, as the command line has them: `zstd`, `zstd:19`, `lz4`.
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
    /// [zstd](https://facebook.github.io/zstd/) of a level from 1 (fast) to 22 (small): a standard frame. 3 is usual; from about 16 on, writing
    /// takes much memory, which is zstd's own: some 90 MB at 19, 700 MB at 22. Needs the crate's feature `zstd`.
    Zstd(u8),
    /// [LZ4](https://lz4.org): faster and larger; a standard frame. Needs the crate's feature `lz4`.
    Lz4,
}

/// zstd's own choice.
const LEVEL: u8 = 3;

impl Compression {
    /// Whether such arrays can be written.
    ///
    /// # Errors
    ///
    /// Where zstd has no such level, or the codec was left out when this crate was built.
    pub(super) fn check(self) -> Result<()> {
        match self {
            Self::Zstd(level) if !(1..=22).contains(&level) => Err(Error::invalid_input(format!(
                "zstd has no level {level}, 1 to 22 were expected"
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
            None if text == "zstd" => Some(Self::Zstd(LEVEL)),
            None if text == "lz4" => Some(Self::Lz4),
            Some(("zstd", text)) => level(text),
            _ => None,
        };
        known.ok_or_else(|| {
            Error::invalid_input(format!(
                "unknown compression {}; known are zstd, zstd:1 to zstd:22, and lz4",
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

/// What a compressed array is made back by, as the header has it.
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
        if built { Ok(()) } else { Err(Error::invalid_input(self.left_out())) }
    }

    fn left_out(self) -> String {
        format!("ndferry was built without {}, its cargo feature of that name", self.name())
    }

    /// Makes all of `array` from what was `stored` of it.
    ///
    /// # Errors
    ///
    /// Where it is anything else than one compressed array of that length.
    pub(super) fn decode(self, stored: &[u8], array: &mut [u8]) -> Result<()> {
        let made = match self {
            #[cfg(feature = "zstd")]
            Self::Zstd => unpack_zstd(stored, array),
            #[cfg(feature = "lz4")]
            Self::Lz4 => unpack_lz4(stored, array),
            #[allow(unreachable_patterns, reason = "of codecs that were left out")]
            _ => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{}: {} bytes", self.left_out(), array.len()),
            )),
        };
        made.map_err(|error| {
            let bytes = stored.len();
            Error::invalid_data(format!(
                "cannot be decompressed ({}, {bytes} bytes): {error}",
                self.name()
            ))
        })
    }
}

#[cfg(feature = "zstd")]
fn unpack_zstd(stored: &[u8], array: &mut [u8]) -> io::Result<()> {
    // One frame that is the whole segment, as other readers may expect; there are others that hold nothing.
    let frame = zstd::zstd_safe::find_frame_compressed_size(stored);
    match frame.map_err(|code| io::Error::other(zstd::zstd_safe::get_error_name(code)))? {
        all if all == stored.len() && stored.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) => {}
        part => return Err(io::Error::other(format!("its frame has {part} bytes"))),
    }
    // All at once: the array is the only memory it takes, whatever the frame says of itself.
    match zstd::bulk::Decompressor::new()?.decompress_to_buffer(stored, array)? {
        found if found == array.len() => Ok(()),
        found => {
            Err(io::Error::other(format!("it makes {found} bytes, {} were expected", array.len())))
        }
    }
}

#[cfg(feature = "lz4")]
fn unpack_lz4(stored: &[u8], array: &mut [u8]) -> io::Result<()> {
    use io::Read;
    let mut decoder = lz4_flex::frame::FrameDecoder::new(stored);
    decoder.read_exact(array)?;
    if decoder.read(&mut [0])? > 0 || !decoder.get_ref().is_empty() {
        return Err(io::Error::other(format!("it goes on after {} bytes", array.len())));
    }
    // To the decoder the end of the bytes is an end of the frame as well. It ends with four zeros, and a checksum if it says so.
    let checksum = stored.get(4).map_or(0, |flags| usize::from(flags & 4));
    match stored.len().checked_sub(checksum).and_then(|end| stored[..end].last_chunk()) {
        Some([0, 0, 0, 0]) => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Compresses what comes bit by bit.
pub(super) struct Encoder(Box<dyn Pack>);

/// A codec's own encoder, into a vector.
trait Pack: Write {
    /// What is ready to be taken away.
    fn ready(&mut self) -> &mut Vec<u8>;
    /// The rest.
    fn finish(self: Box<Self>) -> io::Result<Vec<u8>>;
}

#[cfg(feature = "zstd")]
impl Pack for zstd::stream::write::Encoder<'static, Vec<u8>> {
    fn ready(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }

    fn finish(self: Box<Self>) -> io::Result<Vec<u8>> {
        (*self).finish()
    }
}

#[cfg(feature = "lz4")]
impl Pack for lz4_flex::frame::FrameEncoder<Vec<u8>> {
    fn ready(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }

    fn finish(self: Box<Self>) -> io::Result<Vec<u8>> {
        Ok((*self).finish()?)
    }
}

impl Encoder {
    /// For `nbytes` bytes, if it is known how many there will be.
    pub(super) fn new(compression: Compression, nbytes: Option<u64>) -> Result<Self> {
        compression.check()?;
        let encoder: io::Result<Box<dyn Pack>> = match compression {
            #[cfg(feature = "zstd")]
            Compression::Zstd(level) => zstd::stream::write::Encoder::new(Vec::new(), level.into())
                .and_then(|mut encoder| {
                    encoder.set_pledged_src_size(nbytes)?;
                    Ok(Box::new(encoder) as Box<dyn Pack>)
                }),
            #[cfg(feature = "lz4")]
            Compression::Lz4 => {
                use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};
                let info = FrameInfo::new().block_size(BlockSize::Max1MB).content_size(nbytes);
                Ok(Box::new(FrameEncoder::with_frame_info(info, Vec::new())))
            }
            #[allow(unreachable_patterns, reason = "of codecs that were left out")]
            _ => Err(io::Error::new(io::ErrorKind::Unsupported, format!("{nbytes:?} bytes"))),
        };
        encoder.map(Self).map_err(|error| Error::io("cannot compress", error))
    }

    /// Takes in `bytes`, passes on to `file` what is ready, and gives how many bytes that was.
    pub(super) fn write(&mut self, bytes: &[u8], file: &mut impl Write) -> io::Result<u64> {
        self.0.write_all(bytes)?;
        pass(self.0.ready(), file)
    }

    /// Passes on the rest, and gives how many bytes that was.
    pub(super) fn finish(self, file: &mut impl Write) -> io::Result<u64> {
        pass(&mut self.0.finish()?, file)
    }
}

/// Empties `ready` into `file`.
fn pass(ready: &mut Vec<u8>, file: &mut impl Write) -> io::Result<u64> {
    file.write_all(ready)?;
    let length = ready.len() as u64;
    ready.clear();
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
    fn what_is_compressed_is_made_back() {
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
    fn what_is_cut_longer_or_of_another_length_is_refused() {
        for compression in codecs() {
            let (codec, bytes) = (compression.codec(), [7; 5000]);
            let stored = encoded(compression, &bytes, false);
            let decode = |stored: &[u8], length: usize| codec.decode(stored, &mut vec![0; length]);
            for length in [0, 1, 4999, 5001, 100_000] {
                let error = decode(&stored, length).unwrap_err().to_string();
                assert!(error.starts_with("cannot be decompressed ("), "{error}");
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
    fn rubbish_never_panics() {
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
