//! One room: a ring of its SENDs, and the rules that they must keep. A client's turn number finds its SEND at once.

mod order;
mod presence;

use std::{collections::VecDeque, ops::Add};

use super::{
    Backlog, Breach, Breaches, Kind,
    id::Id,
    send::{Answer, Seats, Send},
};
use crate::payload::Payload;

/// Settled SENDs that stay in the ring, so that a second delivery is told apart by name.
const KEPT: usize = 64;

pub(super) struct Room {
    number: u32,
    rooms: u32,
    limit: usize,
    /// The turn of the ring's first SEND.
    base: u64,
    ring: VecDeque<Send>,
    seats: Vec<Seat>,
    present: u32,
    /// Where ids have no offset: the place in the order of the next message that is new to all.
    next_rank: i64,
    totals: Totals,
}

#[derive(Default)]
struct Seat {
    /// Subscribed, or cut and on its way back: the first turn that is owed.
    joined: Option<u64>,
    /// Cut, and on its way back.
    away: bool,
    /// The last MESSAGE of this session.
    last: Option<(i64, Id)>,
    /// As a sender: session, number, rank and id of its furthest SEND that has an id.
    furthest: Option<(u32, u64, i64, Id)>,
}

/// The sums of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Deliveries owed: stored messages × those subscribed before the SEND who stayed until it came.
    pub expected: u64,
    /// Of these, how many came.
    pub got: u64,
    /// SENDs that asked for no receipt and were seen by nobody.
    pub unseen: u64,
}

impl Add for Totals {
    type Output = Totals;
    fn add(self, other: Totals) -> Totals {
        Totals {
            expected: self.expected + other.expected,
            got: self.got + other.got,
            unseen: self.unseen + other.unseen,
        }
    }
}

impl Room {
    pub(super) fn new(number: u32, rooms: u32, connections: u32, limit: usize) -> Room {
        let members = connections.saturating_sub(number).div_ceil(rooms);
        Room {
            number,
            rooms,
            limit,
            base: 0,
            ring: VecDeque::new(),
            seats: (0..members).map(|_| Seat::default()).collect(),
            present: 0,
            next_rank: 0,
            totals: Totals::default(),
        }
    }

    pub(super) fn breach(&self, seat: u32, kind: Kind, what: String, breaches: &Breaches) {
        self.breach_many(1, seat, kind, || what, breaches);
    }

    fn breach_many(&self, count: u64, seat: u32, kind: Kind, what: impl FnOnce() -> String, breaches: &Breaches) {
        breaches.add(count, kind, || Breach {
            kind,
            room: self.number,
            connection: seat * self.rooms + self.number,
            what: what(),
        });
    }

    pub(super) fn send(
        &mut self,
        seat: u32,
        session: u32,
        number: u64,
        due: u64,
        receipt: bool,
        breaches: &Breaches,
    ) -> u64 {
        self.ring.push_back(Send {
            seat,
            session,
            number,
            due,
            answer: if receipt { Answer::Awaited } else { Answer::NotAsked },
            repeated: false,
            id: None,
            id_from_receipt: false,
            rank: None,
            seen: false,
            owed: self.present,
            got: 0,
            holders: Seats::none(self.seats.len()),
        });
        let turn = self.base + self.ring.len() as u64 - 1;
        self.shed(breaches);
        turn
    }

    pub(super) fn receipt(&mut self, turn: u64, id: Option<&str>, breaches: &Breaches) {
        let Some(send) = self.find(turn) else { return };
        send.answer = Answer::Receipted;
        let seat = send.seat;
        match (&send.id, id) {
            (_, None) => {}
            (None, Some(id)) => {
                let id = Id::new(id);
                send.rank = id.place().map(|place| place.offset);
                send.id = Some(id);
                send.id_from_receipt = true;
                self.sender_order(turn, breaches);
            }
            // A copy of what is shown already.
            (Some(_), Some(_)) if send.repeated => {}
            (Some(known), Some(id)) if *known != *id => {
                let what = format!("RECEIPT says {id}, MESSAGE said {known}");
                self.breach(seat, Kind::WrongId, what, breaches);
            }
            _ => {}
        }
        self.shed(breaches);
    }

    pub(super) fn refuse(&mut self, turn: u64, breaches: &Breaches) {
        let Some(send) = self.find(turn) else { return };
        send.answer = Answer::Refused;
        let (seen, seat) = (send.seen, send.seat);
        if seen {
            let what = format!("{} was delivered before its sender heard that it was refused", self.name(turn));
            self.breach(seat, Kind::RefusedYetDelivered, what, breaches);
        }
        self.shed(breaches);
    }

    pub(super) fn forget(&mut self, turn: u64, again: bool) {
        if let Some(send) = self.find(turn)
            && matches!(send.answer, Answer::Awaited | Answer::ToRepeat)
        {
            send.answer = if again { Answer::ToRepeat } else { Answer::Unknown };
        }
    }

    pub(super) fn again(&mut self, turn: u64, now: u64) {
        if let Some(send) = self.find(turn) {
            (send.answer, send.repeated, send.due) = (Answer::Awaited, true, now);
        }
    }

