//! How a connection ends: ERROR, close, and what is left to be done after that. The words are `disconnect.rs`'s.

use std::time::Duration;

use stomp_proto::{ErrorFrame, ErrorKind, ProtocolError, Text};
use tracing::{Level, field::display};

use super::{CLOSING, Connection, PINGS_UNANSWERED, Phase, Settling};
use crate::{
    context::{Context, Settings},
    disconnect::Ending,
    logging::names::{Conn, Named},
    message::Subscriber,
    transport::Transport,
};

/// How long a drain waits for outstanding SENDs.
const DRAIN_SETTLE: Duration = Duration::from_secs(2);

impl From<&ProtocolError> for Ending {
    fn from(error: &ProtocolError) -> Self {
        match error.kind() {
            ErrorKind::NotConnected => Ending::OutOfTurn,
            ErrorKind::Unknown => Ending::NotOpen,
            ErrorKind::Conflict => Ending::AlreadyOpen,
            ErrorKind::TooLarge => Ending::TooLarge,
            ErrorKind::Version => Ending::Version,
            ErrorKind::TooMany => Ending::TooMany,
            ErrorKind::ConnectTimeout => Ending::ConnectTimeout,
            ErrorKind::Silent => Ending::HeartBeatLost,
            _ => Ending::Malformed,
        }
    }
}

impl Connection {
    /// Ends the connection: ERROR if there is something to say, then the transport's close; both are flushed.
    pub fn end(&mut self, ending: Ending, detail: Option<&str>, receipt: Option<Text>, cx: &mut Context<'_>) {
        self.end_with(ending, None, detail, receipt, cx);
    }

    pub(super) fn end_with(
        &mut self,
        ending: Ending,
        error: Option<&ProtocolError>,
        detail: Option<&str>,
        receipt: Option<Text>,
        cx: &mut Context<'_>,
    ) {
        if matches!(self.phase, Phase::Closing { .. } | Phase::Dead { .. }) {
            return;
        }
        let facts = ending.facts();
        cx.metrics.closed(ending);
        self.log(ending, error, detail, cx);
        // What stood behind a SEND that failed is not written in its place.
        while ending.facts().outcome.is_some()
            && let Some(send) = self.sends.drop_held(None)
        {
            cx.metrics.send_failed(ending);
            self.sends.forget_commit(send.commit);
        }
        self.depart(cx);
        if let Some((text, code)) = facts.error {
            let message = error.map_or(text, ProtocolError::message);
            let detail = error.map(ProtocolError::detail).or(detail).unwrap_or(text);
            let retry = facts.retry_after.map(|seconds| seconds.to_string());
            let mut headers = vec![("x-error", facts.label)];
            headers.extend(error.map_or(&[][..], ProtocolError::headers));
            headers.extend(retry.as_deref().map(|seconds| ("retry-after", seconds)));
            let receipt = error.and_then(ProtocolError::receipt).or(receipt.as_ref());
            let receipt_id = receipt.map(Text::as_str);
            self.session.error(&ErrorFrame { message, code, detail, receipt_id, headers: &headers });
        }
        self.pump(cx);
        match facts.close {
            Some(code) if !facts.linger_zero => {
                let close = self.transport.close(code, facts.reason);
                self.outbound.push(close, &mut cx.spares.queues);
                self.phase = Phase::Closing { until: (cx.now + CLOSING).into() };
            }
            // The client has closed already, and may still read what it has to get.
            None if !self.outbound.is_empty() => {
                self.confirmed = Some(Box::default());
                self.phase = Phase::Closing { until: (cx.now + CLOSING).into() };
            }
            _ => self.phase = Phase::Dead { linger_zero: facts.linger_zero },
        }
    }

    /// A SEND or SUBSCRIBE is refused: softly where the session asked for it, else it ends (`stomp.md` S05, U06).
    pub(super) fn refuse(
        &mut self,
        ending: Ending,
        detail: Option<&str>,
        destination: Option<&str>,
        receipt: Option<Text>,
        cx: &mut Context<'_>,
    ) {
        if !self.soft_error(ending, detail, destination, receipt.as_ref(), cx) {
            self.end(ending, detail, receipt, cx);
        }
    }

    /// The connection is going: what it has sent is written, and it is in no room any more.
    pub fn depart(&mut self, cx: &mut Context<'_>) {
        self.publish_held(cx);
        self.leave_all(cx);
    }

    /// Ends a connection that only waited for its SENDs, once the last has met its outcome.
    pub(super) fn settle(&mut self, cx: &mut Context<'_>) {
        let Phase::Settling(settling) = &self.phase else { return };
        if self.sends.in_flight() > 0 {
            if settling.until > cx.now {
                return;
            }
            // This may come before the timer that gives them up: DISCONNECT's RECEIPT must not stand for them.
            self.give_up_on_sends(cx);
        }
        let Phase::Settling(settling) = &mut self.phase else { return };
        let (ending, receipt) = (settling.ending, settling.receipt.take());
        self.leave_all(cx);
        if let Some(receipt) = receipt {
            self.session.receipt(&receipt, &[]);
        }
        self.end(ending, None, None, cx);
    }

