//! Unpredictable random numbers, which differ between a process and its forks.

use std::io;

/// Returns 64 random bits from the kernel.
pub(crate) fn number() -> io::Result<u64> {
    let mut bytes = [0_u8; 8];
    loop {
        // SAFETY: the pointer and the length are those of a buffer that exists
        // during the call.
        let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        // The kernel returns so few bytes at once. Fewer mean an interrupted
        // wait or an error.
        if usize::try_from(filled) == Ok(bytes.len()) {
            return Ok(u64::from_ne_bytes(bytes));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
