//! One SEND in the ring of its room.

use super::id::Id;

/// What its sender knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing was asked for.
    NotAsked,
    Awaited,
    Receipted,
    Refused,
    Unknown,
    /// Unknown, and to be sent again.
    ToRepeat,
}

#[derive(Debug)]
pub(super) struct Send {
    pub(super) seat: u32,
    pub(super) session: u32,
    pub(super) number: u64,
    pub(super) due: u64,
    pub(super) answer: Answer,
    /// Sent more than once.
    pub(super) repeated: bool,
    /// As first heard, from a RECEIPT or a MESSAGE.
    pub(super) id: Option<Id>,
    /// The id came with the RECEIPT.
    pub(super) id_from_receipt: bool,
    /// Its place in the room's order.
    pub(super) rank: Option<i64>,
    /// Somebody got it.
    pub(super) seen: bool,
    /// Members that were subscribed, are still there, and have not got it.
    pub(super) owed: u32,
    /// Members that were owed it and got it.
    pub(super) got: u32,
    /// Who has it, by seat.
    pub(super) holders: Seats,
}

impl Send {
    pub(super) fn stored(&self) -> bool {
        self.seen || self.answer == Answer::Receipted
    }

    /// Nothing that could still come would change the verdict.
    pub(super) fn settled(&self) -> bool {
        match self.answer {
            Answer::Awaited | Answer::ToRepeat => false,
            Answer::Refused => true,
            Answer::NotAsked | Answer::Receipted | Answer::Unknown => self.owed == 0,
        }
    }
}

/// A set of seats.
#[derive(Debug)]
pub(super) enum Seats {
    Few(u64),
    Many(Box<[u64]>),
}

impl Seats {
    pub(super) fn none(of: usize) -> Seats {
        if of <= 64 { Seats::Few(0) } else { Seats::Many(vec![0; of.div_ceil(64)].into()) }
    }

    fn word(&mut self, seat: u32) -> &mut u64 {
        match self {
            Seats::Few(word) => word,
            Seats::Many(words) => &mut words[seat as usize / 64],
        }
    }

    /// False if it was in already.
    pub(super) fn insert(&mut self, seat: u32) -> bool {
        let word = self.word(seat);
        let before = *word;
        *word |= 1 << (seat % 64);
        *word != before
    }

    /// Was it in?
    pub(super) fn remove(&mut self, seat: u32) -> bool {
        let word = self.word(seat);
        let before = *word;
        *word &= !(1 << (seat % 64));
        *word != before
    }

    pub(super) fn contains(&self, seat: u32) -> bool {
        let word = match self {
            Seats::Few(word) => *word,
            Seats::Many(words) => words[seat as usize / 64],
        };
        word >> (seat % 64) & 1 == 1
    }
}
