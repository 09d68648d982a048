//! A stream whose lines are passed on with the worker and the task in front.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use super::Nonce;
use crate::sys::socket::{self, Wait};

/// A line longer than this is passed on in pieces.
const LONGEST: usize = 64 << 10;

/// Whoever passes on a line.
static WRITING: Mutex<()> = Mutex::new(());

/// A thread that passes on what a worker writes. Dropping this ends it, when all that the worker has written was passed on.
pub(super) struct Prefixing {
    /// When it goes, the worker has ended.
    alive: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Prefixing {
    /// For worker `id`: its streams, and whether each goes to standard error.
    pub(super) fn start(id: u32, streams: Vec<(OwnedFd, bool)>, nonce: Nonce) -> io::Result<Self> {
        let (ended, alive) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let streams = streams
            .into_iter()
            .map(|(pipe, to_stderr)| (pipe, to_stderr, Lines::new(id, nonce)))
            .collect();
        let thread = thread::Builder::new()
            .name("ndferry-output".into())
            .spawn(move || pass_on(streams, &ended))?;
        Ok(Self { alive: Some(alive), thread: Some(thread) })
    }
}

impl Drop for Prefixing {
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn pass_on(mut streams: Vec<(OwnedFd, bool, Lines)>, ended: &OwnedFd) {
    let mut bytes = vec![0; LONGEST];
    while !streams.is_empty() {
        let mut waits: Vec<_> = std::iter::once(ended)
            .chain(streams.iter().map(|(pipe, ..)| pipe))
            .map(for_reading)
            .collect();
        if socket::wait(&mut waits, None).is_err() {
            return;
        }
        let ready: Vec<_> = waits.iter().map(|wait| wait.ready).collect();
        if ready[0] {
            break;
        }
        let mut at = 0;
        streams.retain_mut(|(pipe, to_stderr, lines)| {
            at += 1;
            !ready[at] || read(pipe, usize::MAX, &mut bytes, lines, *to_stderr) > 0
        });
    }
    // What the worker has written is here by now. Somebody it has left behind may write on, and is not waited for.
    for (pipe, to_stderr, lines) in &mut streams {
        let mut there = rustix::io::ioctl_fionread(&*pipe)
            .map_or(0, |bytes| usize::try_from(bytes).unwrap_or(0));
        while there > 0 {
            match read(pipe, there, &mut bytes, lines, *to_stderr) {
                0 => break,
                count => there -= count.min(there),
            }
        }
        lines.end(&mut |line| write(*to_stderr, line));
    }
}

fn for_reading(descriptor: &OwnedFd) -> Wait<'_> {
    Wait { descriptor: descriptor.as_fd(), for_writing: false, ready: false }
}

/// Passes on what there is, and gives how much that was: nothing at the end of the stream, whose last line then was passed on.
fn read(
    pipe: &OwnedFd,
    most: usize,
    bytes: &mut [u8],
    lines: &mut Lines,
    to_stderr: bool,
) -> usize {
    let most = most.min(bytes.len());
    let count = loop {
        match rustix::io::read(pipe, &mut bytes[..most]) {
            Err(rustix::io::Errno::INTR) => {}
            count => break count.unwrap_or(0),
        }
    };
    lines.take(&bytes[..count], &mut |line| write(to_stderr, line));
    if count == 0 {
        lines.end(&mut |line| write(to_stderr, line));
    }
    count
}

/// Writes a line in one piece, as far as the system does, past the locks of the standard library: a thread of the program that holds one
/// of them may be waiting for the worker. Where it cannot be written, nobody can be told.
fn write(to_stderr: bool, mut line: &[u8]) {
    let target: BorrowedFd<'_> =
        if to_stderr { rustix::stdio::stderr() } else { rustix::stdio::stdout() };
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    while !line.is_empty() {
        match rustix::io::write(target, line) {
            Ok(count) => line = &line[count..],
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) if socket::wait_until_writable(target).is_ok() => {}
            Err(_) => return,
        }
    }
}

