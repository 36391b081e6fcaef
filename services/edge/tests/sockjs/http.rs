//! What is asked for over plain HTTP: greeting, `/info`, preflights, what is not there.

use crate::kit::edge::Edge;
use crate::kit::wire::Wire;
use crate::support::{Answer, Http, ask, edge, get, post};

const NOBODY_KEEPS_IT: &str = "no-store, no-cache, no-transform, must-revalidate, max-age=0";

#[track_caller]
fn assert_not_kept(answer: &Answer) {
    assert_eq!(answer.field("cache-control"), NOBODY_KEEPS_IT);
    assert_eq!((answer.field("expires"), answer.field("last-modified")), ("", ""));
}

/// J01: the greeting, with and without a slash, whatever the query; with a body length, and on a connection that goes on.
#[test]
fn j01_the_greeting() {
    let edge = edge(&[]);
    let mut http = Http::to(&edge);
    for path in ["/ws", "/ws/", "/ws?token=x", "/ws/?a"] {
        http.say("GET", path, &[("Connection", "Keep-Alive")], "");
        let answer = http.answer();
        assert_eq!((answer.status, answer.body.as_str()), (200, "Welcome to SockJS!\n"), "{path}");
        assert_eq!(answer.field("content-type"), "text/plain; charset=UTF-8");
        assert_eq!((answer.field("set-cookie"), answer.field("content-length")), ("", "19"));
    }
    let mut old = Http::to(&edge);
    old.raw(b"GET /ws HTTP/1.0\r\n\r\n");
    let answer = old.answer();
    assert_eq!((answer.body.as_str(), answer.field("transfer-encoding")), ("Welcome to SockJS!\n", ""));
    assert!(old.is_closed());
    assert_eq!(post(&edge, "/ws/", "").status, 405);
}

/// J01, J07, J08, J17: nothing else is there, not even what other servers have for browsers of the past.
#[test]
fn j01_j07_j08_j17_everything_else_is_404() {
    let edge = edge(&[]);
    for path in [
        "/a",
        "/a.html",
        "//",
        "///",
        "/a/a",
        "/a/a/",
        "/a/",
        "/info/",
        "/iframe.html",
        "/iframe-1.6.1.html",
        "/iframe-.html",
        "/iframe.htm",
        "/a/a/jsonp",
        "/a/a/jsonp_send",
        "/a/a/htmlfile",
        "/a/a/eventsource",
        "///xhr",
        "/a./a/xhr",
        "/a/a./xhr",
        "/./././xhr",
        "//xhr",
        "////xhr",
        "/a/a/xhr/",
        "/a/a/a/xhr",
        "/a//xhr",
        "/a/a/XHR",
        "/a./a/websocket",
        "/websocket/",
    ] {
        for method in ["GET", "POST", "OPTIONS"] {
            let answer = ask(&edge, method, &format!("/ws{path}"), &[], "");
            assert_eq!((answer.status, answer.field("set-cookie")), (404, ""), "{method} {path}");
        }
    }
}

/// J02, J04: what the server can do; entropy is another each time, and nobody keeps the answer.
#[test]
fn j02_j04_info() {
    let edge = edge(&[]);
    let mut seen = Vec::new();
    for path in ["/ws/info", "/ws/info?t=1", "/ws/info", "/ws/info"] {
        let answer = ask(&edge, "GET", path, &[("Origin", "http://page.example")], "");
        assert_eq!((answer.status, answer.field("set-cookie")), (200, ""));
        assert_eq!(answer.field("content-type"), "application/json; charset=UTF-8");
        assert_not_kept(&answer);
        let info: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((&info["websocket"], &info["origins"]), (&true.into(), &serde_json::json!(["*:*"])));
        assert_eq!((&info["cookie_needed"], info.get("base_url")), (&true.into(), None));
        let entropy = info["entropy"].as_u64().unwrap();
        assert!(entropy <= u32::MAX.into());
        assert!(!seen.contains(&entropy), "a 32-bit number twice in four");
        seen.push(entropy);
    }
    assert_eq!(ask(&edge, "POST", "/ws/info", &[], "").status, 405);
}

/// J02: with a URL of its own an edge pins those who poll to itself; without XHR nobody has to be pinned.
#[test]
fn j02_base_url_pins_a_session_to_its_edge() {
    let url = "https://edge-0.chat.example:8443/chat";
    for (args, base_url) in [
        (&["--public-url", url, "--ws-path", "/stomp", "--ws-path", "/ws"][..], Some(format!("{url}/ws"))),
        (&["--public-url", url, "--sockjs-xhr", "off"], None),
        (&["--sockjs-xhr", "off"], None),
    ] {
        let edge = edge(args);
        let info: serde_json::Value = serde_json::from_str(&get(&edge, "/ws/info").body).unwrap();
        assert_eq!(info.get("base_url").and_then(|url| url.as_str()), base_url.as_deref());
        assert_eq!(info["cookie_needed"], base_url.is_some(), "J20");
    }
}

