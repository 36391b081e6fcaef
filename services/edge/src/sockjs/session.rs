//! One session over XHR, on the HTTP side: a stream to its worker, at most one request that waits for frames, and a
//! memory of how it ended.

use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use socket2::SockRef;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::lines::Lines;
use crate::auth::UpgradeCredentials;
use crate::server::ConnectionGuard;
use crate::transport::sockjs::{
    self,
    json::{self, Broken, Decoder},
};

/// A client that asks for nothing for so long is gone (J19); how a session ended is known for as long (J18).
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a worker may take no octet of what a client sends.
const SEND_TIMEOUT: Duration = Duration::from_secs(15);
/// Octets read from a worker at a time.
const READ_BYTES: usize = 8 * 1024;

/// What an echo keeps for a client that does not ask.
const ECHO_BYTES: usize = 1 << 20;

const INTERRUPTED: Bytes = Bytes::from_static(b"c[1002,\"Connection interrupted\"]\n");
const ANOTHER: Bytes = Bytes::from_static(b"c[2010,\"Another connection still open\"]\n");

/// A client that polls.
pub(super) struct Session {
    /// Who opened it: requests with other credentials do not find it (J19).
    pub(super) owner: UpgradeCredentials,
    /// One request at a time sends, or its strings would mix with another's.
    pub(super) sending: tokio::sync::Mutex<Decoder>,
    state: Mutex<State>,
}

struct State {
    source: Source,
    lines: Lines,
    phase: Phase,
    /// STOMP has answered: CONNECT's narrow bound is over (`stomp.md` L03).
    answered: bool,
}

