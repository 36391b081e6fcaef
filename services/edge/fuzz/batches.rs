//! What must hold for any octets that are sent as a batch.

use crate::ndjson::{Fault, Message, Reader};

/// Small, so that inputs of some octets reach it.
const LIMIT: usize = 256;

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Result<Message, Fault>> {
    let (mut reader, mut lines) = (Reader::new(LIMIT), Vec::new());
    for mut piece in pieces {
        lines.extend(std::iter::from_fn(|| reader.next(&mut piece)));
        assert!(piece.is_empty(), "every octet is taken");
    }
    lines.extend(reader.finish());
    assert!(reader.finish().is_none(), "the end is read once");
    lines
}

/// How a batch is cut into parts changes nothing; each line that says something has one answer; a message is what JSON says
/// it is, and never more than its line.
pub(crate) fn cuts_change_nothing(data: &[u8]) {
    let (size, batch) = data.split_first().map_or((1, data), |(first, rest)| (usize::from(*first % 67) + 1, rest));
    let whole = read([batch]);
    assert_eq!(whole, read(batch.chunks(1)), "one octet at a time");
    assert_eq!(whole, read(batch.chunks(size)), "{size} octets at a time");
    let said = batch.split(|octet| *octet == b'\n').filter(|line| line.len() > LIMIT || !line.trim_ascii().is_empty());
    let mut lines = 0;
    for (line, read) in said.zip(&whole) {
        lines += 1;
        match read {
            Ok(message) => {
                let json: serde_json::Value = serde_json::from_slice(line).expect("JSON");
                let text = json.get("body").and_then(|body| body.as_str());
                assert!(text.is_none_or(|text| text.as_bytes() == message.body), "the body is the text");
                assert!(line.len() <= LIMIT && message.body.len() <= line.len());
                let headers = json.get("headers").and_then(|headers| headers.as_object());
                assert!(headers.map_or(0, |headers| headers.len()) <= message.headers.len());
                let names = ["body", "body_base64", "content_type", "idempotency_key", "headers"];
                assert!(json.as_object().expect("an object").keys().all(|name| names.contains(&name.as_str())));
            }
            Err(fault) => assert_eq!(*fault == Fault::TooLong, line.len() > LIMIT),
        }
    }
    assert_eq!(lines, whole.len());
}
