//! STOMP on a bare TCP stream (`--stomp-listen`): the same sessions as over WebSocket, with an LF behind each frame (F26)
//! and the end of the stream for a close.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::net::Shutdown;
use std::time::Duration;

use kit::edge::Edge;
use kit::frame;
use kit::tcp::{Heard, Tcp};
use kit::users::Users;
use kit::wire::{PATIENCE, Wire};

const TCP: [&str; 3] = ["--log-memory", "--stomp-listen", "127.0.0.1:0"];

fn start(more: &[&str]) -> Edge {
    Edge::start(&[&TCP, more].concat())
}

/// F26, p2: TCP and WebSocket meet in one room, see the same messages under the same ids, and each gets frames as its
/// transport has them.
#[test]
fn f26_tcp_and_websocket_meet_in_a_room() {
    let edge = start(&[]);
    let (mut tcp, mut other, mut web) = (Tcp::connect(&edge), Tcp::connect(&edge), Wire::connect(&edge));
    tcp.subscribe("0", "/topic/r");
    // The same shape but for the transport.
    web.subscribe("0", "/topic/r");
    other.subscribe("mine", "/topic/r");
    let large = "ß".repeat(32 * 1024);
    for body in ["안녕하세요 😀", "", "two\nlines\n", &large] {
        let id = tcp.send("/topic/r", body);
        for (message, subscription) in [(tcp.expect("MESSAGE"), "0"), (other.expect("MESSAGE"), "mine")] {
            assert_eq!((message.body.as_slice(), message.header("message-id")), (body.as_bytes(), Some(id.as_str())));
            assert_eq!(message.header("subscription"), Some(subscription));
        }
        // `Wire` takes nothing but one frame in a message: no LF behind it.
        let message = web.expect("MESSAGE");
        assert_eq!((message.body.as_slice(), message.header("message-id")), (body.as_bytes(), Some(id.as_str())));
    }
    web.say("SEND", &[("destination", "/topic/r")], "from a browser");
    assert_eq!(tcp.expect("MESSAGE").header("message-id"), web.expect("MESSAGE").header("message-id"));
    other.say("DISCONNECT", &[("receipt", "bye")], "");
    assert_eq!(other.frame().command, "MESSAGE");
    other.receipt("bye");
    other.ended();
}

/// F20, F21, F04: a stream has no boundaries; how it is cut decides nothing.
#[test]
fn f20_pieces_do_not_matter() {
    let edge = start(&[]);
    let dialogue = "\n\r\nCONNECT\r\naccept-version:1.1,1.2\r\nhost:h\r\n\r\n\0\n\n\
                    SUBSCRIBE\nid:0\ndestination:/topic/p\nreceipt:s\n\n\0\
                    SEND\ndestination:/topic/p\ncontent-length:3\nreceipt:1\n\na\0b\0\n\
                    SEND\ndestination:/topic/p\nreceipt:2\n\n€\0DISCONNECT\nreceipt:bye\n\n\0";
    for size in [1, 2, 7, dialogue.len()] {
        let mut tcp = Tcp::open(&edge);
        dialogue.as_bytes().chunks(size).for_each(|piece| tcp.raw(piece));
        tcp.expect("CONNECTED");
        let mut seen = Vec::new();
        while seen.last().is_none_or(|last| last != "RECEIPT bye") {
            let frame = tcp.frame();
            let what = frame
                .header("receipt-id")
                .map_or_else(|| String::from_utf8_lossy(&frame.body).into_owned(), str::to_owned);
            seen.push(format!("{} {what}", frame.command));
        }
        // Whether a message is seen before DISCONNECT has been read is a race; its receipt is none. A SUBSCRIBE's comes
        // from elsewhere than a SEND's.
        let receipts = seen.iter().filter(|what| what.starts_with("RECEIPT") && *what != "RECEIPT s");
        assert!(receipts.eq(["RECEIPT 1", "RECEIPT 2", "RECEIPT bye"]), "in pieces of {size}: {seen:?}");
        assert!(seen.contains(&"RECEIPT s".to_owned()), "in pieces of {size}: {seen:?}");
        tcp.ended();
    }
}

/// D04, p1: a client that ends its side of the stream at once still gets what it has asked for, then the end.
#[test]
fn d04_a_client_that_has_said_all_still_listens() {
    let edge = start(&[]);
    let mut reader = Tcp::connect(&edge);
    reader.subscribe("0", "/topic/d");
    let connect = frame::write("CONNECT", &[("accept-version", "1.2"), ("host", "h")], "");
    for count in [0, 1, 200] {
        let mut tcp = Tcp::open(&edge);
        let sends = (0..count).map(|at| {
            frame::write("SEND", &[("destination", "/topic/d"), ("receipt", &at.to_string())], &at.to_string())
        });
        tcp.raw(format!("{connect}{}", sends.collect::<String>()).as_bytes());
        tcp.stream.shutdown(Shutdown::Write).unwrap();
        tcp.expect("CONNECTED");
        (0..count).for_each(|at| assert_eq!(tcp.expect("RECEIPT").header("receipt-id"), Some(at.to_string().as_str())));
        tcp.ended();
        (0..count).for_each(|at| assert_eq!(reader.expect("MESSAGE").body, at.to_string().as_bytes()));
    }
    kit::eventually("nobody but the reader is left", PATIENCE, || {
        (edge.metric("klatsch_connections") == 1.0).then_some(())
    });
}

