//! What happened, in the words of those it happened to, as counters.

use std::time::Duration;

use chat_proto::RecordError;
use stomp_proto::Event;

use super::{ClientCommand, Handshake, Metrics, Opened, Poison, RateLimit, Sent, ServerCommand};
use crate::{disconnect::Ending, log::Outcome, readiness::Check, server::ServerEvents};

impl Metrics {
    /// A client's frame is about to be handled.
    pub fn frame_received(&self, event: &Event) {
        let command = match event {
            Event::Connect(_) => ClientCommand::Connect,
            Event::Send(_) => ClientCommand::Send,
            Event::Subscribe(_) => ClientCommand::Subscribe,
            Event::Unsubscribe { .. } => ClientCommand::Unsubscribe,
            Event::Acked(acked) if acked.nack => ClientCommand::Nack,
            Event::Acked(_) => ClientCommand::Ack,
            // Counted with its COMMIT, like all of a transaction.
            Event::Held { .. } => return,
            Event::Commit { .. } => ClientCommand::Commit,
            Event::Disconnect { .. } => ClientCommand::Disconnect,
        };
        self.stomp.received.of(command).inc();
    }

    /// A frame of the session is about to be sent. It is told by its first octet: a beat is none.
    pub fn frame_sent(&self, frame: &[u8]) {
        match frame.first() {
            Some(b'R') => self.stomp.sent.of(ServerCommand::Receipt).inc(),
            Some(b'C') => self.stomp.sent.of(ServerCommand::Connected).inc(),
            Some(b'E') => self.stomp.sent.of(ServerCommand::Error).inc(),
            _ => 0,
        };
    }

    /// A SEND is in the log, `after` it was read.
    pub fn send_stored(&self, after: Duration) {
        self.sends.results.of(Sent::Ok).inc();
        self.sends.ack.observe(after.as_secs_f64());
    }

    /// A SEND did not make it, or nobody knows.
    pub fn send_failed(&self, ending: Ending) {
        use crate::log::Reason;
        let result = match ending {
            Ending::Forbidden => Sent::Denied,
            Ending::SendUnknown => Sent::Timeout,
            Ending::RateLimited => Sent::RateLimited,
            Ending::SendRefused(Reason::QueueFull) => Sent::QueueFull,
            Ending::SendRefused(_) | Ending::LogAway => Sent::Refused,
            _ => Sent::Invalid,
        };
        self.sends.results.of(result).inc();
        if result == Sent::RateLimited {
            self.connections.rate_limited.of(RateLimit::User).inc();
        }
    }

    /// What the log says of a SEND whose connection is gone.
    pub fn orphan_settled(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Stored { .. } | Outcome::StoredUnplaced => {
                self.sends.results.of(Sent::Ok).inc();
            }
            Outcome::Refused(reason) => self.send_failed(Ending::SendRefused(*reason)),
            Outcome::Unknown(_) => self.send_failed(Ending::SendUnknown),
        }
    }

    /// A connection ends this way.
    pub fn closed(&self, ending: Ending) {
        self.connections.closed.of(ending).inc();
        if ending.is_protocol_error() {
            self.stomp.protocol_errors.of(ending).inc();
        }
    }

    /// What readiness says at the moment.
    pub fn readiness(&self, failing: &[(Check, String)]) {
        for check in Check::ALL {
            let passes = !failing.iter().any(|(failed, _)| *failed == check);
            self.state.ready.of(check).set(i64::from(passes));
        }
    }

    /// The size of the tail.
    pub fn tail_state(&self, bytes: usize, records: usize, age: Duration) {
        self.delivery.tail_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.delivery.tail_records.set(i64::try_from(records).unwrap_or(i64::MAX));
        self.delivery.tail_age.set(age.as_secs_f64());
    }
}

impl From<&RecordError> for Poison {
    fn from(error: &RecordError) -> Self {
        match error {
            RecordError::Decode(_) => Poison::Decode,
            RecordError::NoKey => Poison::NoKey,
            RecordError::Uuid => Poison::Uuid,
            RecordError::RoomMismatch => Poison::RoomMismatch,
            RecordError::BadRoom(_) => Poison::BadRoom,
            RecordError::Header => Poison::Header,
            RecordError::Nul => Poison::Nul,
        }
    }
}

impl ServerEvents for Metrics {
    fn opened(&self, result: &'static str) {
        let result = match result {
            "upgraded" | "accepted" => Opened::Ok,
            "origin" => Opened::Origin,
            "full" | "connections" | "half_open" | "workers" => Opened::Limit,
            "address" => Opened::AddressLimit,
            "starting" => Opened::NotReady,
            "draining" => Opened::Draining,
            "admission" => Opened::Admission,
            _ => Opened::BadRequest,
        };
        self.connections.opened.of(result).inc();
        let limit = match result {
            Opened::AddressLimit => RateLimit::Address,
            Opened::Admission => RateLimit::Edge,
            _ => return,
        };
        self.connections.rate_limited.of(limit).inc();
    }

    fn upgraded(&self, after: Duration) {
        self.times.handshake.of(Handshake::Upgrade).observe(after.as_secs_f64());
    }

    fn accept_failed(&self, error: &std::io::Error) {
        tracing::warn!(event = "accept_failed", %error, "no connection can be accepted at the moment");
    }

    fn slow(&self) {
        self.delivery.slow_closes.inc();
    }
}
