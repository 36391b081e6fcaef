//! `xhr` and `xhr_send`.

use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::kit::edge::Edge;
use crate::kit::eventually;
use crate::kit::users::Users;
use crate::kit::wire::{PATIENCE, Wire};
use crate::support::{Http, Polling, ask, edge, get, post, session_url, strings};

const INTERRUPTED: &str = "c[1002,\"Connection interrupted\"]\n";

/// J14, J16, J04, J06: the first request opens the session; each later one waits and gets one frame.
#[test]
fn j14_j16_a_session_that_polls() {
    let edge = edge(&[]);
    let url = session_url();
    let page = [("Origin", "http://page.example")];
    let opened = ask(&edge, "POST", &format!("{url}/xhr"), &page, "");
    assert_eq!((opened.status, opened.body.as_str()), (200, "o\n"));
    assert_eq!(opened.field("content-type"), "application/javascript; charset=UTF-8");
    let connect = r#"["CONNECT\naccept-version:1.2\n\n\u0000"]"#;
    let sent = ask(&edge, "POST", &format!("{url}/xhr_send"), &page, connect);
    assert_eq!((sent.status, sent.body.as_str()), (204, ""));
    assert_eq!(sent.field("content-type"), "text/plain; charset=UTF-8");
    for answer in [opened, sent] {
        assert_eq!(answer.field("access-control-allow-origin"), "http://page.example");
        assert_eq!(answer.field("cache-control"), "no-store, no-cache, no-transform, must-revalidate, max-age=0");
    }
    let polling = Polling { edge: &edge, url };
    let connected = polling.poll();
    assert!(connected.starts_with("a[\"CONNECTED\\n") && connected.ends_with("\\u0000\"]\n"), "{connected}");
    polling.say("SUBSCRIBE", &[("id", "0"), ("destination", "/topic/j14"), ("receipt", "r")], "");
    assert_eq!(polling.frames()[0].header("receipt-id"), Some("r"));
    // It waits until there is something.
    let mut waiting = Http::to(&edge);
    waiting.say("POST", &format!("{}/xhr", polling.url), &[], "");
    let mut plain = Wire::connect(&edge);
    plain.send("/topic/j14", "안녕 🎉");
    let answer = waiting.answer();
    assert!(strings(answer.body.trim_end())[0].ends_with("\n\n안녕 🎉\0"), "{}", answer.body);
    // What has come meanwhile comes together.
    (0..5).for_each(|n| drop(plain.send("/topic/j14", &n.to_string())));
    let mut bodies = Vec::new();
    while bodies.len() < 5 {
        bodies.extend(polling.frames().into_iter().map(|frame| String::from_utf8(frame.body).unwrap()));
    }
    assert_eq!(bodies, ["0", "1", "2", "3", "4"]);
}

/// J16: what `xhr_send` answers to what it cannot use; the session survives.
#[test]
fn j16_what_cannot_be_sent() {
    let edge = edge(&[]);
    let nobody = post(&edge, &format!("{}/xhr_send", session_url()), "[\"a\"]");
    assert_eq!((nobody.status, nobody.field("access-control-allow-origin")), (404, "*"));
    let polling = Polling::open(&edge);
    let send = |body: &str| {
        let answer = polling.send(body);
        (answer.status, answer.body)
    };
    assert_eq!(send(""), (500, "Payload expected.".to_owned()));
    for broken in ["[\"x", "[1]", "{}", "x"] {
        assert_eq!(send(broken), (500, "Broken JSON encoding.".to_owned()), "{broken}");
    }
    assert_eq!(send("[]"), (204, String::new()));
    for content_type in ["text/plain", "T", "application/json", "", "text/xml; charset=utf-8"] {
        let fields = [("Content-Type", content_type)];
        let answer = ask(&edge, "POST", &format!("{}/xhr_send", polling.url), &fields, "[\"\\n\"]");
        assert_eq!(answer.status, 204, "{content_type}");
    }
    polling.say("CONNECT", &[("accept-version", "1.2")], "");
    assert_eq!(polling.frames()[0].command, "CONNECTED");
    for path in ["xhr", "xhr_send", "xhr_streaming"] {
        let answer = get(&edge, &format!("{}/{path}", polling.url));
        assert_eq!((answer.status, answer.field("allow")), (405, "OPTIONS, POST"), "{path}");
    }
}

