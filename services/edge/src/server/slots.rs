//! The count of connections and its three bounds. A slot is taken on accept and given back by whoever drops the guard,
//! on whatever thread.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Which bound refused a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    Connections,
    HalfOpen,
    Address,
}

impl Bound {
    /// What is counted.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::HalfOpen => "half_open",
            Self::Address => "address",
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    open: usize,
    half_open: usize,
    /// Those that speak HTTP, have been let in, and have no request.
    idle: usize,
    /// Empty while there is no bound per address.
    by_address: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
pub(crate) struct Slots {
    max_open: usize,
    max_half_open: usize,
    max_per_address: usize,
    counts: Mutex<Counts>,
    /// How often all were to be cut, and who waits for that.
    cuts: AtomicU32,
    cut: Notify,
}

impl Slots {
    pub(super) fn new(max_open: usize, max_half_open: usize, max_per_address: usize) -> Arc<Self> {
        let (counts, cuts, cut) = (Mutex::default(), AtomicU32::new(0), Notify::new());
        Arc::new(Self { max_open, max_half_open, max_per_address, counts, cuts, cut })
    }

    /// Takes one slot of each kind, or none.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> Result<(ConnectionGuard, HttpGuard), Bound> {
        let mut counts = self.counts();
        if counts.half_open >= self.max_half_open {
            return Err(if counts.open >= self.max_open { Bound::Connections } else { Bound::HalfOpen });
        }
        let guard = self.take_from(&mut counts, peer)?;
        counts.half_open += 1;
        Ok((guard, HttpGuard::new(self)))
    }

    /// The same for a connection, or a session, that never speaks HTTP itself.
    pub(crate) fn take_upgraded(self: &Arc<Self>, peer: IpAddr) -> Result<ConnectionGuard, Bound> {
        self.take_from(&mut self.counts(), peer)
    }

    fn take_from(self: &Arc<Self>, counts: &mut Counts, peer: IpAddr) -> Result<ConnectionGuard, Bound> {
        if counts.open >= self.max_open {
            return Err(Bound::Connections);
        }
        let address = (self.max_per_address > 0).then(|| network(peer));
        if let Some(address) = address {
            let held = counts.by_address.entry(address).or_insert(0);
            if *held >= self.max_per_address {
                return Err(Bound::Address);
            }
            *held += 1;
        }
        counts.open += 1;
        let slot = Slot { slots: Arc::clone(self), address };
        Ok(ConnectionGuard(Some(Arc::new(slot))))
    }

    /// How many connections there may be.
    pub(crate) fn most(&self) -> usize {
        self.max_open
    }

    pub(super) fn open(&self) -> usize {
        self.counts().open
    }

    pub(super) fn half_open(&self) -> usize {
        self.counts().half_open
    }

    /// Those that speak HTTP and have no request that is waited for.
    pub(super) fn idle(&self) -> usize {
        let counts = self.counts();
        counts.half_open + counts.idle
    }

    /// Cuts off those that speak HTTP and have been let in, as a network does that breaks.
    pub(super) fn cut(&self) {
        self.cuts.fetch_add(1, Relaxed);
        self.cut.notify_waiters();
    }

    /// Every change under the lock is complete in itself, so a panic elsewhere leaves the counts usable.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who shares a bound: an IPv4 address, or the /64 that one IPv6 subscriber usually owns.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

/// Holds a connection's place in the total and in its address's count; the last clone frees both. It travels with the
/// socket.
#[derive(Debug, Clone)]
pub struct ConnectionGuard(#[expect(dead_code, reason = "held for its Drop")] Option<Arc<Slot>>);

impl ConnectionGuard {
    /// For a connection that no listener counts, as in a simulation.
    pub fn uncounted() -> Self {
        Self(None)
    }
}

#[derive(Debug)]
struct Slot {
    slots: Arc<Slots>,
    address: Option<IpAddr>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.slots.counts();
        counts.open -= 1;
        if let Some(address) = self.address
            && let Some(held) = counts.by_address.get_mut(&address)
        {
            *held -= 1;
            if *held == 0 {
                counts.by_address.remove(&address);
            }
        }
    }
}

/// What a connection that speaks HTTP counts as, beside being open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CountsAs {
    /// Nobody has let it in yet.
    HalfOpen,
    /// Its request is waited for on purpose.
    Busy,
    /// It has been let in, and may ask again.
    Idle,
}

