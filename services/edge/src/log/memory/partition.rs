//! One partition of a [`MemoryLog`](super::MemoryLog).

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

use super::super::ReadRecord;

#[derive(Default)]
pub(super) struct Partition {
    /// Offset of the first record kept.
    pub(super) low: i64,
    pub(super) records: VecDeque<Kept>,
}

#[derive(Clone)]
pub(super) struct Kept {
    pub(super) room: Bytes,
    pub(super) value: Bytes,
    pub(super) timestamp_ms: i64,
}

impl Partition {
    pub(super) fn high(&self) -> i64 {
        self.low + self.records.len() as i64
    }

    pub(super) fn get(&self, offset: i64) -> Option<&Kept> {
        usize::try_from(offset - self.low).ok().and_then(|i| self.records.get(i))
    }

    /// The first offset appended at most `age` before the record at `offset`; the first of all when there is none.
    pub(super) fn before(&self, offset: i64, age: Duration) -> i64 {
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        self.get(offset).map_or(self.low, |record| self.offset_at(record.timestamp_ms.saturating_sub(age)))
    }

    /// The first offset appended at `ms` or later; the end when there is none.
    pub(super) fn offset_at(&self, ms: i64) -> i64 {
        self.low + self.records.partition_point(|record| record.timestamp_ms < ms) as i64
    }
}

impl Kept {
    pub(super) fn read(&self, partition: i32, offset: i64) -> ReadRecord<'_> {
        let (timestamp_ms, room, value) = (self.timestamp_ms, &self.room[..], &self.value[..]);
        ReadRecord { partition, offset, timestamp_ms, room, value, trace: None }
    }
}
