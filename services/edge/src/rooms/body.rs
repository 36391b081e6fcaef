//! A request's body, counted while it comes.

use std::pin::Pin;
use std::time::Duration;

use bytes::Buf;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::problem::Problem;
use crate::disconnect::Ending;

/// What is read of a body that nobody wants, and for how long: octets that nobody reads would turn the end of the
/// connection into a reset, and the answer could be lost.
const UNWANTED: (usize, Duration) = (1 << 20, Duration::from_secs(1));

/// The parts of a body, which must be complete by a moment.
pub(super) struct Body<'a, S> {
    parts: Pin<&'a mut S>,
    until: Instant,
}

impl<'a, S, B> Body<'a, S>
where
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    /// It must have come after this time.
    pub(super) fn new(parts: Pin<&'a mut S>, time: Duration) -> Self {
        Self { parts, until: Instant::now() + time }
    }

    /// The next part; `None`: that was all. Nothing is lost when this is given up.
    pub(super) async fn part(&mut self) -> Result<Option<B>, Problem> {
        match timeout_at(self.until, self.parts.next()).await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(part))) => Ok(Some(part)),
            Ok(Some(Err(_))) => Err(Problem::malformed("the body broke off")),
            Err(_) => Err(Problem::of(Ending::FrameTimeout, Some("the body did not come in time"))),
        }
    }

    /// All of it.
    pub(super) async fn whole(&mut self, most: usize) -> Result<Vec<u8>, Problem> {
        let mut whole = Vec::new();
        while let Some(mut part) = self.part().await? {
            if whole.len() + part.remaining() > most {
                return Err(Problem::too_large(format!("the body of a message has {most} octets at most")));
            }
            each(&mut part, |piece| whole.extend_from_slice(piece));
        }
        Ok(whole)
    }

    /// Reads on and throws away, if the end is near.
    pub(super) async fn ignore(&mut self) {
        let (most, time) = UNWANTED;
        let read = async {
            let mut read = 0;
            while let Some(Ok(part)) = self.parts.next().await {
                read += part.remaining();
                if read > most {
                    break;
                }
            }
        };
        // Who is not done by then has the answer all the same.
        let _ = timeout(time, read).await;
    }
}

/// All octets of a part, piece by piece.
pub(super) fn each(part: &mut impl Buf, mut take: impl FnMut(&[u8])) {
    while part.has_remaining() {
        let piece = part.chunk();
        let length = piece.len();
        take(piece);
        part.advance(length);
    }
}
