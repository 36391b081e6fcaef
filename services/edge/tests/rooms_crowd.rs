//! Many who poll, at one edge, and what others notice of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod kit;

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kit::edge::Edge;
use kit::http::{Answer, Http, bodies};
use kit::wire::{PATIENCE, Wire};

const ROOM: &str = "/rooms/crowd/messages";
const CROWD: usize = 1_000;
/// Beyond the bound on connections that nobody has let in.
const MANY: usize = 2_200;

fn poll_sessions(edge: &Edge) -> usize {
    let text = edge.admin_get("/metrics").1;
    let line = text.lines().find_map(|line| line.strip_prefix("klatsch_transport_sessions{transport=\"poll\"} "));
    line.unwrap().parse().unwrap()
}

/// The pair's SENDs, from one to the other, until the crowd is done; how long each took.
fn pair(edge: &str, done: &AtomicBool) -> Vec<Duration> {
    let (mut sender, mut reader) = (Wire::connect(edge), Wire::connect(edge));
    reader.subscribe("0", "/topic/pair");
    let mut took = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let began = Instant::now();
        sender.say("SEND", &[("destination", "/topic/pair")], "x");
        reader.message();
        took.push(began.elapsed());
    }
    took.sort_unstable();
    took
}

/// Row of the issue: a thousand wait in one room and one message answers them all, ten times over; two that speak STOMP
/// in another room notice nothing. p2, p3, p4: each of them gets each message once, in order, by its own token.
#[test]
fn p2_p3_p4_p7_a_thousand_waits_in_one_room() {
    let edge = Edge::start(&["--log-memory"]);
    let mut crowd: Vec<Http> = (0..CROWD).map(|_| Http::to(&edge)).collect();
    let mut tokens = vec!["now".to_owned(); CROWD];
    let done = AtomicBool::new(false);
    let took = std::thread::scope(|scope| {
        let (address, done) = (edge.listen.clone(), &done);
        let pair = scope.spawn(move || pair(&address, done));
        for round in 0..10 {
            for (http, token) in crowd.iter_mut().zip(&tokens) {
                http.say("GET", &format!("{ROOM}?after={token}&wait=60"), &[], b"");
            }
            kit::eventually("a thousand wait", PATIENCE, || (poll_sessions(&edge) == CROWD).then_some(()));
            let id = Http::to(&edge).post(ROOM, round.to_string());
            for (http, token) in crowd.iter_mut().zip(&mut tokens) {
                let answer: Answer = http.answer();
                assert_eq!(bodies(&answer), [round.to_string()]);
                *token = answer.json()["next"].as_str().unwrap().to_owned();
                assert_eq!(*token, id);
            }
        }
        done.store(true, Ordering::Relaxed);
        pair.join().unwrap()
    });
    let (p50, p99, worst) = (took[took.len() / 2], took[took.len() * 99 / 100], took[took.len() - 1]);
    eprintln!("{} messages of the pair: p50 {p50:?}, p99 {p99:?}, worst {worst:?}", took.len());
    assert!(took.len() > 100 && p99 < Duration::from_millis(100), "p50 {p50:?}, p99 {p99:?}, worst {worst:?}");
}

/// Connections that have been let in are in nobody's way between two of their polls, and one answers after the other.
#[test]
fn who_has_been_let_in_does_not_count_as_half_open() {
    let edge = Edge::start(&["--log-memory"]);
    let mut crowd: Vec<Http> = Vec::new();
    for _ in 0..MANY {
        let mut http = Http::to(&edge);
        assert_eq!(http.get(ROOM).status, 200);
        crowd.push(http);
    }
    // They wait, and then they do not; there is room for others in both cases.
    Wire::connect(&edge);
    for http in &mut crowd {
        http.say("GET", &format!("{ROOM}?wait=60"), &[], b"");
    }
    kit::eventually("all wait", PATIENCE, || (poll_sessions(&edge) == MANY).then_some(()));
    Wire::connect(&edge).send("/topic/crowd", "hello");
    crowd.iter_mut().for_each(|http| assert_eq!(bodies(&http.answer()), ["hello"]));
    Wire::connect(&edge);
    assert_eq!(Http::to(&edge).get(ROOM).status, 200);
}

