//! One thread that owns connections: a `mio` loop around plain state. Workers share nothing; they are told things.
//!
//! A turn of the loop: wait, take the mailboxes, read sockets, serve a slice of a large room, see to timers, and then
//! give every touched connection its one write.

use std::{
    collections::HashSet,
    io::{self, ErrorKind, Read},
    sync::Arc,
    time::{Duration, Instant},
};

use foldhash::fast::RandomState;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use crate::{
    connection::Connection,
    context::Settings,
    hub::Hub,
    log::{Log, Ticket},
    metrics::Metrics,
    readiness::Heartbeat,
    timer::{Tick, Wheel},
    upgrade::Socket,
};

mod drain;
mod mail;
mod mailboxes;
mod outlets;
mod turn;

use drain::Drain;
pub use mailboxes::{Authenticated, Control, Mailboxes, ReportsToWorkers};
pub use outlets::{LogGate, Outlets};
use turn::{Count, offer};

/// The token of the mailboxes' bell.
pub const BELL: Token = Token(usize::MAX);
/// One read buffer for all connections of a worker.
const READ_BYTES: usize = 64 * 1024;
/// The longest sleep: the heartbeat has to be seen.
const SLEEP: Duration = Duration::from_secs(1);
/// How soon a full mailbox of the follower is tried again.
const ASK_AGAIN: Duration = Duration::from_millis(1);

struct Slot {
    socket: mio::net::TcpStream,
    connection: Connection,
    /// The client has shut its side down: the socket is to be read until that end is reached.
    hung_up: bool,
}

/// One worker.
pub struct Worker<L> {
    index: usize,
    poll: Poll,
    mail: Arc<Mailboxes>,
    outlets: Outlets<L>,
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
    slots: Slab<Slot>,
    hub: Hub,
    wheel: Wheel,
    origin: Instant,
    now: Duration,
    generation: u32,
    /// Connections that something happened to in this turn.
    touched: Vec<usize>,
    /// Connections whose sockets may hold octets.
    ready: Vec<usize>,
    buffer: Vec<u8>,
    drain: Option<Drain>,
    /// The drain has begun: who still comes was let in a moment before.
    draining: bool,
    /// Change of what waits in all outbound queues, since the gauge was told.
    queued_bytes: i64,
    /// SENDs that the log has yet to answer for and whose connections are gone: their outcomes are counted.
    orphans: HashSet<Ticket, RandomState>,
}

impl<L: Log> Worker<L> {
    /// A worker without connections. `poll` is the one that `mail` rings.
    pub fn new(
        poll: Poll,
        mail: Arc<Mailboxes>,
        outlets: Outlets<L>,
        settings: Arc<Settings>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            index: outlets.worker,
            poll,
            mail,
            outlets,
            settings,
            metrics,
            slots: Slab::new(),
            hub: Hub::default(),
            wheel: Wheel::new(),
            origin: Instant::now(),
            now: Duration::ZERO,
            generation: 0,
            touched: Vec::new(),
            ready: Vec::new(),
            buffer: vec![0; READ_BYTES],
            drain: None,
            draining: false,
            queued_bytes: 0,
            orphans: HashSet::default(),
        }
    }

    /// Runs until the process ends.
    pub fn run(mut self, heartbeat: &Heartbeat) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            match self.poll.poll(&mut events, Some(self.patience())) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            heartbeat.beat(Instant::now());
            self.now = self.origin.elapsed();
            self.take_mail();
            for event in &events {
                self.handle_event(event);
            }
            self.read_ready();
            self.sweep();
            self.see_to_timers();
            self.go_on_draining();
            self.settle_touched();
        }
    }

    fn patience(&self) -> Duration {
        if self.hub.is_sweeping() || !self.ready.is_empty() || !self.touched.is_empty() {
            return Duration::ZERO;
        }
        let timers = self.wheel.until_next(self.origin.elapsed()).unwrap_or(SLEEP).min(SLEEP);
        let asking = if self.outlets.unasked.is_empty() { SLEEP } else { ASK_AGAIN };
        let draining = if self.drain.is_some() { Duration::from_millis(10) } else { SLEEP };
        timers.min(asking).min(draining)
    }

    fn open(&mut self, socket: Socket) {
        let mut stream = mio::net::TcpStream::from_std(socket.stream);
        let entry = self.slots.vacant_entry();
        let slot = entry.key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut stream, Token(slot), interest) {
            tracing::warn!(event = "register_failed", %error, "a connection could not be watched and is closed");
            return;
        }
        self.generation = self.generation.wrapping_add(1);
        let connection =
            Connection::new(self.generation, socket.credentials, socket.guard, self.settings.stomp.clone(), self.now);
        entry.insert(Slot { socket: stream, connection, hung_up: false });
        if !socket.read_ahead.is_empty() {
            self.with(slot, |it, cx| it.handle_octets(&socket.read_ahead, cx));
        }
        if self.draining {
            self.with(slot, Connection::drain);
        }
        self.touch(slot);
    }

    fn handle_event(&mut self, event: &mio::event::Event) {
        let Token(slot) = event.token();
        let Some(it) = self.slots.get_mut(slot) else { return };
        if event.is_writable() {
            it.connection.outbound.writable();
        }
        if event.is_readable() || event.is_read_closed() {
            it.hung_up |= event.is_read_closed();
            it.connection.readable = true;
        }
        self.touch(slot);
    }

    /// One read for each connection that has octets and may be read; who has more gets its next turn after the others.
    fn read_ready(&mut self) {
        for slot in std::mem::take(&mut self.ready) {
            self.read(slot);
        }
    }

    pub(super) fn read(&mut self, slot: usize) {
        let Some(it) = self.slots.get_mut(slot) else { return };
        if !it.connection.readable || !it.connection.wants_input() {
            return;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = it.socket.read(&mut buffer);
        match result {
            Ok(0) => self.with(slot, Connection::lost),
            Ok(count) => {
                // A short read has emptied the socket, unless the end of the stream is still to be read.
                it.connection.readable = count == buffer.len() || it.hung_up;
                self.with(slot, |it, cx| it.handle_octets(&buffer[..count], cx));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => it.connection.readable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => self.with(slot, Connection::lost),
        }
        self.buffer = buffer;
        self.touch(slot);
    }

    fn sweep(&mut self) {
        let Self { hub, slots, touched, settings, metrics, .. } = self;
        let mut count = Count::default();
        hub.sweep(&mut |member, message, frames| {
            count.add(offer(slots, touched, settings.outbound_bytes, member, message, frames));
        });
        count.report(metrics);
    }

    fn see_to_timers(&mut self) {
        let mut due: Vec<(usize, Tick)> = Vec::new();
        self.wheel.advance(self.now, &mut due);
        for (slot, tick) in due {
            let Some(it) = self.slots.get_mut(slot).filter(|it| it.connection.armed == tick) else { continue };
            it.connection.armed = 0;
            self.with(slot, Connection::handle_timeout);
        }
    }
}
