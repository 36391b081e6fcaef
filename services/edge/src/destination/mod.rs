//! STOMP destination ↔ room (stomp.md §3.4, §7, P02, P10, P13).
//!
//! `/topic/{room}` is the durable room, both ways. Aliases map further names onto the same rooms, some for SEND and some
//! for SUBSCRIBE, because that is what front ends written for Spring use; and a SEND to a fixed destination may name its
//! room in its body. Whatever a room was called, rights are those to the room.

use std::{borrow::Cow, fmt, iter};

use crate::disconnect::Ending;

mod alias;
mod body;

pub use alias::Alias;
use alias::Parts;
pub use body::BodyRule;

/// The prefix that every edge knows, for SEND and SUBSCRIBE alike.
pub const TOPIC: &str = "/topic/";
/// Where soft errors arrive (stomp.md P16, §7 "Soft errors").
pub const ERRORS: &str = "/user/queue/errors";
/// Where a session is told what becomes of it: that its edge drains.
pub const NOTICES: &str = "/session/notices";

/// The names of rooms beside `/topic/{room}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aliases {
    /// Understood in SEND's `destination`.
    pub send: Vec<Alias>,
    /// Understood in SUBSCRIBE's `destination`.
    pub subscribe: Vec<Alias>,
    /// SEND's destinations that leave the room to the body. They come before all others.
    pub by_body: Vec<BodyRule>,
}

impl Default for Aliases {
    fn default() -> Self {
        let prefixes = |prefixes: &[&str]| prefixes.iter().map(|prefix| Alias::prefix(prefix)).collect();
        let (send, subscribe) = (prefixes(&["/app/", "/pub/", "/publish/"]), prefixes(&["/sub/"]));
        Aliases { send, subscribe, by_body: Vec::new() }
    }
}

/// Reads destinations. One per edge, shared by its workers.
#[derive(Debug, Clone)]
pub struct Destinations {
    send: Vec<Alias>,
    subscribe: Vec<Alias>,
    by_body: Vec<BodyRule>,
}

/// What a SUBSCRIBE names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A room; the destination goes back on MESSAGE as the subscriber wrote it (M02).
    Room(&'a str),
    /// The session's own soft errors.
    Errors,
    /// What becomes of the session.
    Notices,
}

/// Why a destination names no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DestinationError<'d> {
    /// No known prefix.
    Unknown,
    /// `/user/…` beside [`ERRORS`], or what Spring makes of it, `/queue/x-user…`: somebody's private place.
    Private,
    /// A pattern; one subscription is one room.
    Pattern,
    /// Not a room: empty, too long, control characters, or blanks at an end.
    BadRoom,
    /// The body is not JSON, or says no room where it should: at this pointer.
    NoRoomInBody(&'d str),
}

impl Default for Destinations {
    fn default() -> Self {
        Destinations::new(&Aliases::default())
    }
}

impl Destinations {
    /// Destinations with these aliases.
    pub fn new(aliases: &Aliases) -> Self {
        Destinations {
            send: most_exact_first(&aliases.send),
            subscribe: most_exact_first(&aliases.subscribe),
            by_body: aliases.by_body.clone(),
        }
    }

