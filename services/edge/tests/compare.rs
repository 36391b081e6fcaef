//! The page of the four ways into a room: what it asks of its edge, and all of it in headless Chromium.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use kit::edge::Edge;
use kit::eventually;
use kit::http::{Http, bodies};
use kit::node::Node;
use kit::tcp::{Heard, Tcp};
use kit::wire::{Incoming, Wire};

/// Well above what the whole script takes on a busy machine with two cores.
const STEP: Duration = Duration::from_secs(180);

fn post_cut(edge: &Edge) -> String {
    let mut stream = TcpStream::connect(&edge.listen).unwrap();
    let request = format!("POST /compare/cut HTTP/1.0\r\nHost: {0}\r\nOrigin: http://{0}\r\n\r\n", edge.listen);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// No word, no close frame, a reset: what a client knows of a network that breaks. Who comes then is served.
#[test]
fn p8_the_cut_resets_every_connection_and_nothing_else() {
    let edge = Edge::start(&["--dev", "--workers", "2", "--stomp-listen", "127.0.0.1:0"]);
    let mut sessions: Vec<Tcp> = (0..4).map(|_| Tcp::connect(&edge)).collect();
    sessions.iter_mut().for_each(|session| session.subscribe("0", "/topic/room"));
    let mut browser = Wire::connect(&edge);
    let stored = browser.send("/topic/room", "before");
    for session in &mut sessions {
        assert_eq!(session.expect("MESSAGE").header("message-id"), Some(&*stored));
    }
    assert!(post_cut(&edge).starts_with("HTTP/1.0 200 "), "it is answered itself");
    for session in &mut sessions {
        assert_eq!(session.next(), Heard::End { reset: true });
    }
    assert_eq!(browser.next(), Incoming::End { reset: true }, "without a close frame");
    let lost = "klatsch_connections_closed_total{code=\"client_lost\"}";
    eventually("all of them are lost", STEP, || (edge.metric(lost) == 5.0).then_some(()));
    eventually("nothing is left of them", STEP, || (edge.metric("klatsch_connections") == 0.0).then_some(()));
    assert_eq!((edge.metric("klatsch_subscriptions"), edge.metric("klatsch_outbound_queued_bytes")), (0.0, 0.0));

    let mut again = Tcp::connect(&edge);
    let from = [("id", "0"), ("destination", "/topic/room"), ("receipt", "r"), ("x-from", &*stored)];
    again.say("SUBSCRIBE", &from, "");
    assert_eq!(again.receipt("r").header("x-recovered"), Some("true"));
}

/// p8: who polls is cut off too, while it waits and between two questions, and asks again by its token. A connection that
/// nobody has let in, such as the page's own, is not.
#[test]
fn p8_the_cut_resets_those_who_poll() {
    let edge = Edge::start(&["--dev"]);
    let room = "/rooms/room/messages";
    let (mut waiting, mut idle, mut page) = (Http::to(&edge), Http::to(&edge), Http::to(&edge));
    let token = idle.post(room, "before");
    waiting.say("GET", &format!("{room}?after={token}&wait=60"), &[], b"");
    assert_eq!(page.get("/compare").status, 200);
    eventually("it waits", STEP, || (edge.metric("klatsch_subscriptions") == 1.0).then_some(()));
    assert!(post_cut(&edge).starts_with("HTTP/1.0 200 "), "it is answered itself");
    for http in [&mut waiting, &mut idle] {
        let end = http.stream.read(&mut [0]).unwrap_err();
        assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    }
    eventually("nothing is left of it", STEP, || (edge.metric("klatsch_subscriptions") == 0.0).then_some(()));
    assert_eq!(page.get("/compare").status, 200);
    let id = page.post(room, "after");
    let answer = Http::to(&edge).get(&format!("{room}?after={token}&wait=60"));
    assert_eq!((bodies(&answer), answer.json()["messages"][0]["id"].as_str()), (vec!["after".to_owned()], Some(&*id)));
    // The page's browser keeps its connections, and may ask for the cut on one of those that were let in.
    let answer = page.ask("POST", "/compare/cut", &[("Origin", &format!("http://{}", edge.listen))], b"");
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// An edge that is in earnest does not even know the path.
#[test]
fn only_a_developers_edge_can_be_cut() {
    let edge = Edge::start(&["--log-memory", "--page"]);
    let mut session = Wire::connect(&edge);
    assert!(post_cut(&edge).starts_with("HTTP/1.0 404 "));
    session.send("/topic/room", "still here");
    session.subscribe("0", "/topic/room");
    let state = || -> serde_json::Value {
        let (status, state) = kit::http_get(&edge.listen, "/compare/state").unwrap();
        assert_eq!(status, 200);
        serde_json::from_str(&state).unwrap()
    };
    assert_eq!((&state()["cut"], &state()["subscriptions"]), (&false.into(), &1.into()));
    eventually("the connection is counted", STEP, || (state()["connections"] == 1).then_some(()));
}

/// Promises 2, 3, 4 and 8 on every way at once, as a reader sees them. The script (`js/compare.mjs`) runs its own proxy
/// before the edge, so that what the page says of its octets is held against those that went by.
#[test]
fn p2_p3_p4_p8_four_ways_into_one_room_and_what_a_cut_costs_each() {
    if !kit::require_node() || !kit::require_browser() {
        return;
    }
    let edge = Edge::start(&["--dev"]);
    let mut script = Node::start("compare.mjs", &[&edge.listen]);
    let end = script.wait_for("the script ends", STEP, |_| true);
    assert_eq!(end["at"], "passed", "{}", end["why"].as_str().unwrap_or_default());
}
