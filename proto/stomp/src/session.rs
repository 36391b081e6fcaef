//! [`Session`]: the server's side of one STOMP connection.

mod dispatch;
mod transmit;

use crate::{
    Accept, Config, ErrorFrame, ErrorKind, Event, Profile, ProtocolError, SubscriptionHandle, Text, Version,
    decode::IdleDecoder,
    encode::{self, Escaping},
    heart_beat::{HeartBeat, Pair, nanos},
    subscription::Subscriptions,
    transaction::Transactions,
};
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{fmt, mem, time::Duration};

pub use transmit::Transmit;
use transmit::Transmits;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No CONNECT yet.
    Fresh,
    /// CONNECT reported, the owner has not answered.
    Connecting,
    Open,
    /// DISCONNECT was read: nothing more is parsed, receipts still go out.
    Leaving,
    /// The client broke a rule: nothing more is parsed, the owner owes an ERROR.
    Failed,
    /// ERROR queued: nothing follows it (E03).
    Closed,
}

/// One connection. Its methods come in four families: `handle_*` takes bytes and time in, `poll_*` gives events, bytes
/// and the next deadline out, the owner's answers are verbs (`accept`, `receipt`, `error`, `delivered`, …), the rest
/// are getters. After any call, ask `poll_event` and `poll_transmit` until they return `None`.
///
/// Times are distances from any fixed origin that the owner chooses; they never run backwards.
pub struct Session {
    config: Arc<Config>,
    decoder: IdleDecoder,
    transmit: Transmits,
    heart_beat: HeartBeat,
    /// What the client asked for in CONNECT, until it is accepted.
    wish: Pair,
    /// When CONNECT must have come, in nanoseconds.
    connect_by: u64,
    subscriptions: Subscriptions,
    transactions: Option<Box<Transactions>>,
    state: State,
    version: Version,
    /// CONNECTED was queued, so the client knows the version.
    agreed: bool,
}

impl Session {
    /// A session at the start of its connection.
    pub fn new(config: Arc<Config>, now: Duration) -> Session {
        Session {
            decoder: IdleDecoder::default(),
            transmit: Transmits::default(),
            heart_beat: HeartBeat::new(now),
            wish: Pair::default(),
            connect_by: nanos(now.saturating_add(config.connect_timeout)),
            subscriptions: Subscriptions::default(),
            transactions: None,
            state: State::Fresh,
            version: Version::V1_0,
            agreed: false,
            config,
        }
    }

