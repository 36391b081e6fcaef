//! What a path of the HTTP interface asks for, and in which room.

use percent_encoding::percent_decode_str;

use super::{problem::Problem, query::is_encoded};
use crate::destination;

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked<'a> {
    /// Something of one room, whose name is still as it stands in the path.
    Room(&'a str, Part),
    /// The stream of several rooms.
    Events,
    /// What there is at all.
    Description,
}

/// What there is of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Messages,
    Events,
    Socket,
}

/// `None`: nothing is there.
pub(super) fn parse(path: &str) -> Option<Asked<'_>> {
    match path {
        "/events" => return Some(Asked::Events),
        "/openapi.yaml" => return Some(Asked::Description),
        _ => {}
    }
    let (segment, part) = path.strip_prefix("/rooms/")?.split_once('/')?;
    let part = match part {
        "messages" => Part::Messages,
        "events" => Part::Events,
        "socket" => Part::Socket,
        _ => return None,
    };
    Some(Asked::Room(segment, part))
}

/// The room that a segment names: percent-encoded UTF-8 (RFC 3986, section 2.1), judged like a destination's room.
pub(super) fn room(segment: &str) -> Result<String, Problem> {
    let name = percent_decode_str(segment).decode_utf8();
    let Some(name) = name.ok().filter(|_| is_encoded(segment)) else {
        return Err(Problem::no_room("the room in the path has to be percent-encoded UTF-8"));
    };
    checked(name.into_owned())
}

/// A name that may be a room's.
pub(super) fn checked(name: String) -> Result<String, Problem> {
    match destination::is_room(&name) {
        Ok(()) => Ok(name),
        Err(error) => Err(Problem::of(error.ending(), Some(&error.text()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_a_room_and_what_is_wanted_of_it() {
        assert_eq!(parse("/events"), Some(Asked::Events));
        assert_eq!(parse("/openapi.yaml"), Some(Asked::Description));
        assert_eq!(parse("/rooms/a/messages"), Some(Asked::Room("a", Part::Messages)));
        assert_eq!(parse("/rooms/a%2Fb/events"), Some(Asked::Room("a%2Fb", Part::Events)));
        assert_eq!(parse("/rooms//socket"), Some(Asked::Room("", Part::Socket)));
        for nothing in ["", "/", "/rooms", "/rooms/", "/rooms/a", "/rooms/a/", "/rooms/a/b/events", "/rooms/a/events/"]
        {
            assert_eq!(parse(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn p6_a_segment_is_a_room_or_a_404() {
        let name = |segment| room(segment).map_err(|problem| problem.status);
        assert_eq!(name("K%C3%BCche%2F2.OG").as_deref(), Ok("Küche/2.OG"));
        assert_eq!(name("a+b%20c").as_deref(), Ok("a+b c"));
        assert_eq!(name("C%23").as_deref(), Ok("C#"));
        for none in ["", "%", "%4", "%zz", "%ff", "%00", "a%0Ab", "%20a", "a*", "%3F", &"x".repeat(201)] {
            assert_eq!(name(none), Err(404), "{none}");
        }
    }
}
