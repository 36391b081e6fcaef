//! Closing all connections of a worker at a steady pace, in random order: who comes back first must not depend on who
//! came first, and the edges that take them over must not get them all at once.

use std::time::Duration;

/// A drain under way.
pub(super) struct Drain {
    /// Slots and generations, in the order in which they are closed (from the back).
    order: Vec<(usize, u32)>,
    begun: Duration,
    rate: f64,
    done: u64,
}

impl Drain {
    /// Closes `connections` at `rate` a second from `now` on.
    pub(super) fn new(mut connections: Vec<(usize, u32)>, rate: f64, now: Duration, seed: u64) -> Self {
        // Fisher–Yates with a small generator: the order has to be fair, not secret.
        let mut state = seed | 1;
        for at in (1..connections.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            connections.swap(at, (state >> 33) as usize % (at + 1));
        }
        Self { order: connections, begun: now, rate: rate.max(1.0), done: 0 }
    }

    /// The connections whose turn has come.
    pub(super) fn due(&mut self, now: Duration) -> Vec<(usize, u32)> {
        let target = (now.saturating_sub(self.begun).as_secs_f64() * self.rate) as u64 + 1;
        let count = usize::try_from(target.saturating_sub(self.done)).unwrap_or(usize::MAX).min(self.order.len());
        self.done += count as u64;
        self.order.split_off(self.order.len() - count)
    }

    /// Whether every connection has had its turn.
    pub(super) fn is_over(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closes_each_once_at_the_rate_and_not_in_order_of_arrival() {
        let all: Vec<_> = (0..1000).map(|slot| (slot, 7)).collect();
        let mut drain = Drain::new(all.clone(), 100.0, Duration::from_secs(5), 42);
        let mut closed = Vec::new();
        for tenth in 50..160 {
            closed.extend(drain.due(Duration::from_millis(tenth * 100)));
            let expected = (tenth - 50) * 10 + 1;
            assert!((closed.len() as u64).abs_diff(expected.min(1000)) <= 1, "{} of {expected}", closed.len());
        }
        assert!(drain.is_over());
        assert_ne!(closed, all);
        closed.sort_unstable();
        assert_eq!(closed, all);
    }
}