    /// Takes bytes in, in any pieces; every octet is a sign of life (B04). To push back, stop calling `poll_event` and
    /// `handle_input`: frames that were not asked for stay unparsed.
    ///
    /// # Errors
    /// The first unread frame breaks the grammar or a limit, complete or not (L02).
    pub fn handle_input(&mut self, bytes: &[u8], now: Duration) -> Result<(), ProtocolError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.heart_beat.heard(now);
        match self.state {
            State::Fresh | State::Open => {
                self.decoder.push(bytes);
                self.scan().map(|_| ())
            }
            State::Connecting => {
                self.decoder.push(bytes);
                self.bound_pipeline().or_else(|error| self.fail(error))
            }
            State::Leaving | State::Failed | State::Closed => Ok(()),
        }
    }

    /// The next event; parses one more frame, or several when they concern the session alone. `None`: more input, or
    /// the answer to CONNECT, is needed.
    ///
    /// # Errors
    /// The client broke a rule. Nothing more will be parsed: answer with [`Session::error`] and close.
    pub fn poll_event(&mut self) -> Result<Option<Event>, ProtocolError> {
        while matches!(self.state, State::Fresh | State::Open) && self.scan()? {
            let Some(frame) = self.decoder.take() else { break };
            match self.dispatch(frame) {
                Ok(None) => {}
                Ok(Some(event)) => return Ok(Some(event)),
                Err(error) => return self.fail(error),
            }
        }
        Ok(None)
    }

    /// Queues a beat when one is due.
    ///
    /// # Errors
    /// No CONNECT in time (L05), or nothing heard for too long (B06).
    pub fn handle_timeout(&mut self, now: Duration) -> Result<(), ProtocolError> {
        if self.state == State::Fresh && nanos(now) >= self.connect_by {
            let detail = "no CONNECT arrived in time";
            return self.fail(ProtocolError::new(ErrorKind::ConnectTimeout, "connect time-out", detail));
        }
        let floor = self.silence_floor();
        if !self.heart_beat.tick(&self.config.heart_beat, floor, now) {
            let detail = "nothing was received for several heart-beat intervals";
            return self.fail(ProtocolError::new(ErrorKind::Silent, "heart-beat time-out", detail));
        }
        Ok(())
    }

    /// A sign of life that is not STOMP, such as a WebSocket pong (B08).
    pub fn handle_life_sign(&mut self, now: Duration) {
        self.heart_beat.heard(now);
    }

    /// When to call [`Session::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Duration> {
        match self.state {
            State::Fresh => Some(Duration::from_nanos(self.connect_by)),
            _ => self.heart_beat.next_timeout(&self.config.heart_beat, self.silence_floor()),
        }
    }

    /// What is to be sent next.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        if let Some(frame) = self.transmit.pop() {
            return Some(Transmit::Frame(frame));
        }
        self.heart_beat.take_beat().then_some(Transmit::Beat)
    }

    /// The owner does not read the socket: silence is not the client's fault. Our beats go on.
    pub fn pause(&mut self) {
        self.heart_beat.pause();
    }

    /// The owner reads again.
    pub fn resume(&mut self, now: Duration) {
        self.heart_beat.resume(now);
    }

    /// Octets taken in and not parsed yet.
    pub fn buffered(&self) -> usize {
        self.decoder.buffered()
    }

    /// The agreed version; 1.0 before CONNECT.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether CONNECT was accepted and neither DISCONNECT nor an error has come since.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// How often beats are sent and expected; `None`: never (B09).
    pub fn heart_beats(&self) -> (Option<Duration>, Option<Duration>) {
        (self.heart_beat.send_interval(), self.heart_beat.receive_interval())
    }

    /// Accepts the CONNECT that was reported: queues the one CONNECTED (V01) and starts the beats (B10). Frames that
    /// were waiting behind it come with the next `poll_event` (V11). Without such a CONNECT it does nothing.
    pub fn accept(&mut self, accept: Accept<'_>, now: Duration) {
        if self.state != State::Connecting {
            return;
        }
        let offer = self.wish.answer(&self.config.heart_beat);
        self.send(encode::connected(self.version, offer, &self.config.server, &accept));
        self.heart_beat.start(self.wish, offer, now);
        self.agreed = true;
        self.state = State::Open;
    }

    /// Queues the RECEIPT of a frame that was processed (R01).
    pub fn receipt(&mut self, receipt: &str, headers: &[(&str, &str)]) {
        if matches!(self.state, State::Open | State::Leaving) {
            self.send(encode::receipt(self.version, receipt, headers));
        }
    }

    /// Queues an ERROR, the last frame of the session: from here on nothing is parsed, beaten or queued (E03, M07).
    pub fn error(&mut self, error: &ErrorFrame<'_>) {
        if self.state == State::Closed {
            return;
        }
        // Before CONNECTED the client cannot know which version holds (H12).
        let escaping = if self.agreed { self.version.into() } else { Escaping::Avoid };
        self.send(encode::error(escaping, error));
        self.state = State::Closed;
        self.release();
    }

    /// Queues the ERROR that a [`ProtocolError`] calls for.
    pub fn reject(&mut self, error: &ProtocolError) {
        self.error(&ErrorFrame {
            message: error.message(),
            code: error.code(),
            detail: error.detail(),
            receipt_id: error.receipt().map(Text::as_str),
            headers: error.headers(),
        });
    }

    /// Notes that a MESSAGE is being delivered and returns the value of its `ack` header; `None` in auto mode. Ask
    /// [`Session::window`] first.
    pub fn delivered(&mut self, subscription: SubscriptionHandle, message_id: &str) -> Option<Text> {
        self.subscriptions.delivered(subscription, message_id, self.version)
    }

    /// The live subscription in a slot: what [`SubscriptionHandle::index`] of its handle says.
    pub fn subscription(&self, index: u32) -> Option<SubscriptionHandle> {
        self.subscriptions.at(index)
    }

    /// How many more may be delivered now: `usize::MAX` in auto mode, 0 for a subscription that is gone.
    pub fn window(&self, subscription: SubscriptionHandle) -> usize {
        self.subscriptions.window(subscription)
    }

    /// Forgets a subscription that the owner refused; its id is free again.
    pub fn cancel(&mut self, subscription: SubscriptionHandle) {
        self.subscriptions.remove(subscription);
    }

    fn send(&mut self, frame: Vec<u8>) {
        self.transmit.push(frame);
    }

    fn scan(&mut self) -> Result<bool, ProtocolError> {
        let syntax = self.config.limits.syntax((self.state == State::Open).then_some(self.version));
        match self.decoder.scan(&syntax) {
            Ok(complete) => Ok(complete),
            Err(error) => self.fail(error),
        }
    }

    /// What waits behind an unanswered CONNECT is not parsed, so only its size can be judged (L03, V11).
    fn bound_pipeline(&self) -> Result<(), ProtocolError> {
        match self.decoder.buffered() > self.config.limits.pipelined_bytes {
            true => Err(ProtocolError::size("too much was sent before CONNECT was answered")),
            false => Ok(()),
        }
    }

    fn fail<T>(&mut self, error: ProtocolError) -> Result<T, ProtocolError> {
        self.state = State::Failed;
        self.release();
        Err(error)
    }

    /// Nothing more will be read or delivered: all that was held is given back, and no deadline is left.
    fn release(&mut self) {
        self.decoder.clear();
        self.subscriptions = Subscriptions::default();
        self.transactions = None;
        self.heart_beat.stop();
    }

    /// The open transactions; the box is given back with the last of them.
    fn transactions(&mut self) -> &mut Transactions {
        self.transactions.get_or_insert_default()
    }

    fn tidy_transactions(&mut self) {
        self.transactions = mem::take(&mut self.transactions).filter(|open| !open.is_empty());
    }

    fn silence_floor(&self) -> Option<Duration> {
        self.config.heart_beat.browser_floor.filter(|_| self.config.profile == Profile::Spring)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("state", &self.state).field("version", &self.version).finish_non_exhaustive()
    }
}
