//! The page: its files, and the headers that keep everything foreign out.

use crate::support::Edge;

#[test]
fn the_page_allows_its_own_origin_only() {
    let edge = Edge::start(|_| ());
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/compare", "text/html; charset=utf-8"),
        ("/klatsch.js", "text/javascript; charset=utf-8"),
        ("/ways.js", "text/javascript; charset=utf-8"),
        ("/compare.css", "text/css; charset=utf-8"),
        ("/stomp.js", "text/javascript; charset=utf-8"),
        ("/link.js", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let answer = edge.ask(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!((answer.status, answer.field("content-type")), (200, Some(content_type)), "{path}");
        assert!(!answer.body.is_empty());
        let policy = answer.field("content-security-policy").unwrap();
        for directive in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "connect-src 'self'"] {
            assert!(policy.split("; ").any(|one| one == directive), "{directive} in {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.field("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.field("cache-control"), Some("no-cache"));
    }
}

#[test]
fn an_unchanged_file_is_not_sent_again() {
    let edge = Edge::start(|_| ());
    let mut client = edge.client();
    let first = client.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let etag = first.field("etag").unwrap();
    for (tags, status) in [
        (etag.to_owned(), 304),
        (format!("\"other\", W/{etag}"), 304),
        ("*".to_owned(), 304),
        ("\"other\"".to_owned(), 200),
        ("\u{e9}".to_owned(), 200),
    ] {
        let answer = client.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: {tags}\r\n\r\n"));
        assert_eq!((answer.status, answer.field("etag")), (status, Some(etag)), "{tags}");
        assert_eq!(answer.body.is_empty(), status == 304);
    }
    let script = client.ask("GET /klatsch.js HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_ne!(script.field("etag"), Some(etag));
}

#[test]
fn the_page_is_read_only_and_optional() {
    let edge = Edge::start(|_| ());
    let answer = edge.ask("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((answer.status, answer.field("allow")), (405, Some("GET, HEAD")));
    let mut client = edge.client();
    client.say("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let head = String::from_utf8(client.rest()).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(edge.ask("GET /../Cargo.toml HTTP/1.1\r\nHost: a\r\n\r\n").status, 404);

    let edge = Edge::start(|settings| settings.page = false);
    for path in ["/", "/compare", "/compare/state", "/compare/cut"] {
        assert_eq!(edge.ask(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).status, 404, "{path}");
    }
}

/// What the page counts with: how long the fields were that its browser has sent, each name once.
#[test]
fn the_state_tells_how_long_the_fields_of_its_request_were() {
    let edge = Edge::start(|_| ());
    let answer = edge.ask("GET /compare/state HTTP/1.1\r\nHost: a\r\nX-Two: 1\r\nx-two: 22\r\n\r\n");
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/json")));
    assert_eq!(
        (answer.field("cache-control"), answer.field("x-content-type-options")),
        (Some("no-store"), Some("nosniff"))
    );
    let state: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let two = "X-Two: 1\r\nx-two: 22\r\n".len();
    assert_eq!(state["request"], serde_json::json!({"host": "Host: a\r\n".len(), "x-two": two}));
    assert_eq!(state["cut"], true);
    let refused = edge.ask("POST /compare/state HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((refused.status, refused.field("allow")), (405, Some("GET, HEAD")));
}

/// A page of another origin must not cut connections through its reader's browser.
#[test]
fn only_the_page_itself_may_cut_the_connections() {
    let edge = Edge::start(|_| ());
    let ask = |method: &str, more: &str| {
        edge.ask(format!("{method} /compare/cut HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n{more}\r\n"))
    };
    for origin in ["Origin: https://evil.example\r\n", "Origin: null\r\n", "Origin: https://a\r\nOrigin: https://a\r\n"]
    {
        assert_eq!(ask("POST", origin).status, 403, "{origin}");
    }
    let refused = ask("GET", "");
    assert_eq!((refused.status, refused.field("allow")), (405, Some("POST")));
    assert_eq!(edge.events.count("cut"), 0);
    for origin in ["Origin: https://a\r\n", ""] {
        assert_eq!(ask("POST", origin).status, 200);
    }
    assert_eq!(edge.events.count("cut"), 2);
}
