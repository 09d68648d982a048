//! Processes: who this one is, what it runs, how it ends.

use std::{
    ffi::c_void,
    fs::File,
    io,
    ops::Range,
    os::fd::{AsFd, OwnedFd},
    os::unix::fs::MetadataExt,
    sync::OnceLock,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::retry_on_intr,
    process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, waitid},
};

/// The file behind a running program, also when its name has gone.
pub(crate) const OWN_EXECUTABLE: &str = "/proc/self/exe";

/// Device and inode of the program this process runs.
pub(crate) fn executable_identity() -> io::Result<(u64, u64)> {
    // Opened, not asked by name: an emulator answers the latter with its own file.
    let metadata = File::open(OWN_EXECUTABLE)?.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// A descriptor that becomes readable when the process ends; `None` where the kernel has none.
pub(crate) fn watch(process: u32) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(process).ok()?)?;
    rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// Whether the process that is watched by this has ended.
pub(crate) fn has_ended(watch: &OwnedFd) -> bool {
    let mut polls = [PollFd::new(watch, PollFlags::IN)];
    retry_on_intr(|| poll(&mut polls, Some(&Timespec::default()))).is_ok_and(|ready| ready > 0)
}

/// The parent of this process.
pub(crate) fn parent() -> Option<u32> {
    rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
}

/// Kills a process group this process started, and its leader also where that has only just been started and leads none yet. What has gone is
/// no error.
pub(crate) fn kill_group(leader: u32) {
    if let Some(pid) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// Stops a child of this process, and waits until it stands still or has ended; or lets it go on.
pub(crate) fn hold(child: u32, still: bool) {
    let Some(pid) = i32::try_from(child).ok().and_then(Pid::from_raw) else { return };
    let signal = if still { Signal::STOP } else { Signal::CONT };
    if rustix::process::kill_process(pid, signal).is_ok() && still {
        let options = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(pid), options), Err(rustix::io::Errno::INTR)) {}
    }
}

/// What can be told of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Runs,
    /// It has ended, and is still to be waited for: its id is still its own.
    Ended,
    /// Somebody else has waited for it, or the system did because signals of children are ignored.
    Unknown,
}

/// Whether a child of this process has ended. It is not waited for by this.
pub(crate) fn life(child: u32) -> Life {
    let Some(pid) = i32::try_from(child).ok().and_then(Pid::from_raw) else {
        return Life::Unknown;
    };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match waitid(WaitId::Pid(pid), options) {
        Ok(None) => Life::Runs,
        Ok(Some(_)) => Life::Ended,
        Err(_) => Life::Unknown,
    }
}

/// Bytes of memory that process `id` has resident and shares with no file.
pub(crate) fn resident(id: u32) -> Option<u64> {
    let pages = std::fs::read_to_string(format!("/proc/{id}/statm")).ok()?;
    let mut fields = pages.split_whitespace().skip(1).map(|field| field.parse::<u64>().ok());
    let (all, of_files) = (fields.next()??, fields.next()??);
    Some(all.saturating_sub(of_files) * rustix::param::page_size() as u64)
}

/// Ends this process and every other of its group, at once.
pub(crate) fn end_with_group() -> ! {
    if rustix::process::getpgrp() == rustix::process::getpid() {
        kill_group(std::process::id());
    }
    end()
}

/// Ends this process at once: no destructor, no exit handler runs.
pub(crate) fn end() -> ! {
    end_as(0)
}

/// As [`end`], with this exit code.
pub(crate) fn end_as(code: i32) -> ! {
    // SAFETY: `_exit` takes any number and does not return; what it leaves undone is what it is called for.
    unsafe { libc::_exit(code) }
}

/// Takes over standard input, in whose place the process then has an empty one.
pub(crate) fn take_stdin() -> io::Result<OwnedFd> {
    let taken = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let nothing = File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(nothing.as_fd())?;
    Ok(taken)
}

/// The addresses at which the program's own code lies: where it was loaded, and its executable segments.
pub(crate) struct Text {
    base: usize,
    segments: Vec<Range<usize>>,
}

impl Text {
    /// The main program's; libraries that were loaded beside it are not in it.
    pub(crate) fn own() -> &'static Self {
        static TEXT: OnceLock<Text> = OnceLock::new();
        TEXT.get_or_init(|| {
            let mut text = Self { base: 0, segments: Vec::new() };
            // SAFETY: `first` has the signature `dl_iterate_phdr` calls, and is passed a `Text` that outlives the call.
            unsafe {
                libc::dl_iterate_phdr(Some(first), std::ptr::from_mut(&mut text).cast::<c_void>())
            };
            text
        })
    }

    /// The distance of `address` from where the program was loaded, if code of the program lies there.
    pub(crate) fn offset(&self, address: usize) -> Option<usize> {
        let inside = self.segments.iter().any(|segment| segment.contains(&address));
        inside.then(|| address - self.base)
    }

    /// The address at `offset`, if code of the program lies there.
    pub(crate) fn address(&self, offset: usize) -> Option<usize> {
        let address = self.base.checked_add(offset)?;
        self.offset(address).map(|_| address)
    }
}

/// Takes note of the first object, which is the main program, and ends the listing.
unsafe extern "C" fn first(
    info: *mut libc::dl_phdr_info,
    _: libc::size_t,
    text: *mut c_void,
) -> libc::c_int {
    // SAFETY: `dl_iterate_phdr` passes a valid description for the time of the call, and `own` a `Text` of its own.
    let (info, text) = unsafe { (&*info, &mut *text.cast::<Text>()) };
    let headers = if info.dlpi_phdr.is_null() {
        &[][..]
    } else {
        // SAFETY: the loader's own table of `dlpi_phnum` program headers, which stays for the life of the program.
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) }
    };
    text.base = info.dlpi_addr as usize;
    text.segments = headers
        .iter()
        .filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0)
        .map(|header| {
            let start = text.base + header.p_vaddr as usize;
            start..start + header.p_memsz as usize
        })
        .collect();
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_the_program() {}

    #[test]
    fn a_child_that_is_held_stands_still_until_it_may_go_on() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let state = || {
            std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap().contains(") T ")
        };
        hold(child.id(), true);
        assert!(state());
        assert_eq!(life(child.id()), Life::Runs);
        hold(child.id(), false);
        while state() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        hold(child.id(), true);
        assert_eq!(life(child.id()), Life::Ended);
        child.wait().unwrap();
    }

    #[test]
    fn a_child_that_leads_no_group_yet_is_killed_as_well() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        kill_group(child.id());
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn functions_of_the_program_are_told_from_everything_else() {
        let text = Text::own();
        let address = of_the_program as fn() as usize;
        let offset = text.offset(address).unwrap();
        assert_eq!(text.address(offset), Some(address));
        let (on_the_stack, in_a_library) = (0u8, libc::getpid as *const () as usize);
        assert_eq!(text.offset(std::ptr::from_ref(&on_the_stack).addr()), None);
        if !cfg!(target_feature = "crt-static") {
            assert_eq!(text.offset(in_a_library), None);
        }
        assert_eq!(text.offset(0), None);
        assert_eq!(text.address(usize::MAX), None);
    }
}
