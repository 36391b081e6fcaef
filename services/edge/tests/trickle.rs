//! A thousand connections that trickle (L05, L06, L07): half a handshake, half a frame, an octet a second, at every layer
//! of both listeners. All are gone in time, what they cost is small, and a pair that chats meanwhile does not notice.
//!
//! | who | is gone after |
//! |---|---|
//! | no complete request, however it dribbles | 10 s, the HTTP side's own bound |
//! | upgraded, or on the bare stream, without a complete CONNECT | `--connect-timeout` |
//! | a session in the middle of a frame | `--frame-timeout` |
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, clippy::print_stderr)]

mod kit;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kit::edge::Edge;
use kit::tcp::Tcp;
use kit::wire::{Wire, message, opcode, websocket};

const HTTP: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(4);
const FRAME: Duration = Duration::from_secs(3);
/// What a busy machine may add to a bound.
const SLACK: Duration = Duration::from_secs(4);
/// The gauge of connections is read every five seconds.
const GAUGE: Duration = Duration::from_secs(10);
/// Connections of each kind.
const EACH: usize = 84;
const KINDS: usize = 12;

/// A connection that has stopped half-way, and what it still has to say, an octet a second.
struct Trickler {
    kind: &'static str,
    bound: Duration,
    stream: TcpStream,
    rest: VecDeque<u8>,
    begun: Instant,
    gone: bool,
}

impl Trickler {
    fn new(kind: &'static str, bound: Duration, stream: TcpStream, first: &[u8], rest: &[u8]) -> Self {
        let begun = Instant::now();
        (&stream).write_all(first).unwrap();
        stream.set_nonblocking(true).unwrap();
        Self { kind, bound, stream, rest: rest.iter().copied().collect(), begun, gone: false }
    }

    /// Another octet.
    fn trickle(&mut self) {
        if let Some(octet) = self.rest.pop_front() {
            // Whether it is still wanted is seen by reading.
            let _ = self.stream.write(&[octet]);
        }
    }

    /// Whether the edge has ended the connection; what it says before is passed over.
    fn is_gone(&mut self) -> bool {
        let mut buffer = [0; 4096];
        while !self.gone {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.gone = true,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.gone = true,
            }
            if self.gone {
                let after = self.begun.elapsed();
                assert!(after >= self.bound - Duration::from_millis(300), "{} after {after:?} already", self.kind);
                // An end in order wants one in return.
                let _ = self.stream.shutdown(Shutdown::Both);
            }
        }
        self.gone
    }
}

/// One of each kind.
fn one_of_each(edge: &Edge) -> [Trickler; KINDS] {
    let http = || TcpStream::connect(&edge.listen).unwrap();
    let tcp = || TcpStream::connect(&edge.stomp).unwrap();
    let upgraded = || Wire::open(edge).stream;
    let connect = b"CONNECT\naccept-version:1.2\nhost:chat.example\nheart-beat:0,0\nlogin:a\n\n\0";
    let request = b"GET /ws HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    let send = b"SEND\ndestination:/topic/elsewhere\ncontent-length:5000\n\nhalf of it, and then";
    let (dribble, in_websocket) =
        (message("SEND", &[("destination", "/topic/x")], &"z".repeat(5000)), |octets: &[u8]| {
            websocket(opcode::TEXT, true, octets)
        });
    [
        Trickler::new("no request", HTTP, http(), b"", b""),
        Trickler::new("half a request", HTTP, http(), request, b""),
        Trickler::new("a request by the octet", HTTP, http(), b"G", &request[1..]),
        Trickler::new("a silent WebSocket", CONNECT, upgraded(), b"", b""),
        Trickler::new("half a header of WebSocket", CONNECT, upgraded(), &[0x81, 0xfe, 0x10], b""),
        Trickler::new("half a CONNECT in WebSocket", CONNECT, upgraded(), &in_websocket(&connect[..30]), b""),
        Trickler::new("CONNECT in WebSocket by the octet", CONNECT, upgraded(), b"", &in_websocket(connect)),
        Trickler::new("silent on TCP", CONNECT, tcp(), b"", b""),
        Trickler::new("half a CONNECT on TCP", CONNECT, tcp(), &connect[..30], b""),
        Trickler::new("CONNECT on TCP by the octet", CONNECT, tcp(), b"C", &connect[1..]),
        Trickler::new(
            "a SEND in WebSocket by the octet",
            FRAME,
            Wire::connect(edge).stream,
            &dribble[..20],
            &dribble[20..],
        ),
        Trickler::new("half a SEND on TCP", FRAME, Tcp::connect(edge).stream, send, b""),
    ]
}

