//! A scan under way: tokens are verified, moments found, repeats known, and wanted messages kept, record by record.

use std::collections::HashMap;

use chat_proto::MessageId;

use super::{
    Past, Recalled, Want,
    recall::{Start, WINDOW_MS},
    rooms::Rooms,
};
use crate::{
    follower::records::{belongs, is_repeat},
    log::ReadRecord,
    repeats::Repeats,
};

/// The scan under way.
pub(super) struct Reading {
    partitions: i32,
    low: i64,
    end: i64,
    repeats: Repeats,
    rooms: Rooms,
    /// Tokens by offset, and whether their records are there.
    tokens: HashMap<i64, Vec<(u32, bool)>>,
    /// Moments, and the first record of each.
    moments: Vec<(i64, Option<i64>)>,
    /// Append time of the first record read; everything is read before it when it is the log's first.
    first_ms: Option<i64>,
    /// From this offset on it is certain what is a repeat.
    certain_from: Option<i64>,
    last: Option<(i64, u32)>,
}

impl Reading {
    /// Of a log that begins at `low`, from the offset `from` up to `end`.
    pub(super) fn new((low, from, end): (i64, i64, i64), partitions: i32, starts: &[Start], rooms: Rooms) -> Self {
        let mut tokens: HashMap<i64, Vec<(u32, bool)>> = HashMap::new();
        let mut moments = Vec::new();
        for start in starts {
            match start {
                Start::Behind(id) => tokens.entry(id.offset).or_default().push((id.check, false)),
                Start::Since(ms) => moments.push((*ms, None)),
                _ => {}
            }
        }
        Self {
            partitions,
            low,
            end,
            repeats: Repeats::default(),
            rooms,
            tokens,
            moments,
            first_ms: None,
            certain_from: (from == low).then_some(from),
            last: None,
        }
    }

    /// Takes the next record.
    pub(super) fn read(&mut self, record: &ReadRecord<'_>) {
        if let Some(tokens) = self.tokens.get_mut(&record.offset) {
            let check = MessageId::check_of(record.value);
            tokens.iter_mut().for_each(|(wanted, there)| *there = *wanted == check);
        }
        for (ms, begin) in self.moments.iter_mut().filter(|(_, begin)| begin.is_none()) {
            *begin = (record.timestamp_ms >= *ms).then_some(record.offset);
        }
        let first_ms = *self.first_ms.get_or_insert(record.timestamp_ms);
        if record.timestamp_ms - first_ms > WINDOW_MS {
            self.certain_from.get_or_insert(record.offset);
        }
        if record.offset + 1 == self.end {
            self.last = Some((record.offset, MessageId::check_of(record.value)));
        }
        if belongs(record, self.partitions).is_err() {
            return;
        }
        let peek = chat_proto::peek(record.value);
        if !is_repeat(&mut self.repeats, peek.as_ref(), record) {
            self.rooms.keep(record);
        }
    }

    /// What was found for each of `wants`.
    pub(super) fn finish(self, wants: &[Want], starts: &[Start]) -> Past {
        let (end, low) = (self.end, self.low);
        let rooms = self.rooms.finish();
        let begin_of = |start: &Start| match start {
            Start::Behind(id) => {
                let there = self.tokens.get(&id.offset).is_some_and(|known| known.contains(&(id.check, true)));
                there.then_some(id.offset + 1)
            }
            Start::At(begin) => Some(*begin),
            // Of what came before the log's first record nobody knows how old it was.
            Start::Since(ms) => {
                let begin = self.moments.iter().find(|(moment, _)| moment == ms)?.1.unwrap_or(end);
                (begin > low || low == 0).then_some(begin)
            }
            Start::Anywhere | Start::Nowhere => None,
        };
        let recalled = wants.iter().zip(starts).map(|(want, start)| {
            let Some((messages, whole_from)) = rooms.get(&want.room) else { return Recalled::No };
            if *start == Start::Anywhere {
                let begin = self.certain_from.unwrap_or(end).max(*whole_from);
                return Recalled::All { begin, end, messages: messages.clone() };
            }
            match begin_of(start) {
                Some(begin) if *whole_from <= begin => Recalled::All { begin, end, messages: messages.clone() },
                _ => Recalled::No,
            }
        });
        Past { recalled: recalled.collect(), last: self.last }
    }
}