/// E01, E03, E06, L02: every fault is an ERROR that arrives and then the end of the stream, however much the client goes
/// on to say; others go on.
#[test]
fn e06_error_then_the_end_whatever_follows() {
    let edge = start(&["--max-body", "4KiB", "--max-headers", "9KiB"]);
    let mut bystander = Tcp::connect(&edge);
    bystander.subscribe("0", "/topic/e");
    let junk = vec![b'x'; 512 * 1024];
    for (octets, code) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "400"),
        ("CONNECT\naccept-version:9.9\n\n\0".to_owned(), "426"),
        ("CONNECT\naccept-version:1.2\nbroken\n\n\0".to_owned(), "400"),
        (format!("CONNECT\nlong:{}\n", "v".repeat(20_000)), "413"),
    ] {
        let mut tcp = Tcp::open(&edge);
        tcp.raw(octets.as_bytes());
        tcp.try_raw(&junk);
        tcp.refused(code);
    }
    for (octets, code) in [
        ("SEND\n\nno destination\0".to_owned(), "400"),
        ("NONSENSE\n\n\0".to_owned(), "400"),
        ("SEND\ndestination:/topic/e\ncontent-length:4097\n\n".to_owned(), "413"),
        (format!("SEND\ndestination:/topic/e\n\n{}", "b".repeat(5000)), "413"),
        (format!("SEND\n{}\n\0", "h:v\n".repeat(101)), "413"),
    ] {
        let mut tcp = Tcp::connect(&edge);
        tcp.raw(octets.as_bytes());
        tcp.try_raw(&junk);
        tcp.refused(code);
    }
    bystander.send("/topic/e", "still here");
    assert_eq!(bystander.expect("MESSAGE").body, b"still here");
}

/// L05: without CONNECT in time a connection is told so and ends, whether it says nothing or half of it.
#[test]
fn l05_connect_has_to_come_in_time() {
    let edge = start(&["--connect-timeout", "300ms"]);
    let mut waiting: Vec<Tcp> = (0..3).map(|_| Tcp::open(&edge)).collect();
    waiting[1].raw(b"CONNECT\naccept-ver");
    waiting[2].raw(b"\n");
    for tcp in &mut waiting {
        assert_eq!(tcp.refused("400").header("x-error"), Some("connect_timeout"));
    }
}

/// L05 goes on after CONNECT: a frame that has begun has to end in time, however it trickles and whatever carries it; who
/// sends whole frames for longer than that, or nothing, stays.
#[test]
fn l05_a_frame_has_to_end_in_time() {
    let edge = start(&["--frame-timeout", "1s"]);
    let (mut idle, mut busy) = (Tcp::connect(&edge), Wire::connect(&edge));
    let (mut half, mut trickling, mut web) = (Tcp::connect(&edge), Tcp::connect(&edge), Wire::connect(&edge));
    let mut within = Wire::connect(&edge);
    half.raw(b"SEND\ndestination:/topic/f\n\nhalf");
    trickling.raw(b"SEND\ndestination:/topic/f\ncontent-length:4000\n\n");
    web.text(b"SEND\ndestination:/topic/f\n\nhalf");
    // Half a WebSocket frame: STOMP has not heard of it yet.
    within.raw(&[0x81, 0xfe, 0x01]);
    busy.text(b"SEND\ndestination:/topic/f\n\nbegin, ");
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(2500) {
        // The busy one is always in the middle of a frame, but never of the same.
        busy.text(b"end\0SEND\ndestination:/topic/f\n\nbegin, ");
        trickling.try_raw(b"t");
        std::thread::sleep(Duration::from_millis(100));
    }
    for tcp in [&mut half, &mut trickling] {
        assert_eq!(tcp.refused("400").header("x-error"), Some("frame_timeout"));
    }
    for wire in [&mut web, &mut within] {
        assert_eq!(wire.refused("400", 1008).header("x-error"), Some("frame_timeout"));
    }
    busy.text(b"end\0");
    assert!(busy.leave().is_empty());
    idle.send("/topic/f", "awake");
}

/// B05, B06, B09: a beat is one LF; a client that goes silent against its word is gone, one that never promised any is
/// left in peace: nothing could ask it.
#[test]
fn b09_beats_are_lfs_and_nobody_is_pinged() {
    let edge = start(&["--profile", "strict", "--heart-beat-floor", "200ms", "--heart-beat-cap", "1s"]);
    let mut quiet = Tcp::connect(&edge);
    let mut beaten = Tcp::connect_with(&edge, &[("accept-version", "1.2"), ("host", "h"), ("heart-beat", "0,200")]);
    (0..5).for_each(|_| assert_eq!(beaten.next(), Heard::Beat));
    let mut silent = Tcp::connect_with(&edge, &[("accept-version", "1.1"), ("host", "h"), ("heart-beat", "200,0")]);
    assert_eq!(silent.refused("400").header("x-error"), Some("heart_beat_lost"));
    // Longer than three pings, after which a WebSocket that does not answer is taken for gone.
    assert_eq!(quiet.next_within(Duration::from_millis(4500)), None);
    quiet.send("/topic/b", "awake");
}