/// Holds a place among the connections that speak HTTP.
#[derive(Debug)]
pub(super) struct HttpGuard {
    slots: Arc<Slots>,
    counts_as: Mutex<CountsAs>,
}

impl HttpGuard {
    fn new(slots: &Arc<Slots>) -> Self {
        Self { slots: Arc::clone(slots), counts_as: Mutex::new(CountsAs::HalfOpen) }
    }

    /// Somebody wants all connections to be cut.
    pub(super) async fn cut(&self) {
        self.slots.cut.notified().await;
    }

    /// How often somebody did.
    pub(super) fn cuts(&self) -> u32 {
        self.slots.cuts.load(Relaxed)
    }

    /// From now on it counts as something else, whether there is room for it or not.
    pub(super) fn count_as(&self, what: CountsAs) {
        let mut counts_as = self.counts_as.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts = self.slots.counts();
        counts.leave(*counts_as);
        match what {
            CountsAs::HalfOpen => counts.half_open += 1,
            CountsAs::Idle => counts.idle += 1,
            CountsAs::Busy => {}
        }
        *counts_as = what;
    }
}

impl Counts {
    fn leave(&mut self, what: CountsAs) {
        match what {
            CountsAs::HalfOpen => self.half_open -= 1,
            CountsAs::Idle => self.idle -= 1,
            CountsAs::Busy => {}
        }
    }
}

impl Drop for HttpGuard {
    fn drop(&mut self) {
        let counted_as = *self.counts_as.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.slots.counts().leave(counted_as);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// L04, caps on connections: an IPv6 /64 and both spellings of an IPv4 address count as one.
    #[test]
    fn an_address_is_a_network() {
        let slots = Slots::new(10, 10, 1);
        let _a = slots.take(ip("2001:db8::1")).unwrap();
        assert_eq!(slots.take(ip("2001:db8::2:1")).unwrap_err(), Bound::Address);
        let _b = slots.take(ip("2001:db8:0:1::1")).unwrap();
        let _c = slots.take(ip("192.0.2.1")).unwrap();
        assert_eq!(slots.take(ip("::ffff:192.0.2.1")).unwrap_err(), Bound::Address);
        assert_eq!((slots.open(), slots.half_open()), (3, 3));
    }

    /// Who has been let in is not in the way of those who come.
    #[test]
    fn half_open_busy_and_idle() {
        let slots = Slots::new(10, 1, 0);
        let (_guard, http) = slots.take(ip("192.0.2.1")).unwrap();
        assert_eq!(slots.take(ip("192.0.2.2")).unwrap_err(), Bound::HalfOpen);
        http.count_as(CountsAs::Busy);
        assert_eq!((slots.half_open(), slots.idle()), (0, 0));
        http.count_as(CountsAs::Idle);
        assert_eq!((slots.half_open(), slots.idle()), (0, 1));
        let second = slots.take(ip("192.0.2.2")).unwrap();
        assert_eq!((slots.half_open(), slots.idle()), (1, 2));
        drop((http, second));
        assert_eq!((slots.open(), slots.half_open(), slots.idle()), (1, 0, 0));
    }

    #[test]
    fn the_last_clone_frees_the_slot_and_the_address_is_forgotten() {
        let slots = Slots::new(1, 1, 1);
        let (guard, half_open) = slots.take(ip("192.0.2.1")).unwrap();
        let clone = guard.clone();
        drop(half_open);
        assert_eq!((slots.open(), slots.half_open()), (1, 0));
        drop(guard);
        assert_eq!(slots.take(ip("192.0.2.2")).unwrap_err(), Bound::Connections);
        drop(clone);
        assert_eq!(slots.open(), 0);
        assert!(slots.counts().by_address.is_empty());
        assert!(slots.take(ip("192.0.2.1")).is_ok());
    }
}
