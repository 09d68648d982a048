//! A stream socket that carries bytes and open descriptors.

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

/// Descriptors that travel with one piece of bytes, at the most: the kernel takes 253.
pub(crate) const MOST_DESCRIPTORS: usize = 128;

/// Two ends of a new socket. Neither is inherited by programs this process starts, unless handed to them.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

/// Sends what it can of `parts` without waiting, `descriptors` with the first of their bytes. Gives how many bytes went.
///
/// # Errors
///
/// `WouldBlock` where the peer does not take any now; `BrokenPipe` or the like where it is gone.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    parts: [&[u8]; 2],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        let fits = ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
        assert!(fits, "at most {MOST_DESCRIPTORS} descriptors at a time");
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    retry(|| sendmsg(socket, &parts.map(IoSlice::new), &mut ancillary, flags))
}

/// Receives what there is, or waits for something where `patient`; descriptors that came along are added to `descriptors`: fewer
/// than were sent where this process may open no more. No bytes: the peer is gone.
///
/// # Errors
///
/// `WouldBlock` where there is nothing now and nobody is patient.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    bytes: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
    patient: bool,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let waiting = if patient { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
    let received = loop {
        match recvmsg(
            socket,
            &mut [IoSliceMut::new(bytes)],
            &mut ancillary,
            waiting | RecvFlags::CMSG_CLOEXEC,
        ) {
            Ok(received) => break received,
            Err(Errno::INTR) => {}
            // A peer that died with words of ours unread resets the connection: it is gone, no more.
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

/// What to wait for on one descriptor, and what happened.
pub(crate) struct Wait<'a> {
    pub(crate) descriptor: BorrowedFd<'a>,
    pub(crate) for_writing: bool,
    pub(crate) ready: bool,
}

/// Waits until something can be read or written (where asked), a peer is gone, or the time is over.
pub(crate) fn wait(waits: &mut [Wait<'_>], longest: Option<Duration>) -> io::Result<()> {
    let until = longest.map(|longest| Instant::now() + longest);
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

/// Waits until `socket` takes more bytes or its peer is gone.
pub(crate) fn wait_until_writable(socket: BorrowedFd<'_>) -> io::Result<()> {
    let mut polls = [PollFd::from_borrowed_fd(socket, PollFlags::OUT)];
    retry(|| poll(&mut polls, None)).map(drop)
}

/// Waits until the peer of `socket` is gone or one of the processes behind `processes` has ended, whatever comes first. `false`: neither was
/// the case for so long.
pub(crate) fn wait_for_end(
    socket: BorrowedFd<'_>,
    processes: &[BorrowedFd<'_>],
    longest: Option<Duration>,
) -> io::Result<bool> {
    let mut polls = vec![PollFd::from_borrowed_fd(socket, PollFlags::RDHUP)];
    polls.extend(processes.iter().map(|&process| PollFd::from_borrowed_fd(process, PollFlags::IN)));
    let longest = longest.and_then(|longest| longest.try_into().ok());
    retry(|| poll(&mut polls, longest.as_ref()))?;
    Ok(polls.iter().any(|poll| !poll.revents().is_empty()))
}

/// Tells the peer that nothing more will come. What it still sends arrives.
pub(crate) fn say_no_more(socket: impl AsFd) {
    // Where it cannot be told, it is gone.
    let _ = shutdown(socket, Shutdown::Write);
}

/// Whether the peer has let go of its end altogether, as all do that die, and has not only said that nothing more will come.
pub(crate) fn is_abandoned(socket: impl AsFd) -> bool {
    let mut polls = [PollFd::new(&socket, PollFlags::empty())];
    let polled = retry(|| poll(&mut polls, Some(&Duration::ZERO.try_into().unwrap_or_default())));
    polled.is_ok() && polls[0].revents().contains(PollFlags::HUP)
}

/// Whether `descriptor` is a connected stream socket made by process `peer`.
pub(crate) fn is_made_by(descriptor: impl AsFd, peer: u32) -> bool {
    let descriptor = descriptor.as_fd();
    sockopt::socket_type(descriptor).is_ok_and(|kind| kind == SocketType::STREAM)
        && sockopt::socket_peercred(descriptor).is_ok_and(|credentials| {
            u32::try_from(credentials.pid.as_raw_nonzero().get()).is_ok_and(|pid| pid == peer)
        })
}

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
    fn a_peer_that_has_said_its_last_word_is_not_one_that_is_gone() {
        let (one, other) = pair().unwrap();
        assert!(!is_abandoned(&one));
        assert!(!wait_for_end(one.as_fd(), &[], Some(Duration::ZERO)).unwrap());
        say_no_more(&other);
        assert!(wait_for_end(one.as_fd(), &[], None).unwrap());
        assert!(!is_abandoned(&one));
        drop(other);
        assert!(is_abandoned(&one));
    }

    #[test]
    fn descriptors_travel_with_bytes() {
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
