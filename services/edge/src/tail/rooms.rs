//! The rooms that the tail knows: by name, with their chains and with who wants them.

use std::hash::BuildHasher;

use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::{RoomId, Seq};

#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) name: Bytes,
    pub(super) first: Seq,
    pub(super) last: Seq,
    /// The newest entry of this room that has been forgotten.
    pub(super) forgotten: Seq,
    /// How many subscriptions each worker holds.
    interest: Vec<u32>,
    pub(super) wanted: u32,
}

/// All rooms with a subscription or a kept entry.
#[derive(Default)]
pub(super) struct Rooms {
    rooms: Vec<Room>,
    free: Vec<RoomId>,
    names: HashTable<RoomId>,
    hasher: RandomState,
}

impl Rooms {
    /// Notes one more subscription of `worker` in a room.
    pub(super) fn join(&mut self, name: &[u8], worker: usize) -> RoomId {
        let room = self.find_or_add(name);
        let slot = &mut self.rooms[room as usize];
        if slot.interest.len() <= worker {
            slot.interest.resize(worker + 1, 0);
        }
        slot.interest[worker] += 1;
        slot.wanted += 1;
        room
    }

    /// Takes one subscription of `worker` back.
    pub(super) fn leave(&mut self, room: RoomId, worker: usize) {
        let Some(slot) = self.rooms.get_mut(room as usize) else { return };
        let Some(count) = slot.interest.get_mut(worker).filter(|count| **count > 0) else { return };
        *count -= 1;
        slot.wanted -= 1;
        self.free_if_unused(room);
    }

    /// The workers that hold a subscription in a room.
    pub(super) fn interested(&self, room: RoomId) -> impl Iterator<Item = usize> + '_ {
        let slot = &self.rooms[room as usize];
        let counts: &[u32] = if slot.wanted == 0 { &[] } else { &slot.interest };
        counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(worker, _)| worker)
    }

    /// The room's slot, if the tail knows the room.
    pub(super) fn find(&self, name: &[u8]) -> Option<RoomId> {
        let hash = self.hasher.hash_one(name);
        self.names.find(hash, |&id| self.rooms[id as usize].name == name).copied()
    }

    /// The room's slot, a new one if need be.
    pub(super) fn find_or_add(&mut self, name: &[u8]) -> RoomId {
        if let Some(id) = self.find(name) {
            return id;
        }
        let room = Room { name: Bytes::copy_from_slice(name), ..Room::default() };
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
        let (rooms, hasher) = (&self.rooms, &self.hasher);
        self.names.insert_unique(hasher.hash_one(name), id, |&id| hasher.hash_one(&*rooms[id as usize].name));
        id
    }

    /// Gives a slot back that nobody wants and no entry needs.
    pub(super) fn free_if_unused(&mut self, room: RoomId) {
        let slot = &self.rooms[room as usize];
        if slot.wanted > 0 || slot.last != 0 {
            return;
        }
        let (rooms, hash) = (&self.rooms, self.hasher.hash_one(&*slot.name));
        if let Ok(found) = self.names.find_entry(hash, |&id| id == room && !rooms[id as usize].name.is_empty()) {
            found.remove();
            self.rooms[room as usize] = Room::default();
            self.free.push(room);
        }
    }

    /// Cuts the chains of these rooms at `end`: whoever reads on in them finds a gap. Those that somebody wants.
    pub(super) fn forget(&mut self, end: Seq, which: impl Fn(&[u8]) -> bool) -> Vec<RoomId> {
        let mut affected = Vec::new();
        for (id, slot) in self.rooms.iter_mut().enumerate() {
            if !slot.name.is_empty() && which(&slot.name) {
                (slot.first, slot.last, slot.forgotten) = (0, 0, end);
                if slot.wanted > 0 {
                    affected.push(id as RoomId);
                }
            }
        }
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
        self.rooms.iter().filter(|room| room.wanted > 0).count()
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
