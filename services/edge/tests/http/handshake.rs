//! The opening handshake: what is let through, what is not, and that no byte is lost on the way.

use std::io::{Read, Write};

use klatsch_edge::upgrade::Socket;
use socket2::SockRef;

use crate::support::{Edge, PATIENCE, UPGRADE};

fn get(fields: &str) -> String {
    format!("GET /ws HTTP/1.1\r\n{fields}\r\n")
}

/// [`UPGRADE`] with one line replaced; an empty replacement removes it.
fn instead(name: &str, line: &str) -> String {
    let lines = UPGRADE.split_inclusive("\r\n").map(|old| if old.starts_with(name) { line } else { old });
    let changed: String = lines.collect();
    assert_ne!(changed, UPGRADE);
    get(&changed)
}

/// Reads `length` bytes: those that were read ahead, then the socket's.
fn read_exactly(socket: &mut Socket, length: usize) -> Vec<u8> {
    socket.stream.set_nonblocking(false).unwrap();
    socket.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = socket.read_ahead.to_vec();
    let ahead = bytes.len();
    bytes.resize(length, 0);
    socket.stream.read_exact(&mut bytes[ahead..]).unwrap();
    bytes
}

#[test]
fn a_correct_handshake_hands_the_socket_over() {
    let edge = Edge::start(|_| ());
    let mut client = edge.client();
    let answer = client.ask(get(UPGRADE));
    assert_eq!((answer.status, answer.body.as_str()), (101, ""));
    assert_eq!(answer.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(answer.field("upgrade"), Some("websocket"));
    assert_eq!(answer.field("connection"), Some("Upgrade"));

    let mut socket = edge.socket();
    edge.events.wait("upgraded", 1);
    edge.wait_for_counts(1, 0);
    assert_eq!(socket.peer, client.stream.local_addr().unwrap());
    assert!(socket.read_ahead.is_empty());
    let nothing = socket.stream.read(&mut [0; 1]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    let options = SockRef::from(&socket.stream);
    assert!(options.tcp_nodelay().unwrap());
    assert_eq!(options.tcp_notsent_lowat().unwrap(), 16 * 1024);

    socket.stream.write_all(b"both ways").unwrap();
    drop(socket);
    assert_eq!(client.rest(), b"both ways");
    edge.wait_for_counts(0, 0);
}

/// W01, W02: the best of the offered ones, never one that was not offered.
#[test]
fn w01_w02_the_subprotocol_is_chosen_from_the_offer() {
    let edge = Edge::start(|_| ());
    for (offered, chosen) in [
        ("", None),
        ("Sec-WebSocket-Protocol: v10.stomp, v11.stomp, v12.stomp\r\n", Some("v12.stomp")),
        ("Sec-WebSocket-Protocol: v11.stomp,v10.stomp\r\n", Some("v11.stomp")),
        ("Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Protocol: v10.stomp\r\n", Some("v10.stomp")),
        ("Sec-WebSocket-Protocol: mqtt, V12.STOMP\r\n", None),
        ("Sec-WebSocket-Protocol: \r\n", None),
        ("Sec-WebSocket-Protocol: \u{e9}\r\n", None),
    ] {
        let answer = edge.ask(get(&format!("{UPGRADE}{offered}")));
        assert_eq!((answer.status, answer.field("sec-websocket-protocol")), (101, chosen), "{offered}");
        assert_eq!(edge.socket().protocol, chosen, "{offered}");
    }
}

/// W06: frames that travel in the request's segment, or behind it byte by byte, all arrive.
#[test]
fn w06_bytes_behind_the_request_arrive() {
    let edge = Edge::start(|_| ());
    let connect = b"\x81\x85\x01\x02\x03\x04CONNECT-and-more";
    let mut client = edge.client();
    client.say([get(UPGRADE).as_bytes(), connect].concat());
    assert_eq!(client.answer().status, 101);
    assert_eq!(read_exactly(&mut edge.socket(), connect.len()), connect);

    let mut client = edge.client();
    for byte in [get(UPGRADE).as_bytes(), connect].concat() {
        client.say([byte]);
    }
    assert_eq!(client.answer().status, 101);
    assert_eq!(read_exactly(&mut edge.socket(), connect.len()), connect);

    // More than hyper's buffer holds: part of it was read ahead, part is still in the socket.
    let large: Vec<u8> = (0..60_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let mut client = edge.client();
    client.say([get(UPGRADE).as_bytes(), &large].concat());
    assert_eq!(client.answer().status, 101);
    assert_eq!(read_exactly(&mut edge.socket(), large.len()), large);
}

#[test]
fn what_is_no_handshake_is_refused_and_the_connection_goes_on() {
    let edge = Edge::start(|_| ());
    let duplicate = |line: &str| get(&format!("{UPGRADE}{line}"));
    for (request, status) in [
        (instead("Upgrade", ""), 426),
        (instead("Upgrade", "Upgrade: foo\r\n"), 426),
        (instead("Upgrade", "Upgrade:\r\n"), 426),
        (instead("Upgrade", "Upgrade: websocket/13\r\n"), 426),
        (instead("Upgrade", "Upgrade: \u{ff}websocket\r\n"), 426),
        (instead("Upgrade", "Upgrade: h2c\r\n"), 426),
        (instead("Connection", ""), 426),
        (instead("Connection", "Connection: keep-alive\r\n"), 426),
        (instead("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8\r\n"), 426),
        (instead("Sec-WebSocket-Version", ""), 426),
        (duplicate("Sec-WebSocket-Version: 8\r\n"), 426),
        (instead("Sec-WebSocket-Key", ""), 400),
        (instead("Sec-WebSocket-Key", "Sec-WebSocket-Key: short==\r\n"), 400),
        (instead("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==\r\n"), 400),
        (duplicate("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400),
        (instead("Host", ""), 400),
        (duplicate("Host: other.example\r\n"), 400),
        (format!("{}hello", duplicate("Content-Length: 5\r\n")), 400),
        (get(UPGRADE).replacen("GET", "POST", 1), 405),
        (get(UPGRADE).replacen("GET", "OPTIONS", 1), 405),
        (get(UPGRADE).replacen("/ws", "/ws/", 1), 404),
        (get(UPGRADE).replacen("/ws", "/other", 1), 404),
    ] {
        let mut client = edge.client();
        let answer = client.ask(&request);
        assert_eq!(answer.status, status, "{request}");
        if status == 426 {
            assert_eq!(answer.field("sec-websocket-version"), Some("13"));
            assert_eq!(answer.field("upgrade"), Some("websocket"));
        }
        if status == 405 {
            assert_eq!(answer.field("allow"), Some("GET"));
        }
        assert_eq!(client.ask(get(UPGRADE)).status, 101, "after {request}");
        edge.socket();
    }
    assert_eq!(edge.events.count("version"), 3);
    assert_eq!(edge.events.count("method"), 2);
}

/// CVE-2020-7693: an Upgrade field where none is expected must not harm the process.
#[test]
fn an_upgrade_on_a_plain_path_is_a_plain_request() {
    let edge = Edge::start(|_| ());
    for upgrade in ["websocket", "WebSocket, websocket", "foo", "h2c", ",", "\u{ff}"] {
        for (path, status) in [("/", 200), ("/unknown", 404), ("*", 404)] {
            for connection in ["Connection: Upgrade\r\n", ""] {
                let fields = format!("Host: a\r\n{connection}Upgrade: {upgrade}\r\n");
                let answer = edge.ask(format!("GET {path} HTTP/1.1\r\n{fields}\r\n"));
                assert_eq!(answer.status, status, "{path} {upgrade}");
            }
        }
    }
    let transfer = format!("{UPGRADE}Transfer-Encoding: chunked\r\n");
    assert_eq!(edge.ask(format!("{}0\r\n\r\n", get(&transfer))).status, 400);
    edge.wait_for_counts(0, 0);
}

#[test]
fn http_1_0_is_answered_but_cannot_upgrade() {
    let edge = Edge::start(|_| ());
    let mut client = edge.client();
    assert_eq!(client.ask(get(UPGRADE).replacen("HTTP/1.1", "HTTP/1.0", 1)).status, 426);
    let mut client = edge.client();
    let answer = client.ask("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(answer.status, 200);
    assert!(client.rest().is_empty(), "HTTP/1.0 without keep-alive closes");
}

/// W22: a foreign page is refused; a program without an Origin is not.
#[test]
fn w22_origin() {
    let edge = Edge::start(|_| ());
    for (origin, status) in [
        ("", 101),
        ("Origin: https://chat.example\r\n", 101),
        ("Origin: https://evil.example\r\n", 403),
        ("Origin: null\r\n", 403),
        ("Origin: \u{e9}\r\n", 403),
        ("Origin: https://chat.example\r\nOrigin: https://chat.example\r\n", 403),
    ] {
        assert_eq!(edge.ask(get(&format!("{UPGRADE}{origin}"))).status, status, "{origin}");
    }
    assert_eq!(edge.events.count("origin"), 4);
}

/// W23: every place where a token may be travels with the socket, and none of them is ever printed.
#[test]
fn w23_what_may_hold_a_token_travels_along() {
    let edge = Edge::start(|_| ());
    let fields = format!("{UPGRADE}Authorization: Bearer s3cret\r\nCookie: a=s3cret\r\nCookie: b=2\r\n");
    edge.ask(format!("GET /ws?token=s3cret%20x&a HTTP/1.1\r\n{fields}\r\n"));
    let socket = edge.socket();
    assert_ne!(socket.credentials, Default::default());
    assert!(!format!("{socket:?}").contains("s3cret"));
    edge.ask(get(UPGRADE));
    assert_eq!(edge.socket().credentials, Default::default());
}