/// J08: another server part is the same session; another base path is another one.
#[test]
fn j08_the_server_part_says_nothing() {
    let edge = edge(&["--ws-path", "/ws", "--ws-path", "/stomp"]);
    assert_eq!(post(&edge, "/ws/000/j08/xhr", "").body, "o\n");
    assert_eq!(post(&edge, "/ws/999/j08/xhr_send", r#"["CONNECT\n\n\u0000"]"#).status, 204);
    assert_eq!(post(&edge, "/stomp/000/j08/xhr", "").body, "o\n");
    assert!(post(&edge, "/ws/abc%20/j08/xhr", "").body.starts_with("a[\"CONNECTED\\n"));
}

/// J18: a second request that waits is turned away, and the first one goes on.
#[test]
fn j18_one_request_at_a_time() {
    let edge = edge(&[]);
    let polling = Polling::connect(&edge);
    let mut first = Http::to(&edge);
    first.say("POST", &format!("{}/xhr", polling.url), &[], "");
    // Requests are taken in the order in which they come.
    let answer = post(&edge, &format!("{}/xhr", polling.url), "");
    assert_eq!((answer.status, answer.body.as_str()), (200, "c[2010,\"Another connection still open\"]\n"));
    polling.say("SEND", &[("destination", "/topic/j18"), ("receipt", "r")], "still here");
    assert!(first.answer().body.contains("receipt-id:r"));
}

/// J18, D05: who breaks a request off has lost its session, and it is out of its rooms.
#[test]
fn j18_a_request_broken_off_ends_the_session() {
    let edge = edge(&[]);
    let polling = Polling::connect(&edge);
    polling.say("SUBSCRIBE", &[("id", "0"), ("destination", "/topic/j18"), ("receipt", "r")], "");
    polling.frames();
    assert_eq!(edge.metric("klatsch_subscriptions"), 1.0);
    let mut waiting = Http::to(&edge);
    waiting.say("POST", &format!("{}/xhr", polling.url), &[], "");
    waiting.stream.shutdown(Shutdown::Both).unwrap();
    eventually("the session is over", PATIENCE, || (edge.metric("klatsch_subscriptions") == 0.0).then_some(()));
    for _ in 0..2 {
        assert_eq!(polling.poll(), INTERRUPTED, "for some seconds it is known how it ended");
    }
    assert_eq!(polling.send("[\"\\n\"]").status, 204, "what it still sends is lost on its way");
}

/// J18, E03: how a session ended is said again and again, then the id is free.
#[test]
fn j18_the_close_is_said_until_it_is_forgotten() {
    let edge = edge(&[]);
    let polling = Polling::connect(&edge);
    polling.say("DISCONNECT", &[("receipt", "bye")], "");
    assert_eq!(polling.frames()[0].header("receipt-id"), Some("bye"));
    for _ in 0..3 {
        assert_eq!(polling.poll(), "c[1000,\"\"]\n");
    }
    eventually("it is forgotten", 2 * PATIENCE, || (polling.poll() == "o\n").then_some(()));

    let polling = Polling::open(&edge);
    polling.say("SEND", &[("destination", "/topic/x")], "before CONNECT");
    assert_eq!(polling.frames()[0].header("x-error-code"), Some("400"));
    assert_eq!(polling.poll(), "c[1002,\"STOMP protocol error\"]\n");
}

/// J19: a session that nobody asks for is gone after five seconds, with its subscriptions (D05).
#[test]
fn j19_who_does_not_ask_is_gone() {
    let edge = edge(&[]);
    let polling = Polling::connect(&edge);
    polling.say("SUBSCRIBE", &[("id", "0"), ("destination", "/topic/j19"), ("receipt", "r")], "");
    polling.frames();
    let since = Instant::now();
    eventually("the session is over", PATIENCE, || (edge.metric("klatsch_subscriptions") == 0.0).then_some(()));
    assert!(since.elapsed() > Duration::from_secs(4), "{:?}", since.elapsed());
    eventually("and forgotten", PATIENCE, || (polling.send("[]").status == 404).then_some(()));
    assert_eq!(polling.poll(), "o\n", "the id is as good as any");
}

/// J19, B09: a request that waits is answered with `h` before proxies lose patience, where STOMP has no beats of its own;
/// and the session goes on.
#[test]
fn j19_h_where_there_is_nothing_to_say() {
    let edge = edge(&[]);
    let polling = Polling::connect(&edge);
    let mut waiting = Http::to(&edge);
    waiting.stream.set_read_timeout(Some(4 * PATIENCE)).unwrap();
    let since = Instant::now();
    waiting.say("POST", &format!("{}/xhr", polling.url), &[], "");
    assert_eq!(waiting.answer().body, "h\n");
    assert!(since.elapsed() > Duration::from_secs(20), "{:?}", since.elapsed());
    polling.say("DISCONNECT", &[("receipt", "bye")], "");
    assert_eq!(polling.frames()[0].header("receipt-id"), Some("bye"));
}

/// J19: other credentials than those that opened a session do not find it.
#[test]
fn j19_a_session_belongs_to_who_opened_it() {
    let users = Users::new();
    let edge = Edge::start(&[&users.args()[..], &["--dev", "--auth-cookie", "session"]].concat());
    let (ada, eve) = (Users::token("ada"), Users::token("eve"));
    let url = session_url();
    let cookie = |token: &str| format!("session={token}");
    let bearer = |token: &str| format!("Bearer {token}");
    let opened = ask(&edge, "POST", &format!("{url}/xhr"), &[("Cookie", &cookie(&ada))], "");
    assert_eq!((opened.status, opened.body.as_str()), (200, "o\n"));
    for (fields, query) in [
        (vec![], String::new()),
        (vec![("Cookie", cookie(&eve))], String::new()),
        (vec![("Authorization", bearer(&ada))], String::new()),
        (vec![("Cookie", cookie(&ada)), ("Authorization", bearer(&eve))], String::new()),
        (vec![], format!("?token={ada}")),
    ] {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for method in ["xhr", "xhr_streaming", "xhr_send"] {
            let answer = ask(&edge, "POST", &format!("{url}/{method}{query}"), &fields, "[\"a\"]");
            assert_eq!(answer.status, 404, "{method} {fields:?} {query}");
        }
    }
    let (mine, connect) = ([("Cookie", cookie(&ada))], r#"["CONNECT\naccept-version:1.2\n\n\u0000"]"#);
    let mine: Vec<_> = mine.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(ask(&edge, "POST", &format!("{url}/xhr_send"), &mine, connect).status, 204);
    let connected = ask(&edge, "POST", &format!("{url}/xhr"), &mine, "").body;
    assert!(connected.contains("user-name:ada"), "W23: the cookie is the session's token: {connected}");
}

/// J20: with sessions that poll, a balancer that looks for `JSESSIONID` finds one on every answer of theirs: the client's
/// own, or one.
#[test]
fn j20_jsessionid_for_balancers() {
    let edge = edge(&[]);
    for (sent, cookie) in [
        ("", "dummy"),
        ("JSESSIONID=abcdef", "abcdef"),
        ("a=b; JSESSIONID=\"x y\"", "dummy"),
        ("x=1; JSESSIONID=f00!node-2", "f00!node-2"),
        ("JSESSIONID=", "dummy"),
    ] {
        let fields: Vec<_> = Some(("Cookie", sent)).filter(|_| !sent.is_empty()).into_iter().collect();
        let url = session_url();
        for (method, body) in [("xhr", ""), ("xhr_send", "[]")] {
            let answer = ask(&edge, "POST", &format!("{url}/{method}"), &fields, body);
            assert_eq!(answer.field("set-cookie"), format!("JSESSIONID={cookie}; Path=/; HttpOnly"), "{method} {sent}");
        }
    }
}

/// What is switched off is not there, and says so at once: the client then tries nothing else.
#[test]
fn j02_j20_without_xhr_its_paths_are_404() {
    let edge = edge(&["--sockjs-xhr", "off"]);
    for method in ["POST", "GET", "OPTIONS"] {
        for path in ["xhr", "xhr_streaming", "xhr_send"] {
            let answer = ask(&edge, method, &format!("/ws/0/off/{path}"), &[("Origin", "null")], "");
            assert_eq!((answer.status, answer.field("set-cookie")), (404, ""), "{method} {path}");
        }
    }
    assert!(Wire::ask(&edge, "/ws/0/off/websocket", &[]).is_ok());
}
