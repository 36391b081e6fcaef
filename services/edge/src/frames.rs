//! MESSAGE frames, encoded once for all subscribers that get the same octets.
//!
//! What distinguishes two subscribers' frames of one message is their *shape*: the STOMP version, the name under which
//! they subscribed and their subscription id. Most clients call it `sub-0`, so a room of thousands has few shapes.

use std::{collections::HashMap, fmt::Write};

use bytes::Bytes;
use foldhash::fast::RandomState;
use slab::Slab;
use stomp_proto::{MessageFrame, Text, Version, encode};

use crate::{message::Message, transport::message_frame};

/// What a subscriber's frames depend on beside the message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Decides the escaping (`stomp.md` H08).
    pub version: Version,
    /// As the subscriber named it (M02).
    pub destination: Text,
    /// The SUBSCRIBE's id (M01); only 1.0 may lack one.
    pub subscription: Option<Text>,
}

/// A shape in a [`Frames`].
pub type ShapeId = u32;

struct Known {
    shape: Shape,
    users: u32,
    /// The frame of the message that is being delivered.
    frame: Option<Bytes>,
}

/// The shapes in use on a worker, and the frames of the message that is being delivered.
#[derive(Default)]
pub struct Frames {
    known: Slab<Known>,
    ids: HashMap<Shape, ShapeId, RandomState>,
    /// Shapes that hold a frame.
    warm: Vec<ShapeId>,
    message_id: String,
    timestamp: String,
}

impl Frames {
    /// One more user of a shape.
    pub fn acquire(&mut self, shape: Shape) -> ShapeId {
        if let Some(&id) = self.ids.get(&shape) {
            self.known[id as usize].users += 1;
            return id;
        }
        let id = self.known.insert(Known { shape: shape.clone(), users: 1, frame: None }) as ShapeId;
        self.ids.insert(shape, id);
        id
    }

    /// One user less.
    pub fn release(&mut self, id: ShapeId) {
        let known = &mut self.known[id as usize];
        known.users -= 1;
        if known.users == 0 {
            let known = self.known.remove(id as usize);
            self.ids.remove(&known.shape);
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

    /// The next message is about to be delivered: what was encoded belongs to those who got it.
    pub fn next(&mut self) {
        for id in self.warm.drain(..) {
            self.known[id as usize].frame = None;
        }
    }

    /// A frame for one subscriber alone: with an `ack` header, or from the past.
    pub fn single(&mut self, id: ShapeId, message: &Message, ack: Option<&str>, replayed: bool) -> Bytes {
        let Self { known, message_id, timestamp, .. } = self;
        let (shape, content) = (&known[id as usize].shape, &message.content);
        message_id.clear();
        timestamp.clear();
        // Writing to a String cannot fail.
        let _ = write!(message_id, "{}", message.id);
        let _ = write!(timestamp, "{}", message.timestamp_ms);
        let mut ours = [("timestamp", timestamp.as_str()); 4];
        let mut count = 1;
        let optional = [
            ("sender", content.sender.as_str()),
            ("x-idempotency-key", content.idempotency_key.as_str()),
            ("x-replayed", if replayed { "true" } else { "" }),
        ];
        for (name, value) in optional.into_iter().filter(|(_, value)| !value.is_empty()) {
            ours[count] = (name, value);
            count += 1;
        }
        let frame = MessageFrame {
            destination: &shape.destination,
            content_type: Some(content.content_type.as_str()).filter(|value| !value.is_empty()),
            subscription: shape.subscription.as_deref(),
            message_id,
            ack,
            headers: &ours[..count],
            body: &content.body,
        };
        let user = content.headers.iter().map(|header| (header.name.as_str(), header.value.as_str()));
        let capacity =
            256 + content.body.len() + content.headers.iter().map(|h| h.name.len() + h.value.len() + 2).sum::<usize>();
        message_frame(capacity, |out| encode::message(shape.version, &frame, user, out))
    }
}

/// A MESSAGE of the edge itself, on `/user/queue/errors` (`stomp.md` §7, soft errors).
pub fn error_message(shape: &Shape, message_id: &str, headers: &[(&str, &str)], text: &str) -> Bytes {
    let frame = MessageFrame {
        destination: &shape.destination,
        content_type: Some("text/plain"),
        subscription: shape.subscription.as_deref(),
        message_id,
        ack: None,
        headers,
        body: text.as_bytes(),
    };
    message_frame(512, |out| encode::message(shape.version, &frame, [], out))
}
