//! What only a worker's core can show without a socket: things that happen in one turn.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    cell::RefCell,
    io::{self, ErrorKind, Read, Write},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use super::{ClientSocket, Core};
use crate::{
    auth::{Identity, Rights, UpgradeCredentials},
    context::{AuthJob, Settings, Shell},
    destination::Destinations,
    log::{NewRecord, Outcome, Reason, Ticket},
    message::ToFollower,
    metrics::Metrics,
    tokens::Checked,
    transport::Kind,
    upgrade::ConnectionGuard,
};

/// A socket whose client has sent everything at once.
struct Socket {
    input: Vec<u8>,
    output: Rc<RefCell<Vec<u8>>>,
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = self.input.len().min(into.len());
        into[..count].copy_from_slice(&self.input[..count]);
        self.input.drain(..count);
        Ok(count)
    }
}

impl Write for Socket {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.output.borrow_mut().write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ClientSocket for Socket {
    fn finish(&mut self) {}

    fn cut(&mut self) {}
}

/// Takes every record, and knows who sent it.
#[derive(Default)]
struct Outside {
    published: Rc<RefCell<Vec<Ticket>>>,
    bodies: Rc<RefCell<Vec<String>>>,
    away: bool,
}

impl Shell for Outside {
    fn publish(&mut self, record: NewRecord, ticket: Ticket) -> Result<(), Reason> {
        let content = chat_proto::decode(record.value, &record.room).unwrap();
        self.bodies.borrow_mut().push(String::from_utf8_lossy(&content.body).into_owned());
        self.published.borrow_mut().push(ticket);
        Ok(())
    }

    fn ask(&mut self, _: ToFollower) {}

    fn ask_again(&mut self) -> bool {
        true
    }

    fn is_congested(&self) -> bool {
        false
    }

    fn authenticate(&mut self, _: AuthJob) -> Checked {
        Checked::Now(Ok(Identity { user: "ann".into(), rights: Rights::all(), expires_at: None }))
    }

    fn session_id(&mut self) -> String {
        "0".repeat(32)
    }

    fn message_uuid(&mut self) -> [u8; 16] {
        [7; 16]
    }

    fn is_log_away(&mut self) -> bool {
        self.away
    }
}

fn settings() -> Settings {
    Settings {
        stomp: Arc::default(),
        stomp_frame_bytes: 81 * 1024,
        credentials: Default::default(),
        destinations: Destinations::default(),
        partitions: 1,
        instance: "edge".to_owned(),
        max_receipts: 100,
        send_rate: None,
        outbound_bytes: 65_536,
        replay_bytes: 65_536,
        send_timeout: Duration::from_secs(15),
        ping_every: Duration::from_secs(25),
        frame_timeout: Duration::from_secs(300),
        stuck_timeout: Duration::from_secs(10),
    }
}

const AT: fn(u64) -> Duration = Duration::from_secs;
const SOFT: &str =
    "CONNECT\naccept-version:1.2\nhost:a\nx-errors:soft\n\n\0SUBSCRIBE\nid:e\ndestination:/user/queue/errors\n\n\0";

/// A worker whose one client has sent `frames`, after a turn; what the client gets.
fn worker(outside: Outside, frames: &str) -> (Core<Socket, Outside>, Rc<RefCell<Vec<u8>>>) {
    // One masked message each; the mask is 0, so the text stays legible.
    let mut input = Vec::new();
    for frame in frames.split_inclusive('\0') {
        input.extend([0x81, 0xfe]);
        input.extend((frame.len() as u16).to_be_bytes());
        input.extend([0; 4]);
        input.extend(frame.as_bytes());
    }
    let output = Rc::default();
    let mut core = Core::new(0, outside, Arc::new(settings()), Arc::new(Metrics::new()));
    core.begin_turn(AT(1));
    let socket = Socket { input, output: Rc::clone(&output) };
    core.open(socket, Kind::WebSocket, UpgradeCredentials::default(), ConnectionGuard::uncounted(), &[], &[]);
    for _ in 0..3 {
        core.finish_turn();
    }
    (core, output)
}

/// Which receipts were answered, in order: `+` RECEIPT, `-` an error.
fn answers(output: &RefCell<Vec<u8>>) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.borrow()).into_owned();
    let answer = |frame: &str| {
        let id = frame.split("\nreceipt-id:").nth(1)?.lines().next()?.to_owned();
        Some(if frame.contains("RECEIPT\n") { format!("+{id}") } else { format!("-{id}") })
    };
    text.split('\0').filter_map(answer).collect()
}

#[test]
fn p5_a_transaction_that_is_refused_softly_is_answered_whole() {
    let transaction = "BEGIN\ntransaction:t\n\n\0SEND\ndestination:/topic/a\ntransaction:t\nreceipt:1\n\n\0SEND\n\
        destination:/topic/a\ntransaction:t\nreceipt:2\n\n\0COMMIT\ntransaction:t\nreceipt:3\n\n\0";
    let outside = Outside { away: true, ..Outside::default() };
    let published = outside.published.clone();
    let (_core, output) = worker(outside, &format!("{SOFT}{transaction}"));
    assert_eq!(answers(&output), ["-1", "-2", "-3"]);
    assert!(published.borrow().is_empty());
}

