//! The socket of a session that has none: octets in memory between a request and the core that runs its session. It costs
//! no descriptor, and it is as bounded as a socket: who writes into a full one waits.

use std::{
    io::{self, ErrorKind, Read, Write},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes, BytesMut};

use super::socket::ClientSocket;
use crate::{auth::UpgradeCredentials, inbox::Inbox, server::ConnectionGuard, transport::Kind};

/// What may wait in each direction, in octets.
pub const PIPE_BYTES: usize = 64 * 1024;

/// A session whose request has just come.
pub(super) struct Newcomer {
    pub(super) socket: PipeSocket,
    pub(super) kind: Kind,
    pub(super) credentials: UpgradeCredentials,
    pub(super) guard: ConnectionGuard,
    pub(super) opening: Bytes,
}

/// What has become of a slot's pipe.
#[derive(Debug, Clone, Copy)]
pub(super) struct News {
    pub(super) slot: usize,
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) closed: bool,
}

/// Every pipe of an edge: where new ones are handed over, and where the core hears of the others.
pub struct Pipes {
    pub(super) newcomers: Inbox<Newcomer>,
    /// At most three for each pipe: it is said once that there is something to read, or room, or nobody any more.
    pub(super) news: Inbox<News>,
    open: AtomicUsize,
    most: usize,
}

impl Pipes {
    /// At most so many at a time; `ring` wakes the core.
    pub fn new(most: usize, ring: impl Fn() + Clone + Send + Sync + 'static) -> Arc<Self> {
        let (newcomers, news) = (Inbox::new(most.max(1), ring.clone()), Inbox::new(usize::MAX, ring));
        Arc::new(Self { newcomers, news, open: AtomicUsize::new(0), most })
    }

    /// A new session, which is told `opening` first. `None`: there are too many.
    pub fn open(
        self: &Arc<Self>,
        kind: Kind,
        credentials: UpgradeCredentials,
        guard: ConnectionGuard,
        opening: Bytes,
    ) -> Option<Pipe> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let shared = Arc::new(Shared { state: Mutex::default(), pipes: Arc::clone(self) });
        let (pipe, socket) = (Pipe(Arc::clone(&shared)), PipeSocket(shared));
        self.newcomers.try_push(Newcomer { socket, kind, credentials, guard, opening }).ok().map(|()| pipe)
    }

    /// Sessions that are not over.
    pub fn count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

struct Shared {
    state: Mutex<State>,
    pipes: Arc<Pipes>,
}

#[derive(Default)]
struct State {
    /// The session's slot, once it has one.
    slot: Option<usize>,
    inward: BytesMut,
    outward: BytesMut,
    /// The core knows that there is something to read.
    told: bool,
    /// The core found no room.
    blocked: bool,
    /// The request has gone.
    gone: bool,
    /// The session has said all.
    over: bool,
    waiting: Option<Waker>,
}

impl Shared {
    /// Every change under the lock is complete in itself, so a panic elsewhere leaves the state usable.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, news: Option<News>) {
        if let Some(news) = news {
            // Never full: see its bound.
            let _ = self.pipes.news.try_push(news);
        }
    }
}

impl State {
    fn wait(&mut self, cx: &Context<'_>) {
        match &mut self.waiting {
            Some(waiting) => waiting.clone_from(cx.waker()),
            None => self.waiting = Some(cx.waker().clone()),
        }
    }

    fn news(&self, readable: bool, writable: bool, closed: bool) -> Option<News> {
        self.slot.map(|slot| News { slot, readable, writable, closed })
    }
}

/// The session has ended, and takes nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over;

/// The request's end. When it is dropped the session hears that its client has gone, behind all that it was told before.
/// One task waits at a time.
pub struct Pipe(Arc<Shared>);

impl Pipe {
    /// Tells the session octets, as many as there is room for.
    ///
    /// # Errors
    /// It is over.
    pub fn poll_write(&self, cx: &Context<'_>, octets: &[u8]) -> Poll<Result<usize, Over>> {
        let mut state = self.0.state();
        if state.over {
            return Poll::Ready(Err(Over));
        }
        let taken = octets.len().min(PIPE_BYTES - state.inward.len().min(PIPE_BYTES));
        if taken == 0 && !octets.is_empty() {
            state.wait(cx);
            return Poll::Pending;
        }
        state.inward.extend_from_slice(&octets[..taken]);
        let news = if std::mem::replace(&mut state.told, true) { None } else { state.news(true, false, false) };
        drop(state);
        self.0.tell(news);
        Poll::Ready(Ok(taken))
    }

    /// Appends what the session has said; `false`: it has said all.
    pub fn poll_read(&self, cx: &Context<'_>, into: &mut BytesMut) -> Poll<bool> {
        let mut state = self.0.state();
        if state.outward.is_empty() {
            if state.over {
                return Poll::Ready(false);
            }
            state.wait(cx);
            return Poll::Pending;
        }
        let said = std::mem::take(&mut state.outward);
        let news = if std::mem::take(&mut state.blocked) { state.news(false, true, false) } else { None };
        drop(state);
        self.0.tell(news);
        if into.is_empty() {
            *into = said
        } else {
            into.extend_from_slice(&said)
        }
        Poll::Ready(true)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut state = self.0.state();
        (state.gone, state.outward, state.waiting) = (true, BytesMut::new(), None);
        let news = state.news(false, true, true);
        drop(state);
        self.0.tell(news);
    }
}

/// The core's end: a [`ClientSocket`]. When it is dropped the request hears that the session is over.
pub struct PipeSocket(Arc<Shared>);

impl PipeSocket {
    /// It has a slot; from now on the core hears what becomes of it. What it was told so far, and whether nobody is there
    /// any more.
    pub(super) fn settle(&self, slot: usize) -> (BytesMut, bool) {
        let mut state = self.0.state();
        (state.slot, state.told) = (Some(slot), false);
        let (before, waiting) = ((std::mem::take(&mut state.inward), state.gone), state.waiting.take());
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        before
    }

    fn end(&self) {
        let mut state = self.0.state();
        state.over = true;
        let waiting = state.waiting.take();
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Read for PipeSocket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        if state.inward.is_empty() {
            state.told = false;
            return if state.gone { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        let was_full = state.inward.len() >= PIPE_BYTES;
        let count = state.inward.len().min(into.len());
        into[..count].copy_from_slice(&state.inward[..count]);
        state.inward.advance(count);
        if state.inward.is_empty() {
            // Most have said all then.
            (state.inward, state.told) = (BytesMut::new(), false);
        }
        let waiting = if was_full { state.waiting.take() } else { None };
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        Ok(count)
    }
}

impl Write for PipeSocket {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        if state.gone {
            // As a socket's system takes what its peer will never read.
            return Ok(octets.len());
        }
        let taken = octets.len().min(PIPE_BYTES - state.outward.len().min(PIPE_BYTES));
        if taken == 0 && !octets.is_empty() {
            state.blocked = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        state.outward.extend_from_slice(&octets[..taken]);
        let waiting = state.waiting.take();
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ClientSocket for PipeSocket {
    fn finish(&mut self) {
        self.end();
    }

    fn cut(&mut self) {
        self.0.state().outward = BytesMut::new();
        self.end();
    }
}

impl Drop for PipeSocket {
    fn drop(&mut self) {
        self.end();
        self.0.pipes.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "pipe_tests.rs"]
mod tests;
