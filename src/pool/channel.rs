//! The way between a parent and a worker: frames, with the open files they speak of.
//!
//! A frame is a small head of fixed size and a payload. What is wrong with a payload is no concern of the channel: the head
//! still tells whose it was. Three things are all a pool needs of a transport: send a frame, receive one, learn that the
//! peer is gone.

use std::{
    collections::VecDeque,
    io,
    ops::Range,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
};

use byteorder::{ByteOrder as _, LittleEndian};

use crate::{
    AnyArray, Error, Result,
    bytes::map::Buffer,
    sys::{
        socket::{self, MOST_DESCRIPTORS, Wait},
        unshared::Unshared,
    },
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
    /// To a worker: some tasks.
    Tasks,
    /// To a worker: the call is over, what was kept for it can go.
    End,
    /// From a worker: what became of some tasks.
    Results,
    /// From a worker: tasks it has not begun and will not, as it was asked to.
    Returned,
    /// From a worker: why it cannot work at all.
    Failed,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Hello,
        Self::Ready,
        Self::Context,
        Self::Tasks,
        Self::End,
        Self::Results,
        Self::Returned,
        Self::Failed,
    ];
}

/// The fixed part of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    /// The call it belongs to.
    pub(super) call: u64,
    /// Of tasks: the index of the payload's first item. Of what is returned: how many frames of tasks had arrived.
    pub(super) index: u64,
    /// Of tasks: which of the payload's items are meant, from the first to before the second.
    pub(super) span: (u32, u32),
    /// Of tasks: the functions they run ([`Remote`](super::remote::Remote)). Of results: nanoseconds they took, bytes mapped, bytes copied.
    pub(super) facts: [u64; 3],
}

impl Head {
    pub(super) fn new(kind: Kind, call: u64, index: u64) -> Self {
        Self { kind, call, index, span: (0, 0), facts: [0; 3] }
    }
}

/// Bytes of a head: kind (1), zero (3), descriptors (4), call (8), index (8), span (2 × 4), facts (3 × 8), payload length (8).
const HEAD: usize = 64;

/// A payload with the open files it refers to.
#[derive(Clone, Default)]
pub(super) struct Payload {
    /// Shared, because a context goes to many.
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) files: Vec<Arc<dyn AsFd + Send + Sync>>,
    /// Arrays handed over as they are, where sender and receiver are one process.
    pub(super) arrays: Vec<AnyArray>,
}

impl Payload {
    /// A payload without files.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self { bytes: Arc::new(bytes), files: Vec::new(), arrays: Vec::new() }
    }
}

/// A frame as it arrives.
pub(super) struct Frame {
    pub(super) head: Head,
    pub(super) payload: Buffer,
    pub(super) descriptors: Vec<OwnedFd>,
    /// Descriptors that were sent along and did not arrive: this process may open no more.
    pub(super) missing: usize,
    pub(super) arrays: Vec<AnyArray>,
}

impl Frame {
    /// What arrives where nothing has to travel.
    ///
    /// # Errors
    ///
    /// Where there is no memory for it, or a descriptor too many.
    pub(super) fn handed_over(head: Head, payload: &Payload) -> Result<Self> {
        let descriptors = payload
            .files
            .iter()
            .map(|file| file.as_fd().try_clone_to_owned())
            .collect::<io::Result<_>>();
        Ok(Self {
            head,
            payload: Buffer::copy_of(&payload.bytes)?,
            descriptors: descriptors
                .map_err(|error| Error::io("cannot hand over an open file", error))?,
            missing: 0,
            arrays: payload.arrays.clone(),
        })
    }
}

/// Bytes received at a time: many small frames come with one call of the system.
const INBOX: usize = 64 << 10;

/// One end of the way.
pub(super) struct Channel {
    socket: Unshared<OwnedFd>,
    outgoing: VecDeque<Sending>,
    inbox: Inbox,
    /// Within one process: what arrays go along with the frames, one list for each, out and in.
    beside: Option<(Arc<Beside>, Arc<Beside>)>,
}

