//! Which records repeat an earlier one: a function of the log alone, so that every edge decides alike (DESIGN §7).
//!
//! A record is a repeat if an earlier record of its partition, shown or not, has the same uuid or the same idempotency
//! hash, was appended at most two minutes before it, is among the last 65,536 of its kind, and lies at most 1,000,000
//! offsets before it. So an edge that reads [`WINDOW`] and [`SPAN`] further back than what it judges judges rightly,
//! however few of the records between have a key.

use std::{hash::BuildHasher, hash::Hash, time::Duration};

use chat_proto::Peek;
use foldhash::quality::RandomState;

use crate::ring::Ring;

/// How long a repeat counts as one, in the log's own time. The same in the whole cluster.
pub const WINDOW: Duration = Duration::from_secs(120);
/// How many earlier records of its kind a record is compared with. The same in the whole cluster.
pub const DEPTH: usize = 65_536;
/// How many offsets a repeat may lie behind what it repeats. The same in the whole cluster.
pub const SPAN: i64 = 1_000_000;

/// Numbers are given out in turn, and never two at the same time: there are far more of them than [`DEPTH`].
const NUMBERS: u32 = (1 << 20) - 1;

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
        self.note_hashed(record, self.hash_of(record), offset, timestamp_ms)
    }

    /// The same, of a record whose [`hash_of`](Self::hash_of) is known.
    pub fn note_hashed(&mut self, record: &Peek, hash: u64, offset: i64, timestamp_ms: i64) -> bool {
        self.now_ms = self.now_ms.max(timestamp_ms);
        let same_uuid = self.all.note(u128::from_be_bytes(record.uuid), hash, offset, self.now_ms);
        let key = record.idempotency_hash;
        let same_key = key != 0 && self.keyed.note(key, self.keyed.hash_of(key), offset, self.now_ms);
        same_uuid || same_key
    }

    /// What decides where a record is noted; good for these [`Repeats`] alone.
    pub fn hash_of(&self, record: &Peek) -> u64 {
        self.all.hash_of(u128::from_be_bytes(record.uuid))
    }

    /// Something of what lies where this hash is looked for, and where a record will be noted after so many others, to
    /// have it fetched from memory.
    pub fn fetch(&self, hash: u64, later: usize) -> u32 {
        let bucket = self.all.buckets.get(self.all.bucket_of(hash)).map_or(0, |bucket| bucket.0[0]);
        bucket ^ self.all.order.fetch(later).map_or(0, |seen| seen.offset as u32)
    }
}

/// Where each of the last [`DEPTH`] values was seen last.
///
/// An index of its own, because every record of the cluster passes here: a value belongs to one bucket, which is one
/// cache line, and nothing is ever taken out. What a slot names has gone when its number is no longer among those that
/// are kept.
#[derive(Debug)]
struct Recent<T> {
    /// By number, of which the buckets know the lower bits.
    order: Ring<Seen<T>>,
    /// Offset and time of an entry that was the oldest once: while that one would not be forgotten for them, nor is the
    /// oldest, which need not be fetched from memory to know it.
    floor: (i64, i64),
    /// A power of two of them, or none.
    buckets: Vec<Bucket>,
    /// Numbers that their buckets had no room for: with four values for sixteen places, hardly ever one.
    spilled: Vec<u32>,
    hasher: RandomState,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen<T> {
    value: T,
    offset: i64,
    at_ms: i64,
}

/// Numbers, below twelve bits of their values' hashes; the newest first.
#[derive(Debug, Clone)]
#[repr(align(64))]
struct Bucket([u32; 16]);

impl Bucket {
    /// In which places these bits are, one bit for each.
    fn with(&self, tag: u32) -> u32 {
        let places = self.0.iter().enumerate();
        places.fold(0, |found, (at, slot)| found | u32::from((slot ^ tag) & !NUMBERS == 0) << at)
    }

    /// Puts a word before all others; what was at this place goes.
    fn put(&mut self, word: u32, place: usize) -> u32 {
        let gone = self.0[place];
        self.0.copy_within(..place, 1);
        self.0[0] = word;
        gone
    }
}

/// Values for each bucket, at most, but in [`MOST_BUCKETS`].
const IN_A_BUCKET: usize = 4;
const MOST_BUCKETS: usize = DEPTH / IN_A_BUCKET;

impl<T: Copy + Default> Default for Recent<T> {
    fn default() -> Self {
        let (order, buckets, spilled) = (Ring::new(0), Vec::new(), Vec::new());
        Self { order, floor: (i64::MIN, i64::MIN), buckets, spilled, hasher: RandomState::default() }
    }
}

impl<T: Copy + Default + Eq + Hash> Recent<T> {
    fn note(&mut self, value: T, hash: u64, offset: i64, at_ms: i64) -> bool {
        self.forget(offset, at_ms);
        self.grow();
        let repeats = self.put(value, hash, self.order.next());
        self.order.push(Seen { value, offset, at_ms });
        repeats
    }

