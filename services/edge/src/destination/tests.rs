//! Which destination is which room.
#![allow(clippy::unwrap_used, clippy::expect_used)]
use proptest::prelude::*;

use super::*;

fn destinations() -> Destinations {
    Destinations::new(&Aliases::default())
}

fn with(send: &[&str], subscribe: &[&str], by_body: &[&str]) -> Destinations {
    let aliases = |all: &[&str]| all.iter().map(|text| Alias::parse(text).unwrap()).collect();
    let by_body = by_body.iter().map(|text| BodyRule::parse(text).unwrap()).collect();
    Destinations::new(&Aliases { send: aliases(send), subscribe: aliases(subscribe), by_body })
}

/// The room of a SEND without a body.
fn send<'d>(d: &'d Destinations, destination: &str) -> Result<String, DestinationError<'d>> {
    d.send(destination, b"").map(Cow::into_owned)
}

#[test]
fn p02_prefixes_name_the_same_room_each_in_its_direction() {
    let d = destinations();
    for destination in ["/topic/a.b/c", "/app/a.b/c", "/pub/a.b/c", "/publish/a.b/c"] {
        assert_eq!(send(&d, destination).as_deref(), Ok("a.b/c"), "{destination}");
    }
    for destination in ["/topic/a.b/c", "/sub/a.b/c"] {
        assert_eq!(d.subscribe(destination), Ok(Target::Room("a.b/c")), "{destination}");
    }
    assert_eq!(send(&d, "/sub/a"), Err(DestinationError::Unknown));
    assert_eq!(d.subscribe("/app/a"), Err(DestinationError::Unknown));
    for unknown in ["", "/", "topic/a", "/Topic/a", "/queue/a", "/topics/a", "a"] {
        assert_eq!(send(&d, unknown), Err(DestinationError::Unknown), "{unknown}");
        assert_eq!(d.subscribe(unknown), Err(DestinationError::Unknown), "{unknown}");
    }
}

#[test]
fn p02_the_alias_that_says_most_wins_in_any_order() {
    for aliases in [["/pub/", "/pub/chat/", "/pub/chat/{room}/send"], ["/pub/chat/{room}/send", "/pub/chat/", "/pub/"]]
    {
        let d = with(&aliases, &["/topic/chat/room/"], &[]);
        for (destination, room) in [
            ("/pub/chat/a", "a"),
            ("/pub/other/a", "other/a"),
            ("/pub/chat/a/send", "a"),
            ("/pub/chat/a/b/send", "a/b"),
            ("/pub/chat/send", "send"),
            ("/topic/chat/room/a", "chat/room/a"),
        ] {
            assert_eq!(send(&d, destination).as_deref(), Ok(room), "{destination}");
        }
        assert_eq!(d.subscribe("/topic/chat/room/a"), Ok(Target::Room("a")), "/topic/ is an alias like any other");
        assert_eq!(d.subscribe("/topic/chat/a"), Ok(Target::Room("chat/a")));
        assert_eq!(send(&d, "/pub/chat//send"), Err(DestinationError::BadRoom));
    }
}

#[test]
fn p02_a_pattern_has_its_room_in_the_middle() {
    let d = with(&["/app/chat.{room}.send"], &["/channel/{room}", "/rooms/{room}/messages"], &[]);
    assert_eq!(send(&d, "/app/chat.channels.1.send").as_deref(), Ok("channels.1"));
    for unknown in ["/app/chat.1", "/app/chat.send", "/app/chat.1.send/", "/app/chats.1.send"] {
        assert_eq!(send(&d, unknown), Err(DestinationError::Unknown), "{unknown}");
    }
    assert_eq!(d.subscribe("/channel/7"), Ok(Target::Room("7")));
    assert_eq!(d.subscribe("/rooms/7/messages"), Ok(Target::Room("7")));
    assert_eq!(d.around("/rooms/7/messages"), ("/rooms/", "/messages"), "M02");
    assert_eq!(d.around("/topic/7"), ("/topic/", ""));
}

