//! STOMP destination ↔ room (stomp.md §7, P02, P10, P13).
//!
//! `/topic/{room}` is the durable room, both ways. Aliases map further prefixes onto the same rooms, some for SEND and
//! some for SUBSCRIBE, because that is what front ends written for Spring use.

use std::fmt;

use crate::disconnect::Ending;

/// The prefix that every edge knows, for SEND and SUBSCRIBE alike.
pub const TOPIC: &str = "/topic/";
/// Where soft errors arrive (stomp.md P16, §7 "Soft errors").
pub const ERRORS: &str = "/user/queue/errors";
/// The prefixes beside [`TOPIC`], each of the form `/…/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aliases {
    /// Understood in SEND's `destination`.
    pub send: Vec<String>,
    /// Understood in SUBSCRIBE's `destination`.
    pub subscribe: Vec<String>,
}

impl Default for Aliases {
    fn default() -> Self {
        let owned = |prefixes: &[&str]| prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
        Aliases { send: owned(&["/app/", "/pub/", "/publish/"]), subscribe: owned(&["/sub/"]) }
    }
}

/// Reads destinations. One per edge, shared by its workers.
#[derive(Debug, Clone, Default)]
pub struct Destinations {
    aliases: Aliases,
}

/// What a SUBSCRIBE names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A room; the destination goes back on MESSAGE as the subscriber wrote it (M02).
    Room(&'a str),
    /// The session's own soft errors.
    Errors,
}

/// Why a destination names no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DestinationError {
    /// No known prefix.
    Unknown,
    /// `/user/…` beside [`ERRORS`], or `/queue/x-user…`: somebody's private place.
    Private,
    /// A pattern; one subscription is one room.
    Pattern,
    /// Not a room: empty, too long, control characters, or blanks at an end.
    BadRoom,
}

impl Destinations {
    /// Destinations with these aliases.
    pub fn new(aliases: &Aliases) -> Self {
        Destinations { aliases: aliases.clone() }
    }

    /// The room that a SEND's destination names.
    pub fn send<'a>(&self, destination: &'a str) -> Result<&'a str, DestinationError> {
        room_of(destination, &self.aliases.send)
    }

    /// What a SUBSCRIBE's destination names.
    pub fn subscribe<'a>(&self, destination: &'a str) -> Result<Target<'a>, DestinationError> {
        if destination == ERRORS {
            return Ok(Target::Errors);
        }
        room_of(destination, &self.aliases.subscribe).map(Target::Room)
    }
}

impl Destinations {
    /// What stands before the room in a destination that [`Destinations::subscribe`] has understood.
    pub fn prefix<'a>(&self, destination: &'a str) -> &'a str {
        match self.subscribe(destination) {
            Ok(Target::Room(room)) => &destination[..destination.len() - room.len()],
            _ => destination,
        }
    }
}

/// Whether somebody who knows Spring's or RabbitMQ's patterns would mean more than one room (P10). `*` means a pattern
/// wherever it stands (`price.*`, `room-*`), which also keeps rights such as `team-*` unambiguous; `?` and `#` only as a
/// whole segment, since people do call rooms `C#`.
fn is_pattern(room: &str) -> bool {
    room.contains('*') || room.split(['/', '.']).any(|segment| matches!(segment, "?" | "#"))
}

fn room_of<'a>(destination: &'a str, aliases: &[String]) -> Result<&'a str, DestinationError> {
    if destination.starts_with("/user/") || destination.starts_with("/queue/x-user") {
        return Err(DestinationError::Private);
    }
    let room = destination
        .strip_prefix(TOPIC)
        .or_else(|| longest_match(destination, aliases))
        .ok_or(DestinationError::Unknown)?;
    if is_pattern(room) {
        Err(DestinationError::Pattern)
    } else if chat_proto::room_is_valid(room).is_ok() {
        Ok(room)
    } else {
        Err(DestinationError::BadRoom)
    }
}

/// `/pub/chat/` wins over `/pub/` whatever their order in the settings.
fn longest_match<'a>(destination: &'a str, aliases: &[String]) -> Option<&'a str> {
    aliases.iter().filter_map(|prefix| destination.strip_prefix(prefix.as_str())).min_by_key(|room| room.len())
}

impl DestinationError {
    /// How a SEND or SUBSCRIBE with such a destination ends (U06).
    pub const fn ending(self) -> Ending {
        match self {
            DestinationError::Private => Ending::Forbidden,
            DestinationError::Unknown | DestinationError::Pattern | DestinationError::BadRoom => {
                Ending::UnknownDestination
            }
        }
    }