    fn hash_of(&self, value: T) -> u64 {
        self.hasher.hash_one(value)
    }

    fn bucket_of(&self, hash: u64) -> usize {
        hash as usize & self.buckets.len().saturating_sub(1)
    }

    /// Notes under which number a value is seen; whether it was seen before.
    fn put(&mut self, value: T, hash: u64, number: u64) -> bool {
        let at = self.bucket_of(hash);
        let Self { order, buckets, spilled, .. } = self;
        let number = number as u32 & NUMBERS;
        let oldest = order.first() as u32;
        let seen = |number: u32| {
            let later = number.wrapping_sub(oldest) & NUMBERS;
            order.get(order.first() + u64::from(later)).map(|seen| seen.value)
        };
        let tag = (hash >> 32) as u32 & !NUMBERS;
        let bucket = &mut buckets[at];
        let mut same = bucket.with(tag);
        while same != 0 {
            let place = same.trailing_zeros() as usize;
            if seen(bucket.0[place] & NUMBERS) == Some(value) {
                bucket.put(tag | number, place);
                return true;
            }
            same &= same - 1;
        }
        if !spilled.is_empty() {
            spilled.retain(|number| seen(*number).is_some());
            if let Some(before) = spilled.iter_mut().find(|before| seen(**before) == Some(value)) {
                *before = number;
                return true;
            }
        }
        let gone = bucket.put(tag | number, bucket.0.len() - 1) & NUMBERS;
        if seen(gone).is_some() {
            spilled.push(gone);
        }
        false
    }

    /// More buckets while there are few for what is kept: all of it is put anew, oldest first.
    fn grow(&mut self) {
        let known = self.buckets.len();
        if self.order.len() < known * IN_A_BUCKET || known == MOST_BUCKETS {
            return;
        }
        self.put_all_into((known * 2).max(1));
    }

    fn put_all_into(&mut self, buckets: usize) {
        // A number that is as far from all that are kept as can be.
        let nothing = (self.order.first() as u32).wrapping_add(NUMBERS / 2) & NUMBERS;
        self.buckets = vec![Bucket([nothing; 16]); buckets];
        self.spilled.clear();
        for number in self.order.first()..self.order.next() {
            let Some(Seen { value, .. }) = self.order.get(number).copied() else { continue };
            self.put(value, self.hash_of(value), number);
        }
    }

    /// Forgets what a record at this place cannot repeat.
    fn forget(&mut self, offset: i64, at_ms: i64) {
        let is_far =
            |(at, when): (i64, i64)| at_ms.saturating_sub(when) > WINDOW_MS || offset.saturating_sub(at) > SPAN;
        while self.order.len() > DEPTH || is_far(self.floor) {
            let Some(first) = self.order.front() else { return };
            if self.order.len() <= DEPTH {
                self.floor = (first.offset, first.at_ms);
                if !is_far(self.floor) {
                    return;
                }
            }
            self.order.skip();
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

    fn note(recent: &mut Recent<u64>, value: u64, offset: i64, at_ms: i64) -> bool {
        recent.note(value, recent.hash_of(value), offset, at_ms)
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
            oldest in prop_oneof![Just(0), u64::from(NUMBERS) - 300..u64::from(NUMBERS)],
            notes in prop::collection::vec((0u64..200, 0i64..20_000), 1..600),
        ) {
            let mut recent = Recent::<u64> { order: Ring::new(oldest), ..Recent::default() };
            let (mut list, mut now): (Vec<(u64, i64)>, _) = (Vec::new(), 0);
            for (offset, (value, later)) in notes.into_iter().enumerate() {
                now += later;
                let expected = list.iter().any(|(known, at)| *known == value && now - at <= WINDOW_MS);
                prop_assert_eq!(note(&mut recent, value, offset as i64, now), expected, "at {}", offset);
                list.push((value, now));
                // One bucket for all makes it spill.
                if offset == 40 {
                    recent.put_all_into(1);
                }
            }
        }
    }

    /// Numbers begin anew, and nobody notices.
    #[test]
    fn p4_after_a_million_records() {
        let mut recent = Recent::<u64> { order: Ring::new(u64::from(NUMBERS) - 100), ..Recent::default() };
        for n in 0..500_i64 {
            assert!(!note(&mut recent, n as u64, n, n));
            assert!(n < 50 || note(&mut recent, n as u64 - 50, n, n), "{n}");
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
