//! A request that waits for frames: `xhr` for one, `xhr_streaming` for many.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep};

use super::session::Session;
use crate::server::{Stay, Staying};

/// Proxies close what is silent for longer (J09, J19). STOMP's own beats, where there are any, are no rarer.
const HEART_BEAT: Duration = Duration::from_secs(25);
/// What comes before the frames of a stream: some browsers show a page nothing of the first two KiB.
const PRELUDE: &[u8] = &{
    let mut prelude = [b'h'; 2049];
    prelude[2048] = b'\n';
    prelude
};

/// The right to wait for a session's frames. Dropped in the middle of it, because the client has gone, it ends the
/// session (J18).
pub(super) struct Receiver {
    session: Arc<Session>,
    /// Its connection is not one that dawdles over a request.
    staying: Staying,
    silence: Pin<Box<Sleep>>,
    done: bool,
}

impl Receiver {
    /// # Errors
    /// What the request is to be told instead of frames.
    pub(super) fn new(session: &Arc<Session>, stay: &Arc<Stay>) -> Result<Self, Bytes> {
        session.begin()?;
        let (session, staying) = (Arc::clone(session), Stay::begin(stay));
        Ok(Self { session, staying, silence: Box::pin(sleep(HEART_BEAT)), done: false })
    }

    /// The next frame of about `most` octets; `h` when there has been none for long.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<Bytes> {
        let frame = match self.session.poll_frame(cx, most) {
            Poll::Ready(frame) => frame,
            Poll::Pending if self.silence.as_mut().poll(cx).is_ready() => Bytes::from_static(b"h\n"),
            Poll::Pending => {
                self.staying.waits(true);
                return Poll::Pending;
            }
        };
        self.staying.waits(false);
        self.silence.as_mut().reset(Instant::now() + HEART_BEAT);
        Poll::Ready(frame)
    }

    /// The request is answered.
    pub(super) fn finish(mut self) {
        self.done = true;
        self.session.pause();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if !self.done {
            self.session.interrupt();
        }
    }
}

/// The body of `xhr_streaming`: the prelude, then frames until the session ends or `left` octets were sent (J15).
pub(super) struct Streaming {
    prelude: bool,
    /// Instead of a session's frames.
    only: Option<Bytes>,
    receiver: Option<Receiver>,
    left: usize,
}

impl Streaming {
    pub(super) fn new(receiver: Result<Receiver, Bytes>, left: usize) -> Self {
        let (receiver, only) = match receiver {
            Ok(receiver) => (Some(receiver), None),
            Err(frame) => (None, Some(frame)),
        };
        Self { prelude: true, only, receiver, left }
    }
}

impl Stream for Streaming {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let it = &mut *self;
        if std::mem::take(&mut it.prelude) {
            return Poll::Ready(Some(Ok(Bytes::from_static(PRELUDE))));
        }
        let Some(receiver) = &mut it.receiver else { return Poll::Ready(it.only.take().map(Ok)) };
        let Poll::Ready(frame) = receiver.poll_frame(cx, it.left) else { return Poll::Pending };
        it.left = it.left.saturating_sub(frame.len());
        if it.left == 0 || frame.starts_with(b"c") {
            it.receiver.take().into_iter().for_each(Receiver::finish);
        }
        Poll::Ready(Some(Ok(frame)))
    }
}
