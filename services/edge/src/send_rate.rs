//! How fast one user may send through this edge, over however many connections and requests (`stomp.md` §5: a quota for
//! each user).
//!
//! Each user has a moment before which no more is let in; a SEND moves it on by one interval, and it may be a second ahead
//! of the clock. So a second's worth may come at once, and who has been silent for a second is not remembered.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use foldhash::fast::RandomState;

/// How far ahead of the clock a user may be.
const AHEAD: Duration = Duration::from_secs(1);
/// Workers ask for different users at the same time.
const SHARDS: usize = 16;
/// A shard looks for users to forget when it holds this many more than it kept the last time.
const FORGET_AFTER: usize = 1024;

#[derive(Debug, Default)]
struct Shard {
    /// When each user's SENDs would all have been due.
    users: HashMap<Arc<str>, Duration, RandomState>,
    kept: usize,
}

/// The bound, and who is how far from it. Shared by all workers of an edge.
#[derive(Debug)]
pub struct SendRate {
    interval: Duration,
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

impl SendRate {
    /// At most so many SENDs a second for each user; `None` if that is no bound.
    pub fn new(per_second: u32) -> Option<Self> {
        let interval = Duration::from_secs(1).checked_div(per_second)?;
        Some(Self { interval, shards: Default::default(), hasher: RandomState::default() })
    }

    /// Whether this user may send now. `now` is any clock that all callers share within a few milliseconds.
    pub fn admit(&self, user: &Arc<str>, now: Duration) -> bool {
        let shard = self.hasher.hash_one(user) as usize % SHARDS;
        // Every change under the lock is complete in itself.
        let mut shard = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        let due = shard.users.get(user).map_or(now, |due| (*due).max(now)) + self.interval;
        if due > now + AHEAD.max(self.interval) {
            return false;
        }
        match shard.users.get_mut(user) {
            Some(known) => *known = due,
            None => {
                shard.forget(now);
                shard.users.insert(Arc::clone(user), due);
            }
        }
        true
    }
}

impl Shard {
    /// Now and then drops those who are no further than somebody unknown.
    fn forget(&mut self, now: Duration) {
        if self.users.len() >= self.kept + FORGET_AFTER {
            self.users.retain(|_, due| *due > now);
            self.kept = self.users.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_second_may_come_at_once_and_then_one_at_a_time() {
        let rate = SendRate::new(5).unwrap_or_else(|| unreachable!());
        let (ann, bob): (Arc<str>, Arc<str>) = ("ann".into(), "bob".into());
        assert_eq!((0..9).filter(|_| rate.admit(&ann, SECOND)).count(), 5);
        assert!(rate.admit(&bob, SECOND), "each user has a rate of its own");
        assert!(!rate.admit(&ann, SECOND + SECOND / 10));
        assert!(rate.admit(&ann, SECOND + SECOND / 5));
        assert!(!rate.admit(&ann, SECOND + SECOND / 5));
        assert_eq!((0..9).filter(|_| rate.admit(&ann, SECOND * 9)).count(), 5, "nothing is saved up beyond a second");
    }

    #[test]
    fn one_a_second_is_one_a_second_and_none_is_no_bound() {
        let rate = SendRate::new(1).unwrap_or_else(|| unreachable!());
        let ann: Arc<str> = "ann".into();
        assert!(rate.admit(&ann, SECOND) && !rate.admit(&ann, SECOND) && rate.admit(&ann, SECOND * 2));
        assert!(SendRate::new(0).is_none());
    }

    #[test]
    fn users_who_are_silent_are_forgotten() {
        let rate = SendRate::new(10).unwrap_or_else(|| unreachable!());
        for second in 0..40_u32 {
            (0..5_000).for_each(|number| assert!(rate.admit(&format!("{second}-{number}").into(), SECOND * second)));
        }
        let known = |shard: &Mutex<Shard>| shard.lock().map_or(0, |shard| shard.users.len());
        let all: usize = rate.shards.iter().map(known).sum();
        assert!(all <= 5_000 + SHARDS * (FORGET_AFTER + 1), "{all} of 200,000");
    }
}
