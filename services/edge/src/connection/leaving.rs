//! How a client leaves: it closes, ends its stream, or breaks off. What it had sent before is not lost.

use bytes::Bytes;

use super::{CLOSING, Connection, Phase, Settling};
use crate::{context::Context, disconnect::Ending, transport::Transport};

impl Connection {
    /// The client closed its side, or confirmed our close; `replies` answer it.
    pub(super) fn closed_by_client(&mut self, replies: Vec<Bytes>, cx: &mut Context<'_>) {
        self.confirmed = Some(replies.into());
        self.depart(cx);
        self.finish_if_confirmed(cx);
    }

    /// A client that closed is gone once what it sent before has been taken: SENDs that wait for room in the log are
    /// not lost because their sender was quick to leave (`stomp.md` D04).
    pub(super) fn finish_if_confirmed(&mut self, cx: &mut Context<'_>) {
        if self.confirmed.is_none() || self.has_unread_frames() {
            return;
        }
        let replies = self.confirmed.take().unwrap_or_default();
        self.outbound.extend(replies.into_iter(), &mut cx.spares.queues);
        self.confirmed = Some(Box::default());
        match self.phase {
            Phase::Closing { .. } | Phase::Dead { .. } => {}
            _ => {
                cx.metrics.closed(Ending::ClientClosed);
                self.log(Ending::ClientClosed, None, None, cx);
                // The answer to its close still has to leave.
                self.phase = Phase::Closing { until: (cx.now + CLOSING).into() };
            }
        }
        if self.outbound.is_empty() {
            self.phase = Phase::Dead { linger_zero: false };
        }
    }

    /// The socket takes nothing any more. What it has received already is still to be read: SENDs among it were sent
    /// before the client went (`stomp.md` D04). The end of the stream then says that it is [`Connection::lost`].
    pub fn cannot_write(&mut self, cx: &mut Context<'_>) {
        if matches!(self.phase, Phase::Closing { .. } | Phase::Dead { .. }) {
            return self.lost(cx);
        }
        self.outbound.abandon();
        self.readable = true;
    }

    /// The client has shut its side of the stream down.
    pub fn end_of_stream(&mut self, cx: &mut Context<'_>) {
        self.readable = false;
        if !self.transport.closes_by_ending() {
            return self.lost(cx);
        }
        if self.confirmed.is_some() {
            return;
        }
        if matches!(self.phase, Phase::Open) && self.sends.in_flight() > 0 {
            // It may still be reading: the outcome of what it has sent is told before the stream ends.
            self.leave_rooms(cx);
            let (ending, until) = (Ending::ClientClosed, cx.now + cx.settings.send_timeout);
            self.phase = Phase::Settling(Box::new(Settling { ending, receipt: None, until }));
            self.settle(cx);
            return self.set_paused(cx);
        }
        self.closed_by_client(Vec::new(), cx);
    }

    /// Whether the stream is to be ended now, without waiting for the client: it has everything that ends it.
    pub fn take_end(&mut self) -> bool {
        matches!(self.phase, Phase::Closing { .. }) && self.outbound.is_empty() && self.transport.take_end()
    }

    /// Cut off without a word; what the client has sent and nobody has looked at is lost with it.
    pub fn cut(&mut self, cx: &mut Context<'_>) {
        self.outbound.abandon();
        self.depart(cx);
        if !matches!(self.phase, Phase::Closing { .. } | Phase::Dead { .. }) {
            cx.metrics.closed(Ending::ClientLost);
            self.log(Ending::ClientLost, None, None, cx);
        }
        self.phase = Phase::Dead { linger_zero: true };
    }

    /// The socket is gone.
    pub fn lost(&mut self, cx: &mut Context<'_>) {
        self.outbound.abandon();
        self.depart(cx);
        if self.has_unread_frames() {
            self.confirmed = Some(Box::default());
        } else if !matches!(self.phase, Phase::Dead { .. }) {
            if !matches!(self.phase, Phase::Closing { .. }) {
                cx.metrics.closed(Ending::ClientLost);
                self.log(Ending::ClientLost, None, None, cx);
            }
            self.phase = Phase::Dead { linger_zero: false };
        }
    }
}
