//! Why a client could not connect or join, and what would help.

use std::{fmt, time::Duration};

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
    pub(in crate::client) fn new(reason: Reason, text: String) -> Failure {
        Failure { reason, text, status: None, retry_after: None, hopeless: false }
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
