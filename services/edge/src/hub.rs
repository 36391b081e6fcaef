//! Who on this worker is in which room, and the fan-out of a message to them. It never waits for anybody.
//!
//! A room of up to [`SLICE`] members is served at once. A larger one is served a slice at a time, with all the
//! messages that have come for it meanwhile, so that small rooms get their turn in between and nobody gets two writes
//! where one would do. Messages of one room that come together are offered together, as a run: what a member costs, it
//! costs once for all of them.

use std::{collections::HashMap, collections::VecDeque, iter, mem, slice, sync::Arc};

use foldhash::fast::RandomState;

use crate::{
    frames::{Encoded, Frames, Shape, ShapeId},
    message::Message,
    tail::RoomId,
};

/// Members served before others get their turn: about a millisecond of writes.
pub const SLICE: usize = 128;

/// What a run holds at most, unless a single message is larger: enough for one write to be worth it, and little beside
/// what may wait for a client.
const RUN_BYTES: usize = 16 * 1024;

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

/// Those whom the hub offers messages.
pub trait Audience {
    /// A run for one of them.
    fn offer(&mut self, member: Member, run: &[Arc<Message>], frames: &mut Frames);
}

/// Most rooms of a large edge have one member there.
enum Members {
    One(Member),
    Many(Vec<Member>),
}

struct Room {
    members: Members,
    /// What a large room needs to be served in slices.
    sweep: Option<Box<Sweep>>,
}

#[derive(Default)]
struct Sweep {
    /// Messages that wait for the next sweep.
    waiting: Vec<Arc<Message>>,
    /// Messages on their way through the members, from the last to the first; `left` have not had them yet.
    sweeping: Vec<Arc<Message>>,
    /// How long each run of them is, and what has been encoded of it.
    runs: Vec<(usize, Encoded)>,
    left: usize,
}

/// Where a membership's member is found: the room, and the place in it. A free one names the next free one there.
#[derive(Clone, Copy)]
struct Place {
    room: RoomId,
    at: u32,
}

/// No room has this number.
const FREE: RoomId = RoomId::MAX;

