//! The sessions that poll, by id: opened at the first request, found by the next ones, forgotten when nobody asks.
//!
//! A worker owns its clients' sockets, and a client that polls has none. It gets one: a pair of local stream sockets, one
//! end for the worker, the other for the requests. So the session, its bounds and its endings are what they are for
//! everybody else, down to the kernel's word that a client takes no more, and the worker's loop knows of nothing new.

use std::collections::HashMap;
use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use socket2::SockRef;

use super::session::Session;
use crate::auth::UpgradeCredentials;
use crate::server::{ConnectionGuard, Peer, Slots};
use crate::transport::{Kind, sockjs::message_limit};
use crate::upgrade::{Refusal, Socket, Upgrades};

/// How often sessions are looked at that nobody asks for.
const LOOK: Duration = Duration::from_secs(1);
/// What may wait between a worker and the requests, for each direction; the kernel counts its own costs in.
const PIPE_BYTES: usize = 64 * 1024;

/// What sessions over XHR are bound by.
#[derive(Debug, Clone)]
pub struct XhrSettings {
    /// Octets of frames after which a response ends and the client asks anew.
    pub response_bytes: usize,
    /// The largest STOMP frame before CONNECT is answered, and after.
    pub frame_bytes: (usize, usize),
}

/// Which session: the base path, by number, and the client's id.
pub(super) type Key = (usize, Box<str>);

/// What a request is about.
pub(super) struct Wanted {
    pub(super) key: Key,
    /// Its base path is that of an echo.
    pub(super) echo: bool,
    pub(super) method: super::path::Method,
}

/// What is known under an id.
pub(super) enum Found {
    Session(Arc<Session>),
    /// Other credentials opened it: to these it is not there (J19).
    AnothersSession,
    Nothing,
}

/// Every session over XHR of this edge.
pub(crate) struct Sessions {
    known: Mutex<HashMap<Key, Arc<Session>>>,
    pub(super) settings: XhrSettings,
    slots: Arc<Slots>,
}

impl Sessions {
    /// None yet; every session takes two of `slots`.
    pub(crate) fn new(settings: XhrSettings, slots: Arc<Slots>) -> Arc<Self> {
        Arc::new(Self { known: Mutex::default(), settings, slots })
    }

    /// The session, if these credentials opened it.
    pub(super) fn find(&self, key: &Key, owner: &UpgradeCredentials) -> Found {
        match self.known().get(key) {
            None => Found::Nothing,
            Some(session) if session.owner == *owner => Found::Session(Arc::clone(session)),
            Some(_) => Found::AnothersSession,
        }
    }

    /// A new session, in a worker's hands.
    ///
    /// # Errors
    /// Why the edge takes nobody now.
    pub(super) fn open(
        &self,
        key: Key,
        echo: bool,
        owner: UpgradeCredentials,
        peer: &Peer,
        upgrades: &Upgrades,
    ) -> Result<Arc<Session>, Refusal> {
        upgrades.admit()?;
        let mut known = self.known();
        // What is over is known for some seconds; without a bound, who opens and breaks off could fill the memory with it.
        let full = known.len() >= self.slots.most();
        let place = || self.slots.take_upgraded(peer.address.ip()).map_err(|_| Refusal::Full);
        // One for each end of the pair: places are there for as many as there are descriptors.
        let (ours, workers) = if full { return Err(Refusal::Full) } else { (place()?, place()?) };
        upgrades.take_in()?;
        let failed = |error: io::Error| {
            tracing::warn!(event = "sockjs_failed", %error, "a session over XHR could not be opened");
            Refusal::Full
        };
        let session = Arc::new(if echo {
            Session::echo(owner, ours)
        } else {
            let pipe = hand_over(&owner, peer, workers, upgrades).map_err(failed)?;
            upgrades.events.opened("upgraded");
            Session::new(owner, pipe, ours)
        });
        known.insert(key, Arc::clone(&session));
        Ok(session)
    }

    /// The largest body of `xhr_send`: what the largest frame can come in, but little before CONNECT is answered
    /// (`stomp.md` L03).
    pub(super) fn body_limit(&self, session: &Session) -> usize {
        let (before, after) = self.settings.frame_bytes;
        message_limit(if session.is_answered() { after } else { before })
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Key, Arc<Session>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets sessions that nobody asks for, until nobody needs them at all.
pub(crate) async fn forget(sessions: Weak<Sessions>) {
    let mut looks = tokio::time::interval(LOOK);
    loop {
        looks.tick().await;
        let Some(sessions) = sessions.upgrade() else { return };
        let now = Instant::now();
        sessions.known().retain(|_, session| session.keep(now));
    }
}

/// Gives a worker its end of a new pair; returns ours.
fn hand_over(
    owner: &UpgradeCredentials,
    peer: &Peer,
    guard: ConnectionGuard,
    upgrades: &Upgrades,
) -> io::Result<tokio::net::UnixStream> {
    let (ours, workers) = UnixStream::pair()?;
    for end in [&ours, &workers] {
        end.set_nonblocking(true)?;
        SockRef::from(end).set_send_buffer_size(PIPE_BYTES)?;
    }
    let ours = tokio::net::UnixStream::from_std(ours)?;
    let socket = Socket {
        // A stream socket like any other to who reads and writes it.
        stream: TcpStream::from(OwnedFd::from(workers)),
        opening: Bytes::new(),
        read_ahead: Bytes::new(),
        peer: peer.address,
        transport: Kind::SockJsXhr,
        protocol: None,
        credentials: owner.clone(),
        guard,
    };
    upgrades.sockets.hand_over(socket).map_err(|_| io::Error::other("no worker has room"))?;
    Ok(ours)
}
