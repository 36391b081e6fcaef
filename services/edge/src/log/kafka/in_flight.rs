//! How many records are handed over and not settled, and how old the oldest is: counters, no lock for each record.

use std::{
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
    time::{Duration, Instant},
};

use super::context::lock;

/// Resolution of ages.
const STEP: Duration = Duration::from_millis(100);
/// Steps kept: 102 s, longer than any record is in flight.
const STEPS: usize = 1024;
/// When records have been given up, nothing is known to have changed for so long.
const GIVEN_UP: Duration = Duration::from_secs(20);

/// A ring of counters, one for each tenth of a second in which records were handed over.
pub(super) struct InFlight {
    origin: Instant,
    count: AtomicUsize,
    slots: Box<[AtomicUsize]>,
    /// Since when nothing is stored, and when that was given up.
    given_up: Mutex<Option<(Instant, Instant)>>,
    /// Whether there is something in `given_up`: spares the lock for each record.
    has_given_up: AtomicBool,
    gate: Mutex<()>,
    settled: Condvar,
}

impl InFlight {
    pub(super) fn new() -> Self {
        Self {
            origin: Instant::now(),
            count: AtomicUsize::new(0),
            slots: (0..STEPS).map(|_| AtomicUsize::new(0)).collect(),
            given_up: Mutex::default(),
            has_given_up: AtomicBool::new(false),
            gate: Mutex::new(()),
            settled: Condvar::new(),
        }
    }

    fn step(&self) -> usize {
        (self.origin.elapsed().as_millis() / STEP.as_millis()) as usize
    }

    /// Counts a record in; the result is to be given back with [`settled`](Self::settled).
    pub(super) fn handed_over(&self) -> usize {
        let slot = self.step() % STEPS;
        self.count.fetch_add(1, AcqRel);
        self.slots[slot].fetch_add(1, Relaxed);
        slot
    }

    pub(super) fn settled(&self, slot: usize) {
        self.slots[slot % STEPS].fetch_sub(1, Relaxed);
        if self.count.fetch_sub(1, AcqRel) == 1 {
            // Taken so that nobody who has just seen a record in flight misses this.
            drop(lock(&self.gate));
            self.settled.notify_all();
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Acquire)
    }

    /// Age of the oldest, one step too young at most.
    pub(super) fn oldest(&self) -> Option<Duration> {
        if self.count() == 0 {
            return None;
        }
        let now = self.step();
        let age = (0..STEPS)
            .rev()
            .find(|age| now.checked_sub(*age).is_some_and(|step| self.slots[step % STEPS].load(Relaxed) > 0));
        age.map(|steps| STEP * steps as u32)
    }

    /// What is in flight is given up.
    pub(super) fn give_up(&self) {
        let Some(since) = self.stalled().and_then(|age| Instant::now().checked_sub(age)) else { return };
        *lock(&self.given_up) = Some((since, Instant::now()));
        self.has_given_up.store(true, Relaxed);
    }

    /// A record has been stored.
    pub(super) fn stored(&self) {
        if self.has_given_up.load(Relaxed) && self.has_given_up.swap(false, Relaxed) {
            *lock(&self.given_up) = None;
        }
    }

    /// Age of the oldest, also if that has been given up since and nothing was stored after it: the stall goes on while
    /// anything is in flight, and for a while without.
    pub(super) fn stalled(&self) -> Option<Duration> {
        let given_up = lock(&self.given_up).filter(|(_, at)| self.count() > 0 || at.elapsed() < GIVEN_UP);
        self.oldest().max(given_up.map(|(since, _)| since.elapsed()))
    }

    /// Whether nothing is in flight, now or within `timeout`.
    pub(super) fn wait_until_settled(&self, timeout: Duration) -> bool {
        let waited = self.settled.wait_timeout_while(lock(&self.gate), timeout, |()| self.count() > 0);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise 10: the edge does not call the log healthy because it has given up its records.
    #[test]
    fn p10_a_stall_goes_on_after_records_were_given_up() {
        let ring = InFlight::new();
        let first = ring.handed_over();
        std::thread::sleep(STEP * 2);
        ring.give_up();
        ring.settled(first);
        assert_eq!(ring.oldest(), None);
        assert!(ring.stalled() >= Some(STEP));
        let second = ring.handed_over();
        assert!(ring.stalled() >= Some(STEP), "whatever is handed over meanwhile");
        ring.stored();
        ring.settled(second);
        assert_eq!(ring.stalled(), None);
    }

    #[test]
    fn knows_the_oldest() {
        let ring = InFlight::new();
        assert_eq!(ring.oldest(), None);
        let first = ring.handed_over();
        std::thread::sleep(STEP * 2);
        let second = ring.handed_over();
        assert!(ring.oldest() >= Some(STEP) && ring.oldest() < Some(STEP * 50));
        ring.settled(first);
        assert_eq!(ring.count(), 1);
        assert!(!ring.wait_until_settled(Duration::ZERO));
        ring.settled(second);
        assert_eq!((ring.count(), ring.oldest()), (0, None));
        assert!(ring.wait_until_settled(Duration::ZERO));
    }
}
