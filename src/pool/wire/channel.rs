//! A byte stream that carries frames with open files, between this process and a worker on the
//! same machine.
//!
//! Threads of this process use the same stream as processes, through a real socket pair, so
//! that both share one path. Their arrays go beside it ([`Channel::within`]).

use std::{
    collections::VecDeque,
    io,
    ops::Range,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    AnyArray,
    bytes::map::Buffer,
    pool::wire::frame::{Frame, FrameHead, HEAD_LEN, ParsedHead, Payload},
    sys::{
        socket::{self, MAX_DESCRIPTORS, Wait},
        unshared::Unshared,
    },
};

/// The number of bytes received with one system call. Many small frames fit.
const INBOX_LEN: usize = 64 << 10;

/// One end of a byte stream.
pub(crate) struct Channel {
    socket: Unshared<OwnedFd>,
    outgoing: VecDeque<OutgoingFrame>,
    inbox: Inbox,
    /// Arrays that accompany the frames within one process, one list for each frame, outgoing
    /// and incoming.
    beside: Option<(Arc<ArrayQueue>, Arc<ArrayQueue>)>,
}

type ArrayQueue = Mutex<VecDeque<Vec<AnyArray>>>;

/// A frame that is being sent.
struct OutgoingFrame {
    head: [u8; HEAD_LEN],
    payload: Arc<Vec<u8>>,
    sent: usize,
    /// Open files to send, with the next bytes.
    files: VecDeque<Arc<dyn AsFd + Send + Sync>>,
}

/// Received bytes that were not read yet.
struct Inbox {
    bytes: Vec<u8>,
    /// The unread part of `bytes`.
    held: Range<usize>,
    /// The number of bytes received, and the number of bytes in frames that were read.
    received: u64,
    taken: u64,
    /// Descriptors with the position of the last byte that arrived with them. That byte is in
    /// their frame: the kernel ends a receive call after a piece with descriptors, and a piece
    /// never belongs to two frames.
    descriptors: VecDeque<(u64, OwnedFd)>,
    /// A frame that is too long for the inbox.
    long: Option<(ParsedHead, Buffer, usize)>,
}

/// The result of trying to receive a frame.
pub(crate) enum Received {
    Frame(Frame),
    /// No complete frame has arrived.
    NotYet,
    /// The peer has closed the stream, and everything it sent was read.
    Gone,
}

