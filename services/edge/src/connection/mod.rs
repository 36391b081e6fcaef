//! One client: what each STOMP event does. Plain state that is given octets and time; the worker owns the socket.
//!
//! | file | what |
//! |---|---|
//! | this one | CONNECT to DISCONNECT: the order in which things happen to a connection |
//! | `connect.rs` | CONNECT: the token, the session |
//! | `publish.rs` | SEND and COMMIT, into the log |
//! | `outcomes.rs` | from the log's word to RECEIPT or ERROR |
//! | `sends.rs` | the SENDs under way, in order |
//! | `subscriptions.rs` | SUBSCRIBE and UNSUBSCRIBE |
//! | `cursors.rs` | live delivery, and cursors for who cannot keep up or begins in the past |
//! | `soft_errors.rs` | refusals that leave the session open |
//! | `notices.rs` | `/session/notices`: the edge drains |
//! | `resume.rs` | where a subscription begins |
//! | `endings.rs` | ERROR, close, and what is left to be done after that |
//! | `leaving.rs` | the client closes, or its socket breaks |

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use bytes::Bytes;
use stomp_proto::{Connect, Event, ProtocolError, Session, Text, Transmit, Version};

use crate::{
    auth::{Rights, UpgradeCredentials},
    context::Context,
    disconnect::Ending,
    metrics::{ClientCommand, Metrics},
    moment::Moment,
    outbound::Outbound,
    server::ConnectionGuard,
    timer::Tick,
    transport::{AnyTransport, Fault, Input, Kind, Transport},
};

mod connect;
mod cursors;
mod endings;
mod leaving;
mod notices;
mod outcomes;
mod publish;
mod resume;
mod sends;
mod soft_errors;
mod subscriptions;

pub use cursors::Offered;
use sends::Sends;
pub use sends::UnderWay;
use subscriptions::Subscriptions;

/// Records that may be held at the connection while keyed SENDs are asked about, in octets.
const HELD_BYTES: usize = 256 * 1024;
/// How long a client gets to take ERROR and close, and to answer the close.
const CLOSING: Duration = Duration::from_secs(2);
/// Pings without any sign of life until the client counts as gone.
const PINGS_UNANSWERED: u32 = 3;

enum Phase {
    /// Nothing but CONNECT is taken.
    New(Box<UpgradeCredentials>),
    /// The token is being looked at; what the client sent behind CONNECT waits.
    Authenticating(Box<(Connect, String)>),
    Open,
    /// No frame is read any more; outstanding SENDs are being settled, then it ends this way.
    Settling(Box<Settling>),
    /// ERROR and close are on their way out; nothing else is sent or read.
    Closing {
        until: Moment,
    },
    /// To be dropped; with linger zero, unsent octets are thrown away.
    Dead {
        linger_zero: bool,
    },
}

struct Settling {
    ending: Ending,
    receipt: Option<Text>,
    until: Duration,
}

/// One client. An idle one is small: what only some need is in a box, what only the busy need is the worker's
/// ([`crate::spare`]).
pub struct Connection {
    /// Tells this connection from an earlier one in the same slot.
    pub generation: u32,
    /// What the client still has to get.
    pub outbound: Outbound,
    /// The tick of the timer wheel that is armed for it.
    pub armed: Tick,
    /// Octets may be waiting in the socket (edge-triggered: nobody will say so again).
    pub readable: bool,
    /// Already in the worker's list of connections to settle.
    pub touched: bool,
    /// Something has happened to it since its last write beside messages that were queued.
    pub stirred: bool,
    /// What of the outbound queue the gauge knows.
    pub counted_bytes: usize,
    opened: Moment,
    phase: Phase,
    session: Session,
    transport: AnyTransport,
    subscriptions: Subscriptions,
    sends: Sends,
    /// Who this is, once CONNECT was accepted.
    user: Option<Arc<str>>,
    /// What that one may do; `None`: everything.
    rights: Option<Box<Rights>>,
    /// Since when the socket is not read because something has no room.
    paused_since: Option<Moment>,
    /// Since when a frame is incomplete although everything that has come was looked at.
    incomplete_since: Option<Moment>,
    soft_errors: bool,
    /// The end of the token, on the worker's clock.
    expires: Option<Moment>,
    next_ping: Option<Moment>,
    pings_unanswered: u32,
    /// The client has closed its side of the transport; what answers that still has to leave.
    confirmed: Option<Box<[Bytes]>>,
    /// Frees the connection's place when it is dropped.
    _guard: ConnectionGuard,
}

