//! Streams of events: what is on the wire, who is let in, and how they end. p1 to p10 are the promises of the README.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod kit;

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use kit::edge::Edge;
use kit::events::Events;
use kit::users::Users;
use kit::wire::{PATIENCE, Wire};
use kit::{eventually, require_tool};
use rustix::process::Signal;

fn edge() -> Edge {
    Edge::start(&["--log-memory"])
}

/// p1, p2: the id that a SEND's RECEIPT names is the event's id, and the order is the room's.
#[test]
fn p1_p2_messages_are_events_in_order() {
    let edge = edge();
    let (mut events, subscribed) = Events::open(&edge, "/rooms/K%C3%BCche%2F2/events", &[]);
    assert_eq!(events.field("content-type"), Some("text/event-stream"));
    assert_eq!((events.field("connection"), events.field("x-accel-buffering")), (Some("close"), Some("no")));
    assert!(events.field("cache-control").unwrap().starts_with("no-store") && events.field("date").is_some());
    assert_eq!(subscribed.data["room"], "Küche/2");
    assert_eq!(subscribed.id.as_deref(), subscribed.data["position"].as_str(), "nothing is to be replayed");
    let mut sender = Wire::connect(&edge);
    for n in 0..20 {
        let id = sender.send("/topic/Küche/2", &n.to_string());
        let event = events.message();
        assert_eq!(
            (event.id.as_deref(), &event.data["id"], &event.data["room"]),
            (Some(&*id), &id.clone().into(), &"Küche/2".into())
        );
        assert_eq!(event.data["body"], n.to_string());
        assert!(event.data["timestamp"].as_i64().unwrap() > 1_600_000_000_000 && event.data.get("replayed").is_none());
    }
    let text = edge.admin_get("/metrics").1;
    assert!(text.contains("klatsch_transport_sessions{transport=\"events\"} 1"), "{text}");
    assert!(text.contains("klatsch_connection_memory_bytes{transport=\"events\"} 2048"), "{text}");
}

/// p6: whatever somebody writes, it is data of one event, and begins no line (CVE-2026-22735).
#[test]
fn p6_nothing_that_is_sent_becomes_a_field() {
    let edge = edge();
    let (mut events, _) = Events::open(&edge, "/rooms/r/events", &[]);
    let mut sender = Wire::connect(&edge);
    let evil = "x\nid: 1-1-00000000\nevent: problem\ndata: {}\n\nretry: 1\r\rdata: y\u{2028}\u{85}";
    let headers = [("destination", "/topic/r"), ("content-type", "text/x\ndata: 1"), ("h\nid", "v\r\nevent: e")];
    sender.say("SEND", &headers, evil);
    sender.say("SEND", &[("destination", "/topic/r")], "next");
    let event = events.message();
    assert_eq!((&event.data["body"], &event.data["content_type"]), (&evil.into(), &"text/x\ndata: 1".into()));
    assert_eq!(event.data["headers"]["h\nid"], "v\r\nevent: e");
    assert_eq!(event.id.as_deref(), event.data["id"].as_str());
    assert_eq!(events.bodies(1), ["next"]);
}