#[test]
fn p5_what_is_stored_of_a_transaction_is_receipted_though_the_rest_fails() {
    let transaction = "BEGIN\ntransaction:t\n\n\0SEND\ndestination:/topic/a\ntransaction:t\nreceipt:1\n\n\0SEND\n\
        destination:/topic/a\ntransaction:t\nreceipt:2\n\n\0COMMIT\ntransaction:t\nreceipt:3\n\n\0";
    let outside = Outside::default();
    let published = outside.published.clone();
    let (mut core, output) = worker(outside, &format!("{SOFT}{transaction}"));
    let tickets = published.borrow().clone();
    core.begin_turn(AT(2));
    core.handle_outcome(tickets[0], Outcome::Stored { partition: 0, offset: 0, timestamp_ms: 0 });
    core.handle_outcome(tickets[1], Outcome::Refused(Reason::Purged));
    core.finish_turn();
    let mut answers = answers(&output);
    answers.sort();
    assert_eq!(answers, ["+1", "-2", "-3"]);
}

#[test]
fn p5_d02_disconnect_is_not_receipted_before_the_sends_whose_time_is_up() {
    let sends = "SEND\ndestination:/topic/a\nreceipt:1\n\n\0SEND\ndestination:/topic/a\nreceipt:2\n\n\0DISCONNECT\n\
        receipt:3\n\n\0";
    let outside = Outside::default();
    let published = outside.published.clone();
    let (mut core, output) = worker(outside, &format!("{SOFT}{sends}"));
    let first = published.borrow()[0];
    // The report comes in the turn in which the time-out is due, before the timer is looked at.
    core.begin_turn(AT(16));
    core.handle_outcome(first, Outcome::Stored { partition: 0, offset: 0, timestamp_ms: 0 });
    core.finish_turn();
    let answers = answers(&output);
    assert!(answers.iter().position(|it| it == "-2") < answers.iter().position(|it| it == "+3"), "{answers:?}");
    assert_eq!(answers.len(), 3);
}

/// R02, D01: a SEND is answered when the log has it, DISCONNECT when all before it is; what has nothing to wait for, at once.
#[test]
fn r02_d01_a_receipt_waits_for_the_log() {
    let send = |receipt: u32| format!("SEND\ndestination:/topic/a\nreceipt:{receipt}\n\n\0");
    let frames = [send(1), send(2), "BEGIN\ntransaction:t\nreceipt:3\n\n\0DISCONNECT\nreceipt:4\n\n\0".to_owned()];
    let outside = Outside::default();
    let published = outside.published.clone();
    let (mut core, output) = worker(outside, &format!("{SOFT}{}", frames.concat()));
    assert_eq!(answers(&output), ["+3"]);
    for (offset, expected) in [(0, &["+3", "+1"][..]), (1, &["+3", "+1", "+2", "+4"])] {
        let ticket = published.borrow()[offset as usize];
        core.begin_turn(AT(2));
        core.handle_outcome(ticket, Outcome::Stored { partition: 0, offset, timestamp_ms: 5 });
        core.finish_turn();
        assert_eq!(answers(&output), expected);
        let place = format!("\nmessage-id:0-{offset}-");
        assert!(String::from_utf8_lossy(&output.borrow()).contains(&place), "{place}");
    }
}

#[test]
fn row_7_b05_a_beat_keeps_its_client_and_an_lf_inside_a_frame_is_none() {
    let message = |text: &str| {
        let mut message = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
        message.extend(text.as_bytes());
        message
    };
    let outside = Outside::default();
    let (bodies, published) = (outside.bodies.clone(), outside.published.clone());
    let (mut core, output) = worker(outside, "CONNECT\naccept-version:1.2\nhost:a\nheart-beat:1000,0\n\n\0");
    assert!(output.borrow().windows(9).any(|nine| nine == b"CONNECTED"));
    let mut at = 2;
    let mut say = |core: &mut Core<Socket, Outside>, text: &str| {
        core.begin_turn(AT(at));
        core.slots[0].socket.input = message(text);
        core.handle_readiness(0, true, true, false);
        core.finish_turn();
        for (offset, ticket) in (0..).zip(published.borrow_mut().drain(..)) {
            core.handle_outcome(ticket, Outcome::Stored { partition: 0, offset, timestamp_ms: 0 });
        }
        at += 60;
    };
    // Each of them is more than half of the silence that is endured.
    for _ in 0..5 {
        say(&mut core, "\n");
        assert_eq!(core.slots.len(), 1);
    }
    for part in ["SEND\ndestination:/topic/a\n\n1", "\n", "2\0", "\n"] {
        say(&mut core, part);
    }
    assert_eq!(*bodies.borrow(), ["1\n2"]);
    let told = |wanted: &[u8]| output.borrow().windows(wanted.len()).any(|octets| octets == wanted);
    assert!(!told(b"ERROR"));
    // 120 s after the last beat.
    core.begin_turn(AT(at + 60));
    core.finish_turn();
    assert!(told(b"ERROR") && told(b"heart-beat"), "a silent client is cut");
}
