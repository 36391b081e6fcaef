//! Promise 9, as a load balancer and a kubelet see it: an edge that is up but behind, full, draining or without Kafka is
//! never ready, or does not stay ready; and none of this is a reason to kill it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use kit::edge::Edge;
use kit::kafka::Kafka;
use kit::wire::{PATIENCE, Wire};
use klatsch_edge::Exit;
use klatsch_edge::config::{Command, Config};
use klatsch_edge::edge::run_on_log;
use klatsch_edge::log::{Log, NewRecord, Outcome, Reports, Ticket, memory::MemoryLog};
use klatsch_edge::shutdown::Shutdown;
use rustix::process::Signal;

/// Well above every time that an edge takes to see a state, and to see its end.
const SOON: Duration = Duration::from_secs(30);

/// Whether it is ready, and if not why; whatever that is, it is alive.
#[track_caller]
fn readiness(admin: &str) -> Result<(), String> {
    let (live, why) = kit::http_get(admin, "/livez").unwrap();
    assert_eq!((live, why.as_str()), (200, "ok\n"), "nothing here is a reason to kill it");
    match kit::http_get(admin, "/readyz").unwrap() {
        (200, _) => Ok(()),
        (503, why) => Err(why),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn becomes_ready(admin: &str) {
    kit::eventually("it is ready", SOON, || readiness(admin).ok());
}

/// It becomes unready, for this reason and no other.
#[track_caller]
fn becomes_unready(admin: &str, begin: &str) -> String {
    let why = kit::eventually("it is unready", SOON, || readiness(admin).err());
    assert!(why.starts_with(begin) && why.lines().count() == 1, "{why}");
    why
}

/// For so long it is not ready, whenever it is asked.
#[track_caller]
fn stays_unready(admin: &str, long: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < long {
        assert!(readiness(admin).is_err(), "ready after {:?}", begun.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
}

struct Nobody;

impl Reports for Nobody {
    fn settled(&self, _: Ticket, _: Outcome) {}
}

fn publish(log: &MemoryLog, count: usize) {
    for n in 0..count {
        let partition = i32::try_from(n % 2).unwrap();
        log.publish(NewRecord { partition, room: "r".into(), value: "x".into(), trace: None }, Ticket::default())
            .unwrap();
    }
}

/// A follower that has not read what was there when it began keeps its edge from being ready; one that stands still later
/// makes it unready again, and by itself ready when it goes on.
#[test]
fn p9_an_edge_that_is_behind_is_not_ready() {
    let log = MemoryLog::new(2, 100_000, std::sync::Arc::new(Nobody));
    publish(&log, 20_000);
    let [listen, admin] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string());
    let args = ["klatsch-edge", "--log-memory", "--partitions", "2", "--listen", &listen, "--admin", &admin];
    let Ok(Command::Run(config)) = Config::load(args.map(Into::into), []) else { panic!("no configuration") };
    let shutdown = Shutdown::new();
    let (latch, common, (tell, told)) = (shutdown.clone(), log.clone(), channel());
    let edge = std::thread::spawn(move || {
        run_on_log(*config, latch, |reports| {
            let own = common.for_edge(reports);
            own.hold_reading(true);
            tell.send(own.clone()).unwrap();
            own
        })
    });
    let own = told.recv_timeout(SOON).unwrap();
    assert!(becomes_unready(&admin, "tail: ").contains("starting"));
    stays_unready(&admin, Duration::from_secs(1));
    assert_eq!(kit::http_get(&admin, "/startupz").unwrap().0, 503);
    assert_eq!(Wire::ask(&*listen, "/ws", &[]).err(), Some(503), "nobody is let in before it has caught up");
    own.hold_reading(false);
    becomes_ready(&admin);

    own.hold_reading(true);
    publish(&log, 50);
    becomes_unready(&admin, "tail: 25 records behind the end of a partition, and none is read\n");
    assert!(Wire::ask(&*listen, "/ws", &[]).is_ok(), "who comes all the same is let in");
    own.hold_reading(false);
    becomes_ready(&admin);
    shutdown.drain();
    assert_eq!(edge.join().unwrap(), Exit::Drained);
}

/// 95 % of the connections that it may have are too many for more to be sent here; one that leaves makes room.
#[test]
fn p9_a_full_edge_is_not_ready() {
    let edge = Edge::start(&["--log-memory", "--max-connections", "20"]);
    let mut all: Vec<Wire> = (0..18).map(|_| Wire::connect(&edge)).collect();
    readiness(&edge.admin).unwrap();
    all.push(Wire::connect(&edge));
    becomes_unready(&edge.admin, "capacity: 19 of 20 connections\n");
    all.push(Wire::connect(&edge));
    becomes_unready(&edge.admin, "capacity: 20 of 20 connections\n");
    all.split_off(18).into_iter().for_each(|wire| assert_eq!(wire.leave().len(), 0));
    becomes_ready(&edge.admin);
}

/// Whoever looks until its end finds it alive and unready.
#[test]
fn p9_a_draining_edge_is_not_ready_and_is_not_killed() {
    let mut edge = Edge::start(&["--log-memory", "--grace", "7s", "--drain-rate", "10"]);
    let sessions: Vec<Wire> = (0..10).map(|_| Wire::connect(&edge)).collect();
    edge.signal(Signal::TERM);
    becomes_unready(&edge.admin, "drain: draining\n");
    let mut looks = 0;
    while let (Ok((live, _)), Ok((ready, _))) =
        (kit::http_get(&edge.admin, "/livez"), kit::http_get(&edge.admin, "/readyz"))
    {
        assert_eq!((live, ready), (200, 503));
        looks += 1;
    }
    assert!(looks > 10, "{looks}");
    assert_eq!(edge.exit(PATIENCE).code(), Some(0), "{}", edge.log());
    drop(sessions);
}

/// Without a Kafka that it has seen it is never ready, and waits.
#[test]
fn p9_without_kafka_from_the_start_it_is_never_ready() {
    let mut edge = Edge::spawn(&["--kafka", "127.0.0.1:9"]);
    edge.listening();
    edge.logged("waiting for Kafka", SOON);
    stays_unready(&edge.admin, Duration::from_secs(5));
    assert_eq!(kit::http_get(&edge.admin, "/startupz").unwrap().0, 503);
    assert!(edge.runs() && !edge.has_line(), "it does not say ready");
    assert_eq!(edge.terminate(SOON).code(), Some(0), "{}", edge.log());
}

/// Kafka dies while it runs: two seconds later it is unready, stays so as long as Kafka is away, and is ready again by
/// itself; an edge that is started meanwhile never is.
#[test]
fn p9_p10_without_kafka_it_does_not_stay_ready() {
    if !kit::require_kafka() {
        return;
    }
    let kafka = Kafka::start(1);
    let mut edge = Edge::on(&kafka, "a", &["--create-topic"]);
    readiness(&edge.admin).unwrap();
    let mut session = Wire::connect(&edge);
    kafka.kill(1);
    let killed = Instant::now();
    becomes_unready(&edge.admin, "log: no broker takes a connection\n");
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(10), "two seconds without a connection, and what it took to notice: {took:?}");
    let bootstrap = kafka.bootstrap();
    let mut late = Edge::spawn(&["--kafka", &bootstrap, "--instance", "late"]);
    late.listening();
    stays_unready(&edge.admin, Duration::from_secs(3));
    assert!(readiness(&late.admin).is_err());
    assert_eq!(kit::http_get(&edge.admin, "/startupz").unwrap().0, 200, "it has started once and for all");
    kafka.start_node(1);
    becomes_ready(&edge.admin);
    late.ready();
    session.subscribe("0", "/topic/r");
    assert!(edge.runs());
}