/// Where frames come from, and strings go to.
enum Source {
    /// The stream to a worker, and its place among the descriptors.
    Worker(Arc<UnixStream>, #[expect(dead_code, reason = "held for its Drop")] ConnectionGuard),
    /// Strings come back as they are, for conformance suites; who waits for them, and a place too.
    Echo(Option<Waker>, #[expect(dead_code, reason = "held for its Drop")] ConnectionGuard),
    /// Nothing more will come.
    Over,
}

enum Phase {
    /// Nobody has asked for frames since.
    Idle(Instant),
    Received,
    /// Whoever asks is told this.
    Closed(Bytes, Instant),
}

impl Session {
    pub(super) fn new(owner: UpgradeCredentials, pipe: UnixStream, guard: ConnectionGuard) -> Self {
        Self::with(owner, Source::Worker(Arc::new(pipe), guard))
    }

    /// A session that gets back what it sends.
    pub(super) fn echo(owner: UpgradeCredentials, guard: ConnectionGuard) -> Self {
        let session = Self::with(owner, Source::Echo(None, guard));
        session.state().lines.push(b"o\n");
        session
    }

    fn with(owner: UpgradeCredentials, source: Source) -> Self {
        let phase = Phase::Idle(Instant::now());
        let state = State { source, lines: Lines::default(), phase, answered: false };
        Self { owner, sending: Default::default(), state: Mutex::new(state) }
    }

    /// A request begins to wait for frames.
    ///
    /// # Errors
    /// What it is to be told instead: another one waits, or the session is over.
    pub(super) fn begin(&self) -> Result<(), Bytes> {
        let mut state = self.state();
        match &state.phase {
            Phase::Received => Err(ANOTHER),
            Phase::Closed(frame, _) => Err(frame.clone()),
            Phase::Idle(_) => {
                state.phase = Phase::Received;
                Ok(())
            }
        }
    }

    /// That request has its answer; the next one is expected soon.
    pub(super) fn pause(&self) {
        let mut state = self.state();
        if matches!(state.phase, Phase::Received) {
            state.phase = Phase::Idle(Instant::now());
        }
    }

    /// The next frame, about `most` octets of it, for the request that waits.
    pub(super) fn poll_frame(&self, cx: &mut Context<'_>, most: usize) -> Poll<Bytes> {
        let mut state = self.state();
        let ended = state.read(cx, most);
        if let Some(frame) = state.lines.take(most) {
            match frame.first() {
                Some(b'a') => state.answered = true,
                Some(b'c') => state.close(&frame),
                _ => {}
            }
            return Poll::Ready(frame);
        }
        if !ended {
            return Poll::Pending;
        }
        state.close(&INTERRUPTED);
        match &state.phase {
            Phase::Closed(frame, _) => Poll::Ready(frame.clone()),
            _ => Poll::Ready(INTERRUPTED),
        }
    }

    /// Whether STOMP has answered.
    pub(super) fn is_answered(&self) -> bool {
        self.state().answered
    }

    /// Gives back the strings of a message, if the session is an echo; `None`: it is not.
    pub(super) fn send_back(&self, message: &str) -> Option<Result<(), Broken>> {
        let mut state = self.state();
        let State { source: Source::Echo(waiting, _), lines, .. } = &mut *state else { return None };
        let Ok(strings) = json::each(message) else { return Some(Err(Broken)) };
        // Who sends and never asks loses what it would not have taken.
        for frame in strings.iter().map(|string| sockjs::line(string)) {
            if lines.len() + frame.len() <= ECHO_BYTES {
                lines.push(&frame);
            }
        }
        waiting.take().into_iter().for_each(Waker::wake);
        Some(Ok(()))
    }

    /// Hands the worker octets of STOMP. To a session that is over it is as if they had been lost on their way.
    ///
    /// # Errors
    /// The worker takes nothing; the session is over.
    pub(super) async fn send(&self, mut octets: &[u8]) -> Result<(), ()> {
        let pipe = match &self.state().source {
            Source::Worker(pipe, _) => Arc::clone(pipe),
            _ => return Ok(()),
        };
        let whole = Whole(self, false);
        while !octets.is_empty() {
            match timeout(SEND_TIMEOUT, pipe.writable()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => break,
                Err(_) => return Err(()),
            }
            match pipe.try_write(octets) {
                Ok(taken) => octets = &octets[taken..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The worker has ended the session; the next request that waits for frames hears of it.
                Err(_) => break,
            }
        }
        whole.done();
        Ok(())
    }

    /// A request was broken off by the client, and nobody knows what it has seen or said (J18).
    pub(super) fn interrupt(&self) {
        self.state().close(&INTERRUPTED);
    }

    /// Whether the session is still to be known.
    pub(super) fn keep(&self, now: Instant) -> bool {
        let mut state = self.state();
        let since = match state.phase {
            Phase::Received => return true,
            Phase::Idle(since) | Phase::Closed(_, since) => since,
        };
        let keep = now.saturating_duration_since(since) < PATIENCE;
        if !keep {
            state.close(&INTERRUPTED);
        }
        keep
    }

    /// Every change under the lock is complete in itself, so a panic elsewhere leaves the state usable.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Reads what there is, until a frame is whole and there is enough of them. Whether the worker has ended the stream.
    fn read(&mut self, cx: &mut Context<'_>, most: usize) -> bool {
        let pipe = match &mut self.source {
            Source::Worker(pipe, _) => pipe,
            Source::Echo(waiting, _) => {
                *waiting = Some(cx.waker().clone());
                return false;
            }
            Source::Over => return true,
        };
        let mut buffer = [0; READ_BYTES];
        while self.lines.len() < most || !self.lines.has_one() {
            match pipe.poll_read_ready(cx) {
                Poll::Pending => return false,
                Poll::Ready(Err(_)) => return true,
                Poll::Ready(Ok(())) => {}
            }
            match pipe.try_read(&mut buffer) {
                Ok(0) => return true,
                Ok(count) => self.lines.push(&buffer[..count]),
                Err(error) if is_passing(&error) => {}
                Err(_) => return true,
            }
        }
        false
    }

    /// Ends the session once; what the worker has received already it still takes.
    fn close(&mut self, frame: &Bytes) {
        let source = std::mem::replace(&mut self.source, Source::Over);
        if let Source::Worker(pipe, _) = &source {
            // It is closed with the last request that uses it; this tells the worker now.
            SockRef::from(&**pipe).shutdown(Shutdown::Both).ok();
        }
        if !matches!(source, Source::Over) {
            self.phase = Phase::Closed(frame.clone(), Instant::now());
            self.lines = Lines::default();
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Octets that reach the worker all or not at all: half a frame followed by another request's would be a frame that
/// nobody has sent.
struct Whole<'a>(&'a Session, bool);

impl Whole<'_> {
    fn done(mut self) {
        self.1 = true;
    }
}

impl Drop for Whole<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.interrupt();
        }
    }
}
