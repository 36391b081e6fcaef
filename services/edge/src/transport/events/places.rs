//! Where a stream of several rooms is in each of them: rooms lie in different partitions, and one may be behind another.
//! So an event's id has a token for each, in the order of the request, and a client that comes back with it goes on in all.

use chat_proto::MessageId;

/// A room, and where it begins: a token, or what else was asked for.
pub(crate) type Begun = (Box<str>, Box<str>);

/// Between two tokens of an id.
pub(crate) const BETWEEN: char = ',';

#[derive(Debug)]
pub(super) struct Places(Box<[Place]>);

#[derive(Debug)]
struct Place {
    /// By its name, until it has begun.
    room: Box<str>,
    token: Token,
}

#[derive(Debug)]
enum Token {
    Asked(Box<str>),
    Known(MessageId),
}

impl Places {
    pub(super) fn new(rooms: Box<[Begun]>) -> Self {
        let place = |(room, asked)| Place { room, token: Token::Asked(asked) };
        Self(rooms.into_iter().map(place).collect())
    }

    /// A room has begun at a token that is its own.
    pub(super) fn set(&mut self, room: &str, position: &str) {
        if let (Some(place), Ok(id)) = (self.find(room), position.parse()) {
            *place = Place { room: Box::default(), token: Token::Known(id) };
        }
    }

    /// A room has begun where it was to; that stays its token until its first message.
    pub(super) fn keep(&mut self, room: &str) {
        if let Some(place) = self.find(room) {
            place.room = Box::default();
        }
    }

    /// The message that follows is this one; subscriptions are numbered as the rooms are.
    pub(super) fn advance(&mut self, subscription: u32, id: MessageId) {
        if let Some(place) = self.0.get_mut(subscription as usize) {
            place.token = Token::Known(id);
        }
    }

    /// Appends the line.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.reserve(8 + self.0.len() * (MessageId::MAX_LEN + 1));
        out.extend_from_slice(b"id: ");
        for (at, place) in self.0.iter().enumerate() {
            if at > 0 {
                out.push(BETWEEN as u8);
            }
            let mut id = [0; MessageId::MAX_LEN];
            let token = match &place.token {
                Token::Asked(asked) => asked,
                Token::Known(known) => known.spelled(&mut id),
            };
            out.extend_from_slice(token.as_bytes());
        }
        out.push(b'\n');
    }

    fn find(&mut self, room: &str) -> Option<&mut Place> {
        self.0.iter_mut().find(|place| *place.room == *room)
    }
}
