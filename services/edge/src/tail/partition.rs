//! What the tail knows of one partition: which of its records are kept, and where it ends.

use std::collections::VecDeque;

use chat_proto::MessageId;

use super::{Kept, Seq};

/// Where a token points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Right behind the record with this number; everything after it is kept.
    After(Seq),
    /// Behind the end: the edge that gave the token out was faster than this one.
    Ahead,
    /// Another record lies there.
    Unknown,
    /// Before what is kept: only the log can tell.
    Older,
}

/// One partition of the tail.
#[derive(Debug, Default)]
pub(super) struct Partition {
    /// Kept records, oldest first; their numbers rise with their offsets.
    kept: VecDeque<Seq>,
    /// Everything from this offset on is kept; `None` before anything is known.
    from: Option<i64>,
    /// The offset that the next record will have at least.
    next: i64,
    /// Offset and check of the last record, if it is not kept; `None` if no record was ever read.
    last: Option<(i64, u32)>,
}

impl Partition {
    /// A record has been kept under `seq`.
    pub(super) fn add(&mut self, seq: Seq, offset: i64) {
        self.from.get_or_insert(offset);
        self.next = offset + 1;
        self.last = None;
        self.kept.push_back(seq);
    }

    /// The oldest kept record is forgotten.
    pub(super) fn forget(&mut self, seq: Seq, entry: Kept<'_>) {
        // After a restart nothing of before is known any more.
        if self.kept.front() != Some(&seq) {
            return;
        }
        self.kept.pop_front();
        self.from = Some(entry.offset + 1);
        if self.kept.is_empty() && self.last.is_none() {
            self.last = Some((entry.offset, MessageId::check_of(entry.value)));
        }
    }

    /// A record is there that is not kept: it is in no room.
    pub(super) fn skip(&mut self, offset: i64, check: u32) {
        self.from.get_or_insert(offset);
        self.next = offset + 1;
        self.last = Some((offset, check));
    }

    /// The offset that the next record will have at least.
    pub(super) fn end(&self) -> i64 {
        self.next
    }

    /// How many records are kept.
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Everything from here on is kept.
    pub(super) fn kept_from(&self) -> Option<i64> {
        self.from
    }

    /// The first kept record at this offset or behind it.
    pub(super) fn kept_at<'a>(&self, offset: i64, get: impl Fn(Seq) -> Option<Kept<'a>>) -> Option<Seq> {
        let at = self.kept.partition_point(|seq| get(*seq).is_some_and(|entry| entry.offset < offset));
        self.kept.get(at).copied()
    }

    /// The offset of the kept record with this many before it; the end if there are fewer.
    pub(super) fn offset_of<'a>(&self, number: usize, get: impl Fn(Seq) -> Option<Kept<'a>>) -> i64 {
        let entry = self.kept.get(number).and_then(|seq| get(*seq));
        entry.map_or(self.next, |entry| entry.offset)
    }

    /// Nothing more is there below `offset`.
    pub(super) fn ends_at(&mut self, offset: i64) {
        self.from.get_or_insert(offset);
        self.next = self.next.max(offset);
    }

    /// Records were lost: what is kept can no longer be gone on from, reading goes on at `offset`.
    pub(super) fn restart(&mut self, offset: i64) {
        *self = Self { kept: VecDeque::new(), from: Some(offset), next: offset, last: None };
    }

    /// The kept records, newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = Seq> + '_ {
        self.kept.iter().rev().copied()
    }

    /// The partition's end as a token: the id of its last record, whatever the room.
    pub(super) fn position<'a>(&self, number: i32, get: impl Fn(Seq) -> Option<Kept<'a>>) -> MessageId {
        let newest = self.kept.back().and_then(|seq| get(*seq));
        let (offset, check) = match (self.last, newest) {
            (Some(last), _) => last,
            (None, Some(entry)) => (entry.offset, MessageId::check_of(entry.value)),
            (None, None) => (self.next - 1, 0),
        };
        MessageId { partition: number, offset, check }
    }

    /// Where a token of this partition points to.
    pub(super) fn find<'a>(&self, id: &MessageId, get: impl Fn(Seq) -> Option<Kept<'a>>) -> Place {
        if id.offset >= self.next {
            return Place::Ahead;
        }
        let at = self.kept.partition_point(|seq| get(*seq).is_some_and(|entry| entry.offset < id.offset));
        if let Some(&seq) = self.kept.get(at)
            && let Some(entry) = get(seq).filter(|entry| entry.offset == id.offset)
        {
            let same = MessageId::check_of(entry.value) == id.check;
            return if same { Place::After(seq) } else { Place::Unknown };
        }
        // The record has just been forgotten, and nothing after it: it was the last one.
        if self.last == Some((id.offset, id.check)) {
            return self.before(at);
        }
        // The end of a partition that was empty. Any other record that is not kept only the log knows.
        if id.offset == -1 && id.check == 0 && self.from == Some(0) { self.before(at) } else { Place::Older }
    }

    /// The first kept record that was appended at `ms` or later, if nothing that old can have been forgotten.
    pub(super) fn since<'a>(&self, ms: i64, get: impl Fn(Seq) -> Option<Kept<'a>>) -> Place {
        let at = self.kept.partition_point(|seq| get(*seq).is_some_and(|entry| entry.timestamp_ms < ms));
        if at > 0 || self.from == Some(0) { self.before(at) } else { Place::Older }
    }

    /// The beginning of the log, if it is kept.
    pub(super) fn first(&self) -> Place {
        if self.from == Some(0) { self.before(0) } else { Place::Older }
    }

    /// Right before the kept record at this index; behind everything if there is none.
    fn before(&self, at: usize) -> Place {
        Place::After(self.kept.get(at).map_or(Seq::MAX, |seq| seq - 1))
    }
}
