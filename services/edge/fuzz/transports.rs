//! What must hold for any octets on a socket, whatever is spoken there.

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::{
    spare::Spare,
    transport::{AnyTransport, Engine, Fault, Input, Kind, Transport, sockjs::json},
};

/// Small, so that inputs of some octets reach it.
const LIMIT: usize = 512;

/// All that can be seen of a transport, pieces of the same kind as one.
#[derive(Debug, Default, PartialEq)]
struct Trace {
    stomp: Vec<u8>,
    signs: usize,
    closed: bool,
    replies: Vec<u8>,
    fault: Option<Fault>,
}

fn trace<'a>(kind: &Kind, pieces: impl IntoIterator<Item = &'a [u8]>, engines: &mut Spare<Engine>) -> Trace {
    let (mut transport, mut trace) = (AnyTransport::new(kind.clone(), LIMIT), Trace::default());
    for piece in pieces {
        let is_beat = transport.is_beat(piece);
        let before = trace.stomp.len();
        let mut replies: Vec<Bytes> = Vec::new();
        let mut longest = 0;
        let result = transport.handle_input(piece, engines, &mut replies, &mut |input| {
            match input {
                Input::Stomp(octets) => {
                    longest = longest.max(octets.len());
                    trace.stomp.extend_from_slice(octets);
                }
                Input::LifeSign => trace.signs += 1,
                Input::Close => trace.closed = true,
            }
            ControlFlow::Continue(())
        });
        if *kind == Kind::WebSocket {
            assert!(longest <= LIMIT, "a message of {longest} octets, {LIMIT} are allowed");
        }
        assert!(!is_beat || result.is_ok() && trace.stomp[before..] == *b"\n", "what counted as a beat is none");
        replies.iter().for_each(|reply| trace.replies.extend_from_slice(reply));
        if let Err(fault) = result {
            trace.fault = Some(fault);
            break;
        }
        if trace.closed {
            break;
        }
    }
    // However it ended: it can be closed, once, and says nothing more after that.
    let close = transport.close(1002, "why");
    assert!(transport.close(1002, "why").is_empty());
    if matches!(kind, Kind::WebSocket | Kind::SockJs) && !trace.closed {
        assert!(close.windows(4).any(|four| four[0] == 0x88 && four[2..] == [0x03, 0xea]), "no close frame with 1002");
    }
    let mut replies = Vec::new();
    let ignored = transport.handle_input(b"\x81\x80abcd", engines, &mut replies, &mut |_| ControlFlow::Continue(()));
    assert!(ignored.is_ok() && replies.is_empty());
    trace
}

/// How a stream is cut into reads changes nothing, and neither does who has used an engine before.
pub(crate) fn cuts_change_nothing(kind: &Kind, data: &[u8]) {
    let (size, stream) = data.split_first().map_or((1, data), |(first, rest)| (usize::from(*first % 67) + 1, rest));
    let mut engines = Spare::new(1);
    let whole = trace(kind, [stream], &mut engines);
    assert_eq!(whole, trace(kind, stream.chunks(1), &mut engines), "one octet at a time");
    assert_eq!(whole, trace(kind, stream.chunks(size), &mut engines), "{size} octets at a time");
}

/// Any message of a SockJS client, and any text to it, quoted and read again.
pub(crate) fn strings_are_read_back(text: &str) {
    let read = json::Decoder::default().strings(text);
    if let Ok(octets) = &read {
        assert!(octets.len() <= text.len() * 3, "no message grows");
        assert!(String::from_utf8(octets.clone()).is_ok(), "STOMP is UTF-8");
    }
    let mut quoted = vec![b'['];
    json::quote(text, &mut quoted);
    quoted.push(b']');
    let quoted = String::from_utf8(quoted).expect("JSON is text");
    assert!(!quoted.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')));
    assert_eq!(json::Decoder::default().strings(&quoted), Ok(text.as_bytes().to_vec()));
    assert_eq!(serde_json::from_str::<Vec<String>>(&quoted).expect("what is quoted is JSON"), [text]);
}
