//! Captures a stream in a file without a name. The writer never waits for a reader.

use std::{fs::File, io, os::unix::fs::FileExt as _, sync::OnceLock};

use rustix::fs::{FallocateFlags, OFlags};

use crate::sys::memfd;

/// The most bytes of captured output that an error contains.
const MAX_REPORTED_LEN: u64 = 8 << 10;
/// Bytes at the end of a stream that are kept when the rest is released.
const KEPT_LEN: u64 = 64 << 10;

/// The captured streams of this worker.
static OWN: OnceLock<Vec<File>> = OnceLock::new();

/// Makes the file of a captured stream. It is opened for appending.
pub(crate) fn file() -> io::Result<File> {
    let file = memfd::create("ndferry-output")?;
    rustix::fs::fcntl_setfl(&file, OFlags::APPEND)?;
    Ok(file)
}

/// Returns the end of the output from byte `since` on.
pub(crate) fn end(file: &File, since: u64) -> String {
    let length = length(file);
    let start = since.max(length.saturating_sub(MAX_REPORTED_LEN)).min(length);
    let mut bytes = vec![0; usize::try_from(length - start).unwrap_or(0)];
    if file.read_exact_at(&mut bytes, start).is_err() {
        return String::new();
    }
    // The cut may be inside a character.
    let cut = if start > since {
        bytes.iter().take_while(|&&byte| byte & 0xC0 == 0x80).count().min(3)
    } else {
        0
    };
    String::from_utf8_lossy(&bytes[cut..]).into_owned()
}

/// Returns the number of bytes written so far.
pub(crate) fn length(file: &File) -> u64 {
    file.metadata().map_or(0, |metadata| metadata.len())
}

/// Sets the captured streams of this worker.
pub(crate) fn set_own(files: Vec<File>) {
    let _ = OWN.set(files);
}

/// Releases the old part of this worker's captured streams, so that a task can write without
/// limit. Returns `None` if the streams are not set up yet, and `Some(false)` if no stream is
/// captured.
pub(crate) fn trim() -> Option<bool> {
    let own = OWN.get()?;
    own.iter().for_each(release);
    Some(!own.is_empty())
}

/// Frees the memory of the old part. Positions in the stream stay the same.
fn release(file: &File) {
    let old = length(file).saturating_sub(KEPT_LEN);
    if old > 0 {
        // If this fails, the stream takes more memory.
        let _ = rustix::fs::fallocate(
            file,
            FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
            0,
            old,
        );
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, os::unix::fs::MetadataExt as _};

    use super::*;

    #[test]
    fn capture_end_is_cut_at_a_character() {
        let mut file = file().unwrap();
        file.write_all("before".as_bytes()).unwrap();
        let since = length(&file);
        assert_eq!(end(&file, since), "");
        file.write_all("é".repeat(5000).as_bytes()).unwrap();
        file.write_all(b"!").unwrap();
        let told = end(&file, since);
        assert!(
            told.chars().rev().skip(1).all(|letter| letter == 'é') && told.ends_with("é!"),
            "{told}"
        );
        assert_eq!(told.len(), 8191);
        assert_eq!(end(&file, since + 9998), "é!");
        assert_eq!(end(&file, u64::MAX), "");
    }

    #[test]
    fn capture_old_output_takes_no_memory() {
        let mut file = file().unwrap();
        let line = [b'x'; 4096];
        for _ in 0..1024 {
            file.write_all(&line).unwrap();
        }
        release(&file);
        let metadata = file.metadata().unwrap();
        assert_eq!(metadata.len(), 4 << 20);
        assert!(metadata.blocks() * 512 <= 2 * KEPT_LEN, "{} blocks", metadata.blocks());
        assert_eq!(end(&file, 0), "x".repeat(8192));
    }
}
