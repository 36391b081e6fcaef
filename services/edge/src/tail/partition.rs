//! What the tail knows of one partition: which of its records are kept, and where it ends.

use std::collections::VecDeque;

use chat_proto::MessageId;

use super::{Entry, Seq};

/// Where a token points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Right behind the record with this number; everything after it is kept.
    After(Seq),
    /// Behind the end: the edge that gave the token out was faster than this one.
    Ahead,
    /// Another record lies there, or what comes after it is not kept any more.
    Unknown,
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
    /// Offset and check of the last record; `None` if no record was ever read.
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
    pub(super) fn forget(&mut self, seq: Seq, entry: &Entry) {
        // After a restart nothing of before is known any more.
        if self.kept.front() != Some(&seq) {
            return;
        }
        self.kept.pop_front();
        self.from = Some(entry.offset + 1);
        if self.kept.is_empty() {
            self.last = Some((entry.offset, MessageId::check_of(&entry.value)));
        }
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
    pub(super) fn position<'a>(&self, number: i32, get: impl Fn(Seq) -> Option<&'a Entry>) -> MessageId {
        let newest = self.kept.back().and_then(|seq| get(*seq));
        let (offset, check) = match (newest, self.last) {
            (Some(entry), _) => (entry.offset, MessageId::check_of(&entry.value)),
            (None, Some(last)) => last,
            (None, None) => (self.next - 1, 0),
        };
        MessageId { partition: number, offset, check }
    }

    /// Where a token of this partition points to.
    pub(super) fn find<'a>(&self, id: &MessageId, get: impl Fn(Seq) -> Option<&'a Entry>) -> Place {
        if id.offset >= self.next {
            return Place::Ahead;
        }
        let at = self.kept.partition_point(|seq| get(*seq).is_some_and(|entry| entry.offset < id.offset));
        if let Some(&seq) = self.kept.get(at)
            && let Some(entry) = get(seq).filter(|entry| entry.offset == id.offset)
        {
            let same = MessageId::check_of(&entry.value) == id.check;
            return if same { Place::After(seq) } else { Place::Unknown };
        }
        // The record has just been forgotten, and nothing after it: it was the last one.
        if self.last == Some((id.offset, id.check)) {
            return self.before(at);
        }
        // The end of a log that was empty when the token was given out.
        if id.check == 0 && self.from.is_some_and(|from| id.offset + 1 >= from) {
            self.before(at)
        } else {
            Place::Unknown
        }
    }

    /// The first kept record that was appended at `ms` or later, if nothing that old can have been forgotten.
    pub(super) fn since<'a>(&self, ms: i64, get: impl Fn(Seq) -> Option<&'a Entry>) -> Place {
        let at = self.kept.partition_point(|seq| get(*seq).is_some_and(|entry| entry.timestamp_ms < ms));
        if at > 0 || self.from == Some(0) { self.before(at) } else { Place::Unknown }
    }

    /// The beginning of the log, if it is kept.
    pub(super) fn first(&self) -> Place {
        if self.from == Some(0) { self.before(0) } else { Place::Unknown }
    }

    /// Right before the kept record at this index; behind everything if there is none.
    fn before(&self, at: usize) -> Place {
        Place::After(self.kept.get(at).map_or(Seq::MAX, |seq| seq - 1))
    }
}
