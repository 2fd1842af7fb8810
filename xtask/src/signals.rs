//! Ctrl-C and termination: passed on to the processes we started, by their ids, so that none outlives us.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

const HANGUP: i32 = 1;
const INTERRUPT: i32 = 2;
const TERMINATE: i32 = 15;

// What std links to anyway; the alternative is a dependency for two calls.
unsafe extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    fn kill(process: i32, number: i32) -> i32;
}

/// Ids of children to tell; 0 is a free place. At most two run at a time.
static CHILDREN: [AtomicI32; 4] = [const { AtomicI32::new(0) }; 4];
static ASKED_TO_STOP: AtomicBool = AtomicBool::new(false);

/// Calls here must be async-signal-safe: atomics and kill(2) are.
extern "C" fn pass_on(_number: i32) {
    ASKED_TO_STOP.store(true, Ordering::SeqCst);
    for child in &CHILDREN {
        let process = child.load(Ordering::SeqCst);
        if process > 0 {
            // SAFETY: kill has no memory effects; the id is of a child not yet waited for.
            unsafe { kill(process, TERMINATE) };
        }
    }
}

/// Keeps a child listed; dropping it takes the child off the list.
#[derive(Debug)]
pub(crate) struct Forwarding {
    process: i32,
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        for child in &CHILDREN {
            let _ = child.compare_exchange(self.process, 0, Ordering::SeqCst, Ordering::SeqCst);
        }
    }
}

/// From now on a signal to us also ends this child.
pub(crate) fn forward_to(process: u32) -> Forwarding {
    let process = i32::try_from(process).unwrap_or(0);
    for child in &CHILDREN {
        if child.compare_exchange(0, process, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            break;
        }
    }
    for number in [HANGUP, INTERRUPT, TERMINATE] {
        // SAFETY: the handler only touches atomics and calls kill(2).
        unsafe { signal(number, pass_on) };
    }
    if asked_to_stop() {
        terminate(process.unsigned_abs());
    }
    Forwarding { process }
}

/// Whether a signal asked us to stop.
pub(crate) fn asked_to_stop() -> bool {
    ASKED_TO_STOP.load(Ordering::SeqCst)
}

/// Asks a process and all that it started to end. It has to lead a group of its own.
pub(crate) fn terminate_group(leader: u32) {
    if let Ok(leader @ 1..) = i32::try_from(leader) {
        // SAFETY: kill has no memory effects.
        unsafe { kill(-leader, TERMINATE) };
    }
}

/// Asks one process to end.
pub(crate) fn terminate(process: u32) {
    if let Ok(process @ 1..) = i32::try_from(process) {
        // SAFETY: kill has no memory effects.
        unsafe { kill(process, TERMINATE) };
    }
}
