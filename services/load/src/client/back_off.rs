//! How long to stay away: full jitter, so that those who were cut together do not come back together.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(10);

/// Attempts in a row that failed.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    failed: u32,
}

impl BackOff {
    /// The next pause: anything from nothing to a bound that doubles, and never less than the server asked for.
    pub(super) fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        let bound = FIRST.saturating_mul(1 << self.failed.min(10)).min(LONGEST);
        self.failed += 1;
        retry_after.unwrap_or_default() + bound.mul_f64(chance())
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
        let mut back_off = BackOff::default();
        for failed in 0..20 {
            let bound = Duration::from_millis(500 << failed.min(5)).min(LONGEST);
            assert!(back_off.next(None) <= bound);
        }
        assert!(back_off.next(Some(Duration::from_secs(3))) >= Duration::from_secs(3));
        back_off.reset();
        assert!(back_off.next(None) <= FIRST);
    }
}