/// Lines in the making.
struct Lines {
    id: u32,
    nonce: Nonce,
    task: Option<u64>,
    pending: Vec<u8>,
}

impl Lines {
    fn new(id: u32, nonce: Nonce) -> Self {
        Self { id, nonce, task: None, pending: Vec::new() }
    }

    /// More of the stream.
    fn take(&mut self, bytes: &[u8], pass: &mut impl FnMut(&[u8])) {
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let mut rest = &pending[..];
        loop {
            let end = rest.iter().position(|&byte| byte == b'\n');
            let line = &rest[..end.unwrap_or(rest.len())];
            if let Some(mark) = line.windows(self.nonce.len()).position(|bytes| bytes == self.nonce)
            {
                let behind = mark + self.nonce.len();
                let Some(index) = rest.get(behind..behind + 8) else { break };
                self.pass(&rest[..mark], pass);
                self.task = Some(u64::from_le_bytes(index.try_into().expect("8 bytes")));
                rest = &rest[behind + 8..];
            } else if let Some(end) = end {
                self.line(&rest[..end], pass);
                rest = &rest[end + 1..];
            } else if rest.len() >= LONGEST {
                // The end may be the beginning of a mark.
                let (piece, next) = rest.split_at(rest.len() - self.nonce.len());
                self.line(piece, pass);
                rest = next;
            } else {
                break;
            }
        }
        self.pending = rest.to_vec();
    }

    /// The stream has ended.
    fn end(&mut self, pass: &mut impl FnMut(&[u8])) {
        let rest = std::mem::take(&mut self.pending);
        self.pass(&rest, pass);
    }

    /// Text without a line end, if there is any.
    fn pass(&self, text: &[u8], pass: &mut impl FnMut(&[u8])) {
        if !text.is_empty() {
            self.line(text, pass);
        }
    }

    fn line(&self, text: &[u8], pass: &mut impl FnMut(&[u8])) {
        let mut line = match self.task {
            Some(task) => format!("[{} #{task}] ", self.id),
            None => format!("[{}] ", self.id),
        }
        .into_bytes();
        line.extend_from_slice(text);
        line.push(b'\n');
        pass(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: Nonce = *b"\0nonce+15letters";

    fn mark(index: u64) -> Vec<u8> {
        [&NONCE[..], &index.to_le_bytes()].concat()
    }

    #[test]
    fn lines_bear_the_task_that_wrote_them_however_the_stream_is_cut() {
        // The tenth task's mark has a line end in it.
        let stream =
            [b"hello\nno end", &mark(3)[..], b"a\n\nb", &mark(10), b"c", &mark(11), &mark(12)]
                .concat();
        for piece in 1..stream.len() {
            let mut lines = Lines::new(7, NONCE);
            let mut seen = String::new();
            let mut pass = |line: &[u8]| seen.push_str(std::str::from_utf8(line).unwrap());
            stream.chunks(piece).for_each(|bytes| lines.take(bytes, &mut pass));
            lines.end(&mut pass);
            assert_eq!(
                seen, "[7] hello\n[7] no end\n[7 #3] a\n[7 #3] \n[7 #3] b\n[7 #10] c\n",
                "pieces of {piece}"
            );
        }
    }

    #[test]
    fn a_line_without_end_is_passed_on_in_pieces() {
        let mut lines = Lines::new(7, NONCE);
        let (mut count, mut longest) = (0, 0);
        let mut pass = |line: &[u8]| {
            count += line.iter().filter(|&&byte| byte == b'x').count();
            longest = longest.max(line.len());
        };
        for _ in 0..100 {
            lines.take(&[b'x'; 5000], &mut pass);
        }
        lines.end(&mut pass);
        assert_eq!(count, 500_000);
        assert!(longest < 2 * LONGEST, "{longest}");
    }
}
