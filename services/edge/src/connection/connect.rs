//! CONNECT: the token is looked at, the session is accepted or refused.

use stomp_proto::{Accept, Connect};

use super::{Connection, Phase};
use crate::{
    auth::{AuthError, Identity, Rights},
    context::{AuthJob, Context},
    disconnect::Ending,
    metrics::Handshake,
    tokens::Checked,
    transport::Transport,
};

impl Connection {
    /// What the transport says first, if it does: nobody is asked before (`stomp.md` J11).
    pub fn greet(&mut self, cx: &mut Context<'_>) {
        self.outbound.extend(self.transport.greeting().into_iter(), &mut cx.spares.queues);
    }

    /// Whether its CONNECT has been accepted, or it was on its way out before.
    pub fn is_let_in(&self) -> bool {
        !matches!(self.phase, Phase::New(_) | Phase::Authenticating(_))
    }

    /// Takes frames that the edge says for a client that speaks no STOMP.
    pub fn speak_for(&mut self, stomp: &[u8], cx: &mut Context<'_>) {
        match self.session.handle_input(stomp, cx.now) {
            Ok(()) => self.advance(cx),
            Err(error) => self.fail(&error, cx),
        }
    }

    pub(super) fn connect(&mut self, connect: Connect, cx: &mut Context<'_>) {
        let credentials = match std::mem::replace(&mut self.phase, Phase::Open) {
            Phase::New(credentials) => credentials,
            other => {
                self.phase = other;
                return;
            }
        };
        if credentials.contradicts(connect.version.as_str()) {
            cx.metrics.stomp.subprotocol_mismatches.inc();
        }
        let session = cx.shell.session_id();
        let job = AuthJob {
            connection: cx.slot,
            generation: self.generation,
            credentials: *credentials,
            session: session.clone(),
            headers: connect.headers.clone(),
        };
        self.phase = Phase::Authenticating(Box::new((connect, session)));
        match cx.shell.authenticate(job) {
            Checked::Now(result) => self.handle_authenticated(result, cx),
            Checked::Later => {}
            Checked::Busy => self.end(Ending::TryLater, None, None, cx),
        }
    }

    fn accept(&mut self, connect: &Connect, session: &str, identity: Identity, cx: &mut Context<'_>) {
        cx.metrics.connections.auth.of(None).inc();
        cx.metrics.connections.sessions.inc();
        let took = cx.now.saturating_sub(self.opened.into());
        cx.metrics.times.handshake.of(Handshake::Connect).observe(took.as_secs_f64());
        cx.metrics.connections.by_transport.of(self.transport.spoken()).inc();
        self.soft_errors = connect.headers.get("x-errors") == Some("soft");
        self.expires = identity.expires_at.map(|at| cx.on_clock(at).into());
        let headers = [super::notices::OFFER, ("x-errors", "soft")];
        let headers = if self.soft_errors { &headers[..] } else { &headers[..1] };
        self.session.accept(Accept { session, user: Some(&identity.user), headers }, cx.now);
        self.rights = (identity.rights != Rights::all()).then(|| Box::new(identity.rights));
        self.user = Some(identity.user);
        self.transport.limit(cx.settings.stomp_frame_bytes);
        if self.session.heart_beats().1.is_none() && self.transport.ping().is_some() {
            self.next_ping = Some((cx.now + cx.settings.ping_every).into());
        }
    }

    /// The token check's answer to CONNECT.
    pub fn handle_authenticated(&mut self, result: Result<Identity, AuthError>, cx: &mut Context<'_>) {
        let asked = match std::mem::replace(&mut self.phase, Phase::Open) {
            Phase::Authenticating(asked) => asked,
            other => {
                self.phase = other;
                return;
            }
        };
        let (connect, session) = *asked;
        match result {
            Ok(identity) => self.accept(&connect, &session, identity, cx),
            Err(error) => {
                cx.metrics.connections.auth.of(Some(error)).inc();
                self.end(Ending::BadCredentials, Some(&error.to_string()), None, cx);
            }
        }
        self.advance(cx);
    }
}
