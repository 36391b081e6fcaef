//! Which records repeat an earlier one: a function of the log alone, so that every edge decides alike (DESIGN §7).
//!
//! A record is a repeat if an earlier record of its partition, shown or not, has the same uuid or the same idempotency
//! hash, was appended at most two minutes before it, and is among the last 65,536 of its kind.

use std::{collections::HashMap, collections::VecDeque, hash::Hash, time::Duration};

use chat_proto::Peek;
use foldhash::fast::RandomState;

/// How long a repeat counts as one, in the log's own time. The same in the whole cluster.
pub const WINDOW: Duration = Duration::from_secs(120);
/// How many earlier records of its kind a record is compared with. The same in the whole cluster.
pub const DEPTH: usize = 65_536;

const WINDOW_MS: i64 = WINDOW.as_millis() as i64;

/// The recent past of one partition.
#[derive(Debug, Default)]
pub struct Repeats {
    /// Records with a key, by their hash.
    keyed: Recent<u64>,
    /// All records, by uuid: a producer may store one twice after time-outs.
    all: Recent<u128>,
}

impl Repeats {
    /// Notes a record, and says whether it repeats an earlier one.
    pub fn note(&mut self, record: &Peek, timestamp_ms: i64) -> bool {
        let same_uuid = self.all.note(u128::from_be_bytes(record.uuid), timestamp_ms);
        let same_key = record.idempotency_hash != 0 && self.keyed.note(record.idempotency_hash, timestamp_ms);
        same_uuid || same_key
    }
}

/// When each of the last [`DEPTH`] values was seen last.
#[derive(Debug)]
struct Recent<T> {
    order: VecDeque<(T, i64)>,
    seen: HashMap<T, i64, RandomState>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { order: VecDeque::new(), seen: HashMap::default() }
    }
}

impl<T: Copy + Eq + Hash> Recent<T> {
    fn note(&mut self, value: T, at_ms: i64) -> bool {
        let before = self.seen.insert(value, at_ms);
        self.order.push_back((value, at_ms));
        while let Some(&(oldest, seen_ms)) = self.order.front() {
            if self.order.len() <= DEPTH && at_ms.saturating_sub(seen_ms) <= WINDOW_MS {
                break;
            }
            self.order.pop_front();
            // Unless it has been seen again since.
            if self.seen.get(&oldest) == Some(&seen_ms) {
                self.seen.remove(&oldest);
            }
        }
        before.is_some_and(|before_ms| at_ms.saturating_sub(before_ms) <= WINDOW_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peek(uuid: u8, hash: u64) -> Peek {
        Peek { uuid: [uuid; 16], idempotency_hash: hash }
    }

    #[test]
    fn p4_same_key_within_two_minutes_of_log_time() {
        let mut repeats = Repeats::default();
        assert!(!repeats.note(&peek(1, 7), 0));
        assert!(!repeats.note(&peek(2, 0), 10), "no key, no repeat");
        assert!(!repeats.note(&peek(3, 0), 10));
        assert!(repeats.note(&peek(4, 7), 120_000));
        assert!(repeats.note(&peek(5, 7), 240_000), "a repeat that was not shown counts as well");
        assert!(!repeats.note(&peek(6, 7), 360_001));
    }

    #[test]
    fn p4_same_uuid_whatever_the_key() {
        let mut repeats = Repeats::default();
        assert!(!repeats.note(&peek(1, 0), 0));
        assert!(repeats.note(&peek(1, 0), 5));
        assert!(repeats.note(&peek(1, 9), 6));
    }

    #[test]
    fn p4_among_the_last_keyed_records() {
        let mut repeats = Repeats::default();
        let uuid = |n: u64| {
            let mut uuid = [0; 16];
            uuid[..8].copy_from_slice(&n.to_be_bytes());
            uuid
        };
        for n in 1..=DEPTH as u64 + 1 {
            assert!(!repeats.note(&Peek { uuid: uuid(n), idempotency_hash: n }, 0));
        }
        assert!(repeats.note(&Peek { uuid: uuid(0), idempotency_hash: 3 }, 1));
        assert!(!repeats.note(&Peek { uuid: uuid(u64::MAX), idempotency_hash: 1 }, 1), "65,536 came since");
        assert!(repeats.keyed.order.len() <= DEPTH && repeats.keyed.seen.len() <= DEPTH);
    }

    #[test]
    fn nothing_older_than_the_window_is_kept() {
        let mut repeats = Repeats::default();
        for n in 0..200u8 {
            repeats.note(&peek(n, n.into()), i64::from(n) * 10_000);
        }
        assert!(repeats.all.seen.len() <= 13);
    }
}
