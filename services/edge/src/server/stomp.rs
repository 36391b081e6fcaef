//! STOMP straight on TCP: a connection is a worker's from its first octet. It counts among the others, under the same
//! bounds; what a browser has to be asked before it is let in does not concern it.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use socket2::{SockRef, TcpKeepalive};
use stomp_proto::{ErrorFrame, Session, Transmit};
use tokio::net::{TcpListener, TcpStream};

use super::accept::{self, Refusals};
use super::slots::{ConnectionGuard, Slots};
use super::{Admission, ServerEvents, connection, jitter};
use crate::auth::UpgradeCredentials;
use crate::disconnect::Ending;
use crate::readiness::{Check, Readiness};
use crate::transport::{Kind, Tcp, Transport};
use crate::upgrade::{Socket, Sockets};

/// A client that asked for no heart-beats cannot be pinged, so the system asks its system: after a minute of silence, and
/// a minute long.
const SILENCE: Duration = Duration::from_secs(60);
const PROBE_EVERY: Duration = Duration::from_secs(15);
const PROBES: u32 = 4;

/// Who is let in.
pub(super) struct Door {
    pub(super) readiness: Arc<Readiness>,
    pub(super) sockets: Arc<dyn Sockets>,
    pub(super) slots: Arc<Slots>,
    pub(super) admission: Arc<Admission>,
    pub(super) events: Arc<dyn ServerEvents>,
}

pub(super) fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = accept::listen(address)?;
    let keep_alive = TcpKeepalive::new().with_time(SILENCE).with_interval(PROBE_EVERY).with_retries(PROBES);
    SockRef::from(&listener).set_tcp_keepalive(&keep_alive)?;
    Ok(listener)
}

/// Accepts for ever. Connections over a bound are refused, never queued.
pub(super) async fn run(listener: TcpListener, door: Door) {
    let refusals = Refusals::default();
    loop {
        let (stream, peer) = accept::next(&listener, &*door.events).await;
        match door.admit(peer) {
            Ok(guard) => door.events.opened(door.hand_over(stream, peer, guard)),
            Err(why) => {
                door.events.opened(why);
                refusals.spawn(async move { connection::turn_away(&stream, &refusal(why)).await });
            }
        }
    }
}

impl Door {
    /// The same gates as an upgrade's, then a place among the connections.
    fn admit(&self, peer: SocketAddr) -> Result<ConnectionGuard, &'static str> {
        if self.readiness.fails(Check::Drain) {
            return Err("draining");
        }
        if !self.readiness.started() {
            return Err("starting");
        }
        if self.sockets.is_full() {
            return Err("full");
        }
        let guard = self.slots.take_upgraded(peer.ip()).map_err(|bound| bound.name())?;
        if self.admission.take() { Ok(guard) } else { Err("admission") }
    }

    /// What is to be counted.
    fn hand_over(&self, stream: TcpStream, peer: SocketAddr, guard: ConnectionGuard) -> &'static str {
        let Ok(stream) = stream.into_std() else { return "aborted" };
        let (credentials, protocol, read_ahead) = (UpgradeCredentials::default(), None, Bytes::new());
        let (opening, transport) = (Bytes::new(), Kind::Tcp);
        let socket = Socket { stream, opening, read_ahead, peer, transport, protocol, credentials, guard };
        match self.sockets.hand_over(socket) {
            Ok(()) => "accepted",
            Err(socket) => {
                // Every inbox filled up a moment ago. The socket closes in any case.
                let _ = (&socket.stream).write(&refusal("workers"));
                "workers"
            }
        }
    }
}

/// An ERROR that says when to come back; times differ, so that those refused together do not come back together.
fn refusal(why: &str) -> Bytes {
    let facts = Ending::Busy.facts();
    let (message, code) = facts.error.unwrap_or((facts.label, 503));
    let (detail, least, most) = match why {
        "starting" => ("this edge is not ready yet", 1, 2),
        "draining" => ("this edge is closing down: another one takes over", 1, 5),
        "admission" => ("too many come at once", 1, 10),
        "address" => ("too many connections from this address", 5, 15),
        _ => ("this edge has no room for another connection", 2, 10),
    };
    let retry_after = jitter(least, most).to_string();
    let headers = [("x-error", facts.label), ("retry-after", retry_after.as_str())];
    let mut session = Session::new(Arc::default(), Duration::ZERO);
    session.error(&ErrorFrame { message, code, detail, receipt_id: None, headers: &headers });
    match session.poll_transmit() {
        Some(Transmit::Frame(frame)) => Tcp::default().frame(frame),
        _ => Bytes::new(),
    }
}
