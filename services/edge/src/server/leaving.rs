//! The way out of HTTP: a connection whose answer is somebody else's to write. hyper is told that the service has failed,
//! ends without a word, and gives the socket back with whatever it had read behind the request.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use warp::reply::Response;

/// A client that takes nothing for so long of what it was answered is cut, as one of a worker's is.
const STUCK: Duration = Duration::from_secs(10);

/// Takes the socket, and what was read from it already.
type Taker = Box<dyn FnOnce(std::net::TcpStream, Bytes) + Send>;

/// An answer that carries this as an extension is not written: its connection leaves HTTP instead.
#[derive(Clone)]
pub(crate) struct Leaving(Arc<Mutex<Option<Taker>>>);

impl Leaving {
    /// The answer that stands for the socket being handed to `taker`.
    pub(crate) fn response(taker: impl FnOnce(std::net::TcpStream, Bytes) + Send + 'static) -> Response {
        let mut response = Response::new("".into());
        response.extensions_mut().insert(Self(Arc::new(Mutex::new(Some(Box::new(taker))))));
        response
    }

    /// Hands the socket over. One that still has to send what an earlier request was answered is closed instead: hyper
    /// does not give that back, and what comes behind it would be read as a part of it.
    pub(super) fn hand_over(self, stream: Stream, read_ahead: &[u8]) {
        let taker = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if !stream.owes
            && let (Some(taker), Ok(stream)) = (taker, stream.inner.into_std())
        {
            // A copy: hyper's buffer is 8 KiB or more and would live as long as these few octets.
            taker(stream, Bytes::copy_from_slice(read_ahead));
        }
    }
}

/// What hyper hears instead of an answer.
#[derive(Debug)]
pub(super) struct Left;

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection leaves HTTP")
    }
}

impl std::error::Error for Left {}

/// A client's socket while it speaks HTTP, which knows whether all that hyper wanted to write has been written, and cuts
/// a client that takes nothing.
#[derive(Debug)]
pub(crate) struct Stream {
    inner: TcpStream,
    /// The last write was told to wait.
    owes: bool,
    /// Until when it may wait.
    patience: Option<Pin<Box<Sleep>>>,
    cut: bool,
}

impl Stream {
    pub(super) fn new(inner: TcpStream) -> Self {
        Self { inner, owes: false, patience: None, cut: false }
    }

    /// Ends it as a network does that breaks: what has not been sent is lost.
    pub(super) fn reset(self) {
        // The socket closes either way.
        let _ = SockRef::from(&self.inner).set_linger(Some(Duration::ZERO));
    }

    /// Its client took nothing any more, so it was cut.
    pub(super) fn was_cut(&self) -> bool {
        self.cut
    }

    /// The socket alone.
    pub(crate) fn into_inner(self) -> TcpStream {
        self.inner
    }

    fn note(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.owes = written.is_pending();
        if !self.owes {
            self.patience = None;
            return written;
        }
        ready!(self.patience.get_or_insert_with(|| Box::pin(sleep(STUCK))).as_mut().poll(cx));
        // Otherwise the end would wait behind what nobody reads. The socket closes either way.
        let _ = SockRef::from(&self.inner).set_linger(Some(Duration::ZERO));
        self.cut = true;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, octets);
        self.note(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, pieces);
        self.note(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
