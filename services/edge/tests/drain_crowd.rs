//! Q16, W19: a thousand sessions and more leave one edge at the pace that was set, with everything answered that they had
//! sent (three edges that are replaced one after the other: `make roll`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

mod kit;

use std::time::{Duration, Instant};

use kit::edge::Edge;
use kit::stomp::{Client, Crowd};
use rustix::process::Signal;

const SESSIONS: usize = 3_000;
const GRACE: u64 = 20;
/// What is kept of the grace for those who did not go by themselves.
const RESERVE: u64 = 5;
/// SENDs a second while the edge drains.
const SENDS: u32 = 400;

/// What became of one session's SENDs: the RECEIPTs are those of the first ones, and nothing behind them was taken.
fn receipted(client: &Client, sent: &[String]) -> usize {
    let log = client.log();
    let count = sent.iter().take_while(|id| log.receipts.contains_key(*id)).count();
    assert_eq!(count, log.receipts.len(), "a SEND has a RECEIPT, and one before it has none");
    count
}

#[test]
fn q16_w19_3000_sessions_leave_at_the_pace_with_their_receipts() {
    let mut edge = Edge::start(&["--dev", "--grace", &format!("{GRACE}s")]);
    let crowd = Crowd::new();
    let clients: Vec<Client> = (0..SESSIONS).map(|_| crowd.client(&edge.url())).collect();
    let mut sent = vec![Vec::new(); SESSIONS];
    let rate = SESSIONS as f64 / (GRACE - RESERVE) as f64;

    edge.signal(Signal::TERM);
    let began = Instant::now();
    for n in 0_u32.. {
        let due = began + Duration::from_secs(1) * n / SENDS;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        // Each in its turn, far from the order in which they came.
        let who = n as usize * 1_009 % SESSIONS;
        if clients[who].is_open() {
            sent[who].push(clients[who].send("lobby", "while it drains"));
        }
        if began.elapsed() > Duration::from_secs(GRACE) || clients.iter().all(|client| !client.is_open()) {
            break;
        }
    }
    assert_eq!(edge.exit(Duration::from_secs(GRACE)).code(), Some(0), "{}", edge.log());
    assert!(began.elapsed() < Duration::from_secs(GRACE), "{:?}", began.elapsed());

    let mut seconds = vec![0_usize; GRACE as usize + 1];
    for client in &clients {
        let log = client.log();
        assert_eq!(log.closed.as_deref(), Some("1012 draining"));
        seconds[log.closed_at.unwrap().duration_since(began).as_secs() as usize] += 1;
    }
    let peak = *seconds.iter().max().unwrap();
    assert!(peak as f64 <= 1.5 * rate, "{peak} closes in a second, the pace is {rate}: {seconds:?}");
    let all: usize = sent.iter().map(Vec::len).sum();
    let stored: usize = clients.iter().zip(&sent).map(|(client, sent)| receipted(client, sent)).sum();
    eprintln!(
        "{SESSIONS} sessions at {rate} a second: {seconds:?}; {stored} of {all} SENDs receipted, all closes 1012"
    );
    // What was on its way when its session's turn came was never looked at: its sender knows that it does not know.
    assert!(all > 1_000 && all - stored < SESSIONS, "{stored} of {all}");
}
