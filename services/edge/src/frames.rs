//! MESSAGE frames, encoded once for all subscribers that get the same octets.
//!
//! What distinguishes two subscribers' frames of one message is their *shape*: how the transport frames them, the STOMP
//! version, the alias under which they named the room and their subscription id. Most clients say `/topic/` and `sub-0`,
//! so thousands of rooms have few shapes.

use std::{fmt::Write, hash::BuildHasher, sync::Arc};

use bytes::{Bytes, BytesMut};
use chat_proto::MessageId;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use slab::Slab;
use stomp_proto::{MessageFrame, Version, encode};

use crate::{message::Message, transport::Framing};

/// What a subscriber's frames depend on beside the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape<'a> {
    /// What the transport puts around a frame.
    pub framing: Framing,
    /// Decides the escaping (`stomp.md` H08).
    pub version: Version,
    /// What the subscriber wrote before the room (M02).
    pub prefix: &'a str,
    /// What the subscriber wrote behind the room; mostly nothing.
    pub suffix: &'a str,
    /// The SUBSCRIBE's id (M01); only 1.0 may lack one.
    pub subscription: Option<&'a str>,
}

/// A shape in a [`Frames`].
pub type ShapeId = u32;

struct Known {
    framing: Framing,
    version: Version,
    prefix: Box<str>,
    suffix: Box<str>,
    subscription: Option<Box<str>>,
    users: u32,
    /// Never used again: tells this shape from an earlier one of the same number.
    stamp: u64,
    /// The frames of the run that is being delivered, as one piece.
    frames: Option<Bytes>,
}

impl Known {
    fn shape(&self) -> Shape<'_> {
        let Self { framing, version, prefix, suffix, subscription, .. } = self;
        Shape { framing: *framing, version: *version, prefix, suffix, subscription: subscription.as_deref() }
    }
}

/// The frames of a run that have been made while it is on its way through a large room.
#[derive(Default)]
pub struct Encoded(Vec<(ShapeId, u64, Bytes)>);

/// The shapes in use on a worker, and the frames of the run that is being delivered.
#[derive(Default)]
pub struct Frames {
    known: Slab<Known>,
    ids: HashTable<ShapeId>,
    hasher: RandomState,
    stamps: u64,
    /// Shapes that hold frames.
    warm: Vec<ShapeId>,
    destination: String,
    message_id: String,
    timestamp: String,
}

impl Frames {
    /// One more user of a shape.
    pub fn acquire(&mut self, shape: Shape<'_>) -> ShapeId {
        let Self { known, ids, hasher, stamps, .. } = self;
        let hash = hasher.hash_one(shape);
        if let Some(&id) = ids.find(hash, |&id| known[id as usize].shape() == shape) {
            known[id as usize].users += 1;
            return id;
        }
        *stamps += 1;
        let Shape { framing, version, prefix, suffix, subscription } = shape;
        let (prefix, suffix, subscription) = (prefix.into(), suffix.into(), subscription.map(Box::from));
        let new = Known { framing, version, prefix, suffix, subscription, users: 1, stamp: *stamps, frames: None };
        let id = known.insert(new);
        ids.insert_unique(hash, id as ShapeId, |&id| hasher.hash_one(known[id as usize].shape()));
        id as ShapeId
    }

    /// One user less.
    pub fn release(&mut self, id: ShapeId) {
        let known = &mut self.known[id as usize];
        known.users -= 1;
        if known.users == 0 {
            let known = self.known.remove(id as usize);
            if let Ok(found) = self.ids.find_entry(self.hasher.hash_one(known.shape()), |other| *other == id) {
                found.remove();
            }
            self.warm.retain(|warm| *warm != id);
        }
    }

    /// The frames of `run` for everybody of this shape, one behind the other: encoded at the first call, shared until
    /// [`Frames::next`].
    pub fn shared(&mut self, id: ShapeId, run: &[Arc<Message>]) -> Bytes {
        if let Some(frames) = &self.known[id as usize].frames {
            return frames.clone();
        }
        let frames = self.together(id, run);
        self.known[id as usize].frames = Some(frames.clone());
        self.warm.push(id);
        frames
    }

