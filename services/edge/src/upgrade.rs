//! From an HTTP request to a socket in a worker's hands: the checks of RFC 6455, section 4.2, our own gates, the 101,
//! and the hand-over of the TCP stream with every byte that was read behind the request.

pub(crate) mod handshake;
mod refusal;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use warp::http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode};
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection};

use crate::auth::{CredentialSettings, UpgradeCredentials};
use crate::readiness::{Check, Readiness};
pub use crate::server::ConnectionGuard;
use crate::server::{Admission, Leaving, Peer, ServerEvents, Stream};
use crate::transport::Kind;
use handshake::Handshake;
pub(crate) use refusal::Refusal;

/// Decides about an upgrade by its `Origin` and its `Host`: `true` lets it pass (stomp.md W22).
pub type OriginCheck = Arc<dyn Fn(Option<&str>, Option<&str>) -> bool + Send + Sync>;

/// A connection that a worker is to own: upgraded to WebSocket, or STOMP from its first octet.
#[derive(Debug)]
pub struct Socket {
    /// Nonblocking, with TCP_NODELAY.
    pub stream: TcpStream,
    /// STOMP that the edge says for a client that does not speak it; mostly empty.
    pub opening: Bytes,
    /// Bytes that the client sent right behind its request; to be parsed before the stream is read.
    pub read_ahead: Bytes,
    /// The TCP peer.
    pub peer: SocketAddr,
    /// What is spoken on it.
    pub transport: Kind,
    /// The subprotocol that was agreed on, if any (it does not bind the STOMP version, stomp.md W03).
    pub protocol: Option<&'static str>,
    /// The tokens that came with the request.
    pub credentials: UpgradeCredentials,
    /// Frees the connection's slots when it is dropped.
    pub guard: ConnectionGuard,
}

/// Whoever owns upgraded sockets.
pub trait Sockets: Send + Sync + 'static {
    /// Takes the socket without waiting.
    ///
    /// # Errors
    /// The socket itself if no worker has room for it; it is then closed with 1013.
    #[expect(clippy::result_large_err, reason = "the error is the socket itself; boxing it would cost every hand-over")]
    fn hand_over(&self, socket: Socket) -> Result<(), Socket>;

    /// Whether a socket would come back now: then the upgrade is answered with 503 instead.
    fn is_full(&self) -> bool {
        false
    }
}

/// What upgrades need.
pub(crate) struct Upgrades {
    /// Subprotocols of which none is known are refused (W02).
    pub(crate) strict: bool,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) sockets: Arc<dyn Sockets>,
    pub(crate) origin: OriginCheck,
    pub(crate) credentials: CredentialSettings,
    pub(crate) admission: Arc<Admission>,
    pub(crate) events: Arc<dyn ServerEvents>,
}

/// A request for an upgrade; what is to be spoken then, its path has said.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    /// What follows the `?`, undecoded.
    pub(crate) query: Option<String>,
    pub(crate) on_upgrade: Option<OnUpgrade>,
    pub(crate) peer: Option<Peer>,
}

/// Requests for the paths that `known` says yes to; other paths are rejected as not found.
pub(crate) fn requests(
    known: impl Fn(&str) -> bool + Clone + Send + Sync + 'static,
) -> impl Filter<Extract = (FullPath, Request), Error = Rejection> + Clone + Send + Sync + 'static {
    let query = warp::query::raw().map(Some).or(warp::any().map(|| None)).unify();
    warp::path::full()
        .and_then(move |path: FullPath| {
            let known = known(path.as_str());
            std::future::ready(if known { Ok(path) } else { Err(warp::reject::not_found()) })
        })
        .and(warp::method())
        .and(warp::header::headers_cloned())
        .and(query)
        .and(warp::ext::optional::<OnUpgrade>())
        .and(warp::ext::optional::<Peer>())
        .map(|path, method, headers, query, on_upgrade, peer| {
            (path, Request { method, headers, query, on_upgrade, peer })
        })
        .untuple_one()
}