    /// A text for ERROR's body. It never repeats what the client wrote.
    pub const fn text(self) -> &'static str {
        match self {
            DestinationError::Unknown => "no such destination; rooms are /topic/{room}",
            DestinationError::Private => "this destination is private to another session",
            DestinationError::Pattern => "patterns are not supported; subscribe to each room by its name",
            DestinationError::BadRoom => {
                "a room is 1 to 200 octets of UTF-8 without control characters and without blanks at its ends"
            }
        }
    }
}

impl fmt::Display for DestinationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for DestinationError {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn destinations() -> Destinations {
        Destinations::new(&Aliases::default())
    }

    #[test]
    fn p02_prefixes_name_the_same_room_each_in_its_direction() {
        let d = destinations();
        for destination in ["/topic/a.b/c", "/app/a.b/c", "/pub/a.b/c", "/publish/a.b/c"] {
            assert_eq!(d.send(destination), Ok("a.b/c"), "{destination}");
        }
        for destination in ["/topic/a.b/c", "/sub/a.b/c"] {
            assert_eq!(d.subscribe(destination), Ok(Target::Room("a.b/c")), "{destination}");
        }
        assert_eq!(d.send("/sub/a"), Err(DestinationError::Unknown));
        assert_eq!(d.subscribe("/app/a"), Err(DestinationError::Unknown));
        for unknown in ["", "/", "topic/a", "/Topic/a", "/queue/a", "/topics/a", "a"] {
            assert_eq!(d.send(unknown), Err(DestinationError::Unknown), "{unknown}");
            assert_eq!(d.subscribe(unknown), Err(DestinationError::Unknown), "{unknown}");
        }
    }

    #[test]
    fn the_longest_alias_wins_in_any_order() {
        for send in [["/pub/", "/pub/chat/"], ["/pub/chat/", "/pub/"]] {
            let aliases = Aliases { send: send.map(str::to_owned).to_vec(), subscribe: vec![] };
            assert_eq!(Destinations::new(&aliases).send("/pub/chat/a"), Ok("a"));
            assert_eq!(Destinations::new(&aliases).send("/pub/other/a"), Ok("other/a"));
        }
    }

    #[test]
    fn p10_patterns_are_refused_and_plain_names_are_not() {
        let d = destinations();
        for room in ["*", "**", "price.*", "room-*", "a/**", "a.#", "#", "?", "a/?", "*.b"] {
            assert_eq!(d.subscribe(&format!("/topic/{room}")), Err(DestinationError::Pattern), "{room}");
            assert_eq!(d.send(&format!("/topic/{room}")), Err(DestinationError::Pattern), "{room}");
        }
        for room in ["C#", "what?", "#general", "a+b", "{id}"] {
            assert_eq!(d.subscribe(&format!("/topic/{room}")), Ok(Target::Room(room)));
        }
    }

    #[test]
    fn p13_private_places_are_refused_and_the_errors_queue_is_known() {
        let d = destinations();
        assert_eq!(d.subscribe(ERRORS), Ok(Target::Errors));
        assert_eq!(d.send(ERRORS), Err(DestinationError::Private));
        assert_eq!(DestinationError::Private.ending().facts().close, Some(1008));
        for private in ["/user/queue/x", "/user/bob/queue/errors", "/queue/x-user123", "/user/queue/errors/"] {
            assert_eq!(d.subscribe(private), Err(DestinationError::Private), "{private}");
            assert_eq!(d.send(private), Err(DestinationError::Private), "{private}");
        }
    }

    #[test]
    fn rooms_keep_to_the_grammar_and_nothing_is_percent_decoded() {
        let d = destinations();
        let longest = "x".repeat(chat_proto::room::MAX_ROOM);
        for room in ["a", "방", "a b", "%2F", "a%00b", ".", "/", &longest] {
            assert_eq!(d.send(&format!("/topic/{room}")), Ok(room));
        }
        let too_long = "x".repeat(chat_proto::room::MAX_ROOM + 1);
        let too_many_octets = "방".repeat(67);
        for room in ["", " a", "a ", "a\nb", "\ta", "a\u{7f}", "\u{85}x", "\u{3000}a", &too_long, &too_many_octets] {
            assert_eq!(d.send(&format!("/topic/{room}")), Err(DestinationError::BadRoom), "{room:?}");
        }
    }
}