/// p3, p4, p7: who comes back with its last id goes on behind it; `Last-Event-ID` wins over `after`; what cannot be found is
/// announced.
#[test]
fn p3_p4_p7_last_event_id_goes_on_where_it_was() {
    let edge = edge();
    let mut sender = Wire::connect(&edge);
    let ids: Vec<String> = (0..5).map(|n| sender.send("/topic/r", &n.to_string())).collect();
    let (mut events, subscribed) =
        Events::open(&edge, "/rooms/r/events?after=first", &[("Last-Event-ID", ids[1].as_str())]);
    assert_eq!((&subscribed.data["recovered"], &subscribed.id), (&true.into(), &None), "the old token stays valid");
    for id in &ids[2..] {
        let event = events.message();
        assert_eq!((event.id.as_deref(), &event.data["replayed"]), (Some(id.as_str()), &true.into()));
    }
    sender.send("/topic/r", "live");
    assert_eq!(events.bodies(1), ["live"]);
    let (mut all, _) = Events::open(&edge, "/rooms/r/events?after=first", &[]);
    assert_eq!(all.bodies(6), ["0", "1", "2", "3", "4", "live"]);
    for lost in ["0-0-00000000", "nonsense\u{7f}", "99-1-00000000"] {
        let target = format!("/rooms/r/events?after={}", lost.replace('\u{7f}', "%7F"));
        let (_, subscribed) = Events::open(&edge, &target, &[]);
        assert_eq!(subscribed.data["recovered"], false, "{lost}");
        assert_eq!(subscribed.id.as_deref(), subscribed.data["position"].as_str());
    }
    // `now` is said once and meant once: who comes back before the first message comes back to that moment, not to another.
    let (_, subscribed) = Events::open(&edge, "/rooms/r/events?after=now", &[]);
    assert!(subscribed.id.is_some() && subscribed.id.as_deref() == subscribed.data["position"].as_str());
    let (mut events, _) = Events::open(&edge, "/events?room=r&room=other&after=first,now", &[]);
    let ids = std::iter::from_fn(|| events.next()).filter_map(|event| event.id).next().unwrap();
    assert!(!ids.contains("now"), "{ids}");
}

/// p3, p4: several rooms are one stream, whose ids go on in each of them, also where one is behind another.
#[test]
fn p3_p4_several_rooms_go_on_in_each() {
    let edge = edge();
    let mut sender = Wire::connect(&edge);
    let (mut events, first) = Events::open(&edge, "/events?room=a&room=b&room=c", &[]);
    let more = [events.next().unwrap(), events.next().unwrap()];
    let mut rooms: Vec<&str> =
        [&first, &more[0], &more[1]].iter().map(|it| it.data["room"].as_str().unwrap()).collect();
    rooms.sort_unstable();
    assert_eq!(rooms, ["a", "b", "c"]);
    let mut last = String::new();
    for n in 0..6 {
        let (room, body) = (["a", "b"][n % 2], n.to_string());
        let id = sender.send(&format!("/topic/{room}"), &body);
        let event = events.message();
        assert_eq!((&event.data["room"], &event.data["body"]), (&room.into(), &body.into()));
        last = event.id.unwrap();
        let tokens: Vec<&str> = last.split(',').collect();
        assert_eq!((tokens.len(), tokens[n % 2]), (3, id.as_str()));
    }
    drop(events);
    for (room, body) in [("c", "6"), ("a", "7"), ("b", "8")] {
        sender.send(&format!("/topic/{room}"), body);
    }
    let (mut events, _) = Events::open(&edge, "/events?room=a&room=b&room=c", &[("Last-Event-ID", &last)]);
    let mut bodies = Vec::new();
    while bodies.len() < 3 {
        let event = events.next().unwrap();
        if event.event.is_none() {
            bodies.push(event.data["body"].as_str().unwrap().to_owned());
            last = event.id.unwrap();
        } else {
            assert_eq!(event.data["recovered"], true, "{event:?}");
        }
    }
    bodies.sort_unstable();
    assert_eq!(bodies, ["6", "7", "8"], "each once");
    // One room is far behind the others: its token is old, theirs are not.
    let behind: Vec<&str> = last.split(',').collect();
    let target = format!("/events?room=a&room=b&room=c&after=first,{},{}", behind[1], behind[2]);
    let (mut events, _) = Events::open(&edge, &target, &[]);
    let replayed: Vec<_> = std::iter::from_fn(|| events.next()).filter(|event| event.event.is_none()).take(4).collect();
    assert_eq!(replayed.iter().map(|it| it.data["body"].as_str().unwrap()).collect::<Vec<_>>(), ["0", "2", "4", "7"]);
    assert!(replayed.iter().all(|it| it.id.as_ref().unwrap().ends_with(&format!(",{},{}", behind[1], behind[2]))));
}

