//! What is known of a client while its history is read.

use std::{collections::HashMap, ops::Range};

use chat_proto::MessageId;

use super::{findings::Scene, log::At};

/// A client.
#[derive(Default)]
pub(super) struct Client {
    /// Those that are open: two while one takes over from the other.
    pub(super) sessions: Vec<Session>,
    /// How its session before ended, if there is none now that has joined.
    pub(super) closed: Option<Closed>,
    /// The furthest place that a session which is over has shown.
    pub(super) shown: Option<Place>,
}

/// A log and a rank in it.
pub(super) type Place = (usize, u32);

/// The furthest places that a client's other sessions have shown.
#[derive(Clone, Copy)]
pub(super) struct Others {
    /// Of one that is open, too.
    pub(super) beside: Option<Place>,
    /// Of those that are over.
    pub(super) before: Option<Place>,
}

/// The end of a session.
#[derive(Clone, Copy)]
pub(super) struct Closed {
    pub(super) t: u64,
    pub(super) code: u16,
}

/// A session, from CONNECTED on.
pub(super) struct Session {
    pub(super) number: u32,
    /// As the server calls it; [`NOBODY`](super::log::NOBODY) if it did not say.
    pub(super) user: u32,
    pub(super) room: u32,
    pub(super) joined: bool,
    /// It goes on where another one was.
    pub(super) recovered: bool,
    /// The furthest place that it has shown.
    pub(super) shown: Option<Place>,
    pub(super) from: Option<MessageId>,
    /// `x-history` was asked: what is replayed begins somewhere.
    pub(super) history: bool,
    pub(super) view: View,
    pub(super) sends: u64,
    pub(super) unanswered: HashMap<(u64, u32), Sent>,
    /// Its furthest first copy that has a RECEIPT: number and place.
    pub(super) furthest: Option<(u64, At)>,
    pub(super) receipts: u64,
    /// Receipts of records that the log does not hold.
    pub(super) lost: Vec<(Scene, String)>,
    /// It goes on where the one before was closed with this code.
    pub(super) resumed_after: Option<u16>,
}

/// A SEND without answer.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) scene: Scene,
    pub(super) keyed: bool,
}

/// What a subscription has seen of its room, in ranks of shown records.
#[derive(Default)]
pub(super) struct View {
    /// Which log, and the first rank that is owed; `None` until that is known.
    pub(super) begin: Option<(usize, u32)>,
    /// The rank that must come next.
    pub(super) next: u32,
    /// What was replayed ends before this rank.
    pub(super) replayed: u32,
    /// Ranks that were passed over, and where that was seen.
    pub(super) missed: Vec<(Range<u32>, Scene)>,
}

impl Session {
    pub(super) fn new(number: u32, user: u32) -> Session {
        Session {
            number,
            user,
            room: u32::MAX,
            joined: false,
            recovered: false,
            shown: None,
            from: None,
            history: false,
            view: View::default(),
            sends: 0,
            unanswered: HashMap::new(),
            furthest: None,
            receipts: 0,
            lost: Vec::new(),
            resumed_after: None,
        }
    }
}

impl Client {
    /// The session with this number, out of the open ones.
    pub(super) fn take(&mut self, number: u32) -> Option<Session> {
        let at = self.sessions.iter().position(|session| session.number == number)?;
        Some(self.sessions.swap_remove(at))
    }

    /// What the sessions that are not taken have shown.
    pub(super) fn others(&self) -> Others {
        let beside = self.sessions.iter().filter_map(|session| session.shown).max();
        Others { beside, before: self.shown }
    }

    /// A session is over. Its client is away, unless another one has taken over.
    pub(super) fn ended(&mut self, session: &Session, closed: Closed) {
        self.shown = self.shown.max(session.shown);
        if !self.sessions.iter().any(|other| other.joined && other.number > session.number) {
            self.closed = Some(closed);
        }
    }
}

/// What a rank means to a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The next one, or further on.
    Onward,
    /// One that was passed over.
    Late,
    /// It had come already.
    Again,
    /// It lies before the beginning.
    Early,
}

impl View {
    /// A record with this rank came.
    pub(super) fn step(&mut self, rank: u32, scene: Scene) -> Step {
        let begin = self.begin.map_or(rank, |(_, begin)| begin);
        if rank < begin {
            return Step::Early;
        }
        if rank >= self.next {
            if rank > self.next {
                self.missed.push((self.next..rank, scene));
            }
            self.next = rank + 1;
            return Step::Onward;
        }
        let Some(at) = self.missed.iter().position(|(ranks, _)| ranks.contains(&rank)) else { return Step::Again };
        let (ranks, seen) = self.missed.swap_remove(at);
        let halves = [ranks.start..rank, rank + 1..ranks.end];
        self.missed.extend(halves.into_iter().filter(|half| !half.is_empty()).map(|half| (half, seen)));
        Step::Late
    }
}
