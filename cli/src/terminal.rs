//! Standard output, which may be a terminal.

use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write, stdout};

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
    Stream::run(|stream| stream.write(text))
}

/// Standard output for long results, which are written piece by piece.
pub struct Stream {
    stdout: BufWriter<StdoutLock<'static>>,
}

/// The reason why a [`Stream`] ends early.
pub enum Stop {
    /// The reader closed the pipe, which is not a failure.
    Closed,
    Failed(Failure),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Failed(Failure::new("standard output", format!("cannot write: {error}"))),
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Stream {
    /// Calls `write` with standard output. A reader that closes the pipe early
    /// ends it, which is not a failure.
    pub fn run(write: impl FnOnce(&mut Self) -> Result<(), Stop>) -> Result<(), Failure> {
        let mut stream = Self { stdout: BufWriter::new(stdout().lock()) };
        let written = write(&mut stream);
        // After a failure, the output up to it is written.
        let flushed = stream.stdout.flush().map_err(Stop::from);
        match written.and(flushed) {
            Err(Stop::Failed(failure)) => Err(failure),
            Ok(()) | Err(Stop::Closed) => Ok(()),
        }
    }

    pub fn write(&mut self, text: &str) -> Result<(), Stop> {
        Ok(self.stdout.write_all(text.as_bytes())?)
    }
}
