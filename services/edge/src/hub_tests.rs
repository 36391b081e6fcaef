//! What the hub promises to its members.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap as Map;

use chat_proto::{MessageId, View};
use proptest::prelude::*;
use stomp_proto::Version;

use super::*;

fn shape() -> Shape<'static> {
    Shape { version: Version::V1_2, prefix: "/topic/", subscription: Some("sub-0") }
}

fn message(room: RoomId, seq: u64) -> Arc<Message> {
    let id = MessageId { partition: 0, offset: seq as i64, check: 0 };
    Arc::new(Message { room, seq, id, timestamp_ms: 0, content: View::default() })
}

/// What each connection was offered, less what it knows it has: the rule of `Connection::offer`.
#[derive(Default)]
struct Inboxes(Map<u32, Vec<u64>>);

impl Inboxes {
    fn take(&mut self, member: Member, message: &Message) {
        let got = self.0.entry(member.connection).or_default();
        if got.last().is_none_or(|last| *last < message.seq) {
            got.push(message.seq);
        }
    }
}

#[test]
fn a_small_room_is_served_at_once_and_a_large_one_in_slices() {
    let mut hub = Hub::default();
    for connection in 0..SLICE * 2 + 10 {
        hub.join(1, connection, 0, shape());
    }
    hub.join(2, 0, 1, shape());
    let mut offers = 0;
    hub.deliver(message(1, 1), &mut |_, _, _| offers += 1);
    assert_eq!(offers, 0);
    hub.deliver(message(2, 2), &mut |_, _, _| offers += 1);
    assert_eq!(offers, 1);
    hub.deliver(message(1, 3), &mut |_, _, _| offers += 1);
    let mut slices = Vec::new();
    loop {
        let mut in_slice = 0;
        let more = hub.sweep(&mut |_, _, _| in_slice += 1);
        slices.push(in_slice);
        if !more {
            break;
        }
    }
    assert_eq!(slices, [SLICE * 2, SLICE * 2, 20], "both messages for each member of a slice");
    assert!(!hub.is_sweeping());
}

#[test]
fn one_frame_for_all_of_a_shape() {
    let mut hub = Hub::default();
    for connection in 0..10 {
        hub.join(1, connection, 0, shape());
    }
    hub.join(1, 10, 0, Shape { subscription: Some("other"), ..shape() });
    let mut frames = Vec::new();
    hub.deliver(message(1, 1), &mut |member, message, shapes| frames.push(shapes.shared(member.shape, message)));
    let first = frames[0].as_ptr();
    assert!(frames[..10].iter().all(|frame| frame.as_ptr() == first));
    assert_ne!(frames[10].as_ptr(), first);
}

/// performance.md row 19: a large room's message is encoded once, however many slices it takes.
#[test]
fn row_19_one_frame_for_all_slices() {
    let mut hub = Hub::default();
    let members: Vec<_> = (0..SLICE * 3).map(|connection| hub.join(1, connection, 0, shape())).collect();
    let mut frames = Vec::new();
    hub.deliver(message(1, 1), &mut |_, _, _| ());
    let mut offer =
        |member: Member, message: &Message, shapes: &mut Frames| frames.push(shapes.shared(member.shape, message));
    while hub.sweep(&mut offer) {}
    assert_eq!(frames.len(), SLICE * 3);
    assert!(frames.iter().all(|frame| frame.as_ptr() == frames[0].as_ptr()));
    // A shape that has gone between two slices, and another one under its number: not the old one's frames.
    hub.deliver(message(1, 2), &mut |_, _, _| ());
    let mut frames = Vec::new();
    hub.sweep(&mut |member, message, shapes| frames.push(shapes.shared(member.shape, message)));
    assert!(members.into_iter().all(|membership| hub.leave(membership) == Some(1)));
    hub.join(1, 1, 0, Shape { subscription: Some("other"), ..shape() });
    for connection in 0..SLICE * 2 {
        hub.join(1, connection, 0, Shape { subscription: Some("other"), ..shape() });
    }
    hub.deliver(message(1, 2), &mut |_, _, _| ());
    let mut others = Vec::new();
    while hub.sweep(&mut |member, message, shapes| others.push(shapes.shared(member.shape, message))) {}
    assert!(others.iter().all(|frame| frame.windows(5).any(|octets| octets == b"other")));
}

#[derive(Debug, Clone)]
enum Step {
    Join(u32),
    Leave(usize),
    Deliver,
    Sweep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0u32..400).prop_map(Step::Join),
        2 => (0usize..400).prop_map(Step::Leave),
        2 => Just(Step::Deliver),
        3 => Just(Step::Sweep),
    ];
    prop::collection::vec(step, 1..300)
}

proptest! {
    /// P2, P3, P4: whoever is a member from a message on until the sweeps are done gets it, once and in order,
    /// whatever joins and leaves meanwhile.
    #[test]
    fn p3_members_miss_nothing_while_others_come_and_go(steps in steps(), crowd in 0usize..300) {
        let mut hub = Hub::default();
        let mut got = Inboxes::default();
        let mut members: Vec<(u32, MembershipId, u64)> = Vec::new();
        let (mut seq, mut left) = (0, Vec::new());
        for connection in 1000..1000 + crowd {
            members.push((connection as u32, hub.join(1, connection, 0, shape()), 0));
        }
        for step in steps {
            match step {
                Step::Join(connection) if members.iter().all(|(known, ..)| *known != connection) && !left.contains(&connection) => {
                    members.push((connection, hub.join(1, connection as usize, 0, shape()), seq));
                    // What was on its way before it came is not for it: `Connection::offer` knows from `through`.
                    got.0.insert(connection, vec![seq]);
                }
                Step::Join(_) => {}
                Step::Leave(at) if at < members.len() => {
                    let (connection, membership, _) = members.swap_remove(at);
                    hub.leave(membership);
                    left.push(connection);
                }
                Step::Leave(_) => {}
                Step::Deliver => {
                    seq += 1;
                    hub.deliver(message(1, seq), &mut |member, message, _| got.take(member, message));
                }
                Step::Sweep => {
                    hub.sweep(&mut |member, message, _| got.take(member, message));
                }
            }
        }
        while hub.sweep(&mut |member, message, _| got.take(member, message)) {}
        hub.sweep(&mut |member, message, _| got.take(member, message));
        for (connection, _, since) in members {
            let expected: Vec<u64> = (since + 1..=seq).collect();
            let seen: Vec<u64> = got.0.remove(&connection).unwrap_or_default().into_iter().filter(|at| *at > since).collect();
            prop_assert_eq!(seen, expected, "connection {}", connection);
        }
    }
}
