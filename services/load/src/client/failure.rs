//! Why a client could not connect or join, and what would help.

use std::{fmt, time::Duration};

use stomp_proto::ServerFrame;

/// How far it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No TCP connection.
    Unreachable,
    /// The server answered the upgrade with an HTTP error.
    Refused,
    /// What answers is no WebSocket server.
    Upgrade,
    /// STOMP's ERROR, or a close before CONNECTED.
    Stomp,
    /// No answer in time.
    Silent,
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How far it got.
    pub reason: Reason,
    /// What was heard.
    pub text: String,
    /// The upgrade's HTTP status.
    pub status: Option<u16>,
    /// When the server wants to be asked again.
    pub retry_after: Option<Duration>,
    /// Coming back is of no use.
    pub hopeless: bool,
}

impl Failure {
    pub(super) fn new(reason: Reason, text: String) -> Failure {
        Failure { reason, text, status: None, retry_after: None, hopeless: false }
    }

    /// ERROR in answer to CONNECT or SUBSCRIBE.
    pub(super) fn error(frame: &ServerFrame) -> Failure {
        Failure {
            retry_after: retry_after(frame),
            hopeless: matches!(frame.headers.get("x-error-code"), Some("401" | "403" | "404" | "426")),
            ..Failure::new(Reason::Stomp, error_text(frame))
        }
    }

    /// What the user can do.
    pub fn advice(&self) -> &'static str {
        match self.reason {
            Reason::Unreachable => "is a server running there? `make run` starts an edge, `make cluster` three of them",
            Reason::Refused => "is the path right (klatsch: /ws)? an edge says 503 while it starts, drains, or is full",
            Reason::Upgrade => "is it a WebSocket server that speaks STOMP? try --subprotocols ''",
            Reason::Stomp => "see --token, --login, --passcode, --stomp-host, --destination-prefix",
            Reason::Silent => "a server without RECEIPT for SUBSCRIBE needs --no-barrier",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// ERROR's words: label or code, and message.
pub(super) fn error_text(frame: &ServerFrame) -> String {
    let get = |name| frame.headers.get(name);
    // A soft one has its words in the body.
    let message = get("message").map_or_else(|| String::from_utf8_lossy(&frame.body), Into::into);
    match get("x-error").or(get("x-error-code")) {
        Some(label) => format!("ERROR {label}: {message}"),
        None => format!("ERROR: {message}"),
    }
}

/// ERROR's `retry-after`.
pub(super) fn retry_after(frame: &ServerFrame) -> Option<Duration> {
    frame.headers.get("retry-after")?.parse().ok().map(Duration::from_secs)
}

/// ERROR's `x-error-code`.
pub(super) fn error_code(frame: &ServerFrame) -> Option<u16> {
    frame.headers.get("x-error-code")?.parse().ok()
}
