//! Which records repeat an earlier one: a function of the log alone, so that every edge decides alike (DESIGN §7).
//!
//! A record is a repeat if an earlier record of its partition, shown or not, has the same uuid or the same idempotency
//! hash, was appended at most two minutes before it, is among the last 65,536 of its kind, and lies at most 1,000,000
//! offsets before it. So an edge that reads [`WINDOW`] and [`SPAN`] further back than what it judges judges rightly,
//! however few of the records between have a key.

use std::{collections::VecDeque, hash::BuildHasher, hash::Hash, time::Duration};

use chat_proto::Peek;
use foldhash::quality::RandomState;

/// How long a repeat counts as one, in the log's own time. The same in the whole cluster.
pub const WINDOW: Duration = Duration::from_secs(120);
/// How many earlier records of its kind a record is compared with. The same in the whole cluster.
pub const DEPTH: usize = 65_536;
/// How many offsets a repeat may lie behind what it repeats. The same in the whole cluster.
pub const SPAN: i64 = 1_000_000;

/// Numbers are given out in turn, and never two at the same time: there are far more of them than [`DEPTH`].
const NUMBERS: u32 = (1 << 24) - 1;

const WINDOW_MS: i64 = WINDOW.as_millis() as i64;

/// The recent past of one partition.
#[derive(Debug, Default)]
pub struct Repeats {
    /// Records with a key, by their hash.
    keyed: Recent<u64>,
    /// All records, by uuid: a producer may store one twice after time-outs.
    all: Recent<u128>,
    /// The latest append time so far: a new leader's clock may be a little behind the old one's.
    now_ms: i64,
}

impl Repeats {
    /// Notes a record, and says whether it repeats an earlier one.
    pub fn note(&mut self, record: &Peek, offset: i64, timestamp_ms: i64) -> bool {
        self.now_ms = self.now_ms.max(timestamp_ms);
        let same_uuid = self.all.note(u128::from_be_bytes(record.uuid), offset, self.now_ms);
        let same_key = record.idempotency_hash != 0 && self.keyed.note(record.idempotency_hash, offset, self.now_ms);
        same_uuid || same_key
    }

    /// Where a record that comes soon will be noted…
    pub fn place_of(&self, record: &Peek) -> usize {
        self.all.bucket_of(u128::from_be_bytes(record.uuid))
    }

    /// …and something of what lies there, to have it fetched from memory.
    pub fn fetch(&self, place: usize) -> u32 {
        self.all.buckets.get(place).map_or(0, |bucket| bucket.0[0])
    }
}

/// Where each of the last [`DEPTH`] values was seen last.
///
/// An index of its own, because every record of the cluster passes here: a value belongs to one bucket, which is one
/// cache line, and nothing is ever taken out. What a slot names has gone when its number is no longer among those that
/// are kept.
#[derive(Debug)]
struct Recent<T> {
    /// Oldest first.
    order: VecDeque<Seen<T>>,
    /// Number of the oldest.
    oldest: u32,
    /// A power of two of them, or none.
    buckets: Vec<Bucket>,
    /// Numbers whose buckets were full: with four values for sixteen places, hardly ever one.
    spilled: Vec<u32>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Seen<T> {
    value: T,
    offset: i64,
    at_ms: i64,
}

/// Numbers, below eight bits of their values' hashes.
#[derive(Debug, Clone)]
#[repr(align(64))]
struct Bucket([u32; 16]);

/// Values for each bucket, at most, but in [`MOST_BUCKETS`].
const IN_A_BUCKET: usize = 4;
const MOST_BUCKETS: usize = DEPTH / IN_A_BUCKET;

impl<T> Default for Recent<T> {
    fn default() -> Self {
        let (buckets, spilled) = (Vec::new(), Vec::new());
        Self { order: VecDeque::new(), oldest: 0, buckets, spilled, hasher: RandomState::default() }
    }
}

impl<T: Copy + Eq + Hash> Recent<T> {
    fn note(&mut self, value: T, offset: i64, at_ms: i64) -> bool {
        self.forget(offset, at_ms);
        self.grow();
        let number = self.oldest.wrapping_add(self.order.len() as u32) & NUMBERS;
        let repeats = self.put(value, number);
        self.order.push_back(Seen { value, offset, at_ms });
        repeats
    }

