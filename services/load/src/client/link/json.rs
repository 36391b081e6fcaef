//! The JSON objects of klatsch's HTTP interface, as a client reads them.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde::{Deserialize, de::IgnoredAny};

use super::{Joined, Message, Problem};
use crate::client::is_secret;

/// A message object.
#[derive(Debug, Deserialize)]
pub(super) struct MessageObject<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    sender: Cow<'a, str>,
    timestamp: i64,
    #[serde(borrow, default)]
    headers: BTreeMap<Cow<'a, str>, IgnoredAny>,
    #[serde(borrow, default)]
    body: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    body_base64: Option<Cow<'a, str>>,
    #[serde(default)]
    replayed: bool,
}

impl From<MessageObject<'_>> for Message {
    fn from(object: MessageObject<'_>) -> Message {
        let octets = |text: Cow<'_, str>| STANDARD.decode(text.as_bytes()).unwrap_or_default();
        let body = object.body.map(|text| text.into_owned().into_bytes());
        Message {
            id: object.id.into_owned(),
            ts: Some(object.timestamp),
            sender: Some(object.sender.into_owned()),
            replayed: object.replayed,
            leaked: object.headers.keys().find(|name| is_secret(name)).map(|name| name.clone().into_owned()),
            body: body.or_else(|| object.body_base64.map(octets)).unwrap_or_default(),
        }
    }
}

/// A problem object (RFC 9457).
#[derive(Debug, Default, Deserialize)]
pub(super) struct ProblemObject {
    #[serde(default)]
    title: String,
    status: Option<u16>,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    outcome: Option<String>,
    #[serde(default)]
    retry_after: Option<u64>,
}

impl ProblemObject {
    /// The WebSocket close code of the same ending, where a client has to know it.
    pub(super) fn close(&self) -> u16 {
        match self.code.as_str() {
            "slow" => 4002,
            "gap" | "not_recovered" => 4003,
            "log_away" => 4004,
            "draining" => 1012,
            "restart_notice" => 4001,
            "shut_down" => 1001,
            "try_later" | "busy" | "rate_limited" => 1013,
            "bad_credentials" | "credentials_expired" => 4501,
            "banned" => 4502,
            "forbidden" | "unknown_destination" | "too_many" => 1008,
            "too_large" => 1009,
            _ => 1011,
        }
    }

    /// `soft`: what it speaks of goes on.
    pub(super) fn read(self, soft: bool) -> Problem {
        let detail = if self.detail.is_empty() { String::new() } else { format!(": {}", self.detail) };
        let refused = match self.outcome.as_deref() {
            Some(outcome) => outcome == "refused",
            None => self.status.is_some_and(|status| (400..500).contains(&status)),
        };
        Problem {
            code: self.status,
            text: format!("problem {}: {}{detail}", self.code, self.title),
            refused,
            soft,
            joining: false,
            retry_after: self.retry_after.map(Duration::from_secs),
        }
    }
}

/// What a stream of events, or a room's socket, says when the room is joined.
#[derive(Debug, Deserialize)]
pub(super) struct Subscribed {
    position: String,
    recovered: Option<bool>,
}

impl From<Subscribed> for Joined {
    fn from(Subscribed { position, recovered }: Subscribed) -> Joined {
        Joined { position: Some(position), recovered, count: None }
    }
}

/// 201 of a POST, and the same on a room's socket.
#[derive(Debug, Deserialize)]
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) timestamp: i64,
}

/// A page of messages.
#[derive(Debug, Deserialize)]
pub(super) struct Page<'a> {
    #[serde(borrow)]
    pub(super) messages: Vec<MessageObject<'a>>,
    pub(super) next: String,
    pub(super) more: bool,
    pub(super) recovered: Option<bool>,
}

/// A text message of a room's socket.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Text {
    /// The room is joined.
    Subscribed(Subscribed),
    /// A message; read once more, as what it is.
    Message,
    /// One of ours is stored.
    Stored {
        n: u64,
        #[serde(flatten)]
        stored: Stored,
    },
    /// One of ours is not taken, or the session ends.
    Problem { n: Option<u64>, problem: ProblemObject },
}

/// Whose token it is: the claim `sub`. Nobody else than the token says who sends.
pub(super) fn subject(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        sub: String,
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&claims).ok().map(|Claims { sub }| sub)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn objects_are_read_as_they_are_specified() {
        let text = r#"{"type":"message","id":"3-17-0a1b2c3d","room":"general","sender":"ann","timestamp":17,
            "content_type":"text/plain","headers":{"a":"b","X-Api-Key":"s"},"body":"h\u00fc","replayed":true}"#;
        let message: Message = serde_json::from_str::<MessageObject<'_>>(text).unwrap().into();
        assert_eq!((message.id.as_str(), message.ts, message.replayed), ("3-17-0a1b2c3d", Some(17), true));
        assert_eq!((message.body.as_slice(), message.leaked.as_deref()), ("hü".as_bytes(), Some("X-Api-Key")));
        let octets = r#"{"id":"1","sender":"a","timestamp":1,"body_base64":"/wA="}"#;
        assert_eq!(Message::from(serde_json::from_str::<MessageObject<'_>>(octets).unwrap()).body, [0xff, 0]);
        let text = r#"{"type":"stored","n":2,"id":"1-2-3","timestamp":5}"#;
        assert!(matches!(serde_json::from_str(text).unwrap(), Text::Stored { n: 2, .. }));
        let text = r#"{"type":"problem","problem":{"type":"about:blank","title":"gap","status":410,"code":"gap"}}"#;
        let Text::Problem { n: None, problem } = serde_json::from_str(text).unwrap() else { panic!() };
        assert_eq!((problem.close(), problem.read(false).code), (4003, Some(410)));
    }

    #[test]
    fn a_refusal_is_one_only_if_that_is_certain() {
        let read = |text: &str| serde_json::from_str::<ProblemObject>(text).unwrap().read(true).refused;
        assert!(read(r#"{"status":503,"outcome":"refused"}"#) && read(r#"{"status":413}"#));
        assert!(!read(r#"{"status":503,"outcome":"unknown"}"#) && !read(r#"{"status":503}"#));
    }

    #[test]
    fn a_token_says_whose_it_is() {
        assert_eq!(subject("e30.eyJzdWIiOiJhbm4ifQ.x").as_deref(), Some("ann"));
        assert_eq!((subject("opaque"), subject("a.b.c")), (None, None));
    }
}
