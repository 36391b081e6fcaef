//! Where a subscription begins: now, or somewhere in the past that the tail holds, or the log (DESIGN §7).

use std::time::Duration;

use bytes::Bytes;
use chat_proto::partition_of;

use super::Follower;
use crate::{
    looker::Want,
    message::{Begin, FromFollower, Replay, Resumed, Subscriber},
    tail::{Place, RoomId, Tail},
};

impl Follower {
    pub(super) fn subscribe(&mut self, who: Subscriber, room: Bytes, from: Begin, now: Duration) {
        self.begin(who, Want { room, from }, now, false);
    }

    /// Begins a subscription, or lets it wait; `waited` says that it has waited for its token long enough.
    pub(super) fn begin(&mut self, who: Subscriber, want: Want, now: Duration, waited: bool) {
        let partition = partition_of(&want.room, self.partitions);
        let place = match want.from {
            Begin::Now => return self.join(who, &want.room, |_, _| Resumed::NotAsked),
            Begin::Last(most) => return self.begin_with_last(who, want, most, now),
            // A token of another partition says nothing about this room.
            Begin::After(id) if id.partition == partition => self.tail.place_of(&id),
            Begin::First => self.tail.place_first(partition),
            Begin::Since(ms) => self.tail.place_since(partition, ms),
            Begin::After(_) | Begin::Unknown => Place::Unknown,
        };
        match (place, want.from) {
            (Place::After(behind), _) => self.join(who, &want.room, |tail, room| {
                let replay = Replay { behind, count: 0, past: None, looked: false };
                if tail.holds_all_after(room, behind) { Resumed::Replay(replay) } else { Resumed::NotRecovered }
            }),
            (Place::Ahead, Begin::After(token)) if !waited => self.wait_for(who, want, token, now),
            (Place::Older, _) => self.ask_the_log(who, want, now),
            (Place::Ahead | Place::Unknown, _) => self.join(who, &want.room, |_, _| Resumed::NotRecovered),
        }
    }

    fn begin_with_last(&mut self, who: Subscriber, want: Want, most: u32, now: Duration) {
        let room = self.tail.find(&want.room);
        let (behind, count) = room.map_or((self.tail.newest(), 0), |room| self.tail.place_of_last(room, most, 0));
        let is_whole = self.tail.kept_from(partition_of(&want.room, self.partitions)) == Some(0);
        if count < most && !is_whole {
            return self.ask_the_log(who, want, now);
        }
        let replay = Replay { behind, count, past: None, looked: false };
        self.join(who, &want.room, |_, _| Resumed::Replay(replay));
    }

    /// Begins a subscription here and now; `resumed` says what is replayed.
    pub(super) fn join(&mut self, who: Subscriber, room: &[u8], resumed: impl FnOnce(&mut Tail, RoomId) -> Resumed) {
        let partition = partition_of(room, self.partitions);
        let room = self.tail.join(room, who.worker);
        let resumed = resumed(&mut self.tail, room);
        let (after, position) = (self.tail.newest(), self.tail.position(partition));
        self.tell(who.worker, FromFollower::Subscribed { who, room, after, position, resumed });
    }
}