    /// The edge drains: nothing more is read, outstanding SENDs get their RECEIPTs, then the close.
    pub fn drain(&mut self, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Open => {
                let (ending, until) = (Ending::Draining, cx.now + DRAIN_SETTLE);
                self.phase = Phase::Settling(Box::new(Settling { ending, receipt: None, until }));
                self.settle(cx);
            }
            Phase::New(_) | Phase::Authenticating(_) => self.end(Ending::TryLater, None, None, cx),
            _ => {}
        }
        self.set_paused(cx);
    }

    /// The place that a cursor wanted to go on from is no longer kept.
    pub fn handle_gap(&mut self, who: Subscriber, cx: &mut Context<'_>) {
        if self.slot(who.subscription).is_some() {
            self.end(Ending::Gap, None, None, cx);
        }
    }

    /// Records of a room this client is in were lost before they were read.
    pub fn handle_lost_records(&mut self, cx: &mut Context<'_>) {
        self.end(Ending::Gap, None, None, cx);
    }

    /// The grace is over.
    pub fn shut_down(&mut self, cx: &mut Context<'_>) {
        self.end(Ending::ShutDown, None, None, cx);
    }

    /// After everything that happened: queued octets have been written as far as the socket takes them.
    pub fn handle_flushed(&mut self, cx: &mut Context<'_>) {
        if self.paused_since.is_some() {
            self.advance(cx);
        }
        if self.outbound.is_empty() {
            if self.confirmed.is_some() && matches!(self.phase, Phase::Closing { .. }) {
                self.phase = Phase::Dead { linger_zero: false };
            }
            self.read_on(cx);
        }
    }

    /// The earliest moment at which [`Connection::handle_timeout`] has something to do.
    pub fn deadline(&self, settings: &Settings) -> Option<Duration> {
        let stuck = self.outbound.stuck_since().map(|since| since + settings.stuck_timeout);
        let mut earliest = match &self.phase {
            Phase::Dead { .. } => return None,
            Phase::Closing { until } => return Some((*until).into()),
            Phase::Settling(settling) => Some(settling.until),
            _ => self.session.poll_timeout(),
        };
        let sends = self.sends.deadline(settings.send_timeout);
        let paused = self.paused_since.map(|since| Duration::from(since) + settings.send_timeout);
        let (expires, ping) = (self.expires.map(Duration::from), self.next_ping.map(Duration::from));
        let begun = self.incomplete_since.filter(|_| matches!(self.phase, Phase::Open));
        let incomplete = begun.map(|since| Duration::from(since) + settings.frame_timeout);
        for moment in [stuck, sends, paused, incomplete, expires, ping].into_iter().flatten() {
            earliest = Some(earliest.map_or(moment, |other| other.min(moment)));
        }
        earliest
    }

    /// Something's time may have come.
    pub fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        match &self.phase {
            Phase::Dead { .. } => return,
            // What the client has not taken by now it will not take.
            Phase::Closing { until } if Duration::from(*until) <= cx.now => {
                self.phase = Phase::Dead { linger_zero: !self.outbound.is_empty() };
                return;
            }
            Phase::Closing { .. } => return,
            _ => {}
        }
        if self.outbound.stuck_since().is_some_and(|since| since + cx.settings.stuck_timeout <= cx.now) {
            cx.metrics.delivery.slow_closes.inc();
            return self.end(Ending::Slow, None, None, cx);
        }
        if self.expires.is_some_and(|at| at <= cx.now.into()) {
            return self.end(Ending::CredentialsExpired, None, None, cx);
        }
        if self.paused_since.is_some_and(|since| Duration::from(since) + cx.settings.send_timeout <= cx.now)
            && matches!(self.phase, Phase::Open)
        {
            return self.end(Ending::Busy, None, None, cx);
        }
        if self.incomplete_since.is_some_and(|since| Duration::from(since) + cx.settings.frame_timeout <= cx.now)
            && matches!(self.phase, Phase::Open)
        {
            return self.end(Ending::FrameTimeout, None, None, cx);
        }
        self.give_up_on_sends(cx);
        self.settle(cx);
        if !matches!(self.phase, Phase::Closing { .. } | Phase::Dead { .. })
            && let Err(error) = self.session.handle_timeout(cx.now)
        {
            return self.fail(&error, cx);
        }
        self.ping(cx);
        self.advance(cx);
    }

    /// After everything that could be looked at: from when on a frame is waited for. `progress`: since the last time one
    /// was complete.
    pub(super) fn note_incomplete(&mut self, progress: bool, cx: &Context<'_>) {
        let begun = self.session.buffered() > 0 || self.transport.is_within_message();
        let incomplete = begun && self.paused_since.is_none() && matches!(self.phase, Phase::Open);
        let since = self.incomplete_since.filter(|_| !progress);
        self.incomplete_since = incomplete.then(|| since.unwrap_or_else(|| cx.now.into()));
    }

    fn ping(&mut self, cx: &mut Context<'_>) {
        if self.next_ping.is_none_or(|at| at > cx.now.into()) {
            return;
        }
        if self.pings_unanswered == PINGS_UNANSWERED {
            return self.end(Ending::HeartBeatLost, None, None, cx);
        }
        self.pings_unanswered += 1;
        self.next_ping = Some((cx.now + cx.settings.ping_every).into());
        self.outbound.extend(self.transport.ping().into_iter(), &mut cx.spares.queues);
    }

    pub(super) fn log(&self, ending: Ending, error: Option<&ProtocolError>, detail: Option<&str>, cx: &Context<'_>) {
        let facts = ending.facts();
        let reason = error.map(ProtocolError::detail).or(detail).unwrap_or(facts.reason);
        let conn = Conn { worker: cx.worker, slot: cx.slot, generation: self.generation };
        let (code, user) = (facts.label, self.user.as_deref().map(Named));
        let user = user.as_ref().map(display);
        macro_rules! say {
            ($how:ident) => {
                tracing::$how!(event = "connection_ended", %conn, user, code, reason, "a connection ends")
            };
        }
        match facts.level {
            Level::ERROR => say!(error),
            Level::WARN => say!(warn),
            Level::INFO => say!(info),
            _ => say!(debug),
        }
    }
}
