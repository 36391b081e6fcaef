//! How long to stay away: full jitter, so that those who were cut together do not come back together.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);

/// Attempts in a row that failed.
#[derive(Debug)]
pub(super) struct BackOff {
    failed: u32,
    longest: Duration,
    /// A server that closes with 1012 comes back, or another one takes over: the first attempt is made within this time.
    restart: Duration,
}

impl BackOff {
    pub(super) fn new(longest: Duration, restart: Duration) -> BackOff {
        BackOff { failed: 0, longest, restart }
    }

    /// The next pause: anything from nothing to a bound that doubles, and never less than the server asked for.
    pub(super) fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        let bound = FIRST.saturating_mul(1 << self.failed.min(10)).min(self.longest);
        self.failed += 1;
        retry_after.unwrap_or_default() + bound.mul_f64(chance())
    }

    /// The pause after a close 1012; it is no failure of an attempt.
    pub(super) fn restart(&self, retry_after: Option<Duration>) -> Duration {
        retry_after.unwrap_or_default() + self.restart.mul_f64(chance())
    }

    /// An attempt succeeded.
    pub(super) fn reset(&mut self) {
        self.failed = 0;
    }
}

/// From 0 to 1.
fn chance() -> f64 {
    // Without entropy all come back at the end of their interval.
    f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_respect_the_server() {
        let (longest, restart) = (Duration::from_secs(30), Duration::from_secs(5));
        let mut back_off = BackOff::new(longest, restart);
        for failed in 0..20 {
            let bound = Duration::from_millis(500 << failed.min(7)).min(longest);
            assert!(back_off.next(None) <= bound);
        }
        assert!(back_off.next(Some(Duration::from_secs(3))) >= Duration::from_secs(3));
        back_off.reset();
        assert!(back_off.next(None) <= FIRST);
    }

    #[test]
    fn who_was_sent_elsewhere_comes_back_at_any_time_of_the_interval() {
        let back_off = BackOff::new(Duration::from_secs(30), Duration::from_secs(5));
        let pauses: Vec<f64> = (0..400).map(|_| back_off.restart(None).as_secs_f64()).collect();
        assert!(pauses.iter().all(|pause| *pause <= 5.0));
        // Each fifth of the interval is empty once in 10^38 times.
        let fifth = |n: u32| pauses.iter().any(|pause| (pause - 0.5 - f64::from(n)).abs() <= 0.5);
        assert!((0..5).all(fifth), "{pauses:?}");
        assert!(back_off.restart(Some(Duration::from_secs(3))) >= Duration::from_secs(3));
    }
}