impl Upgrades {
    /// The 101 (the hand-over then follows by itself), or the refusal.
    /// Who is spoken for, in these octets of STOMP, speaks none and agrees on no subprotocol.
    pub(crate) fn answer(&self, request: Request, transport: Kind, opening: Bytes) -> Result<Response, Refusal> {
        if request.method != Method::GET {
            return Err(Refusal::Method);
        }
        self.admit()?;
        let speaks = opening.is_empty();
        let Handshake { accept, protocol } = handshake::check(&request.headers, self.strict && speaks)?;
        let protocol = protocol.filter(|_| speaks);
        let origin = handshake::origin(&request.headers)?;
        if !(self.origin)(origin, handshake::host(&request.headers)) {
            return Err(Refusal::Origin);
        }
        // Absent with HTTP/1.0, which cannot upgrade whatever its header fields say.
        let (Some(on_upgrade), Some(peer)) = (request.on_upgrade, request.peer) else {
            return Err(Refusal::NotAnUpgrade);
        };
        self.take_in()?;
        let query = request.query.as_deref();
        let credentials = UpgradeCredentials::from_request(&request.headers, query, &self.credentials);
        let credentials = credentials.beside(protocol);
        let (sockets, events, since) = (Arc::clone(&self.sockets), Arc::clone(&self.events), peer.since);
        tokio::spawn(async move {
            let upgraded = on_upgrade.await;
            let take = |upgraded| into_socket(upgraded, peer, transport, opening, protocol, credentials);
            let Some(socket) = upgraded.ok().and_then(take) else {
                return events.opened("aborted");
            };
            match sockets.hand_over(socket) {
                Ok(()) => {
                    events.upgraded(since.elapsed());
                    events.opened("upgraded");
                }
                Err(socket) => {
                    try_again_later(socket);
                    events.opened("workers");
                }
            }
        });
        let mut response = Response::new("".into());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let fields = response.headers_mut();
        fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
        fields.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        fields.insert(SEC_WEBSOCKET_ACCEPT, accept);
        if let Some(protocol) = protocol {
            fields.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        }
        Ok(response)
    }

    /// What stands for the hand-over of a request's connection, unanswered. A client that no worker takes is told
    /// `refusal`.
    pub(crate) fn leave(
        &self,
        request: &Request,
        transport: Kind,
        opening: Bytes,
        refusal: Vec<u8>,
    ) -> Result<Response, Refusal> {
        let Some(Peer { address: peer, guard, since, .. }) = request.peer.clone() else { return Err(Refusal::Full) };
        self.take_in()?;
        let query = request.query.as_deref();
        let credentials = UpgradeCredentials::from_request(&request.headers, query, &self.credentials);
        let (sockets, events) = (Arc::clone(&self.sockets), Arc::clone(&self.events));
        Ok(Leaving::response(move |stream, read_ahead| {
            give_up_on_the_silent(&stream);
            let socket = Socket { stream, opening, read_ahead, peer, transport, protocol: None, credentials, guard };
            match sockets.hand_over(socket) {
                Ok(()) => {
                    events.upgraded(since.elapsed());
                    events.opened("upgraded");
                }
                Err(socket) => {
                    // Every inbox filled up a moment ago. The socket closes in any case.
                    let _ = (&socket.stream).write(&refusal);
                    events.opened("workers");
                }
            }
        }))
    }

    /// Before the first readiness, while draining and without room nobody is let in. Kafka being away later is no
    /// reason: a session that only listens is worth having.
    pub(crate) fn admit(&self) -> Result<(), Refusal> {
        if self.readiness.fails(Check::Drain) {
            return Err(Refusal::Draining);
        }
        if !self.readiness.started() {
            return Err(Refusal::Starting);
        }
        if self.sockets.is_full() { Err(Refusal::Full) } else { Ok(()) }
    }

    /// A session is about to be opened: one more for the rate at which they may come.
    pub(crate) fn take_in(&self) -> Result<(), Refusal> {
        if self.admission.take() { Ok(()) } else { Err(Refusal::Admission) }
    }
}

/// Nothing obliges such a client to answer, so its system has to: octets that it does not acknowledge for so long reach
/// nobody.
fn give_up_on_the_silent(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    // Where it cannot be set, the system gives up by itself, later.
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(std::time::Duration::from_secs(60))).ok();
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

/// Takes the TCP stream out of hyper and the runtime. `None` if the system refuses to let it go.
fn into_socket(
    upgraded: hyper::upgrade::Upgraded,
    peer: Peer,
    transport: Kind,
    opening: Bytes,
    protocol: Option<&'static str>,
    credentials: UpgradeCredentials,
) -> Option<Socket> {
    let parts = upgraded.downcast::<TokioIo<Stream>>().ok()?;
    let stream = parts.io.into_inner().into_inner().into_std().ok()?;
    // A copy: hyper's buffer is 8 KiB or more and would live as long as these few bytes.
    let read_ahead = Bytes::copy_from_slice(&parts.read_buf);
    let (peer, guard) = (peer.address, peer.guard);
    Some(Socket { stream, opening, read_ahead, peer, transport, protocol, credentials, guard })
}

/// Every inbox filled up between the 101 and now: a WebSocket Close with 1013, as far as the socket takes it.
fn try_again_later(socket: Socket) {
    const CLOSE_1013: [u8; 4] = [0x88, 0x02, 0x03, 0xF5];
    // The socket closes in any case.
    let _ = (&socket.stream).write(&CLOSE_1013);
}