    fn bucket_of(&self, value: T) -> usize {
        self.hasher.hash_one(value) as usize & self.buckets.len().saturating_sub(1)
    }

    /// Notes under which number a value is seen; whether it was seen before.
    fn put(&mut self, value: T, number: u32) -> bool {
        let Self { order, oldest, buckets, spilled, hasher } = self;
        let hash = hasher.hash_one(value);
        let word = ((hash >> 56) as u32) << NUMBERS.count_ones() | number;
        let seen = |number: u32| order.get((number.wrapping_sub(*oldest) & NUMBERS) as usize).map(|seen| seen.value);
        let at = hash as usize & (buckets.len() - 1);
        let mut free = None;
        for slot in &mut buckets[at].0 {
            let is_kept = (*slot & NUMBERS).wrapping_sub(*oldest) & NUMBERS < order.len() as u32;
            if !is_kept {
                free = Some(slot);
            } else if *slot & !NUMBERS == word & !NUMBERS && seen(*slot & NUMBERS) == Some(value) {
                *slot = word;
                return true;
            }
        }
        if !spilled.is_empty() {
            spilled.retain(|number| seen(*number).is_some());
            if let Some(before) = spilled.iter_mut().find(|before| seen(**before) == Some(value)) {
                *before = number;
                return true;
            }
        }
        match free {
            Some(slot) => *slot = word,
            None => spilled.push(number),
        }
        false
    }

    /// More buckets while there are few for what is kept: all of it is put anew, oldest first.
    fn grow(&mut self) {
        let known = self.buckets.len();
        if self.order.len() < known * IN_A_BUCKET || known == MOST_BUCKETS {
            return;
        }
        self.buckets = vec![Bucket([u32::MAX; 16]); (known * 2).max(1)];
        self.spilled.clear();
        for at in 0..self.order.len() {
            let value = self.order[at].value;
            self.put(value, self.oldest.wrapping_add(at as u32) & NUMBERS);
        }
    }

