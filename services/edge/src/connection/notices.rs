//! `/session/notices`: what a session that wants to know is told of its own end. An edge that drains says when to go, so
//! that a client can be at another edge before it leaves this one (`stomp.md` W19, Q16). ERROR would mean a failure.

use std::time::Duration;

use super::{Connection, Phase};
use crate::{
    context::Context,
    destination::NOTICES,
    frames::{Shape, own_message},
    transport::Transport,
};

/// What CONNECTED says of it, for clients that ask only where they are answered.
pub(super) const OFFER: (&str, &str) = ("drain-notice", "1");

impl Connection {
    /// Whether it is told of the drain, and may then go by itself.
    pub fn hears_notices(&self) -> bool {
        matches!(self.phase, Phase::Open) && self.subscriptions.notices().is_some()
    }

    /// The edge drains: the client is to be elsewhere in `moves`, and is closed in `closed`.
    pub fn announce_drain(&mut self, moves: Duration, closed: Duration, cx: &mut Context<'_>) {
        let version = self.version();
        let Some(subscription) = self.subscriptions.notices() else { return };
        let (moves, closed) = (moves.as_millis().to_string(), closed.as_millis().to_string());
        let headers = [("type", "drain"), ("reconnect-after-ms", moves.as_str()), ("deadline-ms", closed.as_str())];
        let shape = Shape { framing: self.transport.framing(), version, prefix: NOTICES, suffix: "", subscription };
        let text = "this edge is closing down: connect anew, subscribe behind what you have, then leave here";
        self.outbound.push(own_message(shape, "notice-1", &headers, text), &mut cx.spares.queues);
    }
}
