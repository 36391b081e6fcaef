//! How reading a room over HTTP ends before its client wants it to: a token that has expired, a place that is gone. On every
//! way in it is said as that way says it. p1 to p10 are the promises of the README.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod kit;

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime};

use kit::edge::Edge;
use kit::events::Events;
use kit::http::Http;
use kit::users::Users;
use kit::wire::{Incoming, Wire};
use serde_json::{Value, json};

const KIB: usize = 1024;

/// A token that ends so soon that a test can wait for it, and so late that a busy machine gets in.
fn short() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Users::token_with("eve", &json!({"exp": (now + Duration::from_secs(4)).as_secs()}))
}

/// p6: nobody reads, or writes, longer than its token says: an event, a status, a message and a close code for it.
#[test]
fn p6_every_way_in_ends_with_its_token() {
    let users = Users::new();
    let edge = Edge::start(&[&["--log-memory"], &*users.args()].concat());
    let bearer = format!("Bearer {}", short());
    let credentials = [("Authorization", bearer.as_str())];
    let (mut events, _) = Events::open(&edge, "/rooms/r/events", &credentials);
    let mut socket = Wire::ask(&edge, "/rooms/r/socket", &credentials).unwrap();
    let mut poll = Http::to(&edge);
    poll.say("GET", "/rooms/r/messages?after=now&wait=60", &credentials, b"");
    let lasting = format!("Bearer {}", Users::token("ann"));
    let (mut stays, _) = Events::open(&edge, "/rooms/r/events", &[("Authorization", &lasting)]);

    let event = events.next().unwrap();
    assert_eq!((event.event.as_deref(), &event.id), (Some("problem"), &None));
    assert_eq!((&event.data["status"], &event.data["code"]), (&json!(401), &json!("credentials_expired")));
    assert!(events.next().is_none(), "then the stream ends");
    let problem = loop {
        match socket.next() {
            Incoming::Text(text) => match serde_json::from_slice::<Value>(&text).unwrap() {
                message if message["type"] == "problem" => break message["problem"].clone(),
                message => assert_eq!(message["type"], "subscribed"),
            },
            Incoming::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((&problem["status"], &problem["code"]), (&json!(401), &json!("credentials_expired")));
    socket.closed(4501);
    let answer = poll.answer();
    assert_eq!((answer.status, &answer.problem()["code"]), (401, &json!("credentials_expired")));
    assert_eq!(answer.field("www-authenticate"), Some("Bearer"));
    Users::connect(&edge, "ann").send("/topic/r", "still here");
    assert_eq!(stays.bodies(1), ["still here"]);
}

/// p3, p7: a stream that the tail has left behind says so and ends; what came until then is whole. Who comes back with its
/// last id goes on if the log still has it.
#[test]
fn p3_p7_a_stream_that_is_left_behind_says_so() {
    let edge = Edge::start(&["--log-memory", "--tail-bytes", "1MiB"]);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4 * KIB).unwrap();
    socket.connect(&edge.listen.parse::<SocketAddr>().unwrap().into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.write_all(b"GET /rooms/r/events HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut events = Events::read(BufReader::new(stream));
    assert!(events.next().unwrap().retry.is_some() && events.next().unwrap().event.is_some());
    let (mut good, _) = Events::open(&edge, "/rooms/r/events", &[]);
    let mut sender = Http::to(&edge);
    let mut ids = Vec::new();
    for n in 0..512 {
        ids.push(sender.post("/rooms/r/messages", format!("{n} {}", "x".repeat(16 * KIB))));
        good.message();
    }
    let (mut seen, mut last) = (0, None);
    let problem = loop {
        let event = events.next().expect("a word before the end");
        if event.event.is_some() {
            break event;
        }
        assert_eq!(event.id.as_deref(), Some(&*ids[seen]), "none is left out");
        (seen, last) = (seen + 1, event.id);
    };
    assert!(seen < ids.len(), "it was never behind");
    assert_eq!(problem.event.as_deref(), Some("problem"));
    assert_eq!((&problem.data["status"], &problem.id), (&json!(410), &None), "{:?}", problem.data);
    assert!(events.next().unwrap().retry.is_some(), "who may come back is told when");
    assert!(events.next().is_none());
    let last = last.expect("the first one went into an empty socket");
    let (mut again, subscribed) = Events::open(&edge, "/rooms/r/events", &[("Last-Event-ID", &last)]);
    if subscribed.data["recovered"] == true {
        assert_eq!(again.message().id.as_deref(), Some(&*ids[seen]));
    }
}
