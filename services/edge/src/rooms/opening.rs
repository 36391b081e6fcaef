//! What the edge says for a client that speaks no STOMP: the frames with which a client of STOMP begins.

use stomp_proto::Command;
use stomp_proto::frame::client::encode;

use crate::destination::{ERRORS, TOPIC};
use crate::transport::json::VERSION;

/// The longest token that any edge writes is shorter.
const MOST: usize = 64;
/// No edge has written this, so it is found nowhere: a subscription that asks for it hears that it has missed something.
const UNREADABLE: &str = "?";

/// The receipt that says that a session is open. No room is called so: it ends with a blank.
pub(super) const ENTERED: &str = "in ";

/// Frames, one behind the other.
pub(super) struct Opening(Vec<u8>);

impl Opening {
    /// CONNECT; the client wants beats this often, in milliseconds, or none. Who it is, its request says.
    pub(super) fn connect(beats_ms: u32, soft_errors: bool) -> Self {
        let beats = format!("0,{beats_ms}");
        let headers = [("accept-version", VERSION.as_str()), ("heart-beat", &beats), ("x-errors", "soft")];
        Self(encode(Command::Connect, headers.into_iter().take(if soft_errors { 3 } else { 2 }), b"", VERSION))
    }

    /// What every request begins with: once it is let in, [`ENTERED`] is receipted. What is refused later leaves the
    /// session open.
    pub(super) fn entering() -> Self {
        let headers = [("id", "errors"), ("destination", ERRORS), ("receipt", ENTERED)];
        Self::connect(0, true).frame(Command::Subscribe, &headers)
    }

    /// SUBSCRIBE to a room, beginning with its last messages; its RECEIPT has the room's name.
    pub(super) fn last(self, room: &str, count: u32) -> Self {
        let (destination, count) = (format!("{TOPIC}{room}"), count.to_string());
        let headers = [("id", "0"), ("destination", &*destination), ("receipt", room), ("x-history", &count)];
        self.frame(Command::Subscribe, &headers)
    }

    /// A frame that is receipted once all before it have been looked at, whatever became of them.
    pub(super) fn barrier(receipt: &str) -> bytes::Bytes {
        Self(Vec::new()).frame(Command::Begin, &[("transaction", receipt), ("receipt", receipt)]).octets()
    }

    /// SUBSCRIBE to the session's own refusals.
    pub(super) fn errors(self) -> Self {
        self.frame(Command::Subscribe, &[("id", "errors"), ("destination", ERRORS)])
    }

    /// SUBSCRIBE to a room, beginning `from` there; its RECEIPT has the room's name.
    pub(super) fn subscribe(self, id: usize, room: &str, from: Option<&str>) -> Self {
        let (id, destination) = (id.to_string(), format!("{TOPIC}{room}"));
        let headers =
            [("id", &*id), ("destination", &destination), ("receipt", room), ("x-from", from.unwrap_or("now"))];
        self.frame(Command::Subscribe, &headers[..if from.is_some() { 4 } else { 3 }])
    }

    /// The octets.
    pub(super) fn octets(self) -> bytes::Bytes {
        self.0.into()
    }

    fn frame(mut self, command: Command, headers: &[(&str, &str)]) -> Self {
        self.0.extend_from_slice(&encode(command, headers.iter().copied(), b"", VERSION));
        self
    }
}

/// A place to begin at, as it was asked for: a message-id, `first`, `now`, `@` and a moment. What is none of these is
/// answered like a token that no edge has written, and not punished: browsers send back what they have, whatever it is.
pub(crate) fn place(asked: &str) -> &str {
    let is_plain = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"@-".contains(&octet);
    if (1..=MOST).contains(&asked.len()) && asked.bytes().all(is_plain) { asked } else { UNREADABLE }
}

/// The same for several rooms: one for all, or one for each in their order.
pub(crate) fn places(asked: &str, rooms: usize) -> Vec<&str> {
    let all: Vec<&str> = asked.split(crate::transport::BETWEEN).take(rooms + 1).map(place).collect();
    match all.len() {
        1 => vec![all[0]; rooms],
        count if count == rooms => all,
        _ => vec![UNREADABLE; rooms],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p3_a_place_is_a_token_or_unreadable() {
        for known in ["3-17-0a1b2c3d", "0--1-00000000", "first", "now", "@1700000000000"] {
            assert_eq!(place(known), known);
        }
        for other in ["", "a\nb", "A", "3 17", "\u{fc}", &"1".repeat(65)] {
            assert_eq!(place(other), UNREADABLE, "{other}");
        }
        assert_eq!(places("first", 3), ["first"; 3]);
        assert_eq!(places("first,@1,3-17-0a1b2c3d", 3), ["first", "@1", "3-17-0a1b2c3d"]);
        assert_eq!(places("first,,now", 3), ["first", UNREADABLE, "now"]);
        assert_eq!(places("first,now", 3), [UNREADABLE; 3]);
        assert_eq!(places("1,2,3,4,5", 3), [UNREADABLE; 3]);
    }

    /// What a client has written stands in a header's value, whatever is in it.
    #[test]
    fn p6_rooms_cannot_break_out_of_their_line() {
        let opening = Opening::connect(15_000, true).errors().subscribe(0, "a\\n:b\r\nx-from:first", Some("now"));
        let text = String::from_utf8_lossy(&opening.0).into_owned();
        assert_eq!(text.lines().filter(|line| line.starts_with("x-from:")).collect::<Vec<_>>(), ["x-from:now"]);
        assert!(text.contains("destination:/topic/a\\\\n\\cb\\r\\nx-from\\cfirst\n"), "{text}");
        assert!(text.starts_with("CONNECT\naccept-version:1.2\nheart-beat:0,15000\nx-errors:soft\n"), "{text}");
    }

    proptest::proptest! {
        /// Whatever comes from outside is read or refused, and a place never needs an escape.
        #[test]
        fn whatever_is_asked_for_is_read_or_refused(text in ".*", rooms in 1usize..40) {
            let all = places(&text, rooms);
            proptest::prop_assert_eq!(all.len(), rooms);
            proptest::prop_assert!(all.iter().all(|place| (1..=MOST).contains(&place.len()) && place.is_ascii()));
            proptest::prop_assert!(all.iter().all(|place| !place.contains(['\n', '\r', ':', '\\', ','])));
            if let Ok(room) = super::super::path::room(&text) {
                proptest::prop_assert!(chat_proto::room_is_valid(&room).is_ok());
            }
            let _ = super::super::query::Query::parse(Some(&text));
        }
    }
}
