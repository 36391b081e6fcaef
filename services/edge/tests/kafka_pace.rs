//! Under much load the reader's fetches wait at the brokers, and not any more when it is over: both times the reader is
//! made anew, and nobody notices.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kit::edge::Edge;
use kit::kafka::Kafka;
use kit::stomp::Crowd;

const TOPIC: &str = "chat.events.v1";
const SOON: Duration = Duration::from_secs(60);
/// More than the five thousand a second from which on fetches wait, in any one second.
const BURST: usize = 40_000;

struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn p2_p4_the_reader_goes_with_the_load_and_nothing_is_missed() {
    if !kit::require_kafka() {
        return;
    }
    let kafka = Kafka::start(1);
    let edge = Edge::on(&kafka, "a", &["--create-topic"]);
    let crowd = Crowd::new();
    let (listener, sender) = (crowd.client(&edge.url()), crowd.client(&edge.url()));
    listener.subscribe(0, "lobby");
    sender.receipt(&sender.send("attic", "what others write"), SOON);
    let foreign = kafka.dump(TOPIC).pop().unwrap();
    let burst = vec![(foreign.partition, Some(&foreign.key[..]), Some(&foreign.value[..])); BURST];

    let over = AtomicBool::new(false);
    let (sender, receipts) = std::thread::scope(|scope| {
        let over = &over;
        let sending = scope.spawn(move || {
            let mut receipts = Vec::new();
            while !over.load(Ordering::SeqCst) {
                receipts.push(sender.send("lobby", &receipts.len().to_string()));
                std::thread::sleep(Duration::from_millis(5));
            }
            (sender, receipts)
        });
        // Also when this fails: the scope waits for the thread.
        let ending = Ending(over);
        kit::eventually("fetches wait", SOON, || {
            kafka.produce(TOPIC, &burst);
            edge.log().contains(r#""step":2"#).then_some(())
        });
        kit::eventually("they do not any more", SOON, || edge.log().contains(r#""step":0"#).then_some(()));
        drop(ending);
        sending.join().unwrap()
    });
    receipts.iter().for_each(|id| drop(sender.receipt(id, SOON)));
    listener.wait("all of it", SOON, |log| (log.messages.len() >= receipts.len()).then_some(()));
    let bodies: Vec<_> = listener.log().messages.iter().map(|m| String::from_utf8(m.body.to_vec()).unwrap()).collect();
    assert_eq!(bodies, (0..receipts.len()).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(listener.is_open() && sender.is_open());
    assert_eq!(edge.admin_get("/readyz").0, 200);
}