/// J03, J05, J06: preflights may be kept for a year, name the methods, and allow what the page wants to send.
#[test]
fn j03_j05_j06_preflights() {
    let edge = edge(&[]);
    for (path, methods) in [
        ("/ws/info", "OPTIONS, GET"),
        ("/ws/a/a/xhr", "OPTIONS, POST"),
        ("/ws/a/a/xhr_streaming", "OPTIONS, POST"),
        ("/ws/a/a/xhr_send", "OPTIONS, POST"),
    ] {
        for (origin, headers) in [("http://test.example", "a, b, c"), ("null", ""), ("test", "content-type")] {
            let fields = [("Origin", origin), ("Access-Control-Request-Headers", headers)];
            let answer = ask(&edge, "OPTIONS", path, &fields, "");
            assert_eq!((answer.status, answer.body.as_str()), (204, ""));
            assert_eq!(answer.field("cache-control"), "public, max-age=31536000");
            assert!(answer.field("expires").ends_with(" GMT"), "{}", answer.field("expires"));
            assert_eq!(answer.field("access-control-allow-methods"), methods);
            assert!(answer.field("access-control-max-age").parse::<u32>().unwrap() > 1_000_000);
            assert_eq!(answer.field("access-control-allow-origin"), origin);
            assert_eq!(answer.field("access-control-allow-credentials"), "true");
            assert_eq!(answer.field("access-control-allow-headers"), headers);
            assert!(answer.field("vary").contains("Origin"));
            assert_eq!(answer.field("set-cookie"), "");
        }
    }
}

/// J06: the page is named, with credentials; a program is told `*`, without.
#[test]
fn j06_who_may_read_an_answer() {
    let edge = edge(&[]);
    for (origin, allowed, credentials) in
        [(Some("http://page.example"), "http://page.example", "true"), (Some("null"), "null", "true"), (None, "*", "")]
    {
        let fields: Vec<_> = origin.map(|origin| ("Origin", origin)).into_iter().collect();
        for (method, path) in [("GET", "/ws/info"), ("POST", "/ws/0/j06/xhr_send")] {
            let answer = ask(&edge, method, path, &fields, "");
            assert_eq!(answer.field("access-control-allow-origin"), allowed, "{path}");
            assert_eq!(answer.field("access-control-allow-credentials"), credentials);
            assert_eq!(answer.field("vary"), "Origin");
        }
    }
}

/// P20, W22: only pages that may connect; others get 403 everywhere, and no permission to read even that.
#[test]
fn p20_foreign_pages_are_refused_on_every_path() {
    let edge = Edge::start(&["--dev", "--allow-origin", "https://chat.example", "--require-origin"]);
    let foreign = [("Origin", "https://evil.example")];
    for (method, path) in [
        ("GET", "/ws/info"),
        ("OPTIONS", "/ws/info"),
        ("POST", "/ws/0/p20/xhr"),
        ("POST", "/ws/0/p20/xhr_streaming"),
        ("POST", "/ws/0/p20/xhr_send"),
        ("OPTIONS", "/ws/0/p20/xhr"),
    ] {
        for fields in [&foreign[..], &[("Origin", "null")], &[("Origin", "https://chat.example"), ("Origin", "null")]] {
            let answer = ask(&edge, method, path, fields, "");
            assert_eq!((answer.status, answer.field("access-control-allow-origin")), (403, ""), "{method} {path}");
        }
        // A browser says nothing when a page of the same origin asks with GET.
        let same = ask(&edge, method, path, &[], "");
        assert_eq!(same.status == 403, method != "GET", "{method} {path}");
    }
    for path in ["/ws", "/ws/websocket", "/ws/0/p20/websocket"] {
        assert_eq!(Wire::ask(&edge, path, &foreign).err(), Some(403), "{path}");
        assert!(Wire::ask(&edge, path, &[("Origin", "https://chat.example")]).is_ok(), "{path}");
    }
}

/// J12: what is no opening handshake, on SockJS's paths; the base path itself keeps RFC 9110's words.
#[test]
fn j12_websocket_paths_without_a_handshake() {
    let edge = edge(&[]);
    for path in ["/ws/0/0/websocket", "/ws/websocket"] {
        let answer = get(&edge, path);
        assert_eq!((answer.status, answer.body.trim()), (400, r#"Can "Upgrade" only to "WebSocket"."#));
        let answer = ask(&edge, "GET", path, &[("Upgrade", "WebSocket"), ("Connection", "close")], "");
        assert_eq!((answer.status, answer.body.trim()), (400, r#""Connection" must be "Upgrade"."#));
        for fields in [&[("Upgrade", "WebSocket"), ("Connection", "Upgrade")][..], &[]] {
            let answer = ask(&edge, "POST", path, fields, "");
            assert_eq!((answer.status, answer.field("allow"), answer.body.as_str()), (405, "GET", ""));
            assert_eq!(answer.field("content-type"), "");
        }
    }
    assert_eq!(ask(&edge, "GET", "/ws", &[("Upgrade", "WebSocket"), ("Connection", "close")], "").status, 426);
}

/// P01: each base path upgrades at exactly that path, and has SockJS below it; of two within each other the longer one
/// decides.
#[test]
fn p01_several_base_paths() {
    let paths = ["/ws", "/ws-stomp", "/connect", "/stomp", "/gs-guide-websocket", "/ws/nested"];
    let args: Vec<&str> = paths.iter().flat_map(|path| ["--ws-path", path]).collect();
    let edge = edge(&args);
    for path in paths {
        let mut wire = Wire::ask(&edge, path, &[]).unwrap();
        wire.say("CONNECT", &[("accept-version", "1.2")], "");
        wire.expect("CONNECTED");
        assert_eq!(get(&edge, path).body, "Welcome to SockJS!\n");
        assert_eq!(get(&edge, &format!("{path}/info")).status, 200);
        assert_eq!(post(&edge, &format!("{path}/000/p01/xhr"), "").body, "o\n", "{path}: a session of its own");
        assert!(Wire::ask(&edge, &format!("{path}/websocket"), &[]).is_ok());
        assert_eq!(Wire::ask(&edge, &format!("{path}/"), &[]).err(), Some(404));
    }
    assert_eq!(Wire::ask(&edge, "/wsx", &[]).err(), Some(404));
    assert_eq!(get(&edge, "/ws-stomp2/info").status, 404);
}