/// The rooms of a worker.
pub struct Hub {
    /// Members that are served at once.
    slice: usize,
    rooms: HashMap<RoomId, Room, RandomState>,
    memberships: Vec<Place>,
    /// The first free membership.
    free: u32,
    members: usize,
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
        Self {
            slice: slice.max(1),
            rooms: HashMap::default(),
            memberships: Vec::new(),
            free: 0,
            members: 0,
            sweeps: VecDeque::new(),
            frames: Frames::default(),
        }
    }

    /// Adds a subscription to a room; its membership.
    pub fn join(&mut self, room: RoomId, connection: usize, subscription: u32, shape: Shape<'_>) -> MembershipId {
        let (shape, membership) = (self.frames.acquire(shape), self.free);
        let member = Member { connection: connection as u32, subscription, shape, membership };
        let at = match self.rooms.entry(room) {
            std::collections::hash_map::Entry::Occupied(mut known) => known.get_mut().members.push(member),
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(Room { members: Members::One(member), sweep: None });
                0
            }
        };
        match self.memberships.get_mut(membership as usize) {
            Some(place) => self.free = mem::replace(place, Place { room, at }).at,
            None => {
                self.memberships.push(Place { room, at });
                self.free = membership + 1;
            }
        }
        self.members += 1;
        membership
    }

    /// Takes a subscription out of its room; O(1). The room, if it was in one.
    pub fn leave(&mut self, membership: MembershipId) -> Option<RoomId> {
        let place = self.memberships.get_mut(membership as usize).filter(|place| place.room != FREE)?;
        let Place { room: id, at } = mem::replace(place, Place { room: FREE, at: self.free });
        self.free = membership;
        self.members -= 1;
        let room = self.rooms.get_mut(&id)?;
        let gone = room.members.swap_remove(at as usize);
        let members = room.members.as_slice();
        if let Some(moved) = members.get(at as usize) {
            self.memberships[moved.membership as usize].at = at;
        }
        // The one moved here may have been served already: it is offered the message again and knows that it has it.
        if let Some(sweep) = &mut room.sweep {
            sweep.left = sweep.left.min(members.len());
        }
        if members.is_empty() {
            self.rooms.remove(&id);
        }
        self.frames.release(gone?.shape);
        Some(id)
    }

    /// Where a membership is, and how its frames look.
    pub fn seat(&self, membership: MembershipId) -> Option<(RoomId, ShapeId)> {
        let place = self.memberships.get(membership as usize).filter(|place| place.room != FREE)?;
        let member = self.rooms.get(&place.room)?.members.as_slice().get(place.at as usize)?;
        Some((place.room, member.shape))
    }

    /// Offers messages, in their order, to everybody in their rooms, now or in the sweeps that follow: each time a run,
    /// which is one message or more of one room.
    pub fn deliver(&mut self, batch: &[Arc<Message>], audience: &mut impl Audience) {
        for run in runs(batch) {
            self.deliver_run(run, audience);
        }
    }

    fn deliver_run(&mut self, run: &[Arc<Message>], audience: &mut impl Audience) {
        let Some(id) = run.first().map(|message| message.room) else { return };
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let members = room.members.as_slice();
        let is_sweeping = room.sweep.as_ref().is_some_and(|sweep| sweep.is_busy());
        if members.len() > self.slice || is_sweeping {
            if !is_sweeping {
                self.sweeps.push_back(id);
            }
            room.sweep.get_or_insert_default().waiting.extend_from_slice(run);
            return;
        }
        members.iter().for_each(|member| audience.offer(*member, run, &mut self.frames));
        self.frames.next();
    }

    /// Serves one slice of the large room whose turn it is. Returns whether more is left to do.
    pub fn sweep(&mut self, audience: &mut impl Audience) -> bool {
        let Some(id) = self.sweeps.pop_front() else { return false };
        // A room that everybody has left since is gone.
        if let Some(room) = self.rooms.get_mut(&id)
            && let Some(sweep) = &mut room.sweep
        {
            let members = room.members.as_slice();
            if sweep.left == 0 {
                sweep.begin(members.len());
            }
            // From the back: who joins meanwhile is added behind and has begun after these messages.
            let first = sweep.left.saturating_sub(self.slice);
            let mut messages = sweep.sweeping.as_slice();
            for (length, encoded) in &mut sweep.runs {
                let (run, rest) = messages.split_at(*length);
                self.frames.take_up(encoded);
                members[first..sweep.left].iter().for_each(|member| audience.offer(*member, run, &mut self.frames));
                self.frames.put_down(encoded);
                messages = rest;
            }
            sweep.left = first;
            if first == 0 {
                sweep.end();
            }
            if sweep.is_busy() {
                self.sweeps.push_back(id);
            } else if members.len() <= self.slice {
                room.sweep = None;
            }
        }
        !self.sweeps.is_empty()
    }

    /// The connections that have a subscription in a room.
    pub fn connections(&self, room: RoomId) -> Vec<usize> {
        let members = self.rooms.get(&room).map_or(&[][..], |room| room.members.as_slice());
        members.iter().map(|member| member.connection as usize).collect()
    }

    /// How many subscriptions a room has.
    pub fn members(&self, room: RoomId) -> usize {
        self.rooms.get(&room).map_or(0, |room| room.members.as_slice().len())
    }

    /// Whether a sweep is under way.
    pub fn is_sweeping(&self) -> bool {
        !self.sweeps.is_empty()
    }

    /// How many subscriptions there are.
    pub fn subscriptions(&self) -> usize {
        self.members
    }
}

impl Members {
    fn as_slice(&self) -> &[Member] {
        match self {
            Members::One(member) => slice::from_ref(member),
            Members::Many(members) => members,
        }
    }

    /// Adds one behind the others; its place.
    fn push(&mut self, member: Member) -> u32 {
        match self {
            Members::One(first) => *self = Members::Many(vec![*first, member]),
            Members::Many(members) => members.push(member),
        }
        (self.as_slice().len() - 1) as u32
    }

    /// Takes one out; the last one takes its place.
    fn swap_remove(&mut self, at: usize) -> Option<Member> {
        match self {
            Members::One(only) => {
                let only = *only;
                *self = Members::Many(Vec::new());
                Some(only)
            }
            Members::Many(members) => (at < members.len()).then(|| members.swap_remove(at)),
        }
    }
}

impl Sweep {
    /// What has waited goes on its way through `members`.
    fn begin(&mut self, members: usize) {
        self.end();
        mem::swap(&mut self.sweeping, &mut self.waiting);
        self.runs.extend(runs(&self.sweeping).map(|run| (run.len(), Encoded::default())));
        self.left = members;
    }

    fn end(&mut self) {
        self.sweeping.clear();
        self.runs.clear();
    }

    fn is_busy(&self) -> bool {
        !self.waiting.is_empty() || !self.sweeping.is_empty()
    }
}

/// Cuts a batch into runs: what is of one room and not too much to be encoded as one piece.
fn runs(mut batch: &[Arc<Message>]) -> impl Iterator<Item = &[Arc<Message>]> {
    iter::from_fn(move || {
        let first = batch.first()?;
        let mut cost = 0;
        let more = batch.iter().take_while(|message| {
            cost += message.cost();
            message.room == first.room && cost <= RUN_BYTES
        });
        let (run, rest) = batch.split_at(more.count().max(1));
        batch = rest;
        Some(run)
    })
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
