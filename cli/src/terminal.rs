//! Standard output, which may be a terminal.

use std::io::{self, ErrorKind, Write, stdout};

use crate::failure::Failure;

/// Columns of the terminal on stdout, or `None` if there is no terminal or its
/// size is unknown.
pub fn width() -> Option<usize> {
    #[cfg(unix)]
    let columns = rustix::termios::tcgetwinsize(stdout()).ok()?.ws_col.into();
    #[cfg(not(unix))]
    let columns = 0;
    Some(columns).filter(|&columns| columns > 0)
}

/// Writes `text` to stdout. A reader that closes the pipe early (`| head`) is
/// not a failure.
pub fn print(text: &str) -> Result<(), Failure> {
    match write_all(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new("standard output", format!("cannot write: {error}")))
        }
        _ => Ok(()),
    }
}

fn write_all(text: &str) -> io::Result<()> {
    let mut stdout = stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