impl Connection {
    /// A client whose upgrade has just been answered, or who has just been accepted.
    pub fn new(
        generation: u32,
        kind: Kind,
        credentials: UpgradeCredentials,
        guard: ConnectionGuard,
        stomp: &Arc<stomp_proto::Config>,
        now: Duration,
    ) -> Self {
        let stomp = kind.session(stomp);
        let limit = stomp.limits.connect_frame_bytes;
        Self {
            generation,
            outbound: Outbound::default(),
            armed: 0,
            readable: true,
            touched: false,
            stirred: true,
            counted_bytes: 0,
            opened: now.into(),
            phase: Phase::New(Box::new(credentials)),
            session: Session::new(stomp, now),
            transport: AnyTransport::new(kind, limit),
            subscriptions: Subscriptions::default(),
            sends: Sends::default(),
            user: None,
            rights: None,
            paused_since: None,
            incomplete_since: None,
            soft_errors: false,
            expires: None,
            next_ping: None,
            pings_unanswered: 0,
            confirmed: None,
            _guard: guard,
        }
    }

    /// Takes what one read of the socket gave if that is a beat and nothing else, which is all that most clients send
    /// most of the time: nothing follows from it, and the timer that is armed looks again by itself.
    pub fn handle_beat(&mut self, octets: &[u8], metrics: &Metrics, now: Duration) -> bool {
        let alone = matches!(self.phase, Phase::Open) && self.session.buffered() == 0;
        if !alone || !self.transport.is_beat(octets) {
            return false;
        }
        metrics.stomp.received_bytes.inc_by(octets.len() as u64);
        self.pings_unanswered = 0;
        self.session.handle_life_sign(now);
        true
    }