impl Channel {
    pub(crate) fn new(socket: OwnedFd) -> Self {
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

    /// Returns the two ends of a stream within this process, which passes arrays without
    /// copying.
    ///
    /// # Errors
    ///
    /// Returns an error if the system cannot create a socket.
    pub(crate) fn within() -> io::Result<(Self, Self)> {
        let (one, other) = socket::pair()?;
        let (there, back) = (Arc::<ArrayQueue>::default(), Arc::<ArrayQueue>::default());
        let beside = [(Arc::clone(&there), Arc::clone(&back)), (back, there)];
        let [one, other] = [(one, 0), (other, 1)]
            .map(|(socket, end)| Self { beside: Some(beside[end].clone()), ..Self::new(socket) });
        Ok((one, other))
    }

    /// Sends as much of a frame as the peer accepts now. [`flush`](Channel::flush) sends the
    /// rest.
    ///
    /// # Errors
    ///
    /// Returns an error if the peer has closed the stream, or the frame is invalid. Then
    /// nothing of it is sent.
    pub(crate) fn send(&mut self, head: FrameHead, payload: &Payload) -> io::Result<()> {
        // Each byte can carry some descriptors, and a head has enough bytes for more
        // descriptors than a process may open.
        if payload.files.len() > HEAD_LEN * MAX_DESCRIPTORS {
            return Err(io::Error::other(format!(
                "a frame refers to {} open files",
                payload.files.len()
            )));
        }
        if let Some((out, _)) = &self.beside {
            out.lock().unwrap_or_else(PoisonError::into_inner).push_back(payload.arrays.clone());
        }
        let bytes = head.encode(payload.files.len(), payload.bytes.len());
        let (files, payload) =
            (payload.files.iter().cloned().collect(), Arc::clone(&payload.bytes));
        self.outgoing.push_back(OutgoingFrame { head: bytes, payload, sent: 0, files });
        self.flush()
    }

    /// Returns whether something is still to be sent.
    pub(crate) fn is_sending(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Sends what the peer accepts now.
    ///
    /// # Errors
    ///
    /// Returns an error if the peer has closed the stream.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while let Some(frame) = self.outgoing.front_mut() {
            let batch = frame.files.len().min(MAX_DESCRIPTORS);
            let files: Vec<_> = frame.files.range(..batch).map(|file| file.as_fd()).collect();
            let head = &frame.head[frame.sent.min(HEAD_LEN)..];
            let payload = &frame.payload[frame.sent.saturating_sub(HEAD_LEN)..];
            // While there are many descriptors, each byte carries some of them.
            let parts = if frame.files.len() > batch { [&head[..1], &[]] } else { [head, payload] };
            match socket::send(self.socket.get()?.as_fd(), parts, &files) {
                Ok(sent) => {
                    frame.sent += sent;
                    frame.files.drain(..batch);
                    if frame.sent == HEAD_LEN + frame.payload.len() {
                        self.outgoing.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Receives the bytes that have arrived.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are not a frame, or there is not enough memory for it.
    pub(crate) fn receive(&mut self) -> io::Result<Received> {
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

    /// Returns a frame that was received already, without a system call.
    ///
    /// # Errors
    ///
    /// See [`receive`](Channel::receive).
    pub(crate) fn buffered(&mut self) -> io::Result<Option<Frame>> {
        let Some(frame) = self.inbox.take()? else {
            return Ok(None);
        };
        match self.with_arrays(Received::Frame(frame)) {
            Received::Frame(frame) => Ok(Some(frame)),
            Received::NotYet | Received::Gone => Ok(None),
        }
    }

    /// Returns the head of the frame that is arriving, if it is complete.
    pub(crate) fn arriving(&self) -> Option<FrameHead> {
        match &self.inbox.long {
            Some((header, ..)) => Some(header.head),
            None => ParsedHead::decode(&self.inbox.bytes[self.inbox.held.clone()])
                .ok()
                .flatten()
                .map(|parsed| parsed.head),
        }
    }

    /// Waits for the next frame, and sends pending bytes meanwhile.
    ///
    /// # Errors
    ///
    /// See [`receive`](Channel::receive) and [`flush`](Channel::flush).
    pub(crate) fn next(&mut self) -> io::Result<Option<Frame>> {
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
    /// Returns an error if the peer has closed the stream.
    pub(crate) fn finish_sending(&mut self) -> io::Result<()> {
        loop {
            self.flush()?;
            if !self.is_sending() {
                return Ok(());
            }
            socket::wait_until_writable(self.socket.as_fd())?;
        }
    }

    /// Returns the descriptor to wait for before receiving or flushing again.
    pub(crate) fn wait(&self) -> Wait<'_> {
        Wait { descriptor: self.socket.as_fd(), for_writing: self.is_sending(), ready: false }
    }

    /// Tells the peer that no more frames follow. Frames from the peer still arrive.
    pub(crate) fn say_no_more(&self) {
        let _ = self.socket.get().map(socket::shutdown_write);
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
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
                    self.bytes.resize(INBOX_LEN, 0);
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

    /// Returns the next frame, if it is complete.
    fn take(&mut self) -> io::Result<Option<Frame>> {
        if self.long.is_none() {
            let held = &self.bytes[self.held.clone()];
            let Some(header) = ParsedHead::decode(held)? else {
                return Ok(None);
            };
            let have = (held.len() - HEAD_LEN).min(header.length);
            if have < header.length && HEAD_LEN + header.length <= INBOX_LEN {
                return Ok(None);
            }
            let mut payload = Buffer::zeroed(header.length).map_err(io::Error::other)?;
            payload.as_mut()[..have].copy_from_slice(&held[HEAD_LEN..HEAD_LEN + have]);
            self.held.start += HEAD_LEN + have;
            self.long = Some((header, payload, have));
        }
        let Some((header, payload, _)) =
            self.long.take_if(|(header, _, have)| *have == header.length)
        else {
            return Ok(None);
        };
        self.taken += (HEAD_LEN + header.length) as u64;
        let count = self.descriptors.iter().take_while(|(last, _)| *last < self.taken).count();
        let descriptors: Vec<_> =
            self.descriptors.drain(..count).map(|(_, descriptor)| descriptor).collect();
        let missing = header.files.saturating_sub(descriptors.len());
        Ok(Some(Frame { head: header.head, payload, descriptors, missing, arrays: Vec::new() }))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::FileExt};

    use super::*;
    use crate::pool::wire::frame::FrameKind;

    fn ends() -> (Channel, Channel) {
        let (one, other) = socket::pair().unwrap();
        (Channel::new(one), Channel::new(other))
    }

    fn head(index: u64) -> FrameHead {
        FrameHead {
            span: (3, 4),
            facts: [5, 6, u64::MAX],
            ..FrameHead::new(FrameKind::Tasks, 1, index)
        }
    }

    #[test]
    fn channel_frames_of_any_size_arrive_in_order() {
        let (mut one, mut other) = ends();
        let sizes = [
            0,
            1,
            HEAD_LEN - 1,
            HEAD_LEN,
            1000,
            INBOX_LEN - HEAD_LEN - 1,
            INBOX_LEN - HEAD_LEN,
            INBOX_LEN,
            10 << 20,
            5,
            0,
        ];
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
    fn channel_passes_any_number_of_files() {
        let (mut one, mut other) = ends();
        let file = Arc::new(tempfile::tempfile().unwrap());
        for count in [0, 1, MAX_DESCRIPTORS, MAX_DESCRIPTORS + 1, 3 * MAX_DESCRIPTORS + 7] {
            let files = (0..count).map(|_| Arc::clone(&file) as _).collect();
            one.send(head(0), &Payload { files, ..Payload::of(vec![9; 10]) }).unwrap();
            let frame = other.next().unwrap().unwrap();
            assert_eq!((frame.descriptors.len(), frame.missing), (count, 0));
            assert_eq!(frame.payload.as_ref(), [9; 10]);
        }
    }

    #[test]
    fn channel_files_stay_with_their_frame() {
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
    fn channel_invalid_frame_is_an_error() {
        let (one, other) = socket::pair().unwrap();
        socket::send(one.as_fd(), [&[0xff; HEAD_LEN], &[]], &[]).unwrap();
        assert!(Channel::new(other).next().is_err());
    }
}
