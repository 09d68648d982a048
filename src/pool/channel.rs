//! The way between a parent and a worker: frames, with the open files they speak of.
//!
//! A frame is a small head of fixed size and a payload. What is wrong with a payload is no concern of the channel: the head
//! still tells whose it was. Three things are all a pool needs of a transport: send a frame, receive one, learn that the
//! peer is gone.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use byteorder::{ByteOrder as _, LittleEndian};

use crate::{
    map::{Buffer, FileMap},
    sys::socket::{self, MOST_DESCRIPTORS, Wait},
};

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// To a worker, first of all: where the session is and how to behave.
    Hello,
    /// From a worker: it runs.
    Ready,
    /// To a worker: the value shared by all tasks of a call.
    Context,
    /// To a worker: a task.
    Task,
    /// To a worker: the call is over, what was kept for it can go.
    End,
    /// From a worker: a task's result.
    Done,
    /// From a worker: why a task has no result.
    Failed,
}

impl Kind {
    const ALL: [Self; 7] = [Self::Hello, Self::Ready, Self::Context, Self::Task, Self::End, Self::Done, Self::Failed];
}

/// The fixed part of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    /// The call it belongs to, and the task's index in it.
    pub(super) call: u64,
    pub(super) index: u64,
    /// The functions a task runs, as offsets in the program.
    pub(super) trampoline: u64,
    pub(super) function: u64,
}

impl Head {
    pub(super) fn new(kind: Kind, call: u64, index: u64) -> Self {
        Self { kind, call, index, trampoline: 0, function: 0 }
    }
}

/// Bytes of a head: kind (1), zero (3), descriptors (4), call, index, trampoline, function, payload length (8 each).
const HEAD: usize = 48;

/// A payload with the open files it refers to.
#[derive(Clone, Default)]
pub(super) struct Payload {
    /// Shared, because a context goes to many.
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) files: Vec<Arc<FileMap>>,
}

impl Payload {
    /// A payload without files.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self { bytes: Arc::new(bytes), files: Vec::new() }
    }
}

/// A frame as it arrives.
pub(super) struct Frame {
    pub(super) head: Head,
    pub(super) payload: Buffer,
    pub(super) descriptors: Vec<OwnedFd>,
    /// Descriptors that were sent along and did not arrive: this process may open no more.
    pub(super) missing: usize,
}

/// One end of the way.
pub(super) struct Channel {
    socket: OwnedFd,
    outgoing: VecDeque<Sending>,
    incoming: Receiving,
}

/// A frame on its way out.
struct Sending {
    head: [u8; HEAD],
    payload: Arc<Vec<u8>>,
    sent: usize,
    /// Open files still to go: the first of them with the next bytes.
    files: VecDeque<Arc<FileMap>>,
}

/// A frame on its way in.
struct Receiving {
    head: [u8; HEAD],
    have: usize,
    body: Option<(Head, usize, Buffer)>,
    descriptors: Vec<OwnedFd>,
}

/// What came of trying to receive.
pub(super) enum Received {
    Frame(Frame),
    /// Nothing whole is there yet.
    NotYet,
    /// The peer is gone, and so is all it had sent.
    Gone,
}