    /// Takes what one read of the socket gave.
    pub fn handle_octets(&mut self, octets: &[u8], cx: &mut Context<'_>) {
        cx.metrics.stomp.received_bytes.inc_by(octets.len() as u64);
        self.pings_unanswered = 0;
        let (mut replies, mut closed, mut broken) = (Vec::new(), false, None);
        let (session, now) = (&mut self.session, cx.now);
        let closing = matches!(self.phase, Phase::Closing { .. });
        let engines = &mut cx.spares.engines;
        let result = self.transport.handle_input(octets, engines, &mut replies, &mut |input| match input {
            Input::Stomp(_) if closing => ControlFlow::Continue(()),
            Input::Stomp(octets) => match session.handle_input(octets, now) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    broken = Some(error);
                    ControlFlow::Break(())
                }
            },
            Input::LifeSign => {
                session.handle_life_sign(now);
                ControlFlow::Continue(())
            }
            Input::Close => {
                closed = true;
                ControlFlow::Break(())
            }
        });
        self.advance(cx);
        if let Some(error) = broken {
            self.fail(&error, cx);
        }
        if closed {
            return self.closed_by_client(replies, cx);
        }
        self.outbound.extend(replies.into_iter(), &mut cx.spares.queues);
        match result {
            Ok(()) => {}
            Err(Fault::TooLarge) => self.end(Ending::TooLarge, Some("a WebSocket message above the limit"), None, cx),
            Err(Fault::NotUtf8) => self.end(Ending::WebSocketNotUtf8, None, None, cx),
            Err(Fault::Protocol) => self.end(Ending::WebSocketProtocol, None, None, cx),
            Err(Fault::NotSockJs) => self.end(Ending::NotSockJs, None, None, cx),
        }
    }

    /// Does everything that can be done with what the client has sent so far.
    pub fn advance(&mut self, cx: &mut Context<'_>) {
        let before = self.session.buffered();
        while self.may_go_on(cx) {
            match self.session.poll_event() {
                Ok(Some(event)) => self.on_event(event, cx),
                Ok(None) => break,
                Err(error) => self.fail(&error, cx),
            }
        }
        let progress = self.session.buffered() < before;
        self.pump(cx);
        self.set_paused(cx);
        self.note_incomplete(progress, cx);
        self.finish_if_confirmed(cx);
    }

    /// Whether frames wait that have been received but not looked at.
    fn has_unread_frames(&self) -> bool {
        self.paused_since.is_some() && self.session.buffered() > 0
    }

    /// Whether the socket may be read.
    pub fn wants_input(&self) -> bool {
        match self.phase {
            Phase::Dead { .. } => false,
            // A closing socket is read to its end, or unread octets would turn the close into a reset.
            Phase::Closing { .. } => true,
            _ => self.paused_since.is_none() && self.confirmed.is_none(),
        }
    }

    /// Whether the connection is over, and if so whether unsent octets are to be thrown away.
    pub fn is_dead(&self) -> Option<bool> {
        match self.phase {
            Phase::Dead { linger_zero } => Some(linger_zero),
            _ => None,
        }
    }

    fn on_event(&mut self, event: Event, cx: &mut Context<'_>) {
        cx.metrics.frame_received(&event);
        match event {
            Event::Connect(connect) => self.connect(connect, cx),
            Event::Send(send) => self.send(&send, cx),
            Event::Held { destination, first, receipt } => self.held(&destination, &first, receipt, cx),
            Event::Subscribe(subscribe) => self.subscribe(subscribe, cx),
            Event::Unsubscribe { handle, receipt } => self.unsubscribe(handle, receipt, cx),
            Event::Acked(_) => self.read_on(cx),
            Event::Commit { sends, receipt, .. } => {
                self.commit(&sends, receipt, cx);
                self.read_on(cx);
            }
            // Answered once what was sent before it is settled: a client may take the RECEIPT for "all is stored".
            Event::Disconnect { receipt } => {
                self.leave_rooms(cx);
                let until = cx.now + cx.settings.send_timeout;
                self.phase = Phase::Settling(Box::new(Settling { ending: Ending::Disconnected, receipt, until }));
                self.settle(cx);
            }
        }
    }

    /// Whether the next frame of the client may be looked at.
    fn may_go_on(&self, cx: &Context<'_>) -> bool {
        matches!(self.phase, Phase::New(_) | Phase::Open)
            && self.sends.in_flight() < cx.settings.max_receipts
            && self.sends.held_bytes() < HELD_BYTES
            && !self.outbound.is_full(cx.settings.outbound_bytes)
            && !cx.shell.is_congested()
    }

    /// What the session has to say goes out in order, wrapped for the transport.
    fn pump(&mut self, cx: &mut Context<'_>) {
        while let Some(frame) = self.session.poll_transmit() {
            cx.metrics.frame_sent(&frame);
            let frame = match frame {
                Transmit::Beat => self.transport.beat(),
                Transmit::Frame(frame) => self.transport.frame(frame),
            };
            self.outbound.push(frame, &mut cx.spares.queues);
        }
    }

    fn set_paused(&mut self, cx: &mut Context<'_>) {
        let paused = !matches!(self.phase, Phase::Closing { .. } | Phase::Dead { .. }) && !self.may_go_on(cx);
        match (paused, self.paused_since) {
            (true, None) => {
                self.session.pause();
                self.paused_since = Some(cx.now.into());
            }
            (false, Some(_)) => {
                self.session.resume(cx.now);
                self.paused_since = None;
            }
            _ => {}
        }
    }

    /// After a write: nothing that was to be sent is left and nothing else has happened, so that no deadline has come
    /// nearer and nothing can go on that could not before.
    pub fn is_as_before(&self) -> bool {
        let at_rest = !self.stirred && self.armed != 0 && self.counted_bytes == 0 && self.outbound.is_empty();
        at_rest && self.paused_since.is_none() && !self.readable && self.subscriptions.behind == 0
    }

    fn version(&self) -> Version {
        self.session.version()
    }

    /// The last that is heard of it, for the statistics.
    pub fn retire(&self, metrics: &Metrics, now: Duration) {
        metrics.connections.duration.observe(now.saturating_sub(self.opened.into()).as_secs_f64());
        if self.user.is_some() {
            metrics.connections.sessions.dec();
            metrics.connections.by_transport.of(self.transport.spoken()).dec();
        }
    }

    fn fail(&mut self, error: &ProtocolError, cx: &mut Context<'_>) {
        cx.metrics.stomp.received.of(ClientCommand::Invalid).inc();
        self.end_with(Ending::from(error), Some(error), None, None, cx);
    }

    /// Whether the session has a right; before CONNECT it has none.
    fn may(&self, has: impl FnOnce(&Rights) -> bool) -> bool {
        self.user.is_some() && self.rights.as_deref().is_none_or(has)
    }
}
