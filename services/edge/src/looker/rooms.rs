//! What a scan keeps: the shown messages of the rooms that somebody waits for, within their allowance.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use foldhash::fast::RandomState;

use super::scanned::{Allowance, Scanned, Share};
use crate::{log::ReadRecord, message::Message};
use chat_proto::{MessageId, View};

/// The messages of one room, the newest if not all have room.
pub(super) struct Room {
    messages: VecDeque<Arc<Message>>,
    share: Share,
    /// At most so many are asked for.
    most: usize,
    /// What lies below has been left out.
    whole_from: i64,
}

/// All rooms that somebody waits for.
pub(super) struct Rooms {
    allowance: Arc<Allowance>,
    rooms: HashMap<Bytes, Room, RandomState>,
}

impl Rooms {
    pub(super) fn new(allowance: Arc<Allowance>) -> Self {
        Self { allowance, rooms: HashMap::default() }
    }

    /// Somebody waits for this room: for its last `most` messages, or for all from `begin` on.
    pub(super) fn want(&mut self, name: &Bytes, begin: i64, most: usize) {
        let share = || Share { of: self.allowance.clone(), bytes: 0 };
        let new = || Room { messages: VecDeque::new(), share: share(), most: 0, whole_from: i64::MAX };
        let room = self.rooms.entry(name.clone()).or_insert_with(new);
        room.most = room.most.max(most);
        room.whole_from = room.whole_from.min(begin);
    }

    /// Keeps a record that is shown, if it is wanted. What cannot be decoded was counted when it was followed.
    pub(super) fn keep(&mut self, record: &ReadRecord<'_>) {
        let most_bytes = self.allowance.of_a_room;
        let Some(room) = self.rooms.get_mut(record.room).filter(|room| room.whole_from <= record.offset) else {
            return;
        };
        let value = Bytes::copy_from_slice(record.value);
        let id = MessageId { partition: record.partition, offset: record.offset, check: MessageId::check_of(&value) };
        let Ok(content) = View::read(value, record.room) else { return };
        let message = Message { room: 0, seq: 0, id, timestamp_ms: record.timestamp_ms, content, trace: None };
        let cost = message.cost();
        while room.messages.len() >= room.most || room.share.bytes + cost > most_bytes || !room.share.grow(cost) {
            let Some(oldest) = room.messages.pop_front() else {
                room.whole_from = record.offset + 1;
                return;
            };
            room.share.shrink(oldest.cost());
            room.whole_from = oldest.id.offset + 1;
        }
        room.messages.push_back(Arc::new(message));
    }

    /// For each room what was kept of it, and from which offset on that is everything.
    pub(super) fn finish(self) -> HashMap<Bytes, (Option<Arc<Scanned>>, i64), RandomState> {
        let finish = |(name, Room { messages, share, whole_from, .. })| {
            let messages: Vec<_> = messages.into();
            let scanned = (!messages.is_empty()).then(|| Arc::new(Scanned { messages, _share: share }));
            (name, (scanned, whole_from))
        };
        self.rooms.into_iter().map(finish).collect()
    }
}