/// p6: who may not hears it as HTTP says it, before any 200.
#[test]
fn p6_refusals_are_statuses() {
    let users = Users::new();
    let mut args: Vec<&str> = users.args().into_iter().filter(|arg| *arg != "--open-rooms").collect();
    args.extend(["--log-memory", "--allow-origin", "https://page.example"]);
    let edge = Edge::start(&args);
    let bearer = format!("Bearer {}", Users::token("ann"));
    let ask = |target: &str, fields: &[(&str, &str)]| {
        let mut answer = Events::ask(&edge, target, fields);
        let problem = answer.problem();
        assert_eq!(problem["status"], answer.status);
        (answer, problem)
    };
    let (answer, problem) = ask("/rooms/r/events", &[("Origin", "https://page.example")]);
    assert_eq!((answer.status, &problem["code"]), (401, &"bad_credentials".into()));
    assert_eq!(answer.field("www-authenticate"), Some("Bearer"));
    assert_eq!(answer.field("access-control-allow-origin"), Some("https://page.example"));
    let (answer, problem) = ask("/rooms/r/events", &[("Authorization", &bearer)]);
    assert_eq!((answer.status, &problem["code"]), (403, &"forbidden".into()));
    assert_eq!(ask("/rooms/r/events?token=nonsense", &[]).0.status, 401);
    assert_eq!(ask("/rooms/r/events", &[("Origin", "https://evil.example")]).0.status, 403);
    assert_eq!(ask("/rooms/%ff/events", &[]).0.status, 404);
    assert_eq!(ask("/rooms/a*/events", &[]).0.status, 404);
    for query in ["", "?room=a&room=a", "?room=%zz", &format!("?{}", "room=a&".repeat(40))] {
        assert_eq!(ask(&format!("/events{query}"), &[]).0.status, 400, "{query}");
    }
    let mut answer =
        Events::say(&edge, "POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!((answer.status, answer.field("allow")), (405, Some("GET, HEAD, OPTIONS")));
    assert_eq!(answer.problem()["code"], "method");
    let preflight =
        "OPTIONS /rooms/r/events HTTP/1.1\r\nHost: a\r\nOrigin: https://page.example\r\nConnection: close\r\n\r\n";
    let answer = Events::say(&edge, preflight);
    assert_eq!((answer.status, answer.field("access-control-expose-headers")), (204, Some("ETag, Retry-After")));
    let head = format!("HEAD /rooms/r/events HTTP/1.1\r\nHost: a\r\nAuthorization: {bearer}\r\n\r\n");
    let mut answer = Events::say(&edge, &head);
    assert!(answer.status == 403 && answer.is_over(), "{}", answer.head);
}

/// A client of HTTP/1.0, and one whose connection had answered before; curl, which many will try first.
#[test]
fn any_http_client_reads_events() {
    let edge = edge();
    let mut old = Events::say(&edge, "GET /rooms/r/events HTTP/1.0\r\n\r\n");
    assert_eq!(old.status, 200);
    let mut stream = TcpStream::connect(&edge.listen).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Both at once: the answer to the first is complete before anything of the second.
    let both = "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\nGET /rooms/r/events HTTP/1.1\r\nHost: a\r\n\r\nignored";
    stream.write_all(both.as_bytes()).unwrap();
    let mut kept = Events::read(BufReader::new(stream));
    assert_eq!(kept.status, 404);
    let mut body = [0; 10];
    kept.read_exact(&mut body);
    assert_eq!(&body, b"not found\n");
    let mut kept = kept.again();
    assert_eq!(kept.status, 200);
    Wire::connect(&edge).send("/topic/r", "hello");
    for events in [&mut old, &mut kept] {
        assert!(events.next().unwrap().retry.is_some() && events.next().unwrap().event.is_some());
        assert_eq!(events.bodies(1), ["hello"]);
    }
    if !require_tool("curl") {
        return;
    }
    let url = format!("http://{}/rooms/r/events?after=first", edge.listen);
    let out = Command::new("curl").args(["-sN", "--max-time", "2", "-D", "-", &url]).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("\ndata: {\"type\":\"message\""), "{text}");
    let head = Command::new("curl").args(["-sI", "--max-time", "10", &url]).output().unwrap();
    assert!(head.status.success(), "HEAD ends: {head:?}");
    assert!(head.stdout.starts_with(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"), "{head:?}");
}

/// p7: a reader that stops is cut; others go on, and it comes back for the rest.
#[test]
fn p7_a_reader_that_stops_is_cut() {
    let edge = Edge::start(&["--log-memory", "--max-body", "64KiB"]);
    let (mut stuck, _) = Events::open(&edge, "/rooms/r/events", &[]);
    let (mut other, _) = Events::open(&edge, "/rooms/r/events", &[]);
    let mut sender = Wire::connect(&edge);
    let body = "x".repeat(60_000);
    // More than the kernel holds for it, less than the tail does.
    let sent = 400;
    for _ in 0..sent {
        sender.say("SEND", &[("destination", "/topic/r")], &body);
        assert_eq!(other.bodies(1), [body.as_str()]);
    }
    let queued = edge.metric("klatsch_outbound_queued_bytes");
    assert!(queued < 400_000.0, "{queued}");
    eventually("it is cut", Duration::from_secs(20), || {
        (edge.metric("klatsch_slow_consumer_closes_total") == 1.0).then_some(())
    });
    // What it had received already it may still read; then its connection is broken off, not ended.
    let (mut seen, mut last) = (0, None);
    while let Some(event) = stuck.whole() {
        (seen, last) = (seen + usize::from(event.event.is_none() && event.retry.is_none()), event.id.or(last));
    }
    assert!(seen < sent, "it was not cut: {seen} of {sent}");
    let last = last.unwrap();
    let (mut again, subscribed) = Events::open(&edge, "/rooms/r/events", &[("Last-Event-ID", &last)]);
    assert_eq!(subscribed.data["recovered"], true, "the tail still holds it");
    assert_eq!(again.bodies(sent - seen).len(), sent - seen, "nothing is lost");
}

/// Drain: each is told to come back at a time of its own, and the stream ends as streams do.
#[test]
fn p8_drain_says_when_to_come_back() {
    let mut edge = edge();
    let mut all: Vec<Events> = (0..20).map(|_| Events::open(&edge, "/rooms/r/events", &[]).0).collect();
    let (_, last) = Events::open(&edge, "/rooms/r/events", &[]);
    assert!(last.id.is_some());
    edge.signal(Signal::TERM);
    let mut waits: Vec<u64> = all.iter_mut().map(|events| events.next().unwrap().retry.unwrap()).collect();
    assert!(all.iter_mut().all(|events| events.next().is_none()));
    assert!(waits.iter().all(|wait| (500..=5_000).contains(wait)), "{waits:?}");
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 10, "{waits:?}");
    assert!(edge.exit(Duration::from_secs(30)).success());
}

/// What `/metrics` states of an idle reader's memory holds.
#[test]
fn an_idle_reader_takes_what_is_stated() {
    const READERS: usize = 1_000;
    let edge = edge();
    let open = |count: usize| (0..count).map(|_| Events::open(&edge, "/rooms/r/events", &[]).0).collect::<Vec<_>>();
    let rss = || edge.metric("process_resident_memory_bytes");
    let _first = open(200);
    let before = rss();
    let _all = open(READERS);
    let each = (rss() - before) / READERS as f64;
    let text = edge.admin_get("/metrics").1;
    let stated = kit::metric(&text, "klatsch_connection_memory_bytes{transport=\"events\"}").unwrap();
    assert!(each < stated, "{each} octets for each, {stated} are stated");
}

/// The end of its stream is a client's leaving, and what it still sends means nothing.
#[test]
fn who_leaves_is_gone() {
    let edge = edge();
    let (mut events, _) = Events::open(&edge, "/rooms/r/events", &[]);
    events.write(b"GET / HTTP/1.1\r\n\r\nSEND\ndestination:/topic/r\n\nno\0");
    Wire::connect(&edge).send("/topic/r", "yes");
    assert_eq!(events.bodies(1), ["yes"]);
    drop(events);
    eventually("the session ends", PATIENCE, || (edge.metric("klatsch_subscriptions") == 0.0).then_some(()));
}

/// `--http-api off`: nothing is there.
#[test]
fn off_is_off() {
    let edge = Edge::start(&["--log-memory", "--http-api", "off"]);
    for target in ["/rooms/r/events", "/events?room=a", "/rooms/r/socket"] {
        assert_eq!(Events::ask(&edge, target, &[("Connection", "close")]).status, 404);
    }
}
