//! Random numbers that nobody can predict and that differ on both sides of a fork.

use std::io;

/// 64 bits from the kernel.
pub(crate) fn number() -> io::Result<u64> {
    let mut bytes = [0_u8; 8];
    loop {
        // SAFETY: The pointer and the length are those of a buffer that lives across the call.
        let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        // So few bytes are never given in parts; less than all is an interrupted wait, or an error.
        if usize::try_from(filled) == Ok(bytes.len()) {
            return Ok(u64::from_ne_bytes(bytes));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
