//! A request that is waited for on purpose: how long its connection may stay then, and what it counts as.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use super::slots::HalfOpenGuard;

/// What a connection that speaks HTTP knows of its request.
#[derive(Debug)]
pub(crate) struct Stay {
    half_open: HalfOpenGuard,
    request: AtomicU8,
}

/// No request that is waited for on purpose.
const NONE: u8 = 0;
/// The edge has nothing to say yet.
const WAITS: u8 = 1;
/// The client is to take what was said.
const WRITES: u8 = 2;

impl Stay {
    pub(super) fn new(half_open: HalfOpenGuard) -> Self {
        Self { half_open, request: AtomicU8::new(NONE) }
    }

    /// The connection's request is waited for from now on, and for as long as the result is kept. It is not half-open
    /// meanwhile: a client that polls is a session like any other.
    pub(crate) fn begin(self: &Arc<Self>) -> Staying {
        self.half_open.pause();
        self.request.store(WAITS, Relaxed);
        Staying(Arc::clone(self))
    }

    /// Whether there is such a request.
    pub(super) fn is_wanted(&self) -> bool {
        self.request.load(Relaxed) != NONE
    }

    /// Whether its client has taken all that was said so far.
    pub(super) fn waits(&self) -> bool {
        self.request.load(Relaxed) == WAITS
    }
}

/// Keeps a connection while its request is waited for.
#[derive(Debug)]
pub(crate) struct Staying(Arc<Stay>);

impl Staying {
    /// Whether the edge waits for something to say, or the client has to take what was said.
    pub(crate) fn waits(&self, waits: bool) {
        self.0.request.store(if waits { WAITS } else { WRITES }, Relaxed);
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        self.0.request.store(NONE, Relaxed);
        self.0.half_open.resume();
    }
}
