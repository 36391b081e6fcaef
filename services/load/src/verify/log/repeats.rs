//! Which records repeat an earlier one: a function of the log alone (DESIGN §7), computed here without the edge's code.
//!
//! A record is a repeat if an earlier record of its partition, shown or not, has the same key (of the same room and sender) or
//! the same uuid, is at most two minutes older, and is among the partition's last 65,536 of its kind.

use std::{collections::HashMap, hash::Hash};

use super::Record;

const WINDOW_MS: i64 = 120_000;
const DEPTH: usize = 65_536;

/// For each record of a partition, in order: is it shown?
pub(super) fn shown(records: &[Record]) -> Vec<bool> {
    let (mut keyed, mut all) = (Seen::default(), Seen::default());
    let judge = |record: &Record| {
        if !record.readable {
            return false;
        }
        let same_uuid = all.note(record.uuid, record.ts);
        let same_key = record.hash != 0 && keyed.note(record.hash, record.ts);
        !same_uuid && !same_key
    };
    records.iter().map(judge).collect()
}

struct Seen<T> {
    /// The how-manieth value of its kind, and when.
    last: HashMap<T, (usize, i64)>,
    count: usize,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self { last: HashMap::new(), count: 0 }
    }
}

impl<T: Eq + Hash> Seen<T> {
    fn note(&mut self, value: T, ts: i64) -> bool {
        self.count += 1;
        let before = self.last.insert(value, (self.count, ts));
        before.is_some_and(|(count, before)| self.count - count <= DEPTH && ts - before <= WINDOW_MS)
    }
}
