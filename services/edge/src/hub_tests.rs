//! What the hub promises to its members.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap as Map;

use chat_proto::{MessageId, View};
use proptest::prelude::*;
use stomp_proto::Version;

use super::*;
use crate::transport::Framing;

fn shape() -> Shape<'static> {
    Shape {
        framing: Framing::WebSocket,
        version: Version::V1_2,
        prefix: "/topic/",
        suffix: "",
        subscription: Some("sub-0"),
    }
}

fn message(room: RoomId, seq: u64) -> Arc<Message> {
    let id = MessageId { partition: 0, offset: seq as i64, check: 0 };
    Arc::new(Message { room, seq, id, timestamp_ms: 0, content: View::default(), trace: None })
}

impl<F: FnMut(Member, &[Arc<Message>], &mut Frames)> Audience for F {
    fn offer(&mut self, member: Member, run: &[Arc<Message>], frames: &mut Frames) {
        self(member, run, frames);
    }
}

/// A closure as an audience: what it is given has any lifetime.
fn to<F: FnMut(Member, &[Arc<Message>], &mut Frames)>(offer: F) -> F {
    offer
}

/// What each connection was offered, less what it knows it has: the rule of `Connection::offer`.
#[derive(Default)]
struct Inboxes(Map<u32, Vec<u64>>);

impl Inboxes {
    fn take(&mut self, member: Member, run: &[Arc<Message>]) {
        let got = self.0.entry(member.connection).or_default();
        for message in run {
            if got.last().is_none_or(|last| *last < message.seq) {
                got.push(message.seq);
            }
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
    hub.deliver(&[message(1, 1)], &mut to(|_, _, _| offers += 1));
    assert_eq!(offers, 0);
    hub.deliver(&[message(2, 2)], &mut to(|_, _, _| offers += 1));
    assert_eq!(offers, 1);
    hub.deliver(&[message(1, 3)], &mut to(|_, _, _| offers += 1));
    let mut slices = Vec::new();
    loop {
        let mut in_slice = 0;
        let more = hub.sweep(&mut to(|_, run, _| in_slice += run.len()));
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
    hub.deliver(&[message(1, 1)], &mut to(|member, run, shapes| frames.push(shapes.shared(member.shape, run))));
    let first = frames[0].as_ptr();
    assert!(frames[..10].iter().all(|frame| frame.as_ptr() == first));
    assert_ne!(frames[10].as_ptr(), first);
}

/// performance.md row 2: what comes together for a room is encoded as one piece, in order; other rooms are not in it,
/// and it is not so large that one client's queue would know no bound.
#[test]
fn row_2_messages_of_one_room_that_come_together_are_one_piece() {
    for members in [1, SLICE + 1] {
        let mut hub = Hub::default();
        for connection in 0..members {
            hub.join(1, connection, 0, shape());
        }
        hub.join(2, 0, 1, shape());
        let mut pieces = Vec::new();
        let mut offer = |member: Member, run: &[Arc<Message>], shapes: &mut Frames| {
            if member.connection == 0 {
                let seqs: Vec<_> = run.iter().map(|message| (message.room, message.seq)).collect();
                let octets = shapes.shared(member.shape, run);
                pieces.push((seqs, octets.windows(8).filter(|octets| octets == b"MESSAGE\n").count()));
            }
        };
        hub.deliver(&[message(1, 1), message(1, 2), message(2, 3), message(1, 4)], &mut offer);
        while hub.sweep(&mut offer) {}
        pieces.sort();
        let mut expected = vec![(vec![(1, 1), (1, 2)], 2), (vec![(1, 4)], 1), (vec![(2, 3)], 1)];
        if members > SLICE {
            // What waits for a large room's turn has come together, whatever came between.
            expected = vec![(vec![(1, 1), (1, 2), (1, 4)], 3), (vec![(2, 3)], 1)];
        }
        assert_eq!(pieces, expected);
    }
    let batch: Vec<_> = (0..1000).map(|seq| message(1, seq)).collect();
    let lengths: Vec<_> = runs(&batch).map(<[_]>::len).collect();
    assert_eq!(lengths.iter().sum::<usize>(), batch.len());
    assert!(lengths.iter().all(|length| length * batch[0].cost() <= RUN_BYTES), "{lengths:?}");
}

/// performance.md row 19: a large room's message is encoded once, however many slices it takes.
#[test]
fn row_19_one_frame_for_all_slices() {
    let mut hub = Hub::default();
    let members: Vec<_> = (0..SLICE * 3).map(|connection| hub.join(1, connection, 0, shape())).collect();
    let mut frames = Vec::new();
    hub.deliver(&[message(1, 1)], &mut to(|_, _, _| ()));
    let mut offer =
        |member: Member, run: &[Arc<Message>], shapes: &mut Frames| frames.push(shapes.shared(member.shape, run));
    while hub.sweep(&mut offer) {}
    assert_eq!(frames.len(), SLICE * 3);
    assert!(frames.iter().all(|frame| frame.as_ptr() == frames[0].as_ptr()));
    // A shape that has gone between two slices, and another one under its number: not the old one's frames.
    hub.deliver(&[message(1, 2)], &mut to(|_, _, _| ()));
    let mut frames = Vec::new();
    hub.sweep(&mut to(|member, run, shapes| frames.push(shapes.shared(member.shape, run))));
    assert!(members.into_iter().all(|membership| hub.leave(membership) == Some(1)));
    hub.join(1, 1, 0, Shape { subscription: Some("other"), ..shape() });
    for connection in 0..SLICE * 2 {
        hub.join(1, connection, 0, Shape { subscription: Some("other"), ..shape() });
    }
    hub.deliver(&[message(1, 2)], &mut to(|_, _, _| ()));
    let mut others = Vec::new();
    while hub.sweep(&mut to(|member, run, shapes| others.push(shapes.shared(member.shape, run)))) {}
    assert!(others.iter().all(|frame| frame.windows(5).any(|octets| octets == b"other")));
}

#[derive(Debug, Clone)]
enum Step {
    Join(u32),
    Leave(usize),
    Deliver(u64),
    Sweep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0u32..400).prop_map(Step::Join),
        2 => (0usize..400).prop_map(Step::Leave),
        2 => (1u64..5).prop_map(Step::Deliver),
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
                Step::Deliver(count) => {
                    let batch: Vec<_> = (seq + 1..=seq + count).map(|seq| message(1, seq)).collect();
                    seq += count;
                    hub.deliver(&batch, &mut to(|member, run, _| got.take(member, run)));
                }
                Step::Sweep => {
                    hub.sweep(&mut to(|member, run, _| got.take(member, run)));
                }
            }
        }
        while hub.sweep(&mut to(|member, run, _| got.take(member, run))) {}
        hub.sweep(&mut to(|member, run, _| got.take(member, run)));
        for (connection, _, since) in members {
            let expected: Vec<u64> = (since + 1..=seq).collect();
            let seen: Vec<u64> = got.0.remove(&connection).unwrap_or_default().into_iter().filter(|at| *at > since).collect();
            prop_assert_eq!(seen, expected, "connection {}", connection);
        }
    }
}
