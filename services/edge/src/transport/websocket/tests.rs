#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use proptest::prelude::*;

/// A client's frame, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend((long as u16).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

#[derive(Debug, Clone)]
enum Sent {
    Whole(Vec<u8>),
    Fragments(Vec<Vec<u8>>),
    Ping,
    Pong,
}

fn sent() -> impl Strategy<Value = Sent> {
    let payload = || prop_oneof![prop::collection::vec(0u8..128, 0..60), prop::collection::vec(0u8..128, 100..3000)];
    prop_oneof![
        4 => payload().prop_map(Sent::Whole),
        2 => prop::collection::vec(payload(), 2..4).prop_map(Sent::Fragments),
        1 => Just(Sent::Ping),
        1 => Just(Sent::Pong),
    ]
}

fn written(all: &[Sent]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (mut octets, mut payloads) = (Vec::new(), Vec::new());
    for sent in all {
        match sent {
            Sent::Whole(payload) => {
                octets.extend(frame(0x82, payload));
                payloads.push(payload.clone());
            }
            Sent::Fragments(parts) => {
                for (at, part) in parts.iter().enumerate() {
                    let fin = if at + 1 == parts.len() { 0x80 } else { 0 };
                    octets.extend(frame(fin | if at == 0 { 2 } else { 0 }, part));
                    // A control frame may stand between fragments.
                    octets.extend(frame(0x8a, b"!"));
                }
                payloads.push(parts.concat());
            }
            Sent::Ping => octets.extend(frame(0x89, b"?")),
            Sent::Pong => octets.extend(frame(0x8a, b"")),
        }
    }
    (octets, payloads)
}

proptest! {
    /// Two clients whose reads alternate share engines, and neither sees anything of the other.
    #[test]
    fn row_4_engines_are_shared_between_messages(
        all in [prop::collection::vec(sent(), 1..8), prop::collection::vec(sent(), 1..8)],
        steps in prop::collection::vec(1usize..900, 1..40),
    ) {
        let mut spare = Spare::new(1);
        let mut sockets = [WebSocket::new(1 << 20), WebSocket::new(1 << 20)];
        let written = [written(&all[0]), written(&all[1])];
        let (mut read, mut got, mut pongs) = ([0; 2], [vec![], vec![]], [0; 2]);
        for turn in 0.. {
            let who = turn % 2;
            let octets = &written[who].0;
            let until = (read[who] + steps[(turn / 2) % steps.len()]).min(octets.len());
            let mut replies = Vec::new();
            let result = sockets[who].handle_input(&octets[read[who]..until], &mut spare, &mut replies, &mut |input| {
                if let Input::Stomp(payload) = input {
                    got[who].push(payload.to_vec());
                }
                ControlFlow::Continue(())
            });
            prop_assert_eq!(result, Ok(()));
            pongs[who] += replies.iter().map(|reply| reply.len() / 3).sum::<usize>();
            read[who] = until;
            if read[0] == written[0].0.len() && read[1] == written[1].0.len() {
                break;
            }
        }
        for who in 0..2 {
            prop_assert_eq!(&got[who], &written[who].1);
            prop_assert_eq!(pongs[who], all[who].iter().filter(|sent| matches!(sent, Sent::Ping)).count());
            prop_assert!(sockets[who].engine.is_none(), "idle, and still with an engine");
        }
    }
}

#[test]
fn row_7_b05_a_beat_is_known_between_messages_only() {
    let mut socket = WebSocket::new(1 << 20);
    assert!(socket.is_beat(&frame(0x81, b"\n")) && socket.is_beat(&[0x82, 0x81, 7, 1, 2, 3, b'\n' ^ 7]));
    for other in [frame(0x81, b"\0"), frame(0x01, b"\n"), frame(0x89, b"\n"), frame(0x81, b"\n\n"), vec![0x81]] {
        assert!(!socket.is_beat(&other), "{other:?}");
    }
    // The first eight octets of a message of eleven.
    let mut begun = frame(0x82, b"SEND\n.....\n");
    begun.truncate(14);
    socket.handle_input(&begun, &mut Spare::new(1), &mut Vec::new(), &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(!socket.is_beat(&frame(0x81, b"\n")));
}

#[test]
fn row_4_a_websocket_is_small() {
    assert!(size_of::<WebSocket>() <= 16);
}
