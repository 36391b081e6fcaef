//! The checks of a running chat: nothing receipted is lost, nothing comes twice, a room has one order, a RECEIPT names the
//! MESSAGE that everybody gets (promises 1–5 of the design).
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | [`Checker`]: what clients tell it |
//! | `room.rs` | the ring of a room's SENDs, and every rule |
//! | `send.rs` | one SEND: who is owed it, who has it |
//! | `id.rs` | message-ids and what follows from them |
//! | `breach.rs` | what can break, and the first counter-example |
//!
//! The rules, per room. A SEND written while a client was subscribed is *owed* to it, for as long as it stays connected.
//! What is stored (a RECEIPT, or somebody got it) must reach everybody it is owed to. Inside a session, offsets rise; where
//! ids carry no offset, those who were there from the beginning must agree on one order. The first id heard for a SEND is
//! its id for everyone. The SENDs of one session keep their order. A session that goes on where its client was cut
//! (`x-recovered:true`) counts as one with it. A SEND that is sent again may be stored twice and comes once: then the id
//! that it is shown with counts, not that of the RECEIPT.
//!
//! Memory is bounded: per room the SENDs that are not settled, at most [`room_limit`] of them, with a bit per member.

mod breach;
mod id;
mod room;
mod send;
#[cfg(test)]
mod tests;

pub use breach::{Breach, Breaches, Kind};
pub use room::Totals;

use std::sync::{Mutex, MutexGuard, PoisonError};

use room::Room;

use crate::payload::Payload;

/// A client's place in the checker: it stays the same when the client comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its room.
    pub room: u32,
    /// Its number among the members of the room.
    pub seat: u32,
}

/// Where every client tells what it does and gets. Shared; one lock per room.
pub struct Checker {
    rooms: Vec<Mutex<Room>>,
    breaches: Breaches,
    receipts: bool,
}

/// What is outstanding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Deliveries of stored messages that are owed and have not come.
    pub deliveries: u64,
    /// SENDs that wait for RECEIPT or ERROR.
    pub answers: u64,
}

/// The most SENDs that are remembered per room. An older one is judged by what is known of it.
pub fn room_limit(rooms: u32) -> usize {
    (262_144 / rooms.max(1) as usize).clamp(1_024, 65_536)
}

impl Checker {
    /// `connections` clients, client `i` in room `i % rooms`. `receipts`: SENDs ask for one.
    pub fn new(connections: u32, rooms: u32, receipts: bool) -> Checker {
        let limit = room_limit(rooms);
        let rooms = (0..rooms).map(|room| Mutex::new(Room::new(room, rooms, connections, limit))).collect();
        Checker { rooms, breaches: Breaches::default(), receipts }
    }

    /// The place of client number `client`.
    pub fn member(&self, client: u32) -> Member {
        let rooms = self.rooms.len() as u32;
        Member { room: client % rooms, seat: client / rooms }
    }

    /// The client's SUBSCRIBE was confirmed: what is sent from now on is owed to it. `recovered`: what was sent since it was
    /// cut is owed to it, too, and comes once.
    pub fn joined(&self, member: Member, recovered: bool) {
        self.room(member).join(member.seat, recovered, &self.breaches);
    }

    /// The client's session is over, and it means to go on where it was: what it is owed waits for it.
    pub fn cut(&self, member: Member) {
        self.room(member).cut(member.seat);
    }

    /// The client's session is over, and will not be resumed: nothing is owed to it any more.
    pub fn left(&self, member: Member) {
        self.room(member).leave(member.seat, &self.breaches);
    }

    /// The client is about to write a SEND: its `number`th, in its `session`th session. Returns the SEND's turn.
    pub fn sent(&self, member: Member, session: u32, number: u64, due: u64) -> u64 {
        self.room(member).send(member.seat, session, number, due, self.receipts, &self.breaches)
    }

    /// RECEIPT of the SEND with this turn, and the message-id that it names.
    pub fn receipted(&self, member: Member, turn: u64, id: Option<&str>) {
        self.room(member).receipt(turn, id, &self.breaches);
    }

    /// The SEND was refused: it is not stored.
    pub fn refused(&self, member: Member, turn: u64) {
        self.room(member).refuse(turn, &self.breaches);
    }

    /// Nobody can say whether the SEND was stored. `again`: it will be sent once more, with the same key.
    pub fn unknown(&self, member: Member, turn: u64, again: bool) {
        self.room(member).forget(turn, again);
    }

    /// The client is about to write the SEND once more. From `now` on it waits for an answer.
    pub fn again(&self, member: Member, turn: u64, now: u64) {
        self.room(member).again(turn, now);
    }

    /// The client got a MESSAGE of this run. `id` is its message-id, `size` its body's, `wanted` the size as it was sent.
    pub fn delivered(&self, member: Member, payload: &Payload, id: &str, size: usize, wanted: usize) {
        let mut room = self.room(member);
        if payload.room != member.room {
            let what = format!("a message of room {} ({id}) came to a session of room {}", payload.room, member.room);
            return room.breach(member.seat, Kind::Misdelivered, what, &self.breaches);
        }
        if size != wanted {
            let what = format!("the body of {id} has {size} octets; it was sent with {wanted}");
            return room.breach(member.seat, Kind::Damaged, what, &self.breaches);
        }
        room.deliver(member.seat, payload, id, &self.breaches);
    }

    /// What is outstanding in all rooms.
    pub fn backlog(&self) -> Backlog {
        self.rooms().fold(Backlog::default(), |sum, room| {
            let backlog = room.backlog();
            Backlog { deliveries: sum.deliveries + backlog.deliveries, answers: sum.answers + backlog.answers }
        })
    }

    /// The end: what has not come by now is lost, a SEND without answer that was due before `overdue` broke promise 5.
    pub fn finish(&self, overdue: u64) -> Totals {
        self.rooms().fold(Totals::default(), |sum, mut room| sum + room.finish(overdue, &self.breaches))
    }

    /// What broke so far.
    pub fn breaches(&self) -> &Breaches {
        &self.breaches
    }

    fn rooms(&self) -> impl Iterator<Item = MutexGuard<'_, Room>> {
        self.rooms.iter().map(|room| room.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn room(&self, member: Member) -> MutexGuard<'_, Room> {
        // No rule panics; should one, its room's state is still whole between two calls.
        self.rooms[member.room as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
