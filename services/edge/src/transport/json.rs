//! What a session says, in JSON: for clients that speak no STOMP. A room's messages are written from the record, the
//! session's own words (RECEIPT, ERROR) are translated.
//!
//! | STOMP | JSON |
//! |---|---|
//! | MESSAGE | `{"type":"message","id","room","sender","timestamp",…,"body"}` |
//! | RECEIPT of a SUBSCRIBE whose receipt is its room's name | `{"type":"subscribed","room","position","recovered"?}` |
//! | RECEIPT of a SEND | `{"type":"stored","receipt","id","timestamp"}` |
//! | any other RECEIPT | `{"type":"done","receipt"}` |
//! | ERROR, or a soft one | `{"type":"problem","receipt"?,"problem":{"title","status","code",…}}` (RFC 9457) |

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chat_proto::MessageId;
use serde::{Serialize, Serializer, ser::SerializeMap};
use stomp_proto::{Command, Headers, ServerDecoder, ServerFrame, Version};

use crate::{destination::ERRORS, disconnect::Ending, message, problem::Problem};

/// Every session that is translated speaks this version: the edge itself has written its CONNECT.
pub const VERSION: Version = Version::V1_2;

/// A message of a room.
#[derive(Serialize)]
struct Message<'a> {
    r#type: &'static str,
    id: &'a str,
    room: &'a str,
    sender: &'a str,
    timestamp: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    content_type: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    idempotency_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "fields")]
    headers: Option<&'a message::Message>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
    #[serde(flatten)]
    body: Body<'a>,
}

#[derive(Serialize)]
enum Body<'a> {
    #[serde(rename = "body")]
    Text(&'a str),
    /// What is not UTF-8 cannot be a string of JSON.
    #[serde(rename = "body_base64")]
    Octets(String),
}

/// The sender's own headers; of several with one name the first counts, as in STOMP.
fn fields<S: Serializer>(message: &Option<&message::Message>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    let headers = || message.iter().flat_map(|message| message.content.headers());
    for (at, (name, value)) in headers().enumerate() {
        if !headers().take(at).any(|(earlier, _)| earlier == name) {
            map.serialize_entry(name, value)?;
        }
    }
    map.end()
}

/// Appends a message of a room, on one line.
pub fn message(message: &message::Message, replayed: bool, out: &mut Vec<u8>) {
    let (content, mut id) = (&message.content, [0; MessageId::MAX_LEN]);
    let body = match str::from_utf8(content.body()) {
        Ok(text) => Body::Text(text),
        Err(_) => Body::Octets(STANDARD.encode(content.body())),
    };
    let object = Message {
        r#type: "message",
        id: message.id.spelled(&mut id),
        room: content.room(),
        sender: content.sender(),
        timestamp: message.timestamp_ms,
        content_type: content.content_type(),
        idempotency_key: content.idempotency_key(),
        headers: content.headers().next().map(|_| message),
        replayed,
        body,
    };
    append(&object, out);
}

/// What a session has said, beside messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Said {
    /// CONNECT was accepted. Nothing follows from it for who has not sent it.
    #[serde(skip)]
    Connected,
    /// A subscription begins.
    Subscribed {
        /// Its room.
        room: String,
        /// Where it begins, as a token that is valid on every edge.
        position: String,
        /// Whether all is there behind the token that it was to begin at; `None`: it had none.
        #[serde(skip_serializing_if = "Option::is_none")]
        recovered: Option<bool>,
    },
    /// A message is stored.
    Stored {
        /// Which one.
        receipt: String,
        /// Its id.
        id: String,
        /// When it was appended, in milliseconds since the Unix epoch.
        timestamp: i64,
    },
    /// Something else has been done.
    Done {
        /// What.
        receipt: String,
    },
    /// Something was refused, or the session ends.
    Problem {
        /// What was refused.
        #[serde(skip_serializing_if = "Option::is_none")]
        receipt: Option<String>,
        /// Why.
        problem: Problem,
    },
}

/// Translates one frame of the session.
pub fn said(frame: &[u8]) -> Said {
    let mut decoder = ServerDecoder::of_version(VERSION);
    decoder.push(frame);
    // The edge has written it itself, so that it can be read; should that ever be wrong, nobody is left in the dark.
    let Ok(Some(frame)) = decoder.poll() else { return Said::Problem { receipt: None, problem: internal() } };
    let own = |name| frame.headers.get(name).map(str::to_owned);
    let receipt = own("receipt-id");
    match frame.command {
        Command::Connected => Said::Connected,
        Command::Receipt => {
            let receipt = receipt.unwrap_or_default();
            match (own("x-position"), own("message-id")) {
                (Some(position), _) => {
                    let recovered = frame.headers.get("x-recovered").map(|value| value == "true");
                    Said::Subscribed { room: receipt, position, recovered }
                }
                (None, Some(id)) => Said::Stored { receipt, id, timestamp: number(&frame.headers, "timestamp") },
                (None, None) => Said::Done { receipt },
            }
        }
        _ => Said::Problem { receipt, problem: problem(&frame) },
    }
}

impl Said {
    /// Appends it, on one line.
    pub fn write(&self, out: &mut Vec<u8>) {
        append(self, out);
    }
}

/// What an ERROR says, or a MESSAGE on the session's own queue for soft ones.
fn problem(frame: &ServerFrame) -> Problem {
    let header = |name| frame.headers.get(name);
    let code = header("x-error").unwrap_or("internal").to_owned();
    let facts = Ending::all().map(Ending::facts).find(|facts| facts.label == code);
    let known = facts.and_then(|facts| facts.error.map(|(title, _)| title));
    let is_soft = header("destination") == Some(ERRORS);
    let title = if is_soft { known } else { header("message").or(known) };
    Problem {
        title: title.unwrap_or("internal error").to_owned().into(),
        detail: String::from_utf8_lossy(&frame.body).into_owned().into(),
        outcome: facts.and_then(|facts| facts.outcome),
        retry_after: header("retry-after").and_then(|seconds| seconds.parse().ok()),
        ..Problem::new(number(&frame.headers, "x-error-code"), code)
    }
}

fn internal() -> Problem {
    Ending::Internal.into()
}

/// A header of the edge's own that is a number.
fn number<T: std::str::FromStr + Default>(headers: &Headers, name: &str) -> T {
    headers.get(name).and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// Nothing that is written here has keys that are no strings, and a vector takes everything, so that it cannot fail.
fn append(object: &impl Serialize, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, object);
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