    /// Forgets what a record at this place cannot repeat.
    fn forget(&mut self, offset: i64, at_ms: i64) {
        while let Some(first) = self.order.front() {
            let far = at_ms.saturating_sub(first.at_ms) > WINDOW_MS || offset.saturating_sub(first.offset) > SPAN;
            if self.order.len() <= DEPTH && !far {
                return;
            }
            self.order.pop_front();
            self.oldest = self.oldest.wrapping_add(1) & NUMBERS;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peek(uuid: u64, hash: u64) -> Peek {
        Peek { uuid: u128::from(uuid).to_be_bytes(), idempotency_hash: hash }
    }

    #[test]
    fn p4_same_key_within_two_minutes_of_log_time() {
        let mut repeats = Repeats::default();
        assert!(!repeats.note(&peek(1, 7), 0, 0));
        assert!(!repeats.note(&peek(2, 0), 1, 10), "no key, no repeat");
        assert!(!repeats.note(&peek(3, 0), 2, 10));
        assert!(repeats.note(&peek(4, 7), 3, 120_000));
        assert!(repeats.note(&peek(5, 7), 4, 240_000), "a repeat that was not shown counts as well");
        assert!(!repeats.note(&peek(6, 7), 5, 360_001));
    }

    #[test]
    fn p4_same_uuid_whatever_the_key() {
        let mut repeats = Repeats::default();
        assert!(!repeats.note(&peek(1, 0), 0, 0));
        assert!(repeats.note(&peek(1, 0), 1, 5));
        assert!(repeats.note(&peek(1, 9), 2, 6));
    }

    #[test]
    fn p4_among_the_last_keyed_records() {
        let mut repeats = Repeats::default();
        let depth = DEPTH as u64;
        for n in 1..=depth + 1 {
            assert!(!repeats.note(&peek(n, n), n as i64, 0));
        }
        assert!(repeats.note(&peek(depth + 2, 3), DEPTH as i64 + 2, 0));
        assert!(!repeats.note(&peek(depth + 3, 1), DEPTH as i64 + 3, 0), "65,536 came since");
        // Seen again since in the same millisecond: the later one still counts.
        for n in 0..depth - 3 {
            assert!(!repeats.note(&peek(depth + 4 + n, depth + 4 + n), (DEPTH as u64 + 4 + n) as i64, 0));
        }
        assert!(repeats.note(&peek(3 * depth, 3), 3 * DEPTH as i64, 0));
        assert!(repeats.keyed.order.len() <= DEPTH + 1 && repeats.keyed.buckets.len() == MOST_BUCKETS);
        assert!(repeats.all.spilled.len() < 10, "{}", repeats.all.spilled.len());
    }

    proptest! {
        /// Against a plain list, with few values in crowded buckets.
        #[test]
        fn p4_a_repeat_is_what_a_list_says(
            oldest in prop_oneof![Just(0), NUMBERS - 300..NUMBERS],
            notes in prop::collection::vec((0u64..200, 0i64..20_000), 1..600),
        ) {
            let mut recent = Recent::<u64> { oldest, ..Recent::default() };
            let (mut list, mut now): (Vec<(u64, i64)>, _) = (Vec::new(), 0);
            for (offset, (value, later)) in notes.into_iter().enumerate() {
                now += later;
                let expected = list.iter().any(|(known, at)| *known == value && now - at <= WINDOW_MS);
                prop_assert_eq!(recent.note(value, offset as i64, now), expected, "at {}", offset);
                list.push((value, now));
                // One bucket for all makes it spill.
                if offset == 40 {
                    recent.buckets = vec![Bucket([u32::MAX; 16])];
                    recent.spilled.clear();
                    for at in 0..recent.order.len() {
                        let value = recent.order[at].value;
                        recent.put(value, recent.oldest.wrapping_add(at as u32) & NUMBERS);
                    }
                }
            }
        }
    }

    /// Numbers begin anew, and nobody notices.
    #[test]
    fn p4_after_sixteen_million_records() {
        let mut recent = Recent::<u64> { oldest: NUMBERS - 100, ..Recent::default() };
        for n in 0..500_i64 {
            assert!(!recent.note(n as u64, n, n));
            assert!(n < 50 || recent.note(n as u64 - 50, n, n), "{n}");
        }
    }

    #[test]
    fn p4_within_a_span_of_offsets() {
        let mut repeats = Repeats::default();
        assert!(!repeats.note(&peek(1, 7), 5, 0));
        assert!(repeats.note(&peek(2, 7), 5 + SPAN, 0));
        assert!(!repeats.note(&peek(3, 7), 6 + 2 * SPAN, 0));
    }

    /// The log's time is the latest append time so far, whoever begins to read where.
    #[test]
    fn p4_a_clock_that_runs_back() {
        let mut repeats = Repeats::default();
        repeats.note(&peek(1, 7), 0, 60_000);
        repeats.note(&peek(2, 8), 1, 190_000);
        assert!(!repeats.note(&peek(3, 7), 2, 170_000), "130 s of the log's time have gone by");
        assert!(repeats.note(&peek(4, 8), 3, 170_000));
    }

    #[test]
    fn nothing_older_than_the_window_is_kept() {
        let mut repeats = Repeats::default();
        for n in 0..200_u32 {
            repeats.note(&peek(n.into(), n.into()), n.into(), i64::from(n) * 10_000);
        }
        assert!(repeats.all.buckets.len() <= 4 && repeats.all.order.len() <= 13);
    }
}