#[test]
fn p02_aliases_that_make_no_sense_are_refused() {
    for text in ["/app/", "/a/", "/app/chat.{room}.send", "/channel/{room}", "/sub/방/"] {
        assert_eq!(Alias::parse(text).unwrap().to_string(), text.strip_suffix("{room}").unwrap_or(text));
    }
    for bad in [
        "",
        "/",
        "//",
        "app/",
        "/app",
        "{room}",
        "/{room}",
        "/a/{room}/{room}",
        "/a/{id}/",
        "/a b/",
        "/a/*/",
        "/user/",
        "/user/{room}/x",
    ] {
        assert_eq!(Alias::parse(bad), None, "{bad}");
    }
    for bad in
        ["", "/a", "/a=", "/a=x", "a=/x", "=/x", "/=/x", "/a=/x~", "/a=/x~2", "/topic/a=/x", "/user/a=/x", "/a b=/x"]
    {
        assert_eq!(BodyRule::parse(bad), None, "{bad}");
    }
    assert_eq!(BodyRule::parse(&format!("/a={}", "/x".repeat(33))), None);
    assert_eq!(BodyRule::parse("/a=/x=y").unwrap().to_string(), "/a=/x=y");
}

#[test]
fn p02_the_room_stands_in_the_body() {
    let d = with(&["/pub/"], &["/sub/chat/room/"], &["/pub/chat/message=/roomId"]);
    let room = |body: &str| d.send("/pub/chat/message", body.as_bytes()).map(Cow::into_owned);
    for (body, expected) in [
        (r#"{"roomId":"7","message":"hi"}"#, "7"),
        (r#"{"message":{"roomId":"8"},"roomId":7}"#, "7"),
        (r#" {"type":"ENTER", "roomId" : -7 } "#, "-7"),
        (r#"{"room\u0049d":"b\u0061r"}"#, "bar"),
        (r#"{"roomId":"a/b.c"}"#, "a/b.c"),
        (r#"{"roomId":1,"roomId":"last"}"#, "last"),
        (r#"{"roomId":18446744073709551615}"#, "18446744073709551615"),
    ] {
        assert_eq!(room(body).as_deref(), Ok(expected), "{body}");
    }
    let nested = format!(r#"{{"deep":{}{},"roomId":"7"}}"#, "[".repeat(20_000), "]".repeat(20_000));
    assert_eq!(room(&nested).as_deref(), Ok("7"), "what is passed over may be as deep as it likes");
    let missing = Err(DestinationError::NoRoomInBody("/roomId"));
    for body in [
        "",
        "hi",
        "{}",
        "[]",
        r#""roomId""#,
        r#"{"roomID":"7"}"#,
        r#"{"roomId":null}"#,
        r#"{"roomId":true}"#,
        r#"{"roomId":7.0}"#,
        r#"{"roomId":99999999999999999999}"#,
        r#"{"roomId":["7"]}"#,
        r#"{"roomId":{"roomId":"7"}}"#,
        r#"{"roomId":"7"#,
        r#"{"roomId":"7"} {}"#,
        r#"{"roomId":"7","roomId":{}}"#,
        "{\"roomId\":\"\u{0}\"}",
    ] {
        assert_eq!(room(body), missing, "{body}");
    }
    assert!(DestinationError::NoRoomInBody("/roomId").text().ends_with("at /roomId"));
    // Such a room keeps to the grammar like any other.
    assert_eq!(room(r#"{"roomId":""}"#), Err(DestinationError::BadRoom));
    assert_eq!(room(r#"{"roomId":"a\nb"}"#), Err(DestinationError::BadRoom));
    assert_eq!(room(r#"{"roomId":"*"}"#), Err(DestinationError::Pattern));
    // Only this destination, and only SEND.
    assert_eq!(send(&d, "/pub/chat/messages").as_deref(), Ok("chat/messages"));
    assert_eq!(d.subscribe("/sub/chat/room/7"), Ok(Target::Room("7")));
}

#[test]
fn p02_a_pointer_goes_through_objects_and_lists() {
    for (pointer, room) in [
        ("/a/1/b", Some("in a list")),
        ("/a/0", Some("7")),
        ("/a/01", None),
        ("/a/-", None),
        ("/a/2", None),
        ("/a~1b", Some("slash")),
        ("/m~0n", Some("tilde")),
        ("/~01", Some("both")),
        ("/", Some("empty")),
        ("/a/1/b/c", None),
    ] {
        let d = with(&[], &[], &[&format!("/x={pointer}")]);
        let body = r#"{"a":[7,{"b":"in a list"}],"a/b":"slash","m~n":"tilde","~1":"both","":"empty"}"#;
        assert_eq!(d.send("/x", body.as_bytes()).ok().as_deref(), room, "{pointer}");
    }
}

#[test]
fn p10_patterns_are_refused_and_plain_names_are_not() {
    let d = destinations();
    for room in ["*", "**", "price.*", "room-*", "a/**", "a.#", "#", "?", "a/?", "*.b"] {
        assert_eq!(d.subscribe(&format!("/topic/{room}")), Err(DestinationError::Pattern), "{room}");
        assert_eq!(send(&d, &format!("/topic/{room}")), Err(DestinationError::Pattern), "{room}");
    }
    for room in ["C#", "what?", "#general", "a+b", "{id}"] {
        assert_eq!(d.subscribe(&format!("/topic/{room}")), Ok(Target::Room(room)));
    }
}

#[test]
fn p13_private_places_are_refused_and_the_errors_queue_is_known() {
    let d = destinations();
    assert_eq!(d.subscribe(ERRORS), Ok(Target::Errors));
    assert_eq!(send(&d, ERRORS), Err(DestinationError::Private));
    assert_eq!(d.subscribe(NOTICES), Ok(Target::Notices));
    assert_eq!(send(&d, NOTICES), Err(DestinationError::Unknown));
    assert_eq!(DestinationError::Private.ending().facts().close, Some(1008));
    for private in
        ["/user/queue/x", "/user/bob/queue/errors", "/queue/x-user123", "/queue/errors-user1", "/user/queue/errors/"]
    {
        assert_eq!(d.subscribe(private), Err(DestinationError::Private), "{private}");
        assert_eq!(send(&d, private), Err(DestinationError::Private), "{private}");
    }
}

#[test]
fn rooms_keep_to_the_grammar_and_nothing_is_percent_decoded() {
    let d = destinations();
    let longest = "x".repeat(chat_proto::room::MAX_ROOM);
    for room in ["a", "방", "a b", "%2F", "a%00b", ".", "/", &longest] {
        assert_eq!(send(&d, &format!("/topic/{room}")).as_deref(), Ok(room));
    }
    let too_long = "x".repeat(chat_proto::room::MAX_ROOM + 1);
    let too_many_octets = "방".repeat(67);
    for room in ["", " a", "a ", "a\nb", "\ta", "a\u{7f}", "\u{85}x", "\u{3000}a", &too_long, &too_many_octets] {
        assert_eq!(send(&d, &format!("/topic/{room}")), Err(DestinationError::BadRoom), "{room:?}");
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[ab~/\"\\\\é]{0,3}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        let object = prop::collection::hash_map("[ab01~/]{0,2}", inner.clone(), 0..5);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(serde_json::Value::from),
            object.prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// P02: looking a body through finds what building its tree would find.
    #[test]
    fn p02_the_way_through_a_body_is_serde_jsons(value in json(), pointer in "(/([ab01]|~0|~1){0,2}){1,4}") {
        let rule = BodyRule::parse(&format!("/x={pointer}")).unwrap();
        let room = value.pointer(&pointer).and_then(|found| match found {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) if !number.is_f64() => Some(number.to_string()),
            _ => None,
        });
        prop_assert_eq!(rule.room(value.to_string().as_bytes()), room.clone());
        prop_assert_eq!(rule.room(serde_json::to_string_pretty(&value).unwrap().as_bytes()), room);
    }

    /// P02: no body does any harm.
    #[test]
    fn p02_any_octets_are_a_body(body in prop::collection::vec(any::<u8>(), 0..200), pointer in "/[ab]{0,2}") {
        let rule = BodyRule::parse(&format!("/x={pointer}")).unwrap();
        let tree = serde_json::from_slice::<serde_json::Value>(&body).ok();
        prop_assert!(rule.room(&body).is_none() || tree.is_some());
    }
}
