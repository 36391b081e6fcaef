//! Where a reader stands in each partition, and what it has read there: so that a replaced log is noticed even when it has
//! grown past the reader (DESIGN §6).
//!
//! A mark is a record that was read, with its check. The keeper looks whether the newest one and the last one it has seen
//! are both in the log: then nothing was replaced between the two, and the newest becomes the last one seen.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
};

use rdkafka::{Message as _, error::KafkaError};

use super::{
    context::lock,
    observer::{ANSWER, Found, Observer},
};

/// A record that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    offset: i64,
    /// CRC-32 of its value.
    check: u32,
}

/// Where a reader stands in a partition.
#[derive(Debug)]
pub(super) struct Place {
    next: AtomicI64,
    /// One past the last offset, when the partition was last asked.
    high: AtomicI64,
    /// The next record is to be marked.
    wanted: AtomicBool,
    marks: Mutex<Marks>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Marks {
    /// Was in the log at the last look.
    seen: Option<Mark>,
    newest: Option<Mark>,
}

impl Place {
    pub(super) fn new(next: i64) -> Self {
        Self {
            next: AtomicI64::new(next),
            high: AtomicI64::new(next),
            wanted: AtomicBool::new(true),
            marks: Mutex::default(),
        }
    }

    /// The same, for a longer list of places.
    pub(super) fn copy(&self) -> Self {
        let (next, high) = (AtomicI64::new(self.next()), AtomicI64::new(self.high()));
        let wanted = AtomicBool::new(self.wanted.load(Relaxed));
        Self { next, high, wanted, marks: Mutex::new(self.marks()) }
    }

    /// The offset that the next record will have at least.
    pub(super) fn next(&self) -> i64 {
        self.next.load(Relaxed)
    }

    /// One past the last offset that is known of.
    pub(super) fn high(&self) -> i64 {
        self.high.load(Relaxed).max(self.next())
    }

    /// The partition has been asked.
    pub(super) fn ends_at(&self, high: i64) {
        self.high.store(high, Relaxed);
    }

    /// A record has been read.
    pub(super) fn passed(&self, offset: i64, value: &[u8]) {
        self.next.store(offset + 1, Relaxed);
        if self.wanted.load(Relaxed) {
            self.wanted.store(false, Relaxed);
            lock(&self.marks).newest = Some(Mark { offset, check: crc32fast::hash(value) });
        }
    }

    /// Reading goes on at `next`, and nothing that was read before counts.
    pub(super) fn restart(&self, next: i64) {
        *lock(&self.marks) = Marks::default();
        self.next.store(next, Relaxed);
        self.wanted.store(true, Relaxed);
    }

    /// Whether this mark is still one of this place.
    pub(super) fn has(&self, mark: Mark) -> bool {
        let marks = lock(&self.marks);
        marks.seen == Some(mark) || marks.newest == Some(mark)
    }

    fn marks(&self) -> Marks {
        *lock(&self.marks)
    }

    fn saw(&self, newest: Option<Mark>) {
        let mut marks = lock(&self.marks);
        if marks.newest == newest {
            marks.seen = newest;
            self.wanted.store(true, Relaxed);
        }
    }
}

/// The partitions whose log is another than the one that was read, each with a mark that is not in it. `lows` are the
/// first offsets retained; a partition without one is not looked at.
pub(super) fn replaced(
    observer: &Observer,
    places: &[Place],
    lows: &[Option<i64>],
) -> Result<Vec<(usize, Mark)>, KafkaError> {
    let marks: Vec<_> = places.iter().map(Place::marks).collect();
    // What retention has taken proves nothing.
    let kept = |p: usize, mark: Option<Mark>| mark.filter(|mark| lows[p].is_some_and(|low| low <= mark.offset));
    let newest: Vec<_> = (0..places.len()).map(|p| kept(p, marks[p].newest)).collect();
    let seen = (0..places.len()).map(|p| kept(p, marks[p].seen).filter(|mark| marks[p].newest != Some(*mark)));
    let seen: Vec<_> = seen.collect();
    let (newest, seen) = (compare(observer, &newest)?, compare(observer, &seen)?);
    let mut replaced = Vec::new();
    for (p, place) in places.iter().enumerate() {
        match (newest[p], seen[p]) {
            (Compared::Differs(mark), _) | (_, Compared::Differs(mark)) => replaced.push((p, mark)),
            (Compared::Unknown, _) | (_, Compared::Unknown) => {}
            (Compared::Same, Compared::Same) if lows[p].is_some() => place.saw(marks[p].newest),
            (Compared::Same, Compared::Same) => {}
        }
    }
    Ok(replaced)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compared {
    /// The mark is in the log, or there is none.
    Same,
    Differs(Mark),
    Unknown,
}

fn compare(observer: &Observer, marks: &[Option<Mark>]) -> Result<Vec<Compared>, KafkaError> {
    let offsets: Vec<_> = marks.iter().map(|mark| mark.map(|mark| mark.offset)).collect();
    let found = observer.first_at(&offsets, ANSWER, |message| Mark {
        offset: message.offset(),
        check: crc32fast::hash(message.payload().unwrap_or_default()),
    })?;
    let compare = |(mark, found): (&Option<Mark>, Found<Mark>)| match (*mark, found) {
        (None, _) => Compared::Same,
        (Some(mark), Found::Record(found)) if found == mark => Compared::Same,
        (Some(mark), Found::Record(_) | Found::End) => Compared::Differs(mark),
        (Some(_), Found::Nothing) => Compared::Unknown,
    };
    Ok(marks.iter().zip(found).map(compare).collect())
}
