//! Listening and accepting: the socket options that every connection inherits, and a loop that no error ends.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use warp::Filter;
use warp::reply::Response;

use super::ServerEvents;
use super::connection::{self, Limits};
use super::slots::Slots;

/// Unsent bytes that the kernel takes per connection before it reports "full". It bounds what a stalled reader costs,
/// without bounding what is in flight as a send buffer size would.
const NOTSENT_LOWAT: u32 = 16 * 1024;
const BACKLOG: i32 = 4096;
/// The pause after the system has run out of files or memory: long enough not to spin, short enough not to be missed.
const PAUSE: Duration = Duration::from_millis(100);
/// Refused connections that get an answer at the same time; beyond it they are just closed.
const REFUSALS: usize = 64;

/// Binds, with the options set before `listen` so that accepted sockets inherit them.
pub(super) fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_notsent_lowat(NOTSENT_LOWAT)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bind().map_err(|error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

/// Accepts for ever. Connections over a bound are refused, never queued.
pub(super) async fn run<F>(
    listener: TcpListener,
    routes: F,
    slots: Arc<Slots>,
    limits: Limits,
    events: Arc<dyn ServerEvents>,
) where
    F: Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static,
    F::Future: Send,
{
    let refusals = Refusals::default();
    loop {
        let (stream, peer) = next(&listener, &*events).await;
        match slots.take(peer.ip()) {
            Ok((guard, half_open)) => {
                let events = Arc::clone(&events);
                tokio::spawn(connection::serve(stream, peer, guard, half_open, routes.clone(), limits, events));
            }
            Err(bound) => {
                events.opened(bound.name());
                refusals.spawn(async move { connection::turn_away(&stream, connection::refusal().as_bytes()).await });
            }
        }
    }
}

/// The next connection. What the system says instead is waited out.
pub(super) async fn next(listener: &TcpListener, events: &dyn ServerEvents) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if concerns_one_client(&error) => {}
            Err(error) => {
                events.accept_failed(&error);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Those who are told that there is no place for them; so many at a time, others are just closed.
pub(super) struct Refusals(Arc<Semaphore>);

impl Default for Refusals {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(REFUSALS)))
    }
}

impl Refusals {
    pub(super) fn spawn(&self, telling: impl Future<Output = ()> + Send + 'static) {
        if let Ok(permit) = Arc::clone(&self.0).try_acquire_owned() {
            tokio::spawn(async move {
                telling.await;
                drop(permit);
            });
        }
    }
}

/// The client went away between its SYN and our accept: the next one is not concerned.
fn concerns_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
