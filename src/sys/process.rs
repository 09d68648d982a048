//! Processes: identity, state, exit, and executable code.

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

/// The path of the running program, which is valid even if its file was
/// removed.
pub(crate) const OWN_EXECUTABLE: &str = "/proc/self/exe";

/// Returns the device and inode of the running program.
pub(crate) fn executable_identity() -> io::Result<(u64, u64)> {
    // The metadata of the path would be that of an emulator, so the file is
    // opened.
    let metadata = File::open(OWN_EXECUTABLE)?.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Returns a descriptor that becomes readable when the process ends, or `None`
/// if the kernel does not support it.
pub(crate) fn watch(process: u32) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(process).ok()?)?;
    rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// Returns whether the watched process has ended.
pub(crate) fn has_ended(watch: &OwnedFd) -> bool {
    let mut polls = [PollFd::new(watch, PollFlags::IN)];
    retry_on_intr(|| poll(&mut polls, Some(&Timespec::default()))).is_ok_and(|ready| ready > 0)
}

/// Returns the id of the parent process.
pub(crate) fn parent() -> Option<u32> {
    rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
}

/// Kills a process group that this process has started.
///
/// The leader is also killed if it was just started and does not lead a group
/// yet. It is not an error if the processes have ended.
pub(crate) fn kill_group(leader: u32) {
    if let Some(pid) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// Stops a child and waits until it has stopped or ended, or continues it.
pub(crate) fn set_stopped(child: u32, stopped: bool) {
    let Some(pid) = i32::try_from(child).ok().and_then(Pid::from_raw) else { return };
    let signal = if stopped { Signal::STOP } else { Signal::CONT };
    if rustix::process::kill_process(pid, signal).is_ok() && stopped {
        let options = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(pid), options), Err(rustix::io::Errno::INTR)) {}
    }
}

/// The state of a child process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChildState {
    Running,
    /// It has ended, but its parent has not waited for it, so its id is still
    /// in use.
    Ended,
    /// Other code has waited for it, or the kernel has because `SIGCHLD` is
    /// ignored.
    Unknown,
}

/// Returns whether a child has ended, without waiting for it.
pub(crate) fn child_state(child: u32) -> ChildState {
    let Some(pid) = i32::try_from(child).ok().and_then(Pid::from_raw) else {
        return ChildState::Unknown;
    };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match waitid(WaitId::Pid(pid), options) {
        Ok(None) => ChildState::Running,
        Ok(Some(_)) => ChildState::Ended,
        Err(_) => ChildState::Unknown,
    }
}

/// Returns the resident memory of process `id` in bytes, without that of mapped
/// files.
pub(crate) fn resident(id: u32) -> Option<u64> {
    let pages = std::fs::read_to_string(format!("/proc/{id}/statm")).ok()?;
    let mut fields = pages.split_whitespace().skip(1).map(|field| field.parse::<u64>().ok());
    let (all, file_pages) = (fields.next()??, fields.next()??);
    Some(all.saturating_sub(file_pages) * rustix::param::page_size() as u64)
}

/// Ends this process and all other processes of its group immediately.
pub(crate) fn exit_with_group() -> ! {
    if rustix::process::getpgrp() == rustix::process::getpid() {
        kill_group(std::process::id());
    }
    exit_now()
}

/// Ends this process immediately, without destructors and exit handlers.
pub(crate) fn exit_now() -> ! {
    exit_with(0)
}

/// Like [`exit_now`], with an exit code.
pub(crate) fn exit_with(code: i32) -> ! {
    // SAFETY: `_exit` accepts any number and does not return.
    unsafe { libc::_exit(code) }
}

/// Moves standard input to a new descriptor, and replaces it by `/dev/null`.
pub(crate) fn take_stdin() -> io::Result<OwnedFd> {
    let taken = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let nothing = File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(nothing.as_fd())?;
    Ok(taken)
}

/// The addresses of the main program's code.
pub(crate) struct Text {
    /// The address at which the program was loaded.
    base: usize,
    segments: Vec<Range<usize>>,
}

impl Text {
    /// Returns the addresses of the main program, without shared libraries.
    pub(crate) fn own() -> &'static Self {
        static TEXT: OnceLock<Text> = OnceLock::new();
        TEXT.get_or_init(|| {
            let mut text = Self { base: 0, segments: Vec::new() };
            // SAFETY: `record_first` has the signature that `dl_iterate_phdr`
            // expects, and `text` outlives the call.
            unsafe {
                libc::dl_iterate_phdr(
                    Some(record_first),
                    std::ptr::from_mut(&mut text).cast::<c_void>(),
                )
            };
            text
        })
    }

    /// Returns the offset of `address` in the program, if the program has code
    /// there.
    pub(crate) fn offset(&self, address: usize) -> Option<usize> {
        let inside = self.segments.iter().any(|segment| segment.contains(&address));
        inside.then(|| address - self.base)
    }

    /// Returns the address of `offset` in the program, if the program has code
    /// there.
    pub(crate) fn address(&self, offset: usize) -> Option<usize> {
        let address = self.base.checked_add(offset)?;
        self.offset(address).map(|_| address)
    }
}

/// Records the first object, which is the main program, and stops the
/// iteration.
unsafe extern "C" fn record_first(
    info: *mut libc::dl_phdr_info,
    _: libc::size_t,
    text: *mut c_void,
) -> libc::c_int {
    // SAFETY: `dl_iterate_phdr` passes a description that is valid during the
    // call, and the pointer to a `Text` from `own`.
    let (info, text) = unsafe { (&*info, &mut *text.cast::<Text>()) };
    let headers = if info.dlpi_phdr.is_null() {
        &[][..]
    } else {
        // SAFETY: this is the loader's table of `dlpi_phnum` program headers,
        // which exists as long as the program.
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

    fn program_function() {}

    #[test]
    fn process_stopped_child_continues_later() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let is_stopped = || {
            std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap().contains(") T ")
        };
        set_stopped(child.id(), true);
        assert!(is_stopped());
        assert_eq!(child_state(child.id()), ChildState::Running);
        set_stopped(child.id(), false);
        while is_stopped() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        set_stopped(child.id(), true);
        assert_eq!(child_state(child.id()), ChildState::Ended);
        child.wait().unwrap();
    }

    #[test]
    fn process_kill_group_kills_new_leader() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        kill_group(child.id());
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn process_text_contains_program_functions_only() {
        let text = Text::own();
        let address = program_function as fn() as usize;
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
