//! One thread that owns connections: a `mio` loop around plain state. Workers share nothing; they are told things.
//!
//! A turn of the loop: wait, take the mailboxes, read sockets, serve a slice of a large room, see to timers, and then
//! give every touched connection its one write.

use std::{
    io::{self, ErrorKind, Read},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use crate::{
    connection::Connection,
    context::{Settings, Shell},
    hub::Hub,
    log::Log,
    message::{FromFollower, ToFollower},
    metrics::Metrics,
    readiness::Heartbeat,
    timer::{Tick, Wheel},
    upgrade::Socket,
};

mod drain;
mod mailboxes;
mod outlets;
mod turn;

use drain::Drain;
pub use mailboxes::{Authenticated, Control, Mailboxes, ReportsToWorkers};
pub use outlets::{LogGate, Outlets};
use turn::offer;

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

    fn take_mail(&mut self) {
        self.mail.answer_bell();
        let mail = self.mail.clone();
        if !self.outlets.unasked.is_empty() && self.outlets.ask_again() {
            let waiting: Vec<usize> = self.slots.iter().map(|(slot, _)| slot).collect();
            waiting.into_iter().for_each(|slot| self.with(slot, Connection::advance));
        }
        let mut control = Vec::new();
        mail.control.take(&mut control);
        control.into_iter().for_each(|what| self.handle_control(what));
        let mut sockets = Vec::new();
        mail.sockets.take(&mut sockets);
        sockets.into_iter().for_each(|socket| self.open(socket));
        let mut authenticated = Vec::new();
        mail.authenticated.take(&mut authenticated);
        for Authenticated { connection, generation, result } in authenticated {
            self.with_tenant(connection, generation, |it, cx| it.handle_authenticated(result, cx));
        }
        let mut reports = Vec::new();
        mail.reports.take(&mut reports);
        for (ticket, outcome) in reports {
            self.with_tenant(ticket.connection as usize, ticket.generation, |it, cx| {
                it.handle_outcome(ticket, outcome, cx);
            });
        }
        let mut told = Vec::new();
        mail.follower.take(&mut told);
        told.into_iter().for_each(|what| self.handle_follower(what));
    }

    fn handle_follower(&mut self, what: FromFollower) {
        match what {
            FromFollower::Batch(messages) => {
                let Self { hub, slots, touched, settings, metrics, .. } = self;
                let mut delivered = 0;
                for message in messages {
                    hub.deliver(message, &mut |member, message, frames| {
                        delivered += offer(slots, touched, settings.outbound_bytes, member, message, frames);
                    });
                }
                metrics.delivery.deliveries.inc_by(delivered);
            }
            FromFollower::Subscribed { who, room, after } => {
                if self.is_tenant(who.connection, who.generation) {
                    self.with(who.connection, |it, cx| it.handle_subscribed(who, room, after, cx));
                } else {
                    self.outlets.ask(ToFollower::Leave { worker: self.index, room });
                }
            }
            FromFollower::Slice { who, messages, end, through } => {
                self.with_tenant(who.connection, who.generation, |it, cx| {
                    it.handle_slice(who, &messages, end, through, cx);
                });
            }
            FromFollower::Forgotten { who } => {
                self.with_tenant(who.connection, who.generation, |it, cx| it.handle_gap(who, cx));
            }
            FromFollower::Lost(rooms) => {
                for room in rooms {
                    for slot in self.hub.connections(room) {
                        self.with(slot, Connection::handle_lost_records);
                    }
                }
            }
            FromFollower::Located { ticket, outcome } => {
                self.with_tenant(ticket.connection as usize, ticket.generation, |it, cx| {
                    it.handle_outcome(ticket, outcome, cx);
                });
            }
        }
    }

    fn handle_control(&mut self, what: Control) {
        match what {
            Control::Drain { rate } => {
                let all = self.slots.iter().map(|(slot, it)| (slot, it.connection.generation)).collect();
                let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
                self.drain = Some(Drain::new(all, rate, self.now, seed as u64));
            }
            Control::CloseAll => {
                let all: Vec<usize> = self.slots.iter().map(|(slot, _)| slot).collect();
                all.into_iter().for_each(|slot| self.with(slot, Connection::shut_down));
            }
        }
    }

    fn go_on_draining(&mut self) {
        let Some(drain) = &mut self.drain else { return };
        let due = drain.due(self.now);
        if drain.is_over() {
            self.drain = None;
        }
        for (slot, generation) in due {
            self.with_tenant(slot, generation, Connection::drain);
        }
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
        let credentials = socket.request.credentials(&self.settings.credentials);
        let connection =
            Connection::new(self.generation, credentials, socket.guard, self.settings.stomp.clone(), self.now);
        entry.insert(Slot { socket: stream, connection, hung_up: false });
        if !socket.read_ahead.is_empty() {
            self.with(slot, |it, cx| it.handle_octets(&socket.read_ahead, cx));
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

    fn read(&mut self, slot: usize) {
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
        let mut delivered = 0;
        hub.sweep(&mut |member, message, frames| {
            delivered += offer(slots, touched, settings.outbound_bytes, member, message, frames);
        });
        metrics.delivery.deliveries.inc_by(delivered);
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
