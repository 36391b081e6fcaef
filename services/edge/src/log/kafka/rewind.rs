//! Where a reader begins: far enough back for the tail, and further for knowing repeats as every other edge does.

use std::{ops::Range, time::Duration};

use rdkafka::{
    Message as _,
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::BorrowedMessage,
};

use super::{
    super::{Rewind, Start},
    observer::{ANSWER, Found, Observer, number},
};

/// The longest wait for a record of every partition.
const RECORDS: Duration = Duration::from_secs(10);

/// Where a partition is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Begin {
    /// The first offset that is read.
    pub(super) at: i64,
    /// What was asked for is not retained.
    pub(super) gap: bool,
    /// What lies below this offset is read for knowing repeats alone.
    pub(super) prelude: i64,
    /// One past the last offset that there was.
    pub(super) end: i64,
}

impl Begin {
    fn at(offset: i64, range: &Range<i64>) -> Self {
        Self { at: offset, gap: false, prelude: offset, end: range.end }
    }
}

/// One for each partition.
pub(super) fn begin(observer: &Observer, start: Start) -> Result<Vec<Begin>, KafkaError> {
    let ranges = observer.ranges()?;
    let simply = |range: &Range<i64>| match start {
        Start::Now | Start::Recent(_) => Begin::at(range.end, range),
        Start::Rewind(n) => Begin::at(range.end.saturating_sub(n.max(0)).max(range.start), range),
        Start::At(offset) if (range.start..=range.end).contains(&offset) => Begin::at(offset, range),
        Start::At(_) => Begin { gap: true, ..Begin::at(range.start, range) },
    };
    let mut begins: Vec<_> = ranges.iter().map(simply).collect();
    let Start::Recent(rewind) = start else { return Ok(begins) };

    let first = kept_from(observer, &ranges, rewind)?;
    let in_doubt: Vec<_> = ranges.iter().zip(&first).map(|(range, &at)| (range.start < at).then_some(at)).collect();
    let earlier = offsets_before(observer, &in_doubt, rewind.window)?;
    for (p, range) in ranges.iter().enumerate() {
        let at = first[p].saturating_sub(rewind.span).max(earlier[p].unwrap_or(0)).clamp(range.start, first[p]);
        // Nobody can know what the log does not hold any more.
        let prelude = if at == range.start { at } else { first[p] };
        begins[p] = Begin { prelude, ..Begin::at(at, range) };
    }
    Ok(begins)
}

/// For each partition the first offset that the tail is to keep.
fn kept_from(observer: &Observer, ranges: &[Range<i64>], rewind: Rewind) -> Result<Vec<i64>, KafkaError> {
    let last: Vec<_> = ranges.iter().map(|range| (!range.is_empty()).then_some(range.end - 1)).collect();
    let by_age = offsets_before(observer, &last, rewind.age)?;
    let first = ranges.iter().zip(by_age).map(|(range, by_age)| {
        let by_count = range.end.saturating_sub(rewind.records.max(1));
        by_count.max(by_age.unwrap_or(0)).clamp(range.start, range.end)
    });
    Ok(first.collect())
}

/// For each partition the first offset appended at most `age` before the record at `offsets[partition]`; `None` where
/// there is no such record, or the log knows no times.
fn offsets_before(observer: &Observer, offsets: &[Option<i64>], age: Duration) -> Result<Vec<Option<i64>>, KafkaError> {
    let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    let append_time = |message: &BorrowedMessage<'_>| message.timestamp().to_millis();
    let mut times = Vec::new();
    for (asked, found) in offsets.iter().zip(observer.first_at(offsets, RECORDS, append_time)?) {
        times.push(match found {
            Found::Record(ms) => ms,
            Found::Nothing if asked.is_some() => return Err(KafkaError::MessageConsumption(Code::OperationTimedOut)),
            Found::End | Found::Nothing => None,
        });
    }
    let known = || (0..).map(number).zip(&times).filter_map(|(p, ms)| Some((p, (*ms)?.saturating_sub(age))));
    let mut answers = observer.offsets_at(known(), ANSWER)?.into_iter();
    Ok(times.iter().map(|ms| ms.and_then(|_| answers.next().flatten())).collect())
}
