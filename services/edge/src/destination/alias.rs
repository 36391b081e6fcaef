//! Further names of rooms: `/app/7`, `/app/chat/7/send`, `/sub/chat/room/7` (`stomp.md` P02 and §3.4).

use std::fmt;

/// Where in an alias the room stands.
const ROOM: &str = "{room}";

/// A prefix such as `/app/`, or a pattern with one `{room}` such as `/app/chat.{room}.send`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    before: Box<str>,
    after: Box<str>,
}

/// A destination, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    pub(super) before: &'a str,
    pub(super) room: &'a str,
    pub(super) after: &'a str,
}

impl Alias {
    /// Reads an alias as it is written in the settings. `None`: it is neither a prefix with slashes at both ends nor a
    /// pattern with one `{room}`, or it lies in somebody's private place.
    pub fn parse(text: &str) -> Option<Alias> {
        let (before, after) = match text.split_once(ROOM) {
            Some(halves) => halves,
            None if text.ends_with('/') => (text, ""),
            None => return None,
        };
        let plain = |c: char| !(c.is_control() || c.is_whitespace() || matches!(c, '*' | '{' | '}'));
        let shape_ok = before.len() > 1 && before.starts_with('/') && before != "//";
        let fits = shape_ok && before.chars().chain(after.chars()).all(plain) && !super::is_private(before);
        fits.then(|| Alias { before: before.into(), after: after.into() })
    }

    pub(super) fn prefix(before: &str) -> Alias {
        Alias { before: before.into(), after: "".into() }
    }

    /// How much of a destination it names itself: where several fit, the one that says most is meant.
    pub(super) fn weight(&self) -> usize {
        self.before.len() + self.after.len()
    }

    pub(super) fn take_apart<'a>(&self, destination: &'a str) -> Option<Parts<'a>> {
        let rest = destination.strip_prefix(&*self.before)?;
        let room = rest.strip_suffix(&*self.after)?;
        Some(Parts { before: &destination[..self.before.len()], room, after: &rest[room.len()..] })
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.after {
            "" => f.write_str(&self.before),
            after => write!(f, "{}{ROOM}{after}", self.before),
        }
    }
}
