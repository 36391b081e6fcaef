//! A partition that stands still although its broker has more of it: the client underneath has lost its way, and says
//! nothing. Seldom, and never seen twice alike; so the reader is made anew, whatever the reason.

use std::time::{Duration, Instant};

/// A partition that is behind may stand still this long; shorter than the keeper's pause between two looks.
const PATIENCE: Duration = Duration::from_secs(8);
/// A new reader that stands still as well is given longer, up to this: over a slow line a fetch takes its time.
const LONGEST: Duration = Duration::from_secs(300);

/// Where each partition of a reader stands, and since when it is known to be behind there.
#[derive(Debug, Default)]
pub(super) struct Standstill {
    places: Vec<(i64, Option<Instant>)>,
    waits: u32,
}

impl Standstill {
    /// `positions` are the next offsets to read, taken before `ends` were asked for; `None` is a broker that did not
    /// answer. A partition that has stood still for too long, if there is one; then all of them count from now.
    pub(super) fn look(&mut self, positions: &[i64], ends: &[Option<i64>], now: Instant) -> Option<usize> {
        self.places.resize(positions.len(), (-1, None));
        let patience = PATIENCE.saturating_mul(2_u32.saturating_pow(self.waits)).min(LONGEST);
        let mut stuck = None;
        for (p, place) in self.places.iter_mut().enumerate() {
            let behind = ends.get(p).copied().flatten().is_some_and(|end| positions[p] < end);
            let since = place.1.filter(|_| behind && place.0 == positions[p]);
            if since.is_some_and(|since| now.saturating_duration_since(since) >= patience) {
                stuck = stuck.or(Some(p));
            }
            *place = (positions[p], behind.then(|| since.unwrap_or(now)));
        }
        if stuck.is_some() {
            self.places.clear();
            self.waits += 1;
        } else if self.places.iter().all(|place| place.1.is_none()) {
            self.waits = 0;
        }
        stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn p4_only_who_is_behind_and_does_not_move_is_stuck() {
        let begun = Instant::now();
        let mut still = Standstill::default();
        // The first is at the end, the second moves, the third's broker does not answer.
        assert_eq!(still.look(&[5, 6, 5], &[Some(5), Some(9), None], begun), None);
        // Now the first and the third are behind, perhaps since a moment ago.
        assert_eq!(still.look(&[5, 7, 5], &[Some(6), Some(9), Some(6)], begun + S(10)), None);
        assert_eq!(still.look(&[6, 8, 5], &[Some(6), Some(9), Some(6)], begun + S(17)), None);
        assert_eq!(still.look(&[6, 9, 5], &[Some(6), Some(9), Some(6)], begun + S(18)), Some(2));
    }

    #[test]
    fn p4_a_reader_made_anew_is_given_longer_until_it_has_caught_up() {
        let begun = Instant::now();
        let mut still = Standstill::default();
        let mut look = |at, end, seconds| still.look(&[at], &[Some(end)], begun + S(seconds));
        assert_eq!((look(0, 1, 0), look(0, 1, 8)), (None, Some(0)));
        assert_eq!((look(0, 1, 10), look(0, 1, 25), look(0, 1, 26)), (None, None, Some(0)));
        assert_eq!((look(1, 1, 30), look(1, 2, 40), look(1, 2, 48)), (None, None, Some(0)), "it had caught up");
    }
}
