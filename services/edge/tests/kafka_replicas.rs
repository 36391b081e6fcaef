//! Too few replicas: first one of three that all must have a record, then two of three brokers. Promises 1, 5 and 10: every
//! SEND ends in time with the truth, whoever does not send stays, nothing receipted is lost, and it heals by itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

mod kit;

use std::time::{Duration, Instant};

use kit::edge::Edge;
use kit::kafka::Kafka;
use kit::wire::Wire;

const LONG: Duration = Duration::from_secs(90);
const TOPIC: &str = "chat.events.v1";
/// The send time-out of 15 s, 2 s, and what a loaded machine adds.
const SEND_ENDS: Duration = Duration::from_secs(19);

#[test]
fn p5_p10_too_few_replicas() {
    if !kit::require_kafka() {
        return;
    }
    let kafka = Kafka::start(3);
    let mut edge = Edge::on(&kafka, "a", &["--create-topic", "--min-isr", "3"]);
    kafka.wait_in_sync(TOPIC);
    let mut listener = Wire::connect(&edge);
    listener.subscribe("0", "/topic/r");
    let before = Wire::connect(&edge).send("/topic/r", "before");
    assert_eq!(listener.message(), "before");

    // One of three is gone: NOT_ENOUGH_REPLICAS, retried until the SEND's time is over. It may be in the log later.
    let partition = kit::topic::MessageId::parse(&before).unwrap().partition;
    let leader = kafka.leader_of(TOPIC, partition);
    let others: Vec<_> = (1..=3).filter(|node| *node != leader).collect();
    kafka.kill(others[0]);
    let (mut sender, began) = (Wire::connect(&edge), Instant::now());
    sender.say("SEND", &[("destination", "/topic/r"), ("receipt", "r")], "unknown");
    kit::eventually("/readyz tells of the stall", LONG, || {
        let (status, text) = edge.admin_get("/readyz");
        (status == 503 && text.contains("log: ")).then_some(())
    });
    let error = kit::eventually("the SEND ends", SEND_ENDS, || sender.ended());
    eprintln!("the SEND ended after {:?}", began.elapsed());
    assert!(began.elapsed() < SEND_ENDS, "promise 5: it ended after {:?}", began.elapsed());
    for header in ["x-error-code:503\n", "receipt-id:r\n", "x-error:send_unknown\n"] {
        assert!(error.contains(header), "{header:?} in {error}");
    }

    // Two of three are gone: no controller either.
    kafka.kill(others[1]);
    let refused = kit::eventually("a SEND is refused at once", LONG, || {
        let mut sender = Wire::connect(&edge);
        sender.say("SEND", &[("destination", "/topic/r"), ("receipt", "r")], "probe");
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(500) {
            if let Some(error) = sender.ended() {
                return Some(error);
            }
        }
        None
    });
    assert!(refused.contains("x-error-code:503\n") && refused.contains("x-error:log_away\n"), "{refused}");
    assert_eq!(edge.admin_get("/livez").0, 200);

    for node in others {
        kafka.start_node(node);
    }
    kit::eventually("/readyz is well again", LONG, || (edge.admin_get("/readyz").0 == 200).then_some(()));
    let after = Wire::connect(&edge).send("/topic/r", "after");
    let mut seen = Vec::new();
    while seen.last().is_none_or(|(body, _)| body != "after") {
        let message = listener.expect("MESSAGE");
        let id = message.header("message-id").unwrap().to_owned();
        seen.push((String::from_utf8(message.body).unwrap(), id));
    }
    // What was let through to find out, and never answered, may have been stored: unknown is unknown, but once.
    assert!(seen.iter().filter(|(body, _)| body == "unknown").count() <= 1, "{seen:?}");
    assert_eq!(seen.last().unwrap().1, after);
    let stored: Vec<_> = kafka.dump(TOPIC).iter().map(|record| record.message_id().to_string()).collect();
    assert!([&before, &after].iter().all(|id| stored.contains(id)), "promise 1");
    assert!(edge.runs());
}
