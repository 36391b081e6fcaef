//! Sending all connections of a worker elsewhere at a steady pace, in random order: who comes back first must not depend
//! on who came first, and the edges that take them over must not get them all at once.

use std::time::Duration;

/// What a client that was told when to move gets to do so, if the drain leaves as much.
const MOVING: Duration = Duration::from_secs(5);
/// What the last one gets, out of the part of the grace that no turn is given in.
const AT_LEAST: Duration = Duration::from_secs(2);

/// A connection that is to be sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaver {
    pub(super) slot: usize,
    pub(super) generation: u32,
    /// Its client has asked to be told, and then goes by itself.
    pub(super) is_told: bool,
}

/// When it goes. Times are the worker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) who: Leaver,
    /// When it is closed, unless it has gone.
    pub(super) closed: Duration,
    /// When its client is to be at another edge, if it goes by itself.
    pub(super) moves: Duration,
}

/// A drain under way.
#[derive(Debug)]
pub(super) struct Drain {
    /// Who is closed next stands last.
    turns: Vec<Turn>,
}

impl Drain {
    /// Sends `leavers` away at `rate` a second from `now` on, and whoever is left once `within` is over, or very soon after if
    /// its client was told.
    pub(super) fn new(mut leavers: Vec<Leaver>, rate: f64, within: Duration, now: Duration, seed: u64) -> Self {
        let mut chance = Chance(seed | 1);
        // Fisher–Yates.
        for at in (1..leavers.len()).rev() {
            leavers.swap(at, (chance.next() * (at + 1) as f64) as usize);
        }
        // Drawn from the upper half of the longest, intervals are 1/rate on average.
        let longest = Duration::from_secs(1).div_f64(rate.max(1.0) * 0.75);
        let mut passed = Duration::ZERO;
        let mut turn = |who: Leaver| {
            passed = (passed + longest.mul_f64(0.5 + 0.5 * chance.next())).min(within);
            // Who goes by itself comes at the others' pace too: it goes when it would have been closed.
            let closed = if who.is_told { (passed + MOVING).min(within + AT_LEAST) } else { passed };
            Turn { who, closed: now + closed, moves: now + passed }
        };
        let mut turns: Vec<_> = leavers.into_iter().map(&mut turn).collect();
        turns.sort_unstable_by_key(|turn| std::cmp::Reverse(turn.closed));
        Self { turns }
    }

    /// Whose clients are to be told, and when they go.
    pub(super) fn told(&self) -> Vec<Turn> {
        self.turns.iter().filter(|turn| turn.who.is_told).copied().collect()
    }

    /// The connections that are to be closed now.
    pub(super) fn due(&mut self, now: Duration) -> Vec<Leaver> {
        let left = self.turns.partition_point(|turn| turn.closed > now);
        self.turns.split_off(left).iter().map(|turn| turn.who).collect()
    }

    /// Whether every connection has had its turn.
    pub(super) fn is_over(&self) -> bool {
        self.turns.is_empty()
    }
}

/// A small generator: order and intervals have to be fair, not secret.
struct Chance(u64);

impl Chance {
    /// From 0 to 1, without 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / f64::from(1_u32 << 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const BEGIN: Duration = Duration::from_secs(7);

    fn leavers(count: usize, is_told: impl Fn(usize) -> bool) -> Vec<Leaver> {
        (0..count).map(|slot| Leaver { slot, generation: 7, is_told: is_told(slot) }).collect()
    }

    /// The most of these moments within one second.
    fn peak(mut moments: Vec<Duration>) -> usize {
        moments.sort_unstable();
        let within = |from: &Duration| moments.iter().filter(|at| (*from..*from + SECOND).contains(*at)).count();
        moments.iter().map(within).max().unwrap_or_default()
    }

    /// Q16: each once, at the rate, in an order of chance.
    #[test]
    fn q16_closes_each_once_at_the_rate_and_not_in_order_of_arrival() {
        let all = leavers(1000, |_| false);
        let mut drain = Drain::new(all.clone(), 100.0, 12 * SECOND, BEGIN, 42);
        assert_eq!(drain.told(), []);
        let mut closed = Vec::new();
        for tenth in 70..190 {
            closed.extend(drain.due(Duration::from_millis(tenth * 100)));
            let expected = ((tenth - 70) * 10).min(1000);
            assert!((closed.len() as u64).abs_diff(expected) <= 20, "{} of {expected}", closed.len());
        }
        assert!(drain.is_over());
        assert_ne!(closed, all);
        closed.sort_unstable_by_key(|who| who.slot);
        assert_eq!(closed, all);
    }

    /// Q16: the intervals differ, and the pace holds for every second.
    #[test]
    fn q16_intervals_are_random_and_no_second_has_more_than_its_share() {
        let drain = Drain::new(leavers(5_000, |_| false), 250.0, 25 * SECOND, BEGIN, 3);
        let mut moments: Vec<_> = drain.turns.iter().map(|turn| turn.closed).collect();
        assert!(peak(moments.clone()) <= 270, "{}", peak(moments));
        moments.reverse();
        let gaps: Vec<_> = moments.windows(2).map(|two| two[1] - two[0]).collect();
        let (least, most) = (gaps.iter().min().copied(), gaps.iter().max().copied());
        assert!(least < Some(SECOND / 350) && most > Some(SECOND / 200), "{least:?} {most:?}");
    }

    /// Q16: who is told moves at the same pace, has time for it, and is closed in the end.
    #[test]
    fn q16_who_is_told_moves_in_its_turn_and_is_closed_later() {
        let mut drain = Drain::new(leavers(3_000, |slot| slot % 2 == 0), 120.0, 25 * SECOND, BEGIN, 5);
        let told = drain.told();
        assert_eq!(told.len(), 1_500);
        assert!(told.iter().all(|turn| turn.moves <= BEGIN + 25 * SECOND && turn.closed >= turn.moves + AT_LEAST));
        let latest = BEGIN + 25 * SECOND + AT_LEAST;
        assert!(told.iter().all(|turn| turn.closed == (turn.moves + MOVING).min(latest)));
        let all: Vec<_> = drain.turns.iter().map(|turn| turn.moves).collect();
        assert!(peak(all.clone()) <= 135, "{} new connections in one second, the pace is 120", peak(all));
        assert_eq!(drain.due(latest).len(), 3_000);
    }

    /// Q16: with more connections than the pace allows, the rest goes at the end.
    #[test]
    fn q16_nobody_stays_beyond_the_time_there_is() {
        let mut drain = Drain::new(leavers(1_000, |slot| slot < 100), 10.0, 3 * SECOND, BEGIN, 9);
        assert!(drain.due(BEGIN + 2 * SECOND).len() < 30);
        assert!(drain.due(BEGIN + 3 * SECOND).len() > 870 && !drain.is_over());
        assert!(drain.due(BEGIN + 3 * SECOND + AT_LEAST).len() > 90 && drain.is_over());
    }
}
