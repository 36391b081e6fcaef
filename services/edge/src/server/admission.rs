//! How fast newcomers are let in. When another edge goes, its sessions come here, and each costs many times what it costs
//! to serve it: those beyond the rate are told when to try again, and are never queued.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// So many seconds' worth may come at once: a crowd that one or two cores let in within a few seconds.
const BURST_SECONDS: f64 = 10.0;

/// A bucket of tokens, one for each new session.
#[derive(Debug)]
pub(crate) struct Admission {
    /// Tokens a second; 0: nobody needs one.
    rate: f64,
    /// What is in it, and since when.
    bucket: Mutex<(f64, Instant)>,
}

impl Admission {
    /// A full bucket.
    pub(crate) fn new(per_second: u32) -> Self {
        let rate = f64::from(per_second);
        Self { rate, bucket: Mutex::new((rate * BURST_SECONDS, Instant::now())) }
    }

    /// Takes a token; whether there was one.
    pub(crate) fn take(&self) -> bool {
        self.rate == 0.0 || self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, since) = *bucket;
        let come = now.saturating_duration_since(since).as_secs_f64() * self.rate;
        let tokens = (tokens + come).min(self.rate * BURST_SECONDS);
        let is_there = tokens >= 1.0;
        *bucket = (if is_there { tokens - 1.0 } else { tokens }, now.max(since));
        is_there
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// L04: a burst, then the rate, then a burst again; 0 is no bound.
    #[test]
    fn l04_so_many_a_second_after_a_burst() {
        let admission = Admission::new(100);
        let begin = Instant::now() + Duration::from_secs(1);
        let taken = |at| (0..5_000).filter(|_| admission.take_at(at)).count();
        assert_eq!(taken(begin), 1_000);
        assert_eq!(taken(begin + Duration::from_millis(500)), 50);
        assert_eq!(taken(begin), 0, "no time has passed");
        assert_eq!(taken(begin + Duration::from_secs(3)), 250);
        assert_eq!(taken(begin + Duration::from_secs(3_600)), 1_000, "it holds no more than that");
        let open = Admission::new(0);
        assert!((0..100_000).all(|_| open.take()));
    }
}
