//! The rooms that the tail knows: by name, with their chains and with who wants them.

use std::{hash::BuildHasher, hint};

use foldhash::fast::RandomState;

use super::{NO_ROOM, NONE_KEPT, RoomId, Seq, room::Room};
use crate::{
    index::Index,
    log::{AHEAD, ReadRecord},
};

/// What is known of a name before its room is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Likely {
    hash: u64,
    room: RoomId,
}

impl Likely {
    /// Nothing.
    pub const UNKNOWN: Likely = Likely { hash: 0, room: NO_ROOM };
}

/// All rooms with a subscription or a kept entry.
#[derive(Default)]
pub(super) struct Rooms {
    rooms: Vec<Room>,
    free: Vec<RoomId>,
    names: Index,
    hasher: RandomState,
    wanted: usize,
}

impl Rooms {
    /// Notes one more subscription of `worker` in a room.
    pub(super) fn join(&mut self, name: &[u8], worker: usize) -> RoomId {
        let room = self.find_or_add(name);
        let slot = &mut self.rooms[room as usize];
        self.wanted += usize::from(!slot.is_wanted());
        slot.join(worker);
        room
    }

    /// Takes one subscription of `worker` back.
    pub(super) fn leave(&mut self, room: RoomId, worker: usize) {
        let Some(slot) = self.rooms.get_mut(room as usize).filter(|slot| slot.is_wanted()) else { return };
        slot.leave(worker);
        self.wanted -= usize::from(!slot.is_wanted());
        self.free_if_unused(room);
    }

    /// The workers that hold a subscription in a room.
    pub(super) fn interested(&self, room: RoomId) -> impl Iterator<Item = usize> + '_ {
        self.rooms[room as usize].interested()
    }

    /// The room's slot, if the tail knows the room.
    pub(super) fn find(&self, name: &[u8]) -> Option<RoomId> {
        self.find_hashed(name, self.hasher.hash_one(name))
    }

    fn find_hashed(&self, name: &[u8], hash: u64) -> Option<RoomId> {
        self.names.find(hash, |id| self.rooms[id as usize].is_called(name, hash))
    }

    /// A name's hash, and the room that most likely is called so.
    pub(super) fn likely(&self, name: &[u8]) -> Likely {
        let hash = self.hasher.hash_one(name);
        Likely { hash, room: self.names.find(hash, |_| true).unwrap_or(NO_ROOM) }
    }

    /// [`likely`](Self::likely) of several records at once, and the newest kept entries of those rooms.
    pub(super) fn look_ahead(
        &self,
        records: &[ReadRecord<'_>],
        likely: &mut [Likely; AHEAD],
        newest: &mut [Seq; AHEAD],
    ) {
        likely.iter_mut().zip(records).for_each(|(likely, record)| likely.hash = self.hasher.hash_one(record.room));
        hint::black_box(likely.iter().fold(0, |sum, likely| sum ^ self.names.fetch(likely.hash)));
        for ((newest, likely), _) in newest.iter_mut().zip(likely).zip(records) {
            likely.room = self.names.find(likely.hash, |_| true).unwrap_or(NO_ROOM);
            *newest = self.rooms.get(likely.room as usize).map_or(NONE_KEPT, |room| room.last);
        }
    }

    /// Something of each of these rooms, to have them fetched from memory.
    pub(super) fn fetch(&self, rooms: impl Iterator<Item = RoomId>) -> Seq {
        rooms.filter_map(|room| self.rooms.get(room as usize)).fold(0, |sum, room| sum ^ room.forgotten)
    }

    /// The room's slot, a new one if need be.
    pub(super) fn find_or_add(&mut self, name: &[u8]) -> RoomId {
        self.find_likely_or_add(name, self.likely(name))
    }

    /// The same, where something is known already.
    pub(super) fn find_likely_or_add(&mut self, name: &[u8], Likely { hash, room }: Likely) -> RoomId {
        if self.rooms.get(room as usize).is_some_and(|likely| likely.is_called(name, hash)) {
            return room;
        }
        if let Some(id) = self.find_hashed(name, hash) {
            return id;
        }
        let room = Room::new(name, hash);
        let id = match self.free.pop() {
            Some(id) => {
                self.rooms[id as usize] = room;
                id
            }
            None => {
                self.rooms.push(room);
                (self.rooms.len() - 1) as RoomId
            }
        };
        self.names.insert(hash, id);
        id
    }

    /// Gives a slot back that nobody wants and no entry needs.
    pub(super) fn free_if_unused(&mut self, room: RoomId) {
        let slot = &self.rooms[room as usize];
        if slot.is_wanted() || slot.last != NONE_KEPT || slot.is_free() {
            return;
        }
        self.names.remove(slot.hash, room);
        self.rooms[room as usize] = Room::free();
        self.free.push(room);
    }

    /// Cuts the chains of these rooms at `end`: whoever reads on in them finds a gap. Those that somebody wants.
    pub(super) fn forget(&mut self, end: Seq, which: impl Fn(&[u8]) -> bool) -> Vec<RoomId> {
        let (mut affected, mut unused) = (Vec::new(), Vec::new());
        for (id, slot) in self.rooms.iter_mut().enumerate() {
            if !slot.is_free() && which(slot.name.as_slice()) {
                (slot.last, slot.forgotten) = (NONE_KEPT, end);
                let list = if slot.is_wanted() { &mut affected } else { &mut unused };
                list.push(id as RoomId);
            }
        }
        unused.into_iter().for_each(|room| self.free_if_unused(room));
        affected
    }

    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.names.len()
    }

    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.rooms.len()
    }

    /// How many rooms have a subscription on this edge.
    pub(super) fn wanted_rooms(&self) -> usize {
        self.wanted
    }
}

impl std::ops::Index<RoomId> for Rooms {
    type Output = Room;

    fn index(&self, room: RoomId) -> &Room {
        &self.rooms[room as usize]
    }
}

impl std::ops::IndexMut<RoomId> for Rooms {
    fn index_mut(&mut self, room: RoomId) -> &mut Room {
        &mut self.rooms[room as usize]
    }
}