    /// The same for one subscriber, who gets only a part of the run.
    pub fn together(&mut self, id: ShapeId, run: &[Arc<Message>]) -> Bytes {
        match run {
            [only] => self.single(id, only, None, false),
            _ => {
                let mut all = BytesMut::new();
                for message in run {
                    let frame = self.single(id, message, None, false);
                    // They are much alike, so this is enough for all of them most of the time.
                    all.reserve(if all.is_empty() { run.len() * (frame.len() + 8) } else { frame.len() });
                    all.extend_from_slice(&frame);
                }
                all.freeze()
            }
        }
    }

    /// A run goes on being delivered: what was encoded of it before is used again.
    pub fn take_up(&mut self, Encoded(encoded): &mut Encoded) {
        for (id, stamp, frames) in encoded.drain(..) {
            if let Some(known) = self.known.get_mut(id as usize).filter(|known| known.stamp == stamp) {
                known.frames = Some(frames);
                self.warm.push(id);
            }
        }
    }

    /// It gives way to others.
    pub fn put_down(&mut self, Encoded(encoded): &mut Encoded) {
        for id in self.warm.drain(..) {
            let known = &mut self.known[id as usize];
            encoded.extend(known.frames.take().map(|frames| (id, known.stamp, frames)));
        }
    }

    /// The next run is about to be delivered: what was encoded belongs to those who got it.
    pub fn next(&mut self) {
        for id in self.warm.drain(..) {
            self.known[id as usize].frames = None;
        }
    }

    /// A frame for one subscriber alone: with an `ack` header, or from the past.
    pub fn single(&mut self, id: ShapeId, message: &Message, ack: Option<&str>, replayed: bool) -> Bytes {
        let Self { known, destination, message_id, timestamp, .. } = self;
        let (shape, content) = (known[id as usize].shape(), &message.content);
        if let Some(object) = shape.framing.object(message, replayed) {
            return object;
        }
        [&mut *destination, message_id, timestamp].into_iter().for_each(String::clear);
        *message_id += message.id.spelled(&mut [0; MessageId::MAX_LEN]);
        // Writing to a String cannot fail.
        let _ = write!(timestamp, "{}", message.timestamp_ms);
        *destination += shape.prefix;
        *destination += content.room();
        *destination += shape.suffix;
        let mut ours = [("timestamp", timestamp.as_str()); 4];
        let mut count = 1;
        let optional = [
            ("sender", content.sender()),
            ("x-idempotency-key", content.idempotency_key()),
            ("x-replayed", if replayed { "true" } else { "" }),
        ];
        for (name, value) in optional.into_iter().filter(|(_, value)| !value.is_empty()) {
            ours[count] = (name, value);
            count += 1;
        }
        let body = shape.framing.body(content.body());
        let frame = MessageFrame {
            destination,
            content_type: Some(content.content_type()).filter(|value| !value.is_empty()),
            subscription: shape.subscription,
            message_id,
            ack,
            headers: &ours[..count],
            body: &body,
        };
        let headers = content.headers().map(|(name, value)| name.len() + value.len() + 2);
        let names = destination.len() + shape.subscription.map_or(0, str::len) + content.sender().len();
        let capacity = 192 + names + body.len() + headers.sum::<usize>();
        shape.framing.message(capacity, |out| encode::message(shape.version, &frame, content.headers(), out))
    }
}

/// A MESSAGE of the edge itself, on one of the session's own destinations (`stomp.md` §7).
pub fn own_message(shape: Shape<'_>, message_id: &str, headers: &[(&str, &str)], text: &str) -> Bytes {
    let frame = MessageFrame {
        destination: shape.prefix,
        content_type: Some("text/plain"),
        subscription: shape.subscription,
        message_id,
        ack: None,
        headers,
        body: text.as_bytes(),
    };
    shape.framing.message(512, |out| encode::message(shape.version, &frame, [], out))
}
