//! What travels between the follower and the workers.

use std::sync::Arc;

use bytes::Bytes;
use chat_proto::{MessageId, View};
use stomp_proto::SubscriptionHandle;

use crate::{
    log::Ticket,
    looker::{Answer, Excerpt},
    tail::{RoomId, Seq},
    traces::Processing,
};

/// A message of a room: read from the log, shared by everybody who gets it.
#[derive(Debug)]
pub struct Message {
    /// The room's slot at the follower.
    pub room: RoomId,
    /// Its number in the tail.
    pub seq: Seq,
    /// Its place in the log.
    pub id: MessageId,
    /// Append time, milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// What was sent: the record itself, read where it lies.
    pub content: View,
    /// A span that ends with it, if its SEND was sampled and it is on its way for the first time.
    pub trace: Option<Box<Processing>>,
}

impl Message {
    /// When its edge took it, milliseconds since the Unix epoch: its uuid says so (UUIDv7). Of a record whose producer made
    /// another kind, when it was appended.
    pub fn sent_ms(&self) -> i64 {
        let uuid = self.content.uuid();
        let ms = uuid[..6].iter().fold(0, |ms, octet| ms << 8 | i64::from(*octet));
        if uuid[6] >> 4 == 7 { ms } else { self.timestamp_ms }
    }

    /// About how many octets it takes, in memory and on the wire.
    pub fn cost(&self) -> usize {
        let headers = self.content.headers().map(|(name, value)| name.len() + value.len());
        256 + self.content.body().len() + headers.sum::<usize>()
    }
}

/// Names a subscription of a connection of a worker. Generations make an answer to an earlier tenant stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscriber {
    /// The worker.
    pub worker: usize,
    /// The connection's slot on it.
    pub connection: usize,
    /// The slot's generation.
    pub generation: u32,
    /// The subscription in the session.
    pub subscription: SubscriptionHandle,
}

/// Where a subscription begins (DESIGN §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With what is stored from now on.
    Now,
    /// Behind this message, of any room of the partition.
    After(MessageId),
    /// With the oldest message that the log holds.
    First,
    /// With the first message appended at this moment (milliseconds since the Unix epoch) or later.
    Since(i64),
    /// With the last messages, at most this many.
    Last(u32),
    /// A token that no edge has written.
    Unknown,
}

/// What became of a [`Begin`] in the past.
#[derive(Debug)]
pub enum Resumed {
    /// It was not asked for.
    NotAsked,
    /// All of it is replayed.
    Replay(Replay),
    /// Not all of it is there, so nothing is replayed.
    NotRecovered,
}

/// Where a SEND is in the log: its own place, or, of a repeat, the place of the message that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The record's place.
    pub id: MessageId,
    /// Append time, milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
}

/// A SEND with an `x-idempotency-key`, about to be written.
#[derive(Debug)]
pub struct Claim {
    /// The SEND.
    pub ticket: Ticket,
    /// Its room.
    pub room: Bytes,
    /// Its record's uuid.
    pub uuid: [u8; 16],
    /// Its record's [`chat_proto::idempotency_hash`].
    pub hash: u64,
    /// Whether [`FromFollower::Located`] is to follow once its record has been read back.
    pub wait: bool,
}

/// What is replayed: what was read from the log, then everything of the room in the tail.
#[derive(Debug)]
pub struct Replay {
    /// Where the tail's part begins.
    pub behind: Seq,
    /// How many messages of history there are.
    pub count: u32,
    /// What was read from the log.
    pub past: Option<Excerpt>,
    /// Whether the log was asked.
    pub looked: bool,
}

/// What workers, and lookers, say to the follower.
#[derive(Debug)]
pub enum ToFollower {
    /// From now on the worker wants this room; answered by [`FromFollower::Subscribed`].
    Subscribe {
        /// For whom.
        who: Subscriber,
        /// The room's name.
        room: Bytes,
        /// Where it begins.
        from: Begin,
    },
    /// One subscription less in this room.
    Leave {
        /// Whose.
        worker: usize,
        /// The room's slot, as `Subscribed` gave it.
        room: RoomId,
    },
    /// A subscription that fell behind asks for the next messages; answered by `Slice` or `Forgotten`.
    Read {
        /// For whom.
        who: Subscriber,
        /// The room's slot.
        room: RoomId,
        /// The last message it has.
        after: Seq,
    },
    /// What a looker has found.
    Looked(Answer),
    /// Is there a message with this key already? Answered by [`FromFollower::Claimed`].
    Claim(Claim),
    /// A SEND was acknowledged, but not where: to be answered once it has been read back.
    Locate {
        /// The SEND.
        ticket: Ticket,
        /// Its room.
        room: Bytes,
        /// Its record's uuid.
        uuid: [u8; 16],
    },
}

/// What the follower tells a worker.
#[derive(Debug)]
pub enum FromFollower {
    /// New messages in rooms this worker wants, in log order.
    Batch(Vec<Arc<Message>>),
    /// A batch of one: the usual one where there is little to do.
    Message(Arc<Message>),
    /// The subscription begins: it gets what is behind `after`, live.
    Subscribed {
        /// Whose.
        who: Subscriber,
        /// The room's slot.
        room: RoomId,
        /// The newest message at this moment, of any room.
        after: Seq,
        /// The same as a token that is valid on any edge.
        position: MessageId,
        /// What became of the wish to begin earlier.
        resumed: Resumed,
    },
    /// The next messages for a subscription that fell behind.
    Slice {
        /// Whose.
        who: Subscriber,
        /// In log order; at most about 32 KiB.
        messages: Vec<Arc<Message>>,
        /// Nothing newer is there: what comes after it comes live.
        end: bool,
        /// Up to where it was read, whatever the room.
        through: Seq,
    },
    /// The place the subscription wanted to go on from is no longer kept.
    Forgotten {
        /// Whose.
        who: Subscriber,
    },
    /// Records of these rooms were lost.
    Lost(Vec<RoomId>),
    /// The answer to a [`Claim`].
    Claimed {
        /// The SEND.
        ticket: Ticket,
        /// The message that it would repeat: it need not be written.
        first: Option<Stored>,
    },
    /// A SEND has been read back.
    Located {
        /// The SEND.
        ticket: Ticket,
        /// Where it is, or, of a repeat that the tail knows, where the first is.
        place: Stored,
    },
}
