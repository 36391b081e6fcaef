//! How long a connection that speaks HTTP may stay, and what it counts as: while a request is waited for on purpose, and
//! once its client has been let in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};

use super::slots::{CountsAs, HttpGuard};

/// What a connection that speaks HTTP knows of its requests.
#[derive(Debug)]
pub(crate) struct Stay {
    place: HttpGuard,
    request: AtomicU8,
    let_in: AtomicBool,
    /// Requests so far.
    asked: AtomicU32,
    /// Answers so far.
    answered: AtomicU32,
    /// Cuts until the last answer to a request that was not waited for: these were not meant for it.
    spared: AtomicU32,
    /// As many as there were at the last look.
    seen: AtomicU32,
}

/// No request has been waited for on purpose since the last one came.
const NONE: u8 = 0;
/// The edge has nothing to say yet.
const WAITS: u8 = 1;
/// The client is to take what was said.
const WRITES: u8 = 2;
/// It was waited for; the answer is known.
const DONE: u8 = 3;

impl Stay {
    pub(super) fn new(place: HttpGuard) -> Self {
        let (request, let_in) = (AtomicU8::new(NONE), AtomicBool::new(false));
        let [asked, answered, spared, seen] = [const { AtomicU32::new(0) }; 4];
        Self { place, request, let_in, asked, answered, spared, seen }
    }

    /// The connection's request is waited for from now on, and for as long as the result is kept. It is not half-open
    /// meanwhile: a client that polls is a session like any other.
    pub(crate) fn begin(self: &Arc<Self>) -> Staying {
        self.place.count_as(CountsAs::Busy);
        self.request.store(WAITS, Relaxed);
        Staying(Arc::clone(self))
    }

    /// The same for a client whom a session has let in: its connection is no stranger's any more, and may stay for as long
    /// as it asks for something and takes it.
    pub(crate) fn let_in(self: &Arc<Self>) -> Staying {
        self.let_in.store(true, Relaxed);
        self.begin()
    }

    /// Whether a session has let its client in.
    pub(crate) fn is_let_in(&self) -> bool {
        self.let_in.load(Relaxed)
    }

    /// A request has come.
    pub(super) fn ask(&self) {
        self.request.store(NONE, Relaxed);
        self.asked.fetch_add(1, Relaxed);
    }

    /// It has been answered.
    pub(super) fn answer(&self) {
        if self.request.load(Relaxed) == NONE {
            self.spared.store(self.place.cuts(), Relaxed);
        }
        self.answered.fetch_add(1, Relaxed);
    }

    /// Somebody wants all connections to be cut, and this one has been let in. Not one whose request is waited for by
    /// nobody: it may be the one in which that is wanted.
    pub(super) async fn cut(&self) {
        loop {
            self.place.cut().await;
            let answering = self.asked.load(Relaxed) != self.answered.load(Relaxed);
            let plain = answering && self.request.load(Relaxed) == NONE;
            if self.let_in.load(Relaxed) && !plain && self.spared.load(Relaxed) != self.place.cuts() {
                return;
            }
        }
    }

    /// Whether one ever has.
    pub(super) fn has_asked(&self) -> bool {
        self.asked.load(Relaxed) > 0
    }

    /// Whether the connection may stay longer: it has been let in, and its client is waited for or has asked for something
    /// since the last look, which shows that it took what it got.
    pub(super) fn may_go_on(&self) -> bool {
        let asked = self.asked.load(Relaxed);
        let moved = self.seen.swap(asked, Relaxed) != asked;
        self.let_in.load(Relaxed) && (self.waits() || moved)
    }

    /// Whether there is such a request.
    pub(super) fn is_wanted(&self) -> bool {
        matches!(self.request.load(Relaxed), WAITS | WRITES)
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
        self.0.request.store(DONE, Relaxed);
        let let_in = self.0.let_in.load(Relaxed);
        self.0.place.count_as(if let_in { CountsAs::Idle } else { CountsAs::HalfOpen });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::slots::Slots;
    use super::*;

    /// A stranger's connection ends with its lifetime, whatever it asks for; one that has been let in stays for as long as
    /// its client is waited for, or asks again.
    #[test]
    fn who_has_been_let_in_may_stay() {
        let slots = Slots::new(9, 9, 0);
        let (_guard, place) = slots.take([192, 0, 2, 1].into()).unwrap();
        let stay = Arc::new(Stay::new(place));
        stay.ask();
        assert!(!stay.may_go_on());
        drop(stay.begin());
        assert!(!stay.may_go_on() && slots.half_open() == 1, "a request that was waited for lets nobody in");
        stay.ask();
        let staying = stay.let_in();
        assert_eq!((slots.half_open(), slots.idle()), (0, 0));
        assert!(stay.may_go_on() && stay.may_go_on(), "it waits");
        drop(staying);
        assert_eq!((slots.half_open(), slots.idle()), (0, 1));
        assert!(!stay.may_go_on(), "the answer is not taken, or nothing more is asked for");
        stay.ask();
        assert!(stay.may_go_on() && !stay.may_go_on());
    }
}