impl Channel {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            outgoing: VecDeque::new(),
            incoming: Receiving { head: [0; HEAD], have: 0, body: None, descriptors: Vec::new() },
        }
    }

    /// Sends as much of a frame as the peer takes now; the rest goes with [`flush`](Channel::flush).
    ///
    /// # Errors
    ///
    /// Where the peer is gone.
    pub(super) fn send(&mut self, head: Head, payload: &Payload) -> io::Result<()> {
        let mut bytes = [0; HEAD];
        bytes[0] = head.kind as u8;
        LittleEndian::write_u32(&mut bytes[4..], payload.files.len() as u32);
        let length = payload.bytes.len() as u64;
        for (at, field) in [head.call, head.index, head.trampoline, head.function, length].into_iter().enumerate() {
            LittleEndian::write_u64(&mut bytes[8 + 8 * at..], field);
        }
        // Each byte can carry some descriptors, and a head alone has enough bytes for more than a process may open.
        if payload.files.len() > HEAD * MOST_DESCRIPTORS {
            return Err(io::Error::other(format!("a frame refers to {} open files", payload.files.len())));
        }
        let (files, payload) = (payload.files.iter().cloned().collect(), Arc::clone(&payload.bytes));
        self.outgoing.push_back(Sending { head: bytes, payload, sent: 0, files });
        self.flush()
    }

    /// Whether something is still to be sent.
    pub(super) fn is_sending(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Sends what the peer takes now.
    ///
    /// # Errors
    ///
    /// Where the peer is gone.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while let Some(frame) = self.outgoing.front_mut() {
            let batch = frame.files.len().min(MOST_DESCRIPTORS);
            let files: Vec<_> = frame.files.range(..batch).map(|map| map.file().as_fd()).collect();
            let head = &frame.head[frame.sent.min(HEAD)..];
            let payload = &frame.payload[frame.sent.saturating_sub(HEAD)..];
            // While there are descriptors to come, a byte at a time carries them.
            let parts = if frame.files.len() > batch { [&head[..1], &[]] } else { [head, payload] };
            match socket::send(self.socket.as_fd(), parts, &files) {
                Ok(sent) => {
                    frame.sent += sent;
                    frame.files.drain(..batch);
                    if frame.sent == HEAD + frame.payload.len() {
                        self.outgoing.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Receives what there is.
    ///
    /// # Errors
    ///
    /// Where what arrives is no frame, or there is no memory for it.
    pub(super) fn receive(&mut self) -> io::Result<Received> {
        loop {
            let Receiving { head, have, body, descriptors } = &mut self.incoming;
            let space = match body {
                None => &mut head[*have..],
                Some((_, _, payload)) => &mut payload.as_mut()[*have..],
            };
            let got = match space {
                [] => 0,
                space => match socket::receive(self.socket.as_fd(), space, descriptors) {
                    Ok(0) => return Ok(Received::Gone),
                    Ok(got) => got,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Received::NotYet),
                    Err(error) => return Err(error),
                },
            };
            *have += got;
            match body {
                None if *have == HEAD => {
                    *body = Some(parse(head)?);
                    *have = 0;
                }
                Some((_, _, payload)) if *have == payload.as_ref().len() => {
                    let (head, promised, payload) = body.take().expect("it was just looked at");
                    let descriptors = std::mem::take(descriptors);
                    *have = 0;
                    let missing = promised.saturating_sub(descriptors.len());
                    return Ok(Received::Frame(Frame { head, payload, descriptors, missing }));
                }
                _ => {}
            }
        }
    }

    /// The head of the frame that is arriving, as far as it has one.
    pub(super) fn arriving(&self) -> Option<Head> {
        match &self.incoming.body {
            Some((head, _, _)) => Some(*head),
            None if self.incoming.have == HEAD => fields(&self.incoming.head).ok(),
            None => None,
        }
    }

    /// Waits for the next frame, sending what is left to send meanwhile.
    ///
    /// # Errors
    ///
    /// As [`receive`](Channel::receive) and [`flush`](Channel::flush).
    pub(super) fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            self.flush()?;
            match self.receive()? {
                Received::Frame(frame) => return Ok(Some(frame)),
                Received::Gone => return Ok(None),
                Received::NotYet => socket::wait(&mut [self.wait()])?,
            }
        }
    }

    /// Waits until everything is sent.
    ///
    /// # Errors
    ///
    /// Where the peer is gone.
    pub(super) fn finish_sending(&mut self) -> io::Result<()> {
        loop {
            self.flush()?;
            if !self.is_sending() {
                return Ok(());
            }
            socket::wait_until_writable(self.socket.as_fd())?;
        }
    }

    /// What to wait for before receiving or flushing again.
    pub(super) fn wait(&self) -> Wait<'_> {
        Wait { descriptor: self.socket.as_fd(), for_writing: self.is_sending(), ready: false }
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn fields(head: &[u8; HEAD]) -> io::Result<Head> {
    let Some(kind) = Kind::ALL.into_iter().find(|kind| *kind as u8 == head[0]) else {
        return Err(io::Error::other(format!("what arrived is no frame: it begins with {:02X?}", &head[..8])));
    };
    let field = |at: usize| LittleEndian::read_u64(&head[8 + 8 * at..]);
    Ok(Head { kind, call: field(0), index: field(1), trampoline: field(2), function: field(3) })
}

/// The head, how many descriptors come along, and room for the payload.
fn parse(head: &[u8; HEAD]) -> io::Result<(Head, usize, Buffer)> {
    let fields = fields(head)?;
    let length = usize::try_from(LittleEndian::read_u64(&head[40..])).map_err(io::Error::other)?;
    let payload = Buffer::zeroed(length).map_err(io::Error::other)?;
    Ok((fields, LittleEndian::read_u32(&head[4..]) as usize, payload))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn ends() -> (Channel, Channel) {
        let (one, other) = socket::pair().unwrap();
        (Channel::new(one), Channel::new(other))
    }

    fn head(index: u64) -> Head {
        Head { trampoline: 3, function: 4, ..Head::new(Kind::Task, 1, index) }
    }

    #[test]
    fn frames_of_every_size_arrive_whole_and_in_order() {
        let (mut one, mut other) = ends();
        let sizes = [0, 1, 47, 48, 1000, 10 << 20, 5];
        let sender = std::thread::spawn(move || {
            for (index, size) in sizes.into_iter().enumerate() {
                let bytes = (0..size).map(|at| (at % 251) as u8).collect();
                one.send(head(index as u64), &Payload::of(bytes)).unwrap();
            }
            one.finish_sending().unwrap();
        });
        for (index, size) in sizes.into_iter().enumerate() {
            let frame = other.next().unwrap().unwrap();
            assert_eq!(frame.head, head(index as u64));
            let payload = frame.payload.as_ref();
            assert_eq!(payload.len(), size);
            assert!(payload.iter().enumerate().all(|(at, &byte)| byte == (at % 251) as u8));
        }
        sender.join().unwrap();
        assert!(other.next().unwrap().is_none(), "the peer is gone");
    }

    #[test]
    fn any_number_of_open_files_comes_along() {
        let (mut one, mut other) = ends();
        let map = FileMap::of(tempfile::tempfile().unwrap(), PathBuf::from("x")).unwrap();
        for count in [0, 1, MOST_DESCRIPTORS, MOST_DESCRIPTORS + 1, 3 * MOST_DESCRIPTORS + 7] {
            let files = vec![Arc::clone(&map); count];
            one.send(head(0), &Payload { files, ..Payload::of(vec![9; 10]) }).unwrap();
            let frame = other.next().unwrap().unwrap();
            assert_eq!((frame.descriptors.len(), frame.missing), (count, 0));
            assert_eq!(frame.payload.as_ref(), [9; 10]);
        }
    }

    #[test]
    fn rubbish_is_no_frame() {
        let (one, other) = socket::pair().unwrap();
        socket::send(one.as_fd(), [&[0xff; HEAD], &[]], &[]).unwrap();
        assert!(Channel::new(other).next().is_err());
    }
}
