//! MESSAGE frames, encoded once for all subscribers that get the same octets.
//!
//! What distinguishes two subscribers' frames of one message is their *shape*: the STOMP version, the prefix under which
//! they named the room and their subscription id. Most clients say `/topic/` and `sub-0`, so thousands of rooms have few
//! shapes.

use std::{fmt::Write, hash::BuildHasher, sync::Arc};

use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use slab::Slab;
use stomp_proto::{MessageFrame, Version, encode};

use crate::{message::Message, transport::message_frame};

/// What a subscriber's frames depend on beside the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape<'a> {
    /// Decides the escaping (`stomp.md` H08).
    pub version: Version,
    /// What the subscriber wrote before the room (M02).
    pub prefix: &'a str,
    /// The SUBSCRIBE's id (M01); only 1.0 may lack one.
    pub subscription: Option<&'a str>,
}

/// A shape in a [`Frames`].
pub type ShapeId = u32;

struct Known {
    version: Version,
    prefix: Box<str>,
    subscription: Option<Box<str>>,
    users: u32,
    /// Never used again: tells this shape from an earlier one of the same number.
    stamp: u64,
    /// The frame of the message that is being delivered.
    frame: Option<Bytes>,
}

impl Known {
    fn shape(&self) -> Shape<'_> {
        Shape { version: self.version, prefix: &self.prefix, subscription: self.subscription.as_deref() }
    }
}

/// A message on its way through a large room, with the frames that have been made of it so far.
pub struct Sweeping {
    /// The message.
    pub message: Arc<Message>,
    frames: Vec<(ShapeId, u64, Bytes)>,
}

impl From<Arc<Message>> for Sweeping {
    fn from(message: Arc<Message>) -> Self {
        Self { message, frames: Vec::new() }
    }
}

/// The shapes in use on a worker, and the frames of the message that is being delivered.
#[derive(Default)]
pub struct Frames {
    known: Slab<Known>,
    ids: HashTable<ShapeId>,
    hasher: RandomState,
    stamps: u64,
    /// Shapes that hold a frame.
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
        let Shape { version, prefix, subscription } = shape;
        let (prefix, subscription) = (prefix.into(), subscription.map(Box::from));
        let id = known.insert(Known { version, prefix, subscription, users: 1, stamp: *stamps, frame: None });
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

    /// The frame of `message` for everybody of this shape: encoded at the first call, shared until [`Frames::next`].
    pub fn shared(&mut self, id: ShapeId, message: &Message) -> Bytes {
        if let Some(frame) = &self.known[id as usize].frame {
            return frame.clone();
        }
        let frame = self.single(id, message, None, false);
        self.known[id as usize].frame = Some(frame.clone());
        self.warm.push(id);
        frame
    }

    /// A message of a large room goes on being delivered: what was encoded of it before is used again.
    pub fn take_up(&mut self, sweeping: &mut Sweeping) {
        for (id, stamp, frame) in sweeping.frames.drain(..) {
            if let Some(known) = self.known.get_mut(id as usize).filter(|known| known.stamp == stamp) {
                known.frame = Some(frame);
                self.warm.push(id);
            }
        }
    }

    /// It gives way to others.
    pub fn put_down(&mut self, sweeping: &mut Sweeping) {
        for id in self.warm.drain(..) {
            let known = &mut self.known[id as usize];
            sweeping.frames.extend(known.frame.take().map(|frame| (id, known.stamp, frame)));
        }
    }

    /// The next message is about to be delivered: what was encoded belongs to those who got it.
    pub fn next(&mut self) {
        for id in self.warm.drain(..) {
            self.known[id as usize].frame = None;
        }
    }

    /// A frame for one subscriber alone: with an `ack` header, or from the past.
    pub fn single(&mut self, id: ShapeId, message: &Message, ack: Option<&str>, replayed: bool) -> Bytes {
        let Self { known, destination, message_id, timestamp, .. } = self;
        let (shape, content) = (known[id as usize].shape(), &message.content);
        [&mut *destination, message_id, timestamp].into_iter().for_each(String::clear);
        // Writing to a String cannot fail.
        let _ = write!(message_id, "{}", message.id);
        let _ = write!(timestamp, "{}", message.timestamp_ms);
        *destination += shape.prefix;
        *destination += content.room();
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
        let frame = MessageFrame {
            destination,
            content_type: Some(content.content_type()).filter(|value| !value.is_empty()),
            subscription: shape.subscription,
            message_id,
            ack,
            headers: &ours[..count],
            body: content.body(),
        };
        let headers = content.headers().map(|(name, value)| name.len() + value.len() + 2);
        let names = destination.len() + shape.subscription.map_or(0, str::len) + content.sender().len();
        let capacity = 192 + names + content.body().len() + headers.sum::<usize>();
        message_frame(capacity, |out| encode::message(shape.version, &frame, content.headers(), out))
    }
}

/// A MESSAGE of the edge itself, on `/user/queue/errors` (`stomp.md` §7, soft errors).
pub fn error_message(shape: Shape<'_>, message_id: &str, headers: &[(&str, &str)], text: &str) -> Bytes {
    let frame = MessageFrame {
        destination: shape.prefix,
        content_type: Some("text/plain"),
        subscription: shape.subscription,
        message_id,
        ack: None,
        headers,
        body: text.as_bytes(),
    };
    message_frame(512, |out| encode::message(shape.version, &frame, [], out))
}
