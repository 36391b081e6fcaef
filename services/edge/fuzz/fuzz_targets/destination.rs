//! Destinations, aliases and rooms in bodies: whatever a client names is a room or is refused, and nobody's private place.
#![no_main]
#![allow(dead_code)]

#[path = "../../src/destination/mod.rs"]
mod destination;

/// As the edge has them.
mod disconnect {
    pub enum Ending {
        Forbidden,
        NoRoomInBody,
        UnknownDestination,
    }
}

use chat_proto::room_is_valid;
use destination::{Alias, Aliases, BodyRule, Destinations, ERRORS, NOTICES, Target};

libfuzzer_sys::fuzz_target!(|data: (&str, &str, &[u8])| {
    let (destination, setting, body) = data;
    let mut aliases = Aliases::default();
    aliases.send.extend(Alias::parse(setting));
    aliases.subscribe.extend(Alias::parse(setting));
    aliases.by_body.extend(BodyRule::parse(setting));
    aliases.by_body.extend(BodyRule::parse("/pub/chat/message=/roomId"));
    let destinations = Destinations::new(&aliases);
    for destination in [destination, "/pub/chat/message"] {
        if let Ok(room) = destinations.send(destination, body) {
            assert!(room_is_valid(&room).is_ok() && !room.contains('*'), "{room:?}");
            assert!(!destination.starts_with("/user/"));
        }
        match destinations.subscribe(destination) {
            Ok(Target::Room(room)) => {
                assert!(room_is_valid(room).is_ok() && !destination.starts_with("/user/"));
                let (before, after) = destinations.around(destination);
                assert_eq!([before, room, after].concat(), destination, "M02: the name that it used");
            }
            Ok(Target::Errors) => assert_eq!(destination, ERRORS),
            Ok(Target::Notices) => assert_eq!(destination, NOTICES),
            Err(error) => assert!(!error.text().is_empty() && !matches!(error.ending(), disconnect::Ending::NoRoomInBody)),
        }
    }
});