/// Tells the pair to stop, also when the test has failed.
struct StopAtTheEnd<'a>(&'a AtomicBool);

impl Drop for StopAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Messages between two sessions until told to stop; how long each took from one to the other.
fn chat(mut ann: Wire, mut bob: Tcp, stop: &AtomicBool) -> Vec<Duration> {
    ann.subscribe("0", "/topic/chat");
    bob.subscribe("0", "/topic/chat");
    let mut took = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let body = format!("{}", took.len());
        ann.say("SEND", &[("destination", "/topic/chat")], &body);
        assert_eq!(bob.expect("MESSAGE").body, body.as_bytes());
        took.push(began.elapsed());
        assert_eq!(ann.message(), body);
        std::thread::sleep(Duration::from_millis(5));
    }
    took
}

#[test]
fn l05_a_thousand_that_trickle_are_gone_in_time() {
    klatsch_edge::edge::raise_open_files();
    let (connect, frame) = (format!("{}s", CONNECT.as_secs()), format!("{}s", FRAME.as_secs()));
    let times = ["--connect-timeout", &connect, "--frame-timeout", &frame];
    let edge = Edge::start(&[&["--log-memory", "--stomp-listen", "127.0.0.1:0"][..], &times].concat());
    let (rss, stop) = (|| edge.metric("process_resident_memory_bytes"), AtomicBool::new(false));
    // What a first connection of each kind makes the process hold for good is not the others' doing.
    drop(one_of_each(&edge));
    std::thread::scope(|scope| {
        let (ann, bob, stop) = (Wire::connect(&edge), Tcp::connect(&edge), &stop);
        let until = StopAtTheEnd(stop);
        let talk = scope.spawn(move || chat(ann, bob, stop));
        kit::eventually("only the pair is there", GAUGE, || (edge.metric("klatsch_connections") == 2.0).then_some(()));
        let before = rss();
        let mut all: Vec<Trickler> = (0..EACH).flat_map(|_| one_of_each(&edge)).collect();
        assert!(all.len() >= 1000);
        let (opened, mut most, mut next) = (Instant::now(), rss(), Instant::now());
        // By then the last one's time is over, whatever its kind.
        let deadline = opened + HTTP + SLACK;
        while all.iter_mut().map(|one| usize::from(!one.is_gone())).sum::<usize>() > 0 {
            let now = Instant::now();
            for one in all.iter().filter(|one| !one.gone) {
                assert!(now < one.begun + one.bound + SLACK, "{} is still there", one.kind);
            }
            assert!(now < deadline);
            if now >= next {
                all.iter_mut().filter(|one| !one.gone).for_each(Trickler::trickle);
                most = f64::max(most, rss());
                next = now + Duration::from_secs(1);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        kit::eventually("their places are free", GAUGE, || (edge.metric("klatsch_connections") == 2.0).then_some(()));
        let (grown, left) = ((most - before) / 1024.0 / 1024.0, (rss() - before) / 1024.0 / 1024.0);
        // The log and the tail of this edge keep what the pair has said, about a MiB.
        assert!(grown < 24.0 && left < 16.0, "{grown:.1} MiB for all of them, {left:.1} MiB afterwards");
        drop(until);
        let mut took = talk.join().unwrap();
        took.sort();
        let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
        assert!(took.len() > 100 && median < Duration::from_millis(50), "{} messages, median {median:?}", took.len());
        eprintln!(
            "{grown:.1} MiB at most, {left:.1} MiB left; {} messages, median {median:?}, worst {worst:?}",
            took.len()
        );
        assert!(worst < Duration::from_secs(1), "one took {worst:?}, the median {median:?}");
    });
}
