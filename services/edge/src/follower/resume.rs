//! Where a subscription begins: now, or somewhere in the past that the tail still holds (DESIGN §7).

use std::time::Duration;

use bytes::Bytes;
use chat_proto::{MessageId, partition_of};

use super::Follower;
use crate::{
    message::{Begin, FromFollower, Resumed, Subscriber},
    tail::{After, Place, RoomId, Seq},
};

/// How long a token that is ahead of this edge is held: the edge before was a little faster.
const HELD: Duration = Duration::from_secs(5);
/// The same when this edge has read everything there was a moment ago: the token is of another log, most likely.
const HELD_AT_END: Duration = Duration::from_millis(500);
/// Subscriptions that may be held at once; one more is told that its token is of no use here.
const MOST_HELD: usize = 4096;

/// A SUBSCRIBE whose token lies ahead of this edge.
pub(super) struct Held {
    who: Subscriber,
    room: Bytes,
    token: MessageId,
    until: Duration,
}

impl Follower {
    pub(super) fn subscribe(&mut self, who: Subscriber, room: Bytes, from: Begin, now: Duration) {
        let partition = partition_of(&room, self.partitions);
        let place = match from {
            Begin::Now | Begin::Last(_) => return self.join(who, &room, from, None),
            // A token of another partition says nothing about this room.
            Begin::After(id) if id.partition == partition => self.tail.place_of(&id),
            Begin::First => self.tail.place_first(partition),
            Begin::Since(ms) => self.tail.place_since(partition, ms),
            Begin::After(_) | Begin::Unknown => Place::Unknown,
        };
        match (place, from) {
            (Place::Ahead, Begin::After(token)) if self.held.len() < MOST_HELD => {
                let at_end = usize::try_from(partition).is_ok_and(|at| self.at_end.get(at) == Some(&true));
                let until = now + if at_end { HELD_AT_END } else { HELD };
                self.held.push(Held { who, room, token, until });
            }
            (Place::After(behind), _) => self.join(who, &room, from, Some(behind)),
            (Place::Ahead | Place::Unknown, _) => self.join(who, &room, from, None),
        }
    }

    /// Looks again at the tokens that were ahead.
    pub(super) fn look_at_held(&mut self, now: Duration) {
        for held in std::mem::take(&mut self.held) {
            match self.tail.place_of(&held.token) {
                Place::Ahead if held.until > now => self.held.push(held),
                Place::After(behind) => self.join(held.who, &held.room, Begin::After(held.token), Some(behind)),
                Place::Ahead | Place::Unknown => self.join(held.who, &held.room, Begin::After(held.token), None),
            }
        }
    }

    /// Begins a subscription; `behind` is where a replay would begin, if it is known.
    fn join(&mut self, who: Subscriber, room: &[u8], from: Begin, behind: Option<Seq>) {
        let partition = partition_of(room, self.partitions);
        let room = self.tail.join(room, who.worker);
        let after = self.tail.newest();
        let resumed = match (from, behind) {
            (Begin::Now, _) => Resumed::NotAsked,
            (Begin::Last(count), _) => {
                let (behind, count) = self.tail.place_of_last(room, count);
                Resumed::Replay { behind, count }
            }
            (_, Some(behind)) => self.replay(room, behind),
            (_, None) => Resumed::NotRecovered,
        };
        let position = self.tail.position(partition);
        self.tell(who.worker, FromFollower::Subscribed { who, room, after, position, resumed });
    }

    /// All or nothing: a gap behind the place is no replay.
    fn replay(&self, room: RoomId, behind: Seq) -> Resumed {
        match self.tail.after(room, behind) {
            After::Forgotten => Resumed::NotRecovered,
            After::Entry(_) | After::End => Resumed::Replay { behind, count: 0 },
        }
    }
}
