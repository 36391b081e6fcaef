//! What can break, how often it did, and the first counter-example of each kind.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use serde::Serialize;

use crate::counters::Counter;

/// What kind of promise broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Stored, owed, never delivered (promises 1, 3).
    Lost,
    /// Delivered twice inside a session (promise 4).
    Duplicate,
    /// Not the one order of the room, or of the sender (promise 2).
    OutOfOrder,
    /// One SEND, two message-ids: RECEIPT and MESSAGE, or two receivers, disagree (promise 1).
    WrongId,
    /// A message of another room.
    Misdelivered,
    /// A body that was not sent like that.
    Damaged,
    /// An ERROR said that the SEND is not stored, yet somebody got it (promise 5).
    RefusedYetDelivered,
    /// A SEND got neither RECEIPT nor ERROR in time (promise 5).
    Unanswered,
}

impl Kind {
    /// Every kind, in the order of a report.
    pub const ALL: [Kind; 8] = [
        Kind::Lost,
        Kind::Duplicate,
        Kind::OutOfOrder,
        Kind::WrongId,
        Kind::Misdelivered,
        Kind::Damaged,
        Kind::RefusedYetDelivered,
        Kind::Unanswered,
    ];

    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Lost => "lost",
            Kind::Duplicate => "duplicates",
            Kind::OutOfOrder => "out of order",
            Kind::WrongId => "wrong message-ids",
            Kind::Misdelivered => "wrong room",
            Kind::Damaged => "damaged bodies",
            Kind::RefusedYetDelivered => "refused yet delivered",
            Kind::Unanswered => "unanswered SENDs",
        }
    }

    fn promise(self) -> &'static str {
        match self {
            Kind::Lost => "a receipted message reaches every subscriber",
            Kind::Duplicate => "no message comes twice inside a session",
            Kind::OutOfOrder => "a room has one order, and a session's SENDs keep theirs",
            Kind::WrongId => "RECEIPT and every MESSAGE of one SEND carry the same message-id",
            Kind::Misdelivered => "a subscriber gets what was sent to its room",
            Kind::Damaged => "a body is delivered octet for octet",
            Kind::RefusedYetDelivered => "what was refused is not in the log",
            Kind::Unanswered => "every SEND ends with RECEIPT or ERROR within 17 s",
        }
    }
}

/// One broken promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// What kind.
    pub kind: Kind,
    /// The room's number.
    pub room: u32,
    /// The connection that saw it.
    pub connection: u32,
    /// What happened, with the message-ids.
    pub what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "BROKEN, {}: {}", self.kind.name(), self.kind.promise())?;
        writeln!(f, "  room        {}", self.room)?;
        writeln!(f, "  connection  {}", self.connection)?;
        write!(f, "  seen        {}", self.what)
    }
}

/// All that broke.
#[derive(Debug, Default)]
pub struct Breaches {
    counts: [Counter; Kind::ALL.len()],
    first: Mutex<Vec<Breach>>,
}

impl Breaches {
    /// `count` breaches of one kind; `breach` is kept if it is the first of its kind.
    pub(super) fn add(&self, count: u64, kind: Kind, breach: impl FnOnce() -> Breach) {
        self.counts[kind as usize].add(count);
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.iter().all(|known| known.kind != kind) {
            first.push(breach());
        }
    }

    /// How often this kind broke.
    pub fn count(&self, kind: Kind) -> u64 {
        self.counts[kind as usize].get()
    }

    /// The first of each kind, in the order in which they were found.
    pub fn first(&self) -> Vec<Breach> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Did every promise hold?
    pub fn none(&self) -> bool {
        self.counts.iter().all(|count| count.get() == 0)
    }
}
