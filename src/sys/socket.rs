//! Stream sockets that carry bytes and open descriptors.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType, recvmsg, sendmsg,
        shutdown, socketpair, sockopt,
    },
};

/// How many descriptors a call can send. The kernel accepts 253.
pub(crate) const MAX_DESCRIPTORS: usize = 128;

/// Returns the two ends of a new socket. Programs that this process starts do
/// not inherit them.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

/// Sends as much of `parts` as possible without waiting, and `descriptors` with
/// the first byte.
///
/// Returns how many bytes were sent.
///
/// # Errors
///
/// Returns `WouldBlock` if the buffer of the socket is full, and errors such as
/// `BrokenPipe` if the peer has closed its end.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    parts: [&[u8]; 2],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        let fits = ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
        assert!(fits, "at most {MAX_DESCRIPTORS} descriptors at a time");
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    retry(|| sendmsg(socket, &parts.map(IoSlice::new), &mut ancillary, flags))
}

/// Receives the available bytes, and waits for some if `wait` is set.
///
/// Received descriptors are added to `descriptors`. If this process cannot open
/// more files, some of them are lost. Returns the number of bytes, which is 0
/// if the peer has closed its end.
///
/// # Errors
///
/// Returns `WouldBlock` if no bytes are available and `wait` is not set.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    bytes: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
    wait: bool,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let waiting = if wait { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
    let received = loop {
        match recvmsg(
            socket,
            &mut [IoSliceMut::new(bytes)],
            &mut ancillary,
            waiting | RecvFlags::CMSG_CLOEXEC,
        ) {
            Ok(received) => break received,
            Err(Errno::INTR) => {}
            // The peer has ended without reading all bytes.
            Err(Errno::CONNRESET) => return Ok(0),
            Err(error) => return Err(error.into()),
        }
    };
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok(received.bytes)
}

/// A descriptor to wait for, and the result.
pub(crate) struct Wait<'a> {
    pub(crate) descriptor: BorrowedFd<'a>,
    pub(crate) for_writing: bool,
    pub(crate) ready: bool,
}

/// Waits until a descriptor is readable, writable (if requested) or closed by
/// its peer, or until `timeout` has passed.
pub(crate) fn wait(waits: &mut [Wait<'_>], timeout: Option<Duration>) -> io::Result<()> {
    let until = timeout.map(|timeout| Instant::now() + timeout);
    let mut polls: Vec<_> = waits
        .iter()
        .map(|wait| {
            let out = if wait.for_writing { PollFlags::OUT } else { PollFlags::empty() };
            PollFd::from_borrowed_fd(wait.descriptor, PollFlags::IN | out)
        })
        .collect();
    retry(|| {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        poll(&mut polls, left.and_then(|left| left.try_into().ok()).as_ref())
    })?;
    for (wait, poll) in waits.iter_mut().zip(&polls) {
        wait.ready = !poll.revents().is_empty();
    }
    Ok(())
}

/// Waits until `socket` accepts more bytes or its peer has closed its end.
pub(crate) fn wait_until_writable(socket: BorrowedFd<'_>) -> io::Result<()> {
    let mut polls = [PollFd::from_borrowed_fd(socket, PollFlags::OUT)];
    retry(|| poll(&mut polls, None)).map(drop)
}

/// Waits until the peer of `socket` has closed its end or one of the watched
/// `processes` has ended.
///
/// Returns `false` if neither has happened within `timeout`.
pub(crate) fn wait_for_hangup(
    socket: BorrowedFd<'_>,
    processes: &[BorrowedFd<'_>],
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let mut polls = vec![PollFd::from_borrowed_fd(socket, PollFlags::RDHUP)];
    polls.extend(processes.iter().map(|&process| PollFd::from_borrowed_fd(process, PollFlags::IN)));
    let timeout = timeout.and_then(|timeout| timeout.try_into().ok());
    retry(|| poll(&mut polls, timeout.as_ref()))?;
    Ok(polls.iter().any(|poll| !poll.revents().is_empty()))
}

/// Closes the socket for writing. Bytes from the peer can still be received.
pub(crate) fn shutdown_write(socket: impl AsFd) {
    // This fails only if the peer has closed its end.
    let _ = shutdown(socket, Shutdown::Write);
}

/// Returns whether the peer has closed its end for both reading and writing,
/// like a process that has ended.
pub(crate) fn is_closed_by_peer(socket: impl AsFd) -> bool {
    let mut polls = [PollFd::new(&socket, PollFlags::empty())];
    let polled = retry(|| poll(&mut polls, Some(&Duration::ZERO.try_into().unwrap_or_default())));
    polled.is_ok() && polls[0].revents().contains(PollFlags::HUP)
}

/// Returns whether `descriptor` is a connected stream socket that process
/// `peer` has created.
pub(crate) fn is_made_by(descriptor: impl AsFd, peer: u32) -> bool {
    let descriptor = descriptor.as_fd();
    sockopt::socket_type(descriptor).is_ok_and(|kind| kind == SocketType::STREAM)
        && sockopt::socket_peercred(descriptor).is_ok_and(|credentials| {
            u32::try_from(credentials.pid.as_raw_nonzero().get()).is_ok_and(|pid| pid == peer)
        })
}

/// Repeats a call that a signal interrupts.
fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};

    use super::*;

    #[test]
    fn socket_shutdown_is_not_a_closed_peer() {
        let (one, other) = pair().unwrap();
        assert!(!is_closed_by_peer(&one));
        assert!(!wait_for_hangup(one.as_fd(), &[], Some(Duration::ZERO)).unwrap());
        shutdown_write(&other);
        assert!(wait_for_hangup(one.as_fd(), &[], None).unwrap());
        assert!(!is_closed_by_peer(&one));
        drop(other);
        assert!(is_closed_by_peer(&one));
    }

    #[test]
    fn socket_sends_descriptors_with_bytes() {
        let (one, other) = pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        assert_eq!(send(one.as_fd(), [b"abc", &[]], &[file.as_fd(), file.as_fd()]).unwrap(), 3);
        let (mut bytes, mut descriptors) = ([0; 10], Vec::new());
        assert_eq!(receive(other.as_fd(), &mut bytes, &mut descriptors, false).unwrap(), 3);
        assert_eq!((&bytes[..3], descriptors.len()), (&b"abc"[..], 2));
        let mut same = std::fs::File::from(descriptors.pop().unwrap());
        same.rewind().unwrap();
        let mut text = String::new();
        same.read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
        assert_eq!(
            receive(other.as_fd(), &mut bytes, &mut descriptors, false).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        drop(one);
        assert_eq!(receive(other.as_fd(), &mut bytes, &mut descriptors, false).unwrap(), 0);
        assert!(is_made_by(&other, std::process::id()));
        assert!(!is_made_by(&other, 1));
        assert!(!is_made_by(&file, std::process::id()));
    }
}
