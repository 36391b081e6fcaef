//! `--auth jwt` over the wire: who gets in, from where the token comes, what it opens, and when it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::time::{Duration, Instant, SystemTime};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use kit::edge::Edge;
use kit::wire::{Wire, message};
use serde_json::{Value, json};

const SECRET: &str = "0123456789abcdef0123456789abcdef-a-secret-of-the-test";

struct Auth {
    edge: Edge,
    _key: tempfile::NamedTempFile,
}

fn start(more: &[&str]) -> Auth {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), SECRET).unwrap();
    let path = key.path().to_str().unwrap().to_owned();
    let args = ["--log-memory", "--auth", "jwt", "--jwt-alg", "HS256", "--jwt-key", &path];
    Auth { edge: Edge::start(&[&args, more].concat()), _key: key }
}

/// Seconds since the epoch, this many from now.
fn at(seconds: i64) -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64() + seconds as f64
}

fn signed(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

/// A good token for these rooms.
fn token(user: &str, send: &[&str], subscribe: &[&str]) -> String {
    let claims = json!({"sub": user, "exp": at(600), "klatsch.send": send, "klatsch.subscribe": subscribe});
    signed(Algorithm::HS256, SECRET, &claims)
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn connect(edge: &Edge, token: &str, more: &[(&str, &str)]) -> Wire {
    let bearer = bearer(token);
    Wire::connect_with(edge, &[&[("accept-version", "1.2"), ("Authorization", &bearer)], more].concat())
}

/// V09, E05: ERROR 401, close 4501, no CONNECTED, nothing of what was pipelined behind; the token is not repeated, not
/// even in the log.
#[test]
fn v09_missing_bad_foreign_and_expired_tokens() {
    let auth = start(&["--jwt-issuer", "us", "--open-rooms"]);
    let good = json!({"sub": "eve", "exp": at(600), "iss": "us"});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        signed(Algorithm::HS256, SECRET, &claims)
    };
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJldmUiLCJleHAiOjk5OTk5OTk5OTksImlzcyI6InVzIn0.".to_owned();
    let mut room =
        Wire::connect_with(&auth.edge, &[("accept-version", "1.2"), ("Authorization", &with("a", json!(1)))]);
    room.subscribe("0", "/topic/r");
    for (what, token) in [
        ("missing", String::new()),
        ("bad", "not.a.token".to_owned()),
        ("alg none", unsigned),
        ("foreign key", signed(Algorithm::HS256, "another secret, thirty-two octets long", &good)),
        ("other algorithm", signed(Algorithm::HS384, SECRET, &good)),
        ("foreign issuer", with("iss", json!("them"))),
        ("expired", with("exp", json!(at(-31)))),
        ("not yet valid", with("nbf", json!(at(60)))),
        ("no exp", with("exp", Value::Null)),
        ("no sub", with("sub", Value::Null)),
        ("sub with LF", with("sub", json!("eve\nadmin"))),
    ] {
        let mut wire = Wire::open(&auth.edge);
        let mut octets = match &*token {
            "" => message("CONNECT", &[("accept-version", "1.2")], ""),
            token => message("CONNECT", &[("accept-version", "1.2"), ("Authorization", &bearer(token))], ""),
        };
        octets.extend(message("SEND", &[("destination", "/topic/r"), ("receipt", "r")], what));
        wire.raw(&octets);
        let error = wire.refused("401", 4501);
        assert_eq!(error.header("receipt-id"), None, "{what}");
        if token.len() > 20 {
            let middle = &token[token.len() / 2..][..10];
            assert!(!format!("{error:?}").contains(middle) && !auth.edge.log().contains(middle), "{what}");
        }
    }
    room.send("/topic/r", "end");
    assert_eq!(room.message(), "end", "V11: nothing behind a refused CONNECT was executed");
}

/// P20 and DESIGN §9: the session ends at `exp`: ERROR 401, close 4501; one with a later `exp` stays.
#[test]
fn p20_the_session_ends_at_exp() {
    let auth = start(&["--open-rooms"]);
    let mut stays = connect(&auth.edge, &token("ann", &["r"], &["r"]), &[]);
    let began = Instant::now();
    let short = signed(Algorithm::HS256, SECRET, &json!({"sub": "eve", "exp": at(2)}));
    let mut wire = connect(&auth.edge, &short, &[]);
    wire.send("/topic/r", "in time");
    let error = wire.refused("401", 4501);
    assert_eq!(error.header("x-error"), Some("credentials_expired"));
    let took = began.elapsed();
    assert!(took > Duration::from_millis(1500) && took < Duration::from_secs(5), "{took:?}");
    stays.send("/topic/r", "still here");
}

/// Promise 6, V10: `sender` is the token's `sub`, whatever the client writes; U06, S05: rights are per room and per
/// direction, and a refusal ends the session.
#[test]
fn s05_u06_rights_and_sender() {
    let auth = start(&[]);
    let mut ann = connect(&auth.edge, &token("ann", &["r", "team-*"], &["r"]), &[("login", "root")]);
    ann.subscribe("0", "/topic/r");
    ann.say("SEND", &[("destination", "/topic/r"), ("sender", "root"), ("user-name", "root")], "hi");
    assert_eq!(ann.expect("MESSAGE").header("sender"), Some("ann"));
    ann.send("/topic/team-7", "write only");
    for (command, destination) in
        [("SEND", "/topic/secret"), ("SUBSCRIBE", "/topic/secret"), ("SUBSCRIBE", "/topic/team-7"), ("SEND", "/pub/R")]
    {
        let mut wire = connect(&auth.edge, &token("ann", &["r", "team-*"], &["r"]), &[]);
        wire.say(command, &[("destination", destination), ("id", "1"), ("receipt", "no")], "");
        let error = wire.refused("403", 1008);
        assert_eq!(error.header("receipt-id"), Some("no"), "E02");
    }
    // A transaction is judged as a whole.
    let mut wire = connect(&auth.edge, &token("ann", &["r"], &["r"]), &[]);
    wire.say("BEGIN", &[("transaction", "t")], "");
    wire.say("SEND", &[("destination", "/topic/secret"), ("transaction", "t"), ("receipt", "no")], "x");
    wire.say("COMMIT", &[("transaction", "t")], "");
    wire.refused("403", 1008);
    // A token without a claim opens nothing.
    let mut wire = connect(&auth.edge, &signed(Algorithm::HS256, SECRET, &json!({"sub": "a", "exp": at(60)})), &[]);
    wire.say("SUBSCRIBE", &[("destination", "/topic/r"), ("id", "1")], "");
    wire.refused("403", 1008);
}

/// §7, soft errors: asked for and granted, a refusal is a MESSAGE and the session lives; without a subscription to them it
/// ends all the same; protocol faults always end it.
#[test]
fn p16_soft_errors() {
    let auth = start(&[]);
    let soft = [("x-errors", "soft")];
    let mut wire = connect(&auth.edge, &token("ann", &["r"], &["r"]), &soft);
    wire.subscribe("errors", "/user/queue/errors");
    wire.subscribe("0", "/topic/r");
    for (command, destination, code) in [
        ("SEND", "/topic/secret", "403"),
        ("SUBSCRIBE", "/topic/secret", "403"),
        ("SEND", "/nowhere", "404"),
        ("SUBSCRIBE", "/topic/a*", "404"),
    ] {
        wire.say(command, &[("destination", destination), ("id", "1"), ("receipt", "no")], "");
        let error = wire.expect("MESSAGE");
        assert_eq!(error.header("destination"), Some("/user/queue/errors"));
        assert_eq!(error.header("subscription"), Some("errors"));
        assert_eq!((error.header("x-error-code"), error.header("receipt-id")), (Some(code), Some("no")));
    }
    // U03: the refused SUBSCRIBE left its id free.
    wire.subscribe("1", "/topic/r");
    wire.say("SEND", &[("destination", "/topic/r"), ("receipt", "r")], "alive");
    let mut commands: Vec<String> = (0..3).map(|_| wire.frame().command).collect();
    commands.sort();
    assert_eq!(commands, ["MESSAGE", "MESSAGE", "RECEIPT"]);
    wire.say("ABORT", &[("transaction", "none")], "");
    wire.refused("404", 1002);

    let mut wire = connect(&auth.edge, &token("ann", &["r"], &["r"]), &soft);
    wire.say("SEND", &[("destination", "/topic/secret")], "x");
    wire.refused("403", 1008);
}

/// W23, P18, P19: each source alone opens the session; two that agree do; two that differ do not.
#[test]
fn w23_sources_of_the_token() {
    let auth = start(&["--auth-cookie", "session", "--auth-header", "X-AUTH-TOKEN", "--auth-header", "Authorization"]);
    let (one, two) = (token("ann", &[], &["r"]), token("bob", &[], &["r"]));
    let (bearer_one, bearer_two) = (bearer(&one), bearer(&two));
    let query = |token: &str| format!("/ws?a=b&token={token}");
    let cookie = |token: &str| format!("theme=dark; session={token}; x=y");
    let (cookie_one, cookie_two) = (cookie(&one), cookie(&two));
    type Pairs<'a> = Vec<(&'a str, &'a str)>;
    let cases: [(String, Pairs<'_>, Pairs<'_>, Option<&str>); 11] = [
        ("/ws".into(), vec![], vec![("authorization", &bearer_one)], Some("ann")),
        ("/ws".into(), vec![], vec![("x-auth-token", &one)], Some("ann")),
        ("/ws".into(), vec![("Authorization", &bearer_one)], vec![], Some("ann")),
        ("/ws".into(), vec![("Authorization", "Basic eDp5")], vec![("Authorization", &one)], Some("ann")),
        ("/ws".into(), vec![("Cookie", &cookie_one)], vec![], Some("ann")),
        (query(&one), vec![], vec![], Some("ann")),
        (query(&two), vec![("Authorization", &bearer_two)], vec![("Authorization", &bearer_two)], Some("bob")),
        (query(&two), vec![], vec![("Authorization", &bearer_one)], None),
        ("/ws".into(), vec![("Cookie", &cookie_two)], vec![("Authorization", &bearer_one)], None),
        (query(&one), vec![("Cookie", &cookie_two)], vec![], None),
        ("/ws".into(), vec![], vec![("Authorization", &bearer_one), ("X-AUTH-TOKEN", &two)], None),
    ];
    for (case, (target, upgrade, connect, user)) in cases.into_iter().enumerate() {
        let mut wire = Wire::ask(&auth.edge, &target, &upgrade).unwrap();
        wire.say("CONNECT", &[&[("accept-version", "1.2")][..], &connect[..]].concat(), "");
        match user {
            Some(user) => assert_eq!(wire.expect("CONNECTED").header("user-name"), Some(user), "case {case}"),
            None => drop(wire.refused("401", 4501)),
        }
    }
    assert!(!auth.edge.log().contains(&one) && !auth.edge.log().contains(&two));
}

/// P02: whatever a room is called, the right that counts is the one to the room.
#[test]
fn p02_rights_are_those_to_the_room_that_results() {
    let auth = start(&[
        "--alias-send",
        "/app/chat.{room}.send",
        "--alias-send",
        "/pub/",
        "--alias-subscribe",
        "/sub/chat/room/",
        "--send-by-body",
        "/pub/chat/message=/roomId",
    ]);
    // The right to a room that is called like the destination is no right to the one in the body.
    let token = token("kim", &["7", "chat/*"], &["7"]);
    let mut kim = connect(&auth.edge, &token, &[]);
    let mut reader = connect(&auth.edge, &token, &[]);
    reader.subscribe("0", "/sub/chat/room/7");
    let seven = r#"{"roomId":7}"#;
    for (destination, body) in
        [("/pub/chat/message", seven), ("/app/chat.7.send", "a"), ("/pub/7", "b"), ("/topic/7", "c")]
    {
        kim.send(destination, body);
        assert_eq!(reader.message(), body, "{destination}");
    }
    for (command, destination, body) in [
        ("SEND", "/pub/chat/message", r#"{"roomId":8}"#),
        ("SEND", "/pub/chat/message", r#"{"roomId":7,"roomId":8}"#),
        ("SEND", "/pub/chat/message", r#"{"roomId":"70"}"#),
        ("SEND", "/app/chat.8.send", ""),
        ("SEND", "/pub/8", ""),
        ("SUBSCRIBE", "/sub/chat/room/8", ""),
        ("SUBSCRIBE", "/topic/chat/room/7", ""),
    ] {
        let mut wire = connect(&auth.edge, &token, &[]);
        wire.say(command, &[("id", "0"), ("destination", destination), ("receipt", "s")], body);
        assert_eq!(wire.refused("403", 1008).header("receipt-id"), Some("s"), "{destination} {body}");
    }
}

/// P18, P19: which CONNECT headers carry the token is a setting, and case does not count; others are not looked at. What
/// is refused gets ERROR and close, and no CONNECTED; what is accepted reaches no room.
#[test]
fn p18_p19_the_headers_of_the_token_are_a_setting() {
    let (default, set) = (start(&[]), start(&["--auth-header", "token", "--auth-header", "X-AUTH-TOKEN"]));
    let good = token("ann", &["r"], &["r"]);
    let bearer = bearer(&good);
    for (auth, name, value, taken) in [
        (&default, "Authorization", &bearer, true),
        (&default, "authorization", &bearer, true),
        (&default, "AUTHORIZATION", &good, true),
        (&default, "token", &good, false),
        (&default, "X-AUTH-TOKEN", &good, false),
        (&default, "passcode", &good, false),
        (&set, "token", &good, true),
        (&set, "Token", &bearer, true),
        (&set, "x-auth-token", &good, true),
        (&set, "Authorization", &bearer, false),
        (&set, "access_token", &good, false),
    ] {
        let mut wire = Wire::open(&auth.edge);
        wire.say("CONNECT", &[("accept-version", "1.2"), (name, value)], "");
        if !taken {
            wire.refused("401", 4501);
            continue;
        }
        assert_eq!(wire.expect("CONNECTED").header("user-name"), Some("ann"), "{name}");
        wire.say("SUBSCRIBE", &[("id", "0"), ("destination", "/topic/r"), ("receipt", "sub"), (name, value)], "");
        wire.receipt("sub");
        wire.say("SEND", &[("destination", "/topic/r"), (name, value), ("x-mine", "1")], "hi");
        let got = wire.expect("MESSAGE");
        assert_eq!(got.header("x-mine"), Some("1"));
        assert!(got.headers.iter().all(|(_, got)| !got.contains(&**value)), "S03: {got:?}");
    }
}

/// W22: a foreign page is turned away before it is a WebSocket; no Origin is no page.
#[test]
fn w22_a_foreign_origin() {
    let strict = Edge::start(&["--log-memory", "--allow-origin", "https://chat.example", "--require-origin"]);
    let default = Edge::start(&["--log-memory"]);
    for (edge, origin, status) in [
        (&strict, Some("https://chat.example"), None),
        (&strict, Some("https://evil.example"), Some(403)),
        (&strict, Some("http://chat.example"), Some(403)),
        (&strict, Some("null"), Some(403)),
        (&strict, None, Some(403)),
        (&default, Some("http://chat.example"), None),
        (&default, Some("https://evil.example"), Some(403)),
        (&default, None, None),
    ] {
        let headers: Vec<_> = origin.iter().map(|origin| ("Origin", *origin)).collect();
        assert_eq!(Wire::ask(edge, "/ws", &headers).err(), status, "{origin:?}");
    }
}
