//! `GET /rooms/{room}/messages`: history, polling, long polling. p1 to p10 are the promises of the README.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod kit;

use std::time::{Duration, Instant};

use kit::edge::Edge;
use kit::http::{Answer, Http, ask, bodies};
use kit::users::Users;
use kit::wire::{PATIENCE, Wire};
use serde_json::{Value, json};

const ROOM: &str = "/rooms/r/messages";

fn edge() -> Edge {
    Edge::start(&["--log-memory", "--partitions", "1"])
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

fn next(answer: &Answer) -> String {
    answer.json()["next"].as_str().unwrap().to_owned()
}

fn ids(answer: &Answer) -> Vec<String> {
    let messages = answer.json()["messages"].as_array().unwrap().clone();
    messages.iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect()
}

/// Stores it, and waits until this edge has read it back: its own id is a token that is waited for.
fn said(http: &mut Http, body: impl ToString) -> String {
    let id = http.post(ROOM, body.to_string());
    assert_eq!(http.get(&format!("{ROOM}?after={id}")).json()["recovered"], true);
    id
}

/// p2, p3, p4: page by page from the first one: all of them, once, in order; `more` says when to go on at once.
#[test]
fn p2_p3_p4_pages_are_the_room() {
    let edge = edge();
    let mut http = Http::to(&edge);
    let stored: Vec<String> = (0..250).map(|n| said(&mut http, n)).collect();
    let (mut token, mut seen, mut read) = ("first".to_owned(), Vec::new(), Vec::new());
    for page in 0.. {
        let answer = http.get(&format!("{ROOM}?after={token}&limit=60"));
        assert_eq!(answer.json()["recovered"], true);
        assert_eq!(answer.json()["more"], page < 4, "page {page}");
        assert_eq!(bodies(&answer).len(), if page < 4 { 60 } else { 10 });
        seen.extend(ids(&answer));
        read.extend(bodies(&answer));
        token = next(&answer);
        if page == 4 {
            break;
        }
        assert_eq!(Some(&token), seen.last());
    }
    assert_eq!((read, &seen), (numbers(0..250), &stored));
    let last = http.get(&format!("{ROOM}?limit=3"));
    assert_eq!((bodies(&last), ids(&last)), (numbers(247..250), stored[247..].to_vec()));
    assert_eq!((last.json()["more"].clone(), last.json().get("recovered")), (json!(false), None));
    assert_eq!(bodies(&http.get(ROOM)), numbers(150..250), "a hundred unless it says otherwise");
    let message = &last.json()["messages"][0];
    assert_eq!(
        (&message["type"], &message["room"], &message["replayed"]),
        (&"message".into(), &"r".into(), &true.into())
    );
    let from = message["timestamp"].as_i64().unwrap();
    assert!(bodies(&http.get(&format!("{ROOM}?after=@{from}"))).contains(&"247".to_owned()));
    assert_eq!(http.get("/rooms/empty/messages").json()["messages"], json!([]));
}

/// p3: a token of any room of the partition goes on; what is no token, or of a log that is no more, is told and not guessed.
#[test]
fn p3_p7_nothing_is_skipped_in_silence() {
    let edge = edge();
    let mut http = Http::to(&edge);
    let first = http.post(ROOM, "0");
    let elsewhere = http.post("/rooms/other/messages", "elsewhere");
    assert_eq!(http.get(&format!("{ROOM}?after={elsewhere}")).json()["recovered"], true, "a token of the partition");
    let quiet = http.get(&format!("{ROOM}?after={first}"));
    assert_eq!((bodies(&quiet).len(), quiet.json()["more"].clone()), (0, json!(false)));
    assert!(next(&quiet).starts_with("0-1-"), "behind what was said elsewhere: {}", next(&quiet));
    said(&mut http, "1");
    assert_eq!(bodies(&http.get(&format!("{ROOM}?after={}", next(&quiet)))), ["1"]);
    for lost in ["nonsense", "0-0-00000000", "0-99-12345678", "7-0-12345678", "%0A", "", "FIRST"] {
        let answer = http.get(&format!("{ROOM}?after={lost}"));
        let expected = json!({"room": "r", "messages": [], "next": next(&answer), "more": false, "recovered": false});
        assert_eq!((answer.status, answer.json(), answer.field("etag")), (200, expected, None), "{lost}");
        assert!(next(&answer).starts_with("0-2-"), "{}", next(&answer));
    }
    let began = Instant::now();
    assert_eq!(http.get(&format!("{ROOM}?after=nonsense&wait=30")).json()["recovered"], false);
    assert!(began.elapsed() < Duration::from_secs(10), "a gap is told at once");
    assert_eq!(http.get(&format!("{ROOM}?after=now")).json()["recovered"], true);
}

/// Who knows the answer is not told it again; who knows another one is.
#[test]
fn an_answer_that_is_known_is_304() {
    let edge = edge();
    let mut http = Http::to(&edge);
    let id = said(&mut http, "0");
    let answer = http.get(ROOM);
    let etag = format!("W/\"{id}\"");
    assert_eq!((answer.field("etag"), answer.field("content-type")), (Some(&*etag), Some("application/json")));
    assert_eq!(
        (answer.field("cache-control"), answer.field("x-content-type-options")),
        (Some("no-store"), Some("nosniff"))
    );
    let mut ask = |target: &str, known: &str| {
        let answer = http.ask("GET", target, &[("If-None-Match", known)], b"");
        assert_eq!(answer.field("etag"), Some(&*etag));
        (answer.status, answer.body.is_empty(), answer.field("content-type").map(str::to_owned))
    };
    let after = format!("{ROOM}?after={id}");
    for target in [ROOM, &after] {
        for known in [&*etag, &format!("\"{id}\""), &format!("\"x\", {etag}"), "*"] {
            assert_eq!(ask(target, known), (304, true, None), "{target} {known}");
        }
        assert_eq!(ask(target, "\"x\"").0, 200);
    }
    said(&mut http, "1");
    let answer = http.ask("GET", &after, &[("If-None-Match", &etag)], b"");
    assert_eq!(bodies(&answer), ["1"]);
    let head = http.ask("HEAD", ROOM, &[], b"");
    assert!(head.status == 200 && head.field("content-length").unwrap().parse::<usize>().unwrap() > 100);
    assert_eq!(http.get(ROOM).status, 200, "nothing follows HEAD");
}

/// p2, p3: a wait ends with the first message, whoever says it; many that come together are answered together.
#[test]
fn p2_p3_a_wait_ends_with_a_message() {
    let edge = edge();
    let mut stomp = Wire::connect(&edge);
    let mut token = next(&ask(&edge, "GET", ROOM, &[], ""));
    let mut http = Http::to(&edge);
    for n in 0..10 {
        http.say("GET", &format!("{ROOM}?after={token}&wait=60"), &[], b"");
        waiting(&edge, 1);
        let id =
            if n % 2 == 0 { stomp.send("/topic/r", &n.to_string()) } else { Http::to(&edge).post(ROOM, n.to_string()) };
        let answer = http.answer();
        assert_eq!((bodies(&answer), ids(&answer)), (vec![n.to_string()], vec![id.clone()]));
        assert_eq!(answer.json()["messages"][0].get("replayed"), None);
        token = next(&answer);
        assert_eq!(token, id);
    }
    // What came while nobody asked is there at once.
    stomp.send("/topic/r", "10");
    let answer = http.get(&format!("{ROOM}?after={token}&wait=60"));
    assert_eq!(bodies(&answer), ["10"]);
    // Without a token: the last ones, or the first.
    assert_eq!(bodies(&http.get(&format!("{ROOM}?limit=2&wait=60"))), ["9", "10"]);
    http.say("GET", "/rooms/new/messages?wait=60", &[], b"");
    waiting(&edge, 1);
    stomp.send("/topic/new", "hello");
    assert_eq!(bodies(&http.answer()), ["hello"]);
}

/// How many requests wait.
fn waiting(edge: &Edge, count: usize) {
    kit::eventually("they wait", PATIENCE, || {
        let text = edge.admin_get("/metrics").1;
        let sessions = text.lines().find_map(|it| it.strip_prefix("klatsch_transport_sessions{transport=\"poll\"} "));
        // A session is let in before it has its room.
        let rooms = kit::metric(&text, "klatsch_subscriptions");
        (sessions.unwrap().parse() == Ok(count) && rooms >= Some(count as f64)).then_some(())
    });
}

/// A wait ends by itself, with a token that goes on.
#[test]
fn p3_a_wait_ends_by_itself() {
    let edge = edge();
    let mut http = Http::to(&edge);
    let began = Instant::now();
    let answer = http.get(&format!("{ROOM}?after=now&wait=1"));
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!((bodies(&answer).len(), answer.field("etag")), (0, Some("W/\"now\"")));
    http.post(ROOM, "0");
    let after = http.get(&format!("{ROOM}?after={}&wait=60", next(&answer)));
    assert_eq!((bodies(&after), after.json()["recovered"].clone()), (vec!["0".to_owned()], json!(true)));
}

/// p8: an edge that goes answers who waits with what there is, and sends it elsewhere.
#[test]
fn p8_a_wait_ends_with_the_edge() {
    let mut edge = edge();
    let id = Http::to(&edge).post(ROOM, "0");
    let mut waits: Vec<Http> = (0..20).map(|_| Http::to(&edge)).collect();
    waits.iter_mut().for_each(|http| http.say("GET", &format!("{ROOM}?after={id}&wait=60"), &[], b""));
    waiting(&edge, 20);
    let began = Instant::now();
    edge.signal(rustix::process::Signal::TERM);
    for http in &mut waits {
        let answer = http.answer();
        assert_eq!((bodies(&answer).len(), next(&answer), answer.field("connection")), (0, id.clone(), Some("close")));
        assert!(http.is_closed());
    }
    assert!(edge.exit(Duration::from_secs(15)).success());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

/// p7: whoever goes away while it waits leaves nothing behind.
#[test]
fn p7_who_goes_away_leaves_nothing() {
    let edge = edge();
    let mut waits: Vec<Http> = (0..20).map(|_| Http::to(&edge)).collect();
    waits.iter_mut().for_each(|http| http.say("GET", &format!("{ROOM}?wait=60"), &[], b""));
    waiting(&edge, 20);
    drop(waits);
    waiting(&edge, 0);
    let text = edge.admin_get("/metrics").1;
    assert_eq!(kit::metric(&text, "klatsch_subscriptions"), Some(0.0));
}

/// p6: what is refused has its status.
#[test]
fn p6_refusals_are_statuses() {
    let users = Users::new();
    let closed = users.args().into_iter().filter(|arg| *arg != "--open-rooms");
    let edge = Edge::start(&["--log-memory"].into_iter().chain(closed).collect::<Vec<_>>());
    let rights = json!({"klatsch": {"send": [], "subscribe": ["r"]}});
    let bearer = format!("Bearer {}", Users::token_with("ann", &rights));
    let ann = ("Authorization", bearer.as_str());
    for (target, fields, status, code) in [
        (ROOM, vec![], 401, "bad_credentials"),
        ("/rooms/other/messages", vec![ann], 403, "forbidden"),
        ("/rooms/other/messages?wait=60", vec![ann], 403, "forbidden"),
        ("/rooms/r/messages", vec![ann, ("Origin", "https://evil.example")], 403, "origin"),
        ("/rooms/%2A/messages", vec![ann], 404, "unknown_destination"),
        ("/rooms/%ff/messages", vec![ann], 404, "unknown_destination"),
        ("/rooms/r/messages?limit=0", vec![ann], 400, "malformed"),
        ("/rooms/r/messages?limit=1001", vec![ann], 400, "malformed"),
        ("/rooms/r/messages?wait=61", vec![ann], 400, "malformed"),
        ("/rooms/r/messages?wait=1.5", vec![ann], 400, "malformed"),
        ("/rooms/r/messages?after=first&after=now", vec![ann], 400, "malformed"),
    ] {
        let answer = ask(&edge, "GET", target, &fields, "");
        let problem: Value = answer.problem();
        assert_eq!((answer.status, &problem["code"]), (status, &code.into()), "{target}");
        assert_eq!(problem.get("outcome"), None);
    }
    assert_eq!(ask(&edge, "GET", ROOM, &[ann], "").status, 200);
    let description = ask(&edge, "GET", "/openapi.yaml", &[], "");
    assert_eq!((description.status, description.field("content-type")), (200, Some("application/yaml")));
    assert!(description.text().starts_with("openapi: 3.1"), "nobody has to be let in to read how one gets in");
}

/// L04, p7: a large page ends where it is large enough, and says that there is more.
#[test]
fn l04_a_page_is_bounded_in_octets() {
    let edge = edge();
    let mut http = Http::to(&edge);
    (0..20).for_each(|n| drop(said(&mut http, format!("{n:0>60000}"))));
    let (mut token, mut read) = ("first".to_owned(), 0);
    loop {
        let answer = http.get(&format!("{ROOM}?after={token}&limit=1000"));
        assert!(answer.body.len() < 530_000, "{}", answer.body.len());
        for body in bodies(&answer) {
            assert_eq!(body.trim_start_matches('0').parse().unwrap_or(0), read);
            read += 1;
        }
        token = next(&answer);
        if answer.json()["more"] == false {
            break;
        }
    }
    assert_eq!(read, 20);
}
