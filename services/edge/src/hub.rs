//! Who on this worker is in which room, and the fan-out of a message to them. It never waits for anybody.
//!
//! A room of up to [`SLICE`] members is served at once. A larger one is served a slice at a time, with all the
//! messages that have come for it meanwhile, so that small rooms get their turn in between and nobody gets two writes
//! where one would do.

use std::{collections::HashMap, collections::VecDeque, sync::Arc};

use foldhash::fast::RandomState;
use slab::Slab;

use crate::{
    frames::{Frames, Shape, ShapeId},
    message::Message,
    tail::RoomId,
};

/// Members served before others get their turn: about a millisecond of writes.
pub const SLICE: usize = 128;

/// A subscription's membership in a room of this worker.
pub type MembershipId = u32;

/// Somebody who gets the messages of a room.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// The connection's slot.
    pub connection: u32,
    /// The subscription's index in the connection.
    pub subscription: u32,
    /// What its frames look like.
    pub shape: ShapeId,
    membership: MembershipId,
}

#[derive(Default)]
struct Room {
    members: Vec<Member>,
    /// Messages that wait for the next sweep.
    waiting: Vec<Arc<Message>>,
    /// Messages on their way through the members, from the last to the first; `left` have not had them yet.
    sweeping: Vec<Arc<Message>>,
    left: usize,
}

/// The rooms of a worker.
pub struct Hub {
    /// Members that are served at once.
    slice: usize,
    rooms: HashMap<RoomId, Room, RandomState>,
    memberships: Slab<(RoomId, u32)>,
    /// Large rooms with something to deliver, in turn.
    sweeps: VecDeque<RoomId>,
    /// The frames of the message that is being delivered.
    pub frames: Frames,
}

impl Default for Hub {
    fn default() -> Self {
        Self::new(SLICE)
    }
}

impl Hub {
    /// A hub that serves `slice` members, at least one, before others get their turn.
    pub fn new(slice: usize) -> Self {
        let (rooms, memberships, sweeps) = (HashMap::default(), Slab::new(), VecDeque::new());
        Self { slice: slice.max(1), rooms, memberships, sweeps, frames: Frames::default() }
    }

    /// Adds a subscription to a room; its membership, and the shape of its frames.
    pub fn join(
        &mut self,
        room: RoomId,
        connection: usize,
        subscription: u32,
        shape: Shape,
    ) -> (MembershipId, ShapeId) {
        let shape = self.frames.acquire(shape);
        let members = &mut self.rooms.entry(room).or_default().members;
        let membership = self.memberships.insert((room, members.len() as u32)) as MembershipId;
        members.push(Member { connection: connection as u32, subscription, shape, membership });
        (membership, shape)
    }

    /// Takes a subscription out of its room; O(1).
    pub fn leave(&mut self, membership: MembershipId) {
        let Some((id, place)) = self.memberships.try_remove(membership as usize) else { return };
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let gone = room.members.swap_remove(place as usize);
        if let Some(moved) = room.members.get(place as usize) {
            self.memberships[moved.membership as usize].1 = place;
        }
        // The one moved here may have been served already: it is offered the message again and knows that it has it.
        room.left = room.left.min(room.members.len());
        if room.members.is_empty() {
            self.rooms.remove(&id);
        }
        self.frames.release(gone.shape);
    }

    /// Offers a message to everybody in its room, now or in the sweeps that follow.
    pub fn deliver(&mut self, message: Arc<Message>, offer: &mut impl FnMut(Member, &Message, &mut Frames)) {
        let Some(room) = self.rooms.get_mut(&message.room) else { return };
        if room.members.len() > self.slice || !room.sweeping.is_empty() || !room.waiting.is_empty() {
            if room.waiting.is_empty() && room.sweeping.is_empty() {
                self.sweeps.push_back(message.room);
            }
            room.waiting.push(message);
            return;
        }
        for member in &room.members {
            offer(*member, &message, &mut self.frames);
        }
        self.frames.next();
    }

    /// Serves one slice of the large room whose turn it is. Returns whether more is left to do.
    pub fn sweep(&mut self, offer: &mut impl FnMut(Member, &Message, &mut Frames)) -> bool {
        let Some(id) = self.sweeps.pop_front() else { return false };
        // A room that everybody has left since is gone.
        if let Some(room) = self.rooms.get_mut(&id) {
            if room.left == 0 {
                room.sweeping = std::mem::take(&mut room.waiting);
                room.left = room.members.len();
            }
            // From the back: who joins meanwhile is added behind and has begun after these messages.
            let first = room.left.saturating_sub(self.slice);
            for message in &room.sweeping {
                for member in &room.members[first..room.left] {
                    offer(*member, message, &mut self.frames);
                }
                self.frames.next();
            }
            room.left = first;
            if first == 0 {
                room.sweeping.clear();
            }
            if first > 0 || !room.waiting.is_empty() {
                self.sweeps.push_back(id);
            }
        }
        !self.sweeps.is_empty()
    }

    /// The connections that have a subscription in a room.
    pub fn connections(&self, room: RoomId) -> Vec<usize> {
        let members = self.rooms.get(&room).map_or(&[][..], |room| &room.members);
        members.iter().map(|member| member.connection as usize).collect()
    }

    /// Whether a sweep is under way.
    pub fn is_sweeping(&self) -> bool {
        !self.sweeps.is_empty()
    }

    /// How many subscriptions there are.
    pub fn subscriptions(&self) -> usize {
        self.memberships.len()
    }
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