    /// The room that a SEND goes to.
    pub fn send<'a>(&self, destination: &'a str, body: &[u8]) -> Result<Cow<'a, str>, DestinationError<'_>> {
        match self.by_body.iter().find(|rule| *rule.destination == *destination) {
            None => room_of(destination, &self.send).map(|parts| Cow::Borrowed(parts.room)),
            Some(rule) => {
                let room = rule.room(body).ok_or(DestinationError::NoRoomInBody(rule.pointer()))?;
                is_room(&room)?;
                Ok(Cow::Owned(room))
            }
        }
    }

    /// Whether only the body of a SEND says its room.
    pub fn is_by_body(&self, destination: &str) -> bool {
        self.by_body.iter().any(|rule| *rule.destination == *destination)
    }

    /// What a SUBSCRIBE's destination names.
    pub fn subscribe<'a>(&self, destination: &'a str) -> Result<Target<'a>, DestinationError<'static>> {
        match destination {
            ERRORS => Ok(Target::Errors),
            NOTICES => Ok(Target::Notices),
            _ => room_of(destination, &self.subscribe).map(|parts| Target::Room(parts.room)),
        }
    }

    /// What stands before and behind the room in a destination that [`Destinations::subscribe`] has understood.
    pub fn around<'a>(&self, destination: &'a str) -> (&'a str, &'a str) {
        room_of(destination, &self.subscribe).map_or((destination, ""), |parts| (parts.before, parts.after))
    }
}

/// Where several aliases fit, the one that says most is meant, whatever their order in the settings: `/pub/chat/` wins
/// over `/pub/`.
fn most_exact_first(aliases: &[Alias]) -> Vec<Alias> {
    let mut all: Vec<Alias> = iter::once(Alias::prefix(TOPIC)).chain(aliases.iter().cloned()).collect();
    all.sort_by_key(|alias| std::cmp::Reverse(alias.weight()));
    all
}

/// Spring calls `/user/queue/x` of a session `/queue/x-user{session}` among its own.
fn is_private(destination: &str) -> bool {
    destination.starts_with("/user/") || destination.strip_prefix("/queue/").is_some_and(|rest| rest.contains("-user"))
}

/// Whether somebody who knows Spring's or RabbitMQ's patterns would mean more than one room (P10). `*` means a pattern
/// wherever it stands (`price.*`, `room-*`), which also keeps rights such as `team-*` unambiguous; `?` and `#` only as a
/// whole segment, since people do call rooms `C#`.
fn is_pattern(room: &str) -> bool {
    room.contains('*') || room.split(['/', '.']).any(|segment| matches!(segment, "?" | "#"))
}

fn room_of<'a>(destination: &'a str, aliases: &[Alias]) -> Result<Parts<'a>, DestinationError<'static>> {
    if is_private(destination) {
        return Err(DestinationError::Private);
    }
    let parts = aliases.iter().find_map(|alias| alias.take_apart(destination)).ok_or(DestinationError::Unknown)?;
    is_room(parts.room)?;
    Ok(parts)
}

/// Whether somebody may call a room so, however it is asked for.
pub(crate) fn is_room(room: &str) -> Result<(), DestinationError<'static>> {
    if is_pattern(room) {
        Err(DestinationError::Pattern)
    } else if chat_proto::room_is_valid(room).is_ok() {
        Ok(())
    } else {
        Err(DestinationError::BadRoom)
    }
}

impl DestinationError<'_> {
    /// How a SEND or SUBSCRIBE with such a destination ends (U06).
    pub const fn ending(self) -> Ending {
        match self {
            DestinationError::Private => Ending::Forbidden,
            DestinationError::NoRoomInBody(_) => Ending::NoRoomInBody,
            DestinationError::Unknown | DestinationError::Pattern | DestinationError::BadRoom => {
                Ending::UnknownDestination
            }
        }
    }

    /// A text for ERROR's body. It never repeats what the client wrote.
    pub fn text(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            DestinationError::Unknown => "no such destination; rooms are /topic/{room}",
            DestinationError::Private => "this destination is private to another session",
            DestinationError::Pattern => "patterns are not supported; subscribe to each room by its name",
            DestinationError::BadRoom => {
                "a room is 1 to 200 octets of UTF-8 without control characters and without blanks at its ends"
            }
            DestinationError::NoRoomInBody(pointer) => {
                return format!("the body has to be JSON that names the room, as text or as an integer, at {pointer}")
                    .into();
            }
        })
    }
}

impl fmt::Display for DestinationError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl std::error::Error for DestinationError<'_> {}

#[cfg(test)]
mod tests;
