//! One look into a partition's past for everybody who waits for it: tokens are verified, moments found, and the wanted
//! rooms' messages collected, in a single bounded scan.
//!
//! What is shown must not depend on who looks: the scan begins early enough to know every repeat as those edges know it
//! that have read the log all along ([`crate::repeats`]).

use std::{collections::HashMap, time::Instant};

use chat_proto::MessageId;

use super::{Looking, Past, Recalled, Want, rooms::Rooms};
use crate::{
    follower::records::{belongs, is_repeat},
    log::{Budget, Log, LogError, ReadRecord, ScanEnd},
    message::Begin,
    metrics::Scanned as Counted,
    repeats::{Repeats, SPAN, WINDOW},
};

const WINDOW_MS: i64 = WINDOW.as_millis() as i64;
/// Tokens that are tried in turn as the oldest one that can be served.
const TRIES: usize = 4;

/// Where a subscription begins, as far as that is known before everything is read.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Start {
    /// At this offset, once the record before it is seen to be the one that is meant.
    Behind(MessageId),
    /// At this offset.
    At(i64),
    /// At the first record of this moment.
    Since(i64),
    /// Wherever what can be read begins: it wants the last ones.
    Anywhere,
    /// It cannot be served.
    Nowhere,
}

struct Look<'a, L> {
    looking: &'a Looking,
    log: &'a L,
    partition: i32,
    low: i64,
    end: i64,
    until: Instant,
    records: usize,
    bytes: usize,
}

/// What was found for each of `wants` below the offset `end`, and how it went. From `held_from` on the tail has it all.
pub(super) fn recall<L: Log>(
    looking: &Looking,
    log: &L,
    partition: i32,
    (held_from, end): (i64, i64),
    wants: &[Want],
) -> (Past, Counted) {
    let until = Instant::now() + looking.budget.time;
    let nothing = |counted| (Past { recalled: vec![Recalled::No; wants.len()], last: None }, counted);
    let Ok(retained) = log.retained(partition, looking.budget.time) else { return nothing(Counted::Unreachable) };
    if retained.end < end {
        // Less than has been read here: another log.
        return nothing(Counted::Unreachable);
    }
    // Of a record that is in no room the tail does not keep more than the last one's token.
    let in_no_room = |want: &Want| matches!(want.from, Begin::After(id) if id.offset >= held_from);
    if retained.start >= held_from && !wants.iter().any(in_no_room) {
        return (in_the_tail(retained.start, held_from, wants), Counted::Complete);
    }
    let Budget { records, bytes, .. } = looking.budget;
    let mut look = Look { looking, log, partition, low: retained.start, end, until, records, bytes };
    match look.recall(wants) {
        Ok(found) => found,
        Err(_) => nothing(Counted::Unreachable),
    }
}

/// The log holds nothing that the tail does not, so there is nothing to be read.
fn in_the_tail(low: i64, end: i64, wants: &[Want]) -> Past {
    let recalled = wants.iter().map(|want| match want.from {
        Begin::After(id) if id.check == 0 && id.offset + 1 == low => Recalled::All { begin: low, end, messages: None },
        Begin::First => Recalled::All { begin: low, end, messages: None },
        _ => Recalled::No,
    });
    Past { recalled: recalled.collect(), last: None }
}

