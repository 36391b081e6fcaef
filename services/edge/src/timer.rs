//! One timer wheel for all the connections of a worker: no timer, task or heap entry of its own for any of them.

use std::time::Duration;

/// Ticks of 64 ms: everything a connection waits for is counted in seconds.
const TICK_MS: u64 = 64;
/// 1024 ticks reach 65 s ahead; what lies further is put into the last slot and looked at again then.
const SLOTS: u64 = 1024;

const WORDS: usize = (SLOTS / 64) as usize;

/// When an entry comes up, in ticks since the worker's origin. 0 = not armed.
pub type Tick = u64;

/// A hashed timing wheel of connection slots. Entries are never removed: one that fires is checked by its owner.
pub struct Wheel {
    /// Keys alone: all that is in a slot comes up in the same revolution, so its tick is known.
    slots: Vec<Vec<u32>>,
    /// A bit for each slot that holds something: the next one is looked for in every turn of the worker.
    used: [u64; WORDS],
    now: Tick,
    armed: usize,
}

impl Wheel {
    /// An empty wheel at the origin of time.
    pub fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), used: [0; WORDS], now: 0, armed: 0 }
    }

    /// Arms `key` for `deadline`, unless `current` (its armed tick) already comes up early enough.
    /// Returns the tick that the owner has to remember: entries with another one are stale.
    pub fn arm(&mut self, key: usize, deadline: Duration, current: Tick) -> Tick {
        let wanted = (millis(deadline) / TICK_MS + 1).clamp(self.now + 1, self.now + SLOTS - 1);
        if current > self.now && current <= wanted {
            return current;
        }
        let at = wanted % SLOTS;
        self.slots[at as usize].push(key as u32);
        self.used[(at / 64) as usize] |= 1 << (at % 64);
        self.armed += 1;
        wanted
    }

    /// Moves to `now` and appends what came up to `due`, as (key, tick).
    pub fn advance(&mut self, now: Duration, due: &mut Vec<(usize, Tick)>) {
        let target = millis(now) / TICK_MS;
        while self.now < target {
            self.now += 1;
            let at = self.now % SLOTS;
            self.used[(at / 64) as usize] &= !(1 << (at % 64));
            let slot = &mut self.slots[at as usize];
            self.armed -= slot.len();
            let tick = self.now;
            // The slot's memory is given back: a crowd that came at once would leave its size behind in one slot after
            // the other.
            due.extend(std::mem::take(slot).into_iter().map(|key| (key as usize, tick)));
            if self.armed == 0 {
                self.now = target;
            }
        }
    }

    /// How long until the next tick that may have entries; `None` when nothing is armed.
    pub fn until_next(&self, now: Duration) -> Option<Duration> {
        let ahead = self.next_used()?;
        Some(Duration::from_millis((self.now + ahead) * TICK_MS).saturating_sub(now))
    }

    /// How many ticks ahead the next slot is that holds something.
    fn next_used(&self) -> Option<u64> {
        let from = (self.now + 1) % SLOTS;
        let (first, bit) = ((from / 64) as usize, from % 64);
        // The first word comes twice: what is behind the bit in it, and at last what is before it.
        (0..=WORDS).find_map(|step| {
            let at = (first + step) % WORDS;
            let mask = match step {
                0 => u64::MAX << bit,
                WORDS => !(u64::MAX << bit),
                _ => u64::MAX,
            };
            let word = self.used[at] & mask;
            let found = at as u64 * 64 + u64::from(word.trailing_zeros());
            (word != 0).then(|| (found + SLOTS - from) % SLOTS + 1)
        })
    }
}

impl Default for Wheel {
    fn default() -> Self {
        Self::new()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn fires_not_before_the_deadline_and_within_two_ticks_after() {
        let mut wheel = Wheel::new();
        let tick = wheel.arm(7, s(3), 0);
        let mut due = Vec::new();
        wheel.advance(Duration::from_millis(2999), &mut due);
        assert!(due.is_empty());
        assert!(wheel.until_next(Duration::from_millis(2999)).is_some_and(|left| left <= Duration::from_millis(130)));
        wheel.advance(Duration::from_millis(3128), &mut due);
        assert_eq!(due, [(7, tick)]);
        assert_eq!(wheel.until_next(s(4)), None);
    }

    #[test]
    fn an_earlier_deadline_is_armed_anew_and_a_later_one_is_not() {
        let mut wheel = Wheel::new();
        let first = wheel.arm(1, s(10), 0);
        assert_eq!(wheel.arm(1, s(20), first), first);
        let second = wheel.arm(1, s(5), first);
        assert!(second < first);
    }

    #[test]
    fn what_lies_beyond_the_wheel_comes_up_at_its_end() {
        let mut wheel = Wheel::new();
        wheel.arm(1, s(3600), 0);
        let mut due = Vec::new();
        wheel.advance(s(66), &mut due);
        assert_eq!(due.len(), 1);
    }

    #[test]
    fn long_sleep_loses_nothing() {
        let mut wheel = Wheel::new();
        for key in 0..100 {
            wheel.arm(key, Duration::from_millis(key as u64 * 500), 0);
        }
        let mut due = Vec::new();
        wheel.advance(s(3600), &mut due);
        assert_eq!(due.len(), 100);
    }
}
