//! Standard output, as a terminal or not.

use std::io::{self, ErrorKind, Write, stdout};

use super::failure::Failure;

/// Columns of the terminal that stdout is; `None` where it is none, or does not say.
pub fn width() -> Option<usize> {
    #[cfg(unix)]
    let columns = rustix::termios::tcgetwinsize(stdout()).ok()?.ws_col.into();
    #[cfg(not(unix))]
    let columns = 0;
    Some(columns).filter(|&columns| columns > 0)
}

/// Writes all of `text` to stdout. That nobody reads on (`| head`) is no failure.
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