impl<L: Log> Look<'_, L> {
    fn recall(&mut self, wants: &[Want]) -> Result<(Past, Counted), LogError> {
        let mut starts: Vec<Start> = wants.iter().map(|want| self.start_of(want)).collect();
        let from = self.first_offset(&mut starts)?;
        let mut rooms = Rooms::new(self.looking.allowance.clone());
        for (want, start) in wants.iter().zip(&starts) {
            match (start, want.from) {
                (Start::Nowhere, _) => {}
                (Start::Anywhere, Begin::Last(count)) => rooms.want(&want.room, from, count as usize),
                (Start::Behind(id), _) => rooms.want(&want.room, id.offset + 1, usize::MAX),
                (Start::At(begin), _) => rooms.want(&want.room, *begin, usize::MAX),
                _ => rooms.want(&want.room, from, usize::MAX),
            }
        }
        let mut reading = Reading::new(self, from, &starts, rooms);
        let budget = self.left();
        let (metrics, mut count) = (&self.looking.metrics.delivery, 0);
        let end = self.log.scan(self.partition, from..self.end, budget, &mut |record| {
            count += 1;
            reading.read(&record);
        })?;
        metrics.scan_records.inc_by(count);
        if end == ScanEnd::Incomplete {
            return Ok((without_the_oldest(&starts), Counted::OverBudget));
        }
        Ok((reading.finish(self, wants, &starts), Counted::Complete))
    }

    fn left(&self) -> Budget {
        let time = self.until.saturating_duration_since(Instant::now());
        Budget { records: self.records, bytes: self.bytes, time }
    }

    fn start_of(&self, want: &Want) -> Start {
        match want.from {
            // The end of a partition that was empty.
            Begin::After(id) if id.check == 0 && id.offset + 1 == self.low => Start::At(self.low),
            Begin::After(id) if id.offset >= self.low && self.reaches(id.offset) => Start::Behind(id),
            Begin::First if self.reaches(self.low) => Start::At(self.low),
            Begin::Since(ms) => Start::Since(ms),
            Begin::Last(_) => Start::Anywhere,
            Begin::Now | Begin::After(_) | Begin::First | Begin::Unknown => Start::Nowhere,
        }
    }

    /// Whether the budget suffices from this offset on.
    fn reaches(&self, offset: i64) -> bool {
        self.end - offset <= self.budget_records()
    }

    fn budget_records(&self) -> i64 {
        i64::try_from(self.records).unwrap_or(i64::MAX)
    }

    /// Where to begin to read: so far before what anybody wants that repeats are known. Whoever asks for more than the
    /// budget allows is given up, so that the others are served.
    fn first_offset(&mut self, starts: &mut [Start]) -> Result<i64, LogError> {
        if starts.contains(&Start::At(self.low)) {
            return Ok(self.low);
        }
        let mut first = self.end;
        if starts.contains(&Start::Anywhere) {
            first = self.low.max(self.end - self.for_history());
        }
        let moment = |start: &Start| if let Start::Since(ms) = start { Some(*ms) } else { None };
        let token = |start: &Start| if let Start::Behind(id) = start { Some(id.offset) } else { None };
        let moments = self.first_that_reaches(starts, moment, |look, ms| look.lead_to(ms).map(Some))?;
        let tokens = self.first_that_reaches(starts, token, |look, offset| {
            let Some(ms) = look.time_of(offset)? else { return Ok(None) };
            let lead = look.lead_to(ms)?;
            Ok(Some(lead.max(offset.saturating_sub(SPAN)).min(offset)))
        })?;
        Ok(first.min(moments).min(tokens))
    }

    /// The lead to the oldest of these starts that the budget reaches; older ones are given up.
    fn first_that_reaches(
        &mut self,
        starts: &mut [Start],
        key: impl Fn(&Start) -> Option<i64>,
        mut lead_to: impl FnMut(&mut Self, i64) -> Result<Option<i64>, LogError>,
    ) -> Result<i64, LogError> {
        for attempt in 0.. {
            let Some(oldest) = starts.iter().filter_map(&key).min() else { break };
            if attempt < TRIES
                && let Some(lead) = lead_to(self, oldest)?
                && self.reaches(lead)
            {
                return Ok(lead);
            }
            let given_up = |it: i64| it == oldest || attempt >= TRIES;
            starts.iter_mut().filter(|start| key(start).is_some_and(given_up)).for_each(|it| *it = Start::Nowhere);
        }
        Ok(self.end)
    }

    /// The first offset that has to be read to judge records of this moment.
    fn lead_to(&self, ms: i64) -> Result<i64, LogError> {
        let at = self.log.offset_at(self.partition, ms.saturating_sub(WINDOW_MS), self.left().time)?;
        Ok(at.clamp(self.low, self.end))
    }

    /// Append time of the record at this offset, if there is one.
    fn time_of(&mut self, offset: i64) -> Result<Option<i64>, LogError> {
        let mut time = None;
        let mut cost = 0;
        let budget = self.left();
        self.log.scan(self.partition, offset..offset + 1, budget, &mut |record| {
            time = Some(record.timestamp_ms);
            cost += record.room.len() + record.value.len();
        })?;
        self.bytes = self.bytes.saturating_sub(cost);
        Ok(time)
    }

    /// How many records are read for history: what fits into the budget if records are not much larger than usual.
    fn for_history(&self) -> i64 {
        let by_bytes = i64::try_from(self.bytes / USUAL_RECORD).unwrap_or(i64::MAX);
        self.budget_records().min(by_bytes)
    }
}

/// The budget ended first: those who wanted most are told no, the others may be served without them.
fn without_the_oldest(starts: &[Start]) -> Past {
    let offset = |start: &Start| match start {
        Start::Behind(id) => id.offset,
        Start::At(begin) => *begin,
        _ => i64::MIN,
    };
    let served = starts.iter().filter(|start| !matches!(start, Start::Nowhere | Start::Anywhere));
    let oldest = served.map(offset).min();
    let recalled = starts.iter().map(|start| match start {
        Start::Nowhere | Start::Anywhere => Recalled::No,
        start if Some(offset(start)) == oldest => Recalled::No,
        _ => Recalled::Again,
    });
    Past { recalled: recalled.collect(), last: None }
}

/// What a record is taken to have, in octets, when nothing is known of them.
const USUAL_RECORD: usize = 400;

/// The scan under way.
struct Reading {
    partitions: i32,
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
    fn new<L>(look: &Look<'_, L>, from: i64, starts: &[Start], rooms: Rooms) -> Self {
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
            partitions: look.looking.partitions,
            end: look.end,
            repeats: Repeats::default(),
            rooms,
            tokens,
            moments,
            first_ms: None,
            certain_from: (from == look.low).then_some(from),
            last: None,
        }
    }

    fn read(&mut self, record: &ReadRecord<'_>) {
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

    fn finish<L>(self, look: &Look<'_, L>, wants: &[Want], starts: &[Start]) -> Past {
        let (end, low) = (look.end, look.low);
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
