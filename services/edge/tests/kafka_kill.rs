//! Promises 1, 2, 3 and 8 while things die: SIGKILL of a partition's leader and of an edge under 200 SENDs a second.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

mod kit;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use kit::edge::Edge;
use kit::kafka::Kafka;
use kit::stomp::{Client, Crowd};
use kit::topic::{MessageId, Stored};

const TOPIC: &str = "chat.events.v1";
const ROOMS: [&str; 6] = ["lobby", "dev", "ops", "café", "ünï ☃", "x/y"];
const SENDERS: usize = 4;
const PER_SECOND: u32 = 200;
/// A SEND ends within the send time-out of 15 s and 2 s more (promise 5).
const SEND_ENDS: Duration = Duration::from_secs(17);

/// A session that has subscribed to every room; a subscription's number is the room's place in [`ROOMS`].
fn listener(crowd: &Crowd, edge: &Edge) -> Client {
    let client = crowd.client(&edge.url());
    for (number, room) in (0..).zip(ROOMS) {
        client.subscribe(number, room);
    }
    client
}

/// Sends at [`PER_SECOND`] from every sender in turn, to every room in turn, for this long.
fn send(senders: &[Client], sent: &mut Vec<(usize, String)>, seconds: u32) {
    let (from, first) = (Instant::now(), sent.len());
    for n in 0..seconds * PER_SECOND {
        let due = from + Duration::from_secs(1) * n / PER_SECOND;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let (number, sender) = (first + n as usize, (first + n as usize) % senders.len());
        let room = ROOMS[number / senders.len() % ROOMS.len()];
        sent.push((sender, senders[sender].send(room, &format!("{sender} {number}"))));
    }
}

fn receipted(client: &Client) -> Vec<MessageId> {
    let log = client.log();
    let ids = log.receipts.iter().filter(|(id, _)| !id.starts_with("subscribe"));
    ids.map(|(_, (frame, _))| frame.header("message-id").and_then(MessageId::parse).expect("a message-id")).collect()
}

#[test]
fn nothing_receipted_is_lost_when_a_leader_and_an_edge_are_killed() {
    if !kit::require_kafka() {
        return;
    }
    let kafka = Kafka::start(3);
    let mut doomed = Edge::on(&kafka, "doomed", &["--create-topic"]);
    let living = Edge::on(&kafka, "living", &[]);
    kafka.wait_in_sync(TOPIC);

    let crowd = Crowd::new();
    let on_doomed: Vec<_> = (0..2).map(|_| listener(&crowd, &doomed)).collect();
    let on_living: Vec<_> = (0..3).map(|_| listener(&crowd, &living)).collect();
    // Every second sender is on the edge that will die.
    let senders: Vec<_> =
        (0..SENDERS).map(|n| crowd.client(&if n % 2 == 0 { doomed.url() } else { living.url() })).collect();
    let survives = |sender: usize| sender % 2 == 1;

    let mut sent = Vec::new();
    send(&senders, &mut sent, 3);
    // Replicas of a young topic may begin late, and who is killed before its first message shows nothing.
    for client in on_doomed.iter().chain(&on_living) {
        client.wait("a message of each room", Duration::from_secs(60), |seen| {
            (0..).zip(ROOMS).all(|(number, _)| seen.messages.iter().any(|m| m.subscription == number)).then_some(())
        });
    }
    let leader = kafka.leader_of(TOPIC, partition_of(&on_living[0], 0));
    std::thread::scope(|scope| {
        let kill = scope.spawn(|| kafka.kill(leader));
        send(&senders, &mut sent, 6);
        kill.join().unwrap();
    });
    doomed.kill9();
    send(&senders, &mut sent, 4);

    // Promise 5, promise 8: the living edge answers every SEND, the dead broker notwithstanding.
    let from = Instant::now();
    for (sender, receipt) in sent.iter().filter(|(sender, _)| survives(*sender)) {
        senders[*sender].receipt(receipt, SEND_ENDS.saturating_sub(from.elapsed()).max(Duration::from_millis(1)));
    }
    let dump = kafka.dump(TOPIC);
    eprintln!("{} sent, {} stored; node {leader} led the first room", sent.len(), dump.len());

    // Promise 1: each receipted message-id is in the log; its uuid at exactly one place.
    let by_id: HashMap<MessageId, &Stored> = dump.iter().map(|record| (record.message_id(), record)).collect();
    let mut places: HashMap<[u8; 16], usize> = HashMap::new();
    for record in &dump {
        *places.entry(record.uuid().expect("an edge's record")).or_default() += 1;
    }
    let receipts: Vec<_> = senders.iter().flat_map(receipted).collect();
    assert!(receipts.len() > sent.len() / 2, "{} receipts for {} SENDs", receipts.len(), sent.len());
    for id in &receipts {
        let record = by_id.get(id).unwrap_or_else(|| panic!("{id} was receipted and is not in the log"));
        assert_eq!(places[&record.uuid().unwrap()], 1, "{id} is in the log more than once");
    }
    let distinct: std::collections::HashSet<_> = receipts.iter().collect();
    assert_eq!(distinct.len(), receipts.len(), "two SENDs were receipted with one message-id");

    // Promises 2 and 3: on the living edge every session saw exactly what the log holds, in its order, and is up; on the
    // dead one the beginning of that, up to where it died.
    for (number, room) in (0_u32..).zip(ROOMS) {
        let log: Vec<_> = dump.iter().filter(|record| record.key == room.as_bytes()).map(Stored::message_id).collect();
        assert!(!log.is_empty(), "nothing in {room}");
        for client in &on_living {
            client.wait(&format!("all of {room}"), Duration::from_secs(20), |seen| {
                (seen.messages.iter().filter(|m| m.subscription == number).count() >= log.len()).then_some(())
            });
            assert_eq!(client.ids(number), log, "{room} on the living edge");
        }
        for client in &on_doomed {
            let ids = client.ids(number);
            assert!(!ids.is_empty() && log.starts_with(&ids), "{room} on the dead edge: {ids:?} of {log:?}");
        }
    }
    for (n, client) in on_living.iter().chain(senders.iter().skip(1).step_by(2)).enumerate() {
        let log = client.log();
        assert_eq!(
            (log.closed.clone(), log.others.len()),
            (None, 1),
            "session {n} on the living edge: {:?}",
            log.others
        );
    }
    assert!(on_doomed.iter().all(|client| !client.is_open()));
}

/// The partition of a room, as a message-id in it tells.
fn partition_of(client: &Client, subscription: u32) -> i32 {
    client.wait("a message", Duration::from_secs(10), |log| {
        log.messages.iter().find(|m| m.subscription == subscription).map(|m| m.id.partition)
    })
}
