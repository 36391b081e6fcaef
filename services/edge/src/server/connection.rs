//! One connection while it speaks HTTP: hyper with bounds on time and size, or a short refusal.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::timeout;
use warp::Filter;
use warp::reply::Response;

use super::leaving::{Leaving, Left, Stream};
use super::slots::{ConnectionGuard, HttpGuard};
use super::stay::Stay;
use super::{ServerEvents, jitter};

/// The whole head of a request must fit; hyper answers 431 to more, and to more than 100 header fields.
const MAX_HEAD: usize = 16 * 1024;
/// What a client that is waited for gets to take something, in units of [`LAST_WORDS`].
const STUCK: u32 = 10;
/// What a connection gets to finish its last response after its lifetime, and a refused one to read its refusal.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Bounds in time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) header_timeout: Duration,
    pub(super) lifetime: Duration,
}

/// Whom a request came from; every request carries it as an extension. It holds the connection's slot until the socket
/// has been handed over.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) guard: ConnectionGuard,
    /// When it was accepted; when it made its request, if that was not the first.
    pub(crate) since: Instant,
    /// How long the connection may stay.
    pub(crate) stay: Arc<Stay>,
}

/// Serves requests until the client leaves, a bound is reached, or the socket is handed to somebody else.
pub(super) async fn serve<F>(
    stream: TcpStream,
    address: SocketAddr,
    guard: ConnectionGuard,
    place: HttpGuard,
    routes: F,
    limits: Limits,
    events: Arc<dyn ServerEvents>,
) where
    F: Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static,
    F::Future: Send,
{
    let stay = Arc::new(Stay::new(place));
    let peer = Peer { address, guard, since: Instant::now(), stay: Arc::clone(&stay) };
    let left = Arc::new(OnceLock::new());
    let routes = TowerToHyperService::new(warp::service(routes));
    let service = {
        let left = Arc::clone(&left);
        hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            let since = if peer.stay.has_asked() { Instant::now() } else { peer.since };
            peer.stay.ask();
            request.extensions_mut().insert(Peer { since, ..peer.clone() });
            let (answer, left, stay) = (routes.call(request), Arc::clone(&left), Arc::clone(&peer.stay));
            async move {
                let Ok(mut answer) = answer.await;
                stay.answer();
                match answer.extensions_mut().remove::<Leaving>() {
                    None => Ok(answer),
                    Some(leaving) => {
                        let _ = left.set(leaving);
                        Err(Left)
                    }
                }
            }
        })
    };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(Stream::new(stream)), service)
        .with_upgrades();
    let ended = loop {
        let next = tokio::select! {
            // First, so that what a session says about its own end is not sent any more.
            biased;
            () = stay.cut() => {
                connection.into_parts().into_iter().for_each(|parts| parts.io.into_inner().reset());
                return;
            }
            next = timeout(limits.lifetime, &mut connection) => next,
        };
        match next {
            Ok(ended) => break Some(ended),
            Err(_) if stay.may_go_on() => {}
            Err(_) => {
                Pin::new(&mut connection).graceful_shutdown();
                break last_words(Pin::new(&mut connection), &stay).await;
            }
        }
    };
    let parts = connection.into_parts();
    if let Some(parts) = parts {
        let stream = parts.io.into_inner();
        if let Some(leaving) = left.get() {
            return leaving.clone().hand_over(stream, &parts.read_buf);
        }
        // What has a session of its own is counted as that.
        if stream.was_cut() && !stay.is_wanted() {
            events.slow();
        }
    }
    if stay.has_asked() {
        // The request was counted when it was answered.
        return;
    }
    match ended {
        Some(Err(error)) if error.is_parse() => events.opened("malformed"),
        Some(Err(error)) if !error.is_timeout() => {}
        Some(Ok(())) => {}
        _ => events.opened("timeout"),
    }
}

/// Tells a client without a slot to come back.
pub(super) fn refusal() -> String {
    let retry_after = jitter(2, 10);
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: {retry_after}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

/// Waits for the end of the last response: as long as it is waited for on purpose and its client takes what it is told,
/// and not much longer.
async fn last_words<T>(mut connection: Pin<&mut impl Future<Output = T>>, stay: &Stay) -> Option<T> {
    let mut stuck = 0;
    while stay.is_wanted() && stuck < STUCK {
        if let Ok(ended) = timeout(LAST_WORDS, connection.as_mut()).await {
            return Some(ended);
        }
        stuck = if stay.waits() { 0 } else { stuck + 1 };
    }
    timeout(LAST_WORDS, connection).await.ok()
}

/// Gives a client a short answer, and closes. Closing with unread bytes would reset the connection and lose the answer, so
/// what has arrived is read first, as much as a head may be long.
pub(super) async fn turn_away(stream: &TcpStream, answer: &[u8]) {
    // An error or a time-out: the client had its chance, the socket closes either way.
    let _ = timeout(LAST_WORDS, async {
        let _: usize = loop {
            stream.writable().await?;
            match stream.try_write(answer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                // An answer this short fits into an empty socket buffer or the socket is broken.
                written => break written?,
            }
        };
        SockRef::from(stream).shutdown(std::net::Shutdown::Write)?;
        let (mut read, mut buffer) = (0, [0; 1024]);
        while read < MAX_HEAD {
            stream.readable().await?;
            match stream.try_read(&mut buffer) {
                Ok(0) => break,
                Ok(some) => read += some,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        io::Result::Ok(())
    })
    .await;
}
