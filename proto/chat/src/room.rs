//! What may be a room.

/// The longest room, in octets of UTF-8.
pub const MAX_ROOM: usize = 200;

/// Why a text cannot be a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// No octet at all.
    #[error("a room needs a name")]
    Empty,
    /// More than [`MAX_ROOM`] octets.
    #[error("a room's name is at most 200 octets long")]
    TooLong,
    /// A control character (Unicode's category Cc).
    #[error("a room's name holds no control characters")]
    Control,
    /// White space at an end.
    #[error("a room's name neither begins nor ends with a blank")]
    Blank,
}

/// Whether `room` may be a room: 1–200 octets, no control characters, no blanks at the ends (`stomp.md` §7).
pub fn room_is_valid(room: &str) -> Result<(), RoomError> {
    if room.is_empty() {
        Err(RoomError::Empty)
    } else if room.len() > MAX_ROOM {
        Err(RoomError::TooLong)
    } else if room.chars().any(char::is_control) {
        Err(RoomError::Control)
    } else if room.starts_with(char::is_whitespace) || room.ends_with(char::is_whitespace) {
        Err(RoomError::Blank)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_people_call_rooms() {
        for room in ["a", "Küche/2.OG", "общая", "with blank inside", "a/b.c", "👩‍👩‍👧", &"x".repeat(200)]
        {
            assert_eq!(room_is_valid(room), Ok(()), "{room}");
        }
    }

    #[test]
    fn refuses_the_rest_with_its_reason() {
        assert_eq!(room_is_valid(""), Err(RoomError::Empty));
        assert_eq!(room_is_valid(&"x".repeat(201)), Err(RoomError::TooLong));
        assert_eq!(room_is_valid(&"ü".repeat(101)), Err(RoomError::TooLong));
        for room in ["a\nb", "\0", "a\u{7f}", "a\u{85}b"] {
            assert_eq!(room_is_valid(room), Err(RoomError::Control), "{room:?}");
        }
        for room in [" a", "a ", "\u{a0}a", "a\u{3000}"] {
            assert_eq!(room_is_valid(room), Err(RoomError::Blank), "{room:?}");
        }
    }
}