/// What `/metrics` states of a request that waits holds, also when its connection has waited before.
#[test]
fn who_waits_takes_what_is_stated() {
    let edge = Edge::start(&["--log-memory"]);
    let rss = || edge.metric("process_resident_memory_bytes");
    let wait = |crowd: &mut [Http]| {
        crowd.iter_mut().for_each(|http| http.say("GET", &format!("{ROOM}?after=now&wait=60"), &[], b""));
    };
    let mut first: Vec<Http> = (0..100).map(|_| Http::to(&edge)).collect();
    wait(&mut first);
    kit::eventually("they wait", PATIENCE, || (poll_sessions(&edge) == 100).then_some(()));
    let before = rss();
    let mut crowd: Vec<Http> = (0..CROWD).map(|_| Http::to(&edge)).collect();
    for round in 0..2 {
        wait(&mut crowd);
        kit::eventually("all wait", PATIENCE, || (poll_sessions(&edge) >= CROWD).then_some(()));
        let each = (rss() - before) / CROWD as f64;
        let text = edge.admin_get("/metrics").1;
        let stated = kit::metric(&text, "klatsch_connection_memory_bytes{transport=\"poll\"}").unwrap();
        eprintln!("round {round}: {each} octets for each");
        assert!(each < stated, "{each} octets for each, {stated} are stated");
        Http::to(&edge).post(ROOM, "x");
        crowd.iter_mut().chain(&mut first).for_each(|http| assert_eq!(bodies(&http.answer()), ["x"]));
        first.clear();
    }
}

/// p7: who asks for a large answer and takes none of it is cut when nothing has moved for ten seconds, with what was held
/// for it; somebody who reads slowly is not.
#[test]
fn p7_who_takes_no_answer_is_cut() {
    let edge = Edge::start(&["--log-memory"]);
    let mut sender = Http::to(&edge);
    let body = "x".repeat(60_000);
    (0..20).for_each(|_| drop(sender.post(ROOM, &body)));
    // An answer holds half a megabyte at most, the rest is asked for next: more than any socket's buffers, once the edge has
    // read what it has stored.
    kit::eventually("half a megabyte is there", PATIENCE, || {
        (bodies(&sender.get(&format!("{ROOM}?after=first&limit=1000"))).len() >= 8).then_some(())
    });
    let ask = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(8 * 1024).unwrap();
        socket.connect(&edge.listen.parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        let mut stream = std::net::TcpStream::from(socket);
        write!(stream, "GET {ROOM}?after=first&limit=1000 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        stream
    };
    let (mut stuck, mut slow) = (ask(), ask());
    let (began, mut taken, mut buffer) = (Instant::now(), 0, [0; 4096]);
    let cut = "klatsch_slow_consumer_closes_total";
    while edge.metric(cut) < 1.0 {
        assert!(began.elapsed() < Duration::from_secs(30), "nobody was cut, who reads has {taken} octets");
        taken += slow.read(&mut buffer).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(began.elapsed() > Duration::from_secs(9), "cut after {:?}", began.elapsed());
    // What has arrived may still be read; then it is broken off.
    let end = loop {
        match stuck.read(&mut buffer) {
            Ok(0) => break None,
            Ok(_) => {}
            Err(error) => break Some(error.kind()),
        }
    };
    assert_eq!(end, Some(std::io::ErrorKind::ConnectionReset));
    // The other one has lost nothing.
    while taken < 480_000 {
        let more = slow.read(&mut buffer).unwrap();
        assert!(more > 0, "the slow one was cut after {taken} octets");
        taken += more;
    }
    assert_eq!(edge.metric(cut), 1.0);
}
