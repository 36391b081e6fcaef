//! Sleeping to the microsecond: epoll's own time-out counts milliseconds.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

use mio::{Interest, Registry, Token, unix::SourceFd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// A timer that wakes a poll.
#[derive(Debug)]
pub(super) struct Timer(OwnedFd);

impl Timer {
    /// One that wakes the poll of this registry with this token.
    ///
    /// # Errors
    /// The kernel has none left.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Timer> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Timer(timer))
    }

    /// Wakes at this time of [`clock::now`](crate::clock::now), or at once if that is past; it need not be read.
    ///
    /// # Errors
    /// None that a valid time could cause.
    pub(super) fn set(&self, at: u64) -> io::Result<()> {
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec { tv_sec: (at / 1_000_000_000) as _, tv_nsec: (at % 1_000_000_000) as _ },
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME, &once)?;
        Ok(())
    }
}