type Beside = Mutex<VecDeque<Vec<AnyArray>>>;

/// A frame on its way out.
struct Sending {
    head: [u8; HEAD],
    payload: Arc<Vec<u8>>,
    sent: usize,
    /// Open files still to go: the first of them with the next bytes.
    files: VecDeque<Arc<dyn AsFd + Send + Sync>>,
}

/// What has arrived and was not taken.
struct Inbox {
    bytes: Vec<u8>,
    /// The part of `bytes` that is still to be taken.
    held: Range<usize>,
    /// Bytes received in all, and those that belong to frames taken.
    received: u64,
    taken: u64,
    /// Each with the position of the last byte it came with, which lies in the frame it belongs to: the kernel ends what one call
    /// receives behind the piece that carries descriptors, and a piece is never of two frames.
    descriptors: VecDeque<(u64, OwnedFd)>,
    /// A frame too long for the inbox.
    long: Option<(Header, Buffer, usize)>,
}

#[derive(Clone, Copy)]
struct Header {
    head: Head,
    promised: usize,
    length: usize,
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
        let inbox = Inbox {
            bytes: Vec::new(),
            held: 0..0,
            received: 0,
            taken: 0,
            descriptors: VecDeque::new(),
            long: None,
        };
        Self { socket: Unshared::new(socket), outgoing: VecDeque::new(), inbox, beside: None }
    }

    /// Two ends within this process, over which arrays go as they are.
    ///
    /// # Errors
    ///
    /// Where the system gives no socket.
    pub(super) fn within() -> io::Result<(Self, Self)> {
        let (one, other) = socket::pair()?;
        let (there, back) = (Arc::<Beside>::default(), Arc::<Beside>::default());
        let beside = [(Arc::clone(&there), Arc::clone(&back)), (back, there)];
        let [one, other] = [(one, 0), (other, 1)]
            .map(|(socket, end)| Self { beside: Some(beside[end].clone()), ..Self::new(socket) });
        Ok((one, other))
    }

    /// Sends as much of a frame as the peer takes now; the rest goes with [`flush`](Channel::flush).
    ///
    /// # Errors
    ///
    /// Where the peer is gone, or the frame cannot be made: then nothing of it is sent.
    pub(super) fn send(&mut self, head: Head, payload: &Payload) -> io::Result<()> {
        // Each byte can carry some descriptors, and a head alone has enough bytes for more than a process may open.
        if payload.files.len() > HEAD * MOST_DESCRIPTORS {
            return Err(io::Error::other(format!(
                "a frame refers to {} open files",
                payload.files.len()
            )));
        }
        if let Some((out, _)) = &self.beside {
            out.lock().unwrap_or_else(PoisonError::into_inner).push_back(payload.arrays.clone());
        }
        let mut bytes = [0; HEAD];
        bytes[0] = head.kind as u8;
        LittleEndian::write_u32(&mut bytes[4..], payload.files.len() as u32);
        LittleEndian::write_u64(&mut bytes[8..], head.call);
        LittleEndian::write_u64(&mut bytes[16..], head.index);
        LittleEndian::write_u32(&mut bytes[24..], head.span.0);
        LittleEndian::write_u32(&mut bytes[28..], head.span.1);
        LittleEndian::write_u64_into(&head.facts, &mut bytes[32..56]);
        LittleEndian::write_u64(&mut bytes[56..], payload.bytes.len() as u64);
        let (files, payload) =
            (payload.files.iter().cloned().collect(), Arc::clone(&payload.bytes));
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
            let files: Vec<_> = frame.files.range(..batch).map(|file| file.as_fd()).collect();
            let head = &frame.head[frame.sent.min(HEAD)..];
            let payload = &frame.payload[frame.sent.saturating_sub(HEAD)..];
            // While there are descriptors to come, a byte at a time carries them.
            let parts = if frame.files.len() > batch { [&head[..1], &[]] } else { [head, payload] };
            match socket::send(self.socket.get()?.as_fd(), parts, &files) {
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
        let received = self.inbox.next(self.socket.get()?.as_fd(), false)?;
        Ok(self.with_arrays(received))
    }

    fn with_arrays(&self, received: Received) -> Received {
        match (received, &self.beside) {
            (Received::Frame(frame), Some((_, back))) => {
                let arrays = back.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                Received::Frame(Frame { arrays: arrays.unwrap_or_default(), ..frame })
            }
            (received, _) => received,
        }
    }

    /// A frame that has arrived already, without asking the system for more.
    ///
    /// # Errors
    ///
    /// As [`receive`](Channel::receive).
    pub(super) fn at_hand(&mut self) -> io::Result<Option<Frame>> {
        let Some(frame) = self.inbox.take()? else {
            return Ok(None);
        };
        match self.with_arrays(Received::Frame(frame)) {
            Received::Frame(frame) => Ok(Some(frame)),
            Received::NotYet | Received::Gone => Ok(None),
        }
    }

    /// The head of the frame that is arriving, as far as it has one.
    pub(super) fn arriving(&self) -> Option<Head> {
        match &self.inbox.long {
            Some((header, ..)) => Some(header.head),
            None => header(&self.inbox.bytes[self.inbox.held.clone()])
                .ok()
                .flatten()
                .map(|header| header.head),
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
            let received = self.inbox.next(self.socket.get()?.as_fd(), !self.is_sending())?;
            match self.with_arrays(received) {
                Received::Frame(frame) => return Ok(Some(frame)),
                Received::Gone => return Ok(None),
                Received::NotYet => socket::wait(&mut [self.wait()], None)?,
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

    /// Tells the peer that nothing more will come. What it still sends arrives.
    pub(super) fn say_no_more(&self) {
        let _ = self.socket.get().map(socket::say_no_more);
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Inbox {
    fn next(&mut self, socket: BorrowedFd<'_>, patient: bool) -> io::Result<Received> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Received::Frame(frame));
            }
            let space = match &mut self.long {
                Some((_, payload, have)) => &mut payload.as_mut()[*have..],
                None => {
                    self.bytes.copy_within(self.held.clone(), 0);
                    self.held = 0..self.held.len();
                    self.bytes.resize(INBOX, 0);
                    &mut self.bytes[self.held.end..]
                }
            };
            let mut descriptors = Vec::new();
            let got = match socket::receive(socket, space, &mut descriptors, patient) {
                Ok(0) => return Ok(Received::Gone),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Received::NotYet);
                }
                Err(error) => return Err(error),
            };
            match &mut self.long {
                Some((_, _, have)) => *have += got,
                None => self.held.end += got,
            }
            self.received += got as u64;
            let last = self.received - 1;
            self.descriptors.extend(descriptors.into_iter().map(|descriptor| (last, descriptor)));
        }
    }

    /// The next frame, if all of it is there.
    fn take(&mut self) -> io::Result<Option<Frame>> {
        if self.long.is_none() {
            let held = &self.bytes[self.held.clone()];
            let Some(header) = header(held)? else {
                return Ok(None);
            };
            let have = (held.len() - HEAD).min(header.length);
            if have < header.length && HEAD + header.length <= INBOX {
                return Ok(None);
            }
            let mut payload = Buffer::zeroed(header.length).map_err(io::Error::other)?;
            payload.as_mut()[..have].copy_from_slice(&held[HEAD..HEAD + have]);
            self.held.start += HEAD + have;
            self.long = Some((header, payload, have));
        }
        let Some((header, payload, _)) =
            self.long.take_if(|(header, _, have)| *have == header.length)
        else {
            return Ok(None);
        };
        self.taken += (HEAD + header.length) as u64;
        let count = self.descriptors.iter().take_while(|(last, _)| *last < self.taken).count();
        let descriptors: Vec<_> =
            self.descriptors.drain(..count).map(|(_, descriptor)| descriptor).collect();
        let missing = header.promised.saturating_sub(descriptors.len());
        Ok(Some(Frame { head: header.head, payload, descriptors, missing, arrays: Vec::new() }))
    }
}

/// The header that `bytes` begin with, if they hold one.
fn header(bytes: &[u8]) -> io::Result<Option<Header>> {
    let Some(bytes) = bytes.get(..HEAD) else {
        return Ok(None);
    };
    let Some(kind) = Kind::ALL.into_iter().find(|kind| *kind as u8 == bytes[0]) else {
        return Err(io::Error::other(format!(
            "what arrived is no frame: it begins with {:02X?}",
            &bytes[..8]
        )));
    };
    let mut facts = [0; 3];
    LittleEndian::read_u64_into(&bytes[32..56], &mut facts);
    let head = Head {
        kind,
        call: LittleEndian::read_u64(&bytes[8..]),
        index: LittleEndian::read_u64(&bytes[16..]),
        span: (LittleEndian::read_u32(&bytes[24..]), LittleEndian::read_u32(&bytes[28..])),
        facts,
    };
    let length = usize::try_from(LittleEndian::read_u64(&bytes[56..])).map_err(io::Error::other)?;
    Ok(Some(Header { head, promised: LittleEndian::read_u32(&bytes[4..]) as usize, length }))
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::FileExt};

    use super::*;

    fn ends() -> (Channel, Channel) {
        let (one, other) = socket::pair().unwrap();
        (Channel::new(one), Channel::new(other))
    }

    fn head(index: u64) -> Head {
        Head { span: (3, 4), facts: [5, 6, u64::MAX], ..Head::new(Kind::Tasks, 1, index) }
    }

    #[test]
    fn frames_of_every_size_arrive_whole_and_in_order() {
        let (mut one, mut other) = ends();
        let sizes =
            [0, 1, HEAD - 1, HEAD, 1000, INBOX - HEAD - 1, INBOX - HEAD, INBOX, 10 << 20, 5, 0];
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
        let file = Arc::new(tempfile::tempfile().unwrap());
        for count in [0, 1, MOST_DESCRIPTORS, MOST_DESCRIPTORS + 1, 3 * MOST_DESCRIPTORS + 7] {
            let files = (0..count).map(|_| Arc::clone(&file) as _).collect();
            one.send(head(0), &Payload { files, ..Payload::of(vec![9; 10]) }).unwrap();
            let frame = other.next().unwrap().unwrap();
            assert_eq!((frame.descriptors.len(), frame.missing), (count, 0));
            assert_eq!(frame.payload.as_ref(), [9; 10]);
        }
    }

    #[test]
    fn open_files_belong_to_the_frame_they_were_sent_with() {
        let (mut one, mut other) = ends();
        let files: Vec<_> = (0..6u8)
            .map(|number| {
                let file = tempfile::tempfile().unwrap();
                file.write_all_at(&[number], 0).unwrap();
                Arc::new(file)
            })
            .collect();
        let with = |files: &[Arc<File>]| Payload {
            files: files.iter().map(|file| Arc::clone(file) as _).collect(),
            ..Payload::of(vec![7; 3])
        };
        for part in [&files[..0], &files[0..2], &[], &files[2..3], &files[3..6], &[]] {
            one.send(head(0), &with(part)).unwrap();
        }
        let mut number = 0;
        for count in [0, 2, 0, 1, 3, 0] {
            let frame = other.next().unwrap().unwrap();
            assert_eq!(frame.descriptors.len(), count);
            for descriptor in frame.descriptors {
                let mut found = [0];
                File::from(descriptor).read_exact_at(&mut found, 0).unwrap();
                assert_eq!(found, [number]);
                number += 1;
            }
        }
    }

    #[test]
    fn rubbish_is_no_frame() {
        let (one, other) = socket::pair().unwrap();
        socket::send(one.as_fd(), [&[0xff; HEAD], &[]], &[]).unwrap();
        assert!(Channel::new(other).next().is_err());
    }
}