/// V09, P18: the token stands in CONNECT, there is no other place; a wrong one is ERROR 401 and the end.
#[test]
fn v09_the_token_stands_in_connect() {
    let users = Users::new();
    let edge = start(&users.args());
    for headers in [vec![("accept-version", "1.2")], vec![("accept-version", "1.2"), ("Authorization", "Bearer no")]] {
        let mut tcp = Tcp::open(&edge);
        tcp.say("CONNECT", &headers, "");
        tcp.refused("401");
    }
    let bearer = format!("Bearer {}", Users::token("ann"));
    let mut ann = Tcp::connect_with(&edge, &[("accept-version", "1.2"), ("Authorization", &bearer)]);
    ann.subscribe("0", "/topic/v");
    ann.send("/topic/v", "it is me");
    assert_eq!(ann.expect("MESSAGE").header("sender"), Some("ann"));
}

/// L04: both listeners count together; who finds no room is told in STOMP when to come back, and room is made by leaving.
#[test]
fn l04_both_listeners_share_the_bounds() {
    for bound in ["--max-connections", "--max-connections-per-address"] {
        let edge = start(&[bound, "2"]);
        let (web, mut tcp) = (Wire::connect(&edge), Tcp::connect(&edge));
        let mut third = Tcp::open(&edge);
        third.try_raw(frame::write("CONNECT", &[("accept-version", "1.2")], "").as_bytes());
        let error = third.refused("503");
        assert!((1..=15).contains(&error.header("retry-after").unwrap().parse::<u32>().unwrap()), "{error:?}");
        assert_eq!(Wire::ask(&edge, "/ws", &[]).err(), Some(503));
        drop(web);
        let mut again = kit::eventually("room for another", PATIENCE, || {
            let mut tcp = Tcp::open(&edge);
            tcp.try_raw(frame::write("CONNECT", &[("accept-version", "1.2")], "").as_bytes());
            (tcp.frame().command == "CONNECTED").then_some(tcp)
        });
        again.send("/topic/l", "in");
        tcp.send("/topic/l", "still in");
    }
}

/// p9: an edge that is not ready, or not any more, says so in STOMP.
#[test]
fn p9_an_edge_that_is_not_ready_says_when_to_come_back() {
    let mut edge = Edge::spawn(&["--kafka", "127.0.0.1:9", "--stomp-listen", "127.0.0.1:0"]);
    edge.listening();
    let error = Tcp::open(&edge).refused("503");
    assert!(String::from_utf8_lossy(&error.body).contains("not ready"), "{error:?}");
    assert_eq!(edge.terminate(PATIENCE).code(), Some(0));
}

/// The drain: nobody new, receipts of what is under way, then the end of the stream, and exit 0.
#[test]
fn drain_settles_and_ends_the_streams() {
    let mut edge = start(&["--grace", "8s"]);
    let mut tcp = Tcp::connect(&edge);
    let (mut idle, mut fresh) = (Tcp::connect(&edge), Tcp::open(&edge));
    let sends =
        (0..100).map(|at| frame::write("SEND", &[("destination", "/topic/d"), ("receipt", &at.to_string())], "x"));
    tcp.raw(sends.collect::<String>().as_bytes());
    (0..100).for_each(|_| drop(tcp.expect("RECEIPT")));
    kit::eventually("all three are let in", PATIENCE, || {
        (edge.metric("klatsch_connections_opened_total") == 3.0).then_some(())
    });
    edge.signal(rustix::process::Signal::TERM);
    [&mut tcp, &mut idle, &mut fresh].into_iter().for_each(Tcp::ended);
    drop((tcp, idle, fresh));
    assert_eq!(edge.exit(Duration::from_secs(8)).code(), Some(0), "{}", edge.log());
}

/// p7: a client that reads nothing is cut, and those in its room do not notice.
#[test]
fn p7_a_client_that_reads_nothing_is_cut() {
    let edge = start(&[]);
    let (mut stuck, mut reader, mut writer) = (Tcp::connect(&edge), Tcp::connect(&edge), Tcp::connect(&edge));
    stuck.subscribe("0", "/topic/p7");
    reader.subscribe("0", "/topic/p7");
    let body = "b".repeat(60_000);
    // More than any socket buffer takes; the reader keeps up with it.
    for _ in 0..300 {
        writer.send("/topic/p7", &body);
        assert_eq!(reader.expect("MESSAGE").body.len(), body.len());
    }
    kit::eventually("the stuck one is cut", Duration::from_secs(20), || {
        (edge.metric("klatsch_slow_consumer_closes_total") == 1.0).then_some(())
    });
    writer.send("/topic/p7", "on");
    assert_eq!(reader.expect("MESSAGE").body, b"on");
}