    pub(super) fn deliver(&mut self, seat: u32, payload: &Payload, id: &str, breaches: &Breaches) {
        let turn = payload.turn;
        let owed = self.seats[seat as usize].joined.is_some_and(|joined| joined <= turn);
        let founder = self.seats[seat as usize].joined == Some(0);
        let (rooms, room, next_rank) = (self.rooms, self.number, self.next_rank);
        let Some(send) = self.find(turn) else { return self.deliver_stray(seat, turn, owed, id, breaches) };
        let sender = send.seat * rooms + room;
        if (payload.sender, payload.number) != (sender, send.number) {
            let what = format!("{id} names another sender than the SEND of its turn, {turn}");
            return self.breach(seat, Kind::Damaged, what, breaches);
        }
        if !send.holders.insert(seat) {
            let (first, last) = (self.name(turn), self.last(seat));
            let what = format!("{id} came again (the SEND's message-id is {first}); the last before it was {last}");
            return self.breach(seat, Kind::Duplicate, what, breaches);
        }
        send.seen = true;
        if owed {
            send.owed -= 1;
            send.got += 1;
        }
        let refused = send.answer == Answer::Refused;
        if send.repeated && send.id_from_receipt {
            // The RECEIPT may have named another copy than the one that is shown.
            (send.id, send.rank, send.id_from_receipt) = (None, None, false);
        }
        let same = send.id.get_or_insert_with(|| Id::new(id)) == id;
        let from_receipt = send.id_from_receipt;
        let place = send.id.as_ref().and_then(Id::place);
        let ranked = send.rank.is_none() && (place.is_some() || founder);
        if ranked {
            send.rank = Some(place.map_or(next_rank, |place| place.offset));
            self.next_rank += i64::from(place.is_none());
        }
        if refused {
            let what = format!("{id}, SEND {} of connection {sender}", payload.number);
            self.breach(seat, Kind::RefusedYetDelivered, what, breaches);
        }
        if !same {
            let who = if from_receipt { "RECEIPT said" } else { "another session got" };
            let what = format!("MESSAGE says {id}, {who} {}", self.name(turn));
            self.breach(seat, Kind::WrongId, what, breaches);
        } else if ranked {
            self.sender_order(turn, breaches);
        }
        self.room_order(seat, turn, place.is_some() || founder, breaches);
        self.shed(breaches);
    }

    /// A delivery of a SEND that is not in the ring.
    fn deliver_stray(&mut self, seat: u32, turn: u64, owed: bool, id: &str, breaches: &Breaches) {
        let last = self.last(seat);
        if turn >= self.base {
            self.breach(seat, Kind::Damaged, format!("{id} says turn {turn}, which nobody sent"), breaches);
        } else if owed {
            // Settled long ago. Who had not subscribed by then may still get it, once.
            self.breach(seat, Kind::Duplicate, format!("{id} came again; the last before it was {last}"), breaches);
        }
    }

    pub(super) fn backlog(&self) -> Backlog {
        let waiting = |send: &&Send| matches!(send.answer, Answer::Awaited | Answer::ToRepeat);
        Backlog {
            deliveries: self.ring.iter().filter(|send| send.stored()).map(|send| u64::from(send.owed)).sum(),
            answers: self.ring.iter().filter(waiting).count() as u64,
        }
    }

    pub(super) fn finish(&mut self, overdue: u64, breaches: &Breaches) -> Totals {
        // Who did not come back is owed nothing.
        self.let_go_of_all_away();
        while let Some(send) = self.ring.pop_front() {
            if send.answer == Answer::Awaited && send.due < overdue {
                let what = || format!("SEND {} has neither RECEIPT nor ERROR", send.number);
                self.breach_many(1, send.seat, Kind::Unanswered, what, breaches);
            }
            self.judge(&send, breaches);
            self.base += 1;
        }
        self.totals
    }

    /// Lets go of what is settled, and of the oldest if there are too many.
    fn shed(&mut self, breaches: &Breaches) {
        while self.ring.len() > KEPT && (self.ring.len() > self.limit || self.ring[0].settled()) {
            if !self.ring[0].settled() {
                self.let_go_of_all_away();
            }
            let Some(send) = self.ring.pop_front() else { return };
            self.judge(&send, breaches);
            self.base += 1;
        }
    }

    /// `send` was the first of the ring and leaves it.
    fn judge(&mut self, send: &Send, breaches: &Breaches) {
        if !send.stored() {
            self.totals.unseen += u64::from(send.answer == Answer::NotAsked);
            return;
        }
        self.totals.expected += u64::from(send.owed + send.got);
        self.totals.got += u64::from(send.got);
        if send.owed == 0 {
            return;
        }
        let turn = self.base;
        let missed = |seat: &u32| {
            let owed = self.seats[*seat as usize].joined.is_some_and(|joined| joined <= turn);
            owed && !send.holders.contains(*seat)
        };
        let seat = (0..self.seats.len() as u32).find(missed).unwrap_or_default();
        let what = || {
            let id = send.id.as_ref().map_or_else(|| "a message without id".to_owned(), Id::to_string);
            let known = if send.answer == Answer::Receipted { "receipted" } else { "seen by others" };
            let (others, last) = (send.owed - 1, self.last(seat));
            format!("{id}, {known}, never came here ({others} more miss it); the last that came is {last}")
        };
        self.breach_many(u64::from(send.owed), seat, Kind::Lost, what, breaches);
    }

    fn find(&mut self, turn: u64) -> Option<&mut Send> {
        self.ring.get_mut(usize::try_from(turn.checked_sub(self.base)?).ok()?)
    }

    fn name(&mut self, turn: u64) -> String {
        self.find(turn).and_then(|send| send.id.as_ref()).map_or_else(|| "unknown".to_owned(), Id::to_string)
    }

    fn last(&self, seat: u32) -> String {
        self.seats[seat as usize].last.as_ref().map_or_else(|| "none".to_owned(), |(_, id)| id.to_string())
    }
}
