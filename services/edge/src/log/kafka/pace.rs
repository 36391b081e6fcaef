//! Under much load fetches wait a moment at the brokers, so that each answer carries many records: what a fetch costs, an
//! edge and a broker, it costs once for all of them. A client's properties are fixed, so the reader is made anew for it,
//! which nobody notices; in a cluster that is not that busy a record sets off an answer at once.

use std::time::{Duration, Instant};

use super::rate::Rate;

/// The broker answers when it has so much for a fetch, or after so long; the latter comes first up to 20 MB a second.
pub(super) const GATHERED: [(&str, &str); 2] = [("fetch.min.bytes", "65536"), ("fetch.wait.max.ms", "3")];

/// Records of the whole cluster in a second: from here on far more of them come than fetches that wait…
const BUSY: f64 = 5_000.0;
/// …and when there have been fewer than this for [`PATIENCE`], it is over.
const QUIET: f64 = 3_000.0;
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_secs(1);

/// Whether fetches wait.
pub(super) struct Pace {
    rate: Rate,
    gathered: bool,
    quiet_since: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rate: Rate::new(LOOK), gathered: false, quiet_since: None }
    }
}

impl Pace {
    /// `position` is the reader's, all partitions together. Whether fetches are to wait from now on, where that changes.
    pub(super) fn look(&mut self, position: i64, now: Instant) -> Option<bool> {
        if !self.rate.is_due(now) {
            return None;
        }
        let rate = self.rate.look(position, now)?;
        let quiet_since = (rate < QUIET).then(|| self.quiet_since.unwrap_or(now));
        self.quiet_since = quiet_since;
        let over = quiet_since.is_some_and(|since| now.saturating_duration_since(since) >= PATIENCE);
        let gathered = if self.gathered { !over } else { rate >= BUSY };
        (gathered != self.gathered).then_some(gathered)
    }

    /// The reader has been made anew.
    pub(super) fn set(&mut self, gathered: bool) {
        self.gathered = gathered;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetches_wait_from_a_rate_on_and_until_it_has_been_lower_for_a_while() {
        let begun = Instant::now();
        let (mut pace, mut position, mut second) = (Pace::default(), 1, 0);
        let mut look = |records: i64, seconds: u64| {
            let mut changes = Vec::new();
            for _ in 0..seconds {
                (position, second) = (position + records, second + 1);
                if let Some(gathered) = pace.look(position, begun + Duration::from_secs(second)) {
                    pace.set(gathered);
                    changes.push((gathered, second));
                }
            }
            changes
        };
        assert_eq!(look(4_999, 5), []);
        assert_eq!(look(5_000, 3), [(true, 6)]);
        assert_eq!(look(3_000, 20), []);
        assert_eq!(look(2_999, 9), []);
        assert_eq!(look(3_000, 1), [], "the ten seconds begin anew");
        assert_eq!(look(100, 12), [(false, 49)]);
    }
}
