//! A worker without its thread: connections, their part of the hub, timers. Plain state that is given sockets, mail and
//! the time; [`super::event_loop`] gives it those of a process, a simulation gives it others.
//!
//! A turn: [`Core::begin_turn`], then whatever has come (`handle_*`, [`Core::open`]), then [`Core::finish_turn`], which
//! reads sockets, serves a slice of a large room, sees to timers, and gives every touched connection its one write.

use std::{collections::HashSet, io::ErrorKind, sync::Arc, time::Duration};

use foldhash::fast::RandomState;
use slab::Slab;

use super::{
    drain::Drain,
    socket::ClientSocket,
    spares::Spares,
    turn::{Connections, Count},
};
use crate::{
    auth::UpgradeCredentials,
    connection::Connection,
    context::{Settings, Shell},
    hub::Hub,
    log::Ticket,
    metrics::Metrics,
    timer::{Tick, Wheel},
    transport::Kind,
    upgrade::ConnectionGuard,
};

/// One read buffer for all connections of a worker.
const READ_BYTES: usize = 64 * 1024;
/// The longest time without a turn: the worker's heartbeat has to be seen.
const SLEEP: Duration = Duration::from_secs(1);
/// How soon a full mailbox of the follower is tried again.
const ASK_AGAIN: Duration = Duration::from_millis(1);
/// How often a drain looks whose turn has come.
const DRAIN_STEP: Duration = Duration::from_millis(10);

pub(super) struct Slot<S> {
    pub(super) socket: S,
    pub(super) connection: Connection,
    /// The client has shut its side down: the socket is to be read until that end is reached.
    hung_up: bool,
}

/// One worker's state. `S` are its sockets, `O` its ways out to the rest of the edge.
pub struct Core<S, O> {
    pub(super) index: usize,
    pub(super) outlets: O,
    pub(super) settings: Arc<Settings>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) slots: Slab<Slot<S>>,
    pub(super) hub: Hub,
    pub(super) wheel: Wheel,
    pub(super) now: Duration,
    generation: u32,
    /// Connections that something happened to in this turn.
    pub(super) touched: Vec<usize>,
    /// Those of them that are still to get their write.
    pub(super) settling: Vec<usize>,
    /// Connections whose sockets may hold octets.
    pub(super) ready: Vec<usize>,
    reading: Vec<usize>,
    due: Vec<(usize, Tick)>,
    pub(super) spares: Spares,
    buffer: Vec<u8>,
    pub(super) drain: Option<Drain>,
    /// The drain has begun: who still comes was let in a moment before.
    pub(super) draining: bool,
    /// When the oldest message was sent that this turn delivered, if it did deliver any; milliseconds since 1970.
    pub(super) delivered: Option<i64>,
    /// Change of what waits in all outbound queues, since the gauge was told.
    pub(super) queued_bytes: i64,
    /// SENDs that the log has yet to answer for and whose connections are gone: their outcomes are counted.
    pub(super) orphans: HashSet<Ticket, RandomState>,
    /// Sockets of connections that are over.
    pub(super) closed: Vec<S>,
}

impl<S: ClientSocket, O: Shell> Core<S, O> {
    /// Worker number `index`, without connections.
    pub fn new(index: usize, outlets: O, settings: Arc<Settings>, metrics: Arc<Metrics>) -> Self {
        Self {
            index,
            outlets,
            settings,
            metrics,
            slots: Slab::new(),
            hub: Hub::default(),
            wheel: Wheel::new(),
            now: Duration::ZERO,
            generation: 0,
            touched: Vec::new(),
            settling: Vec::new(),
            ready: Vec::new(),
            reading: Vec::new(),
            due: Vec::new(),
            spares: Spares::default(),
            buffer: vec![0; READ_BYTES],
            drain: None,
            draining: false,
            delivered: None,
            queued_bytes: 0,
            orphans: HashSet::default(),
            closed: Vec::new(),
        }
    }

    /// The same, with rooms served in slices of another size than [`crate::hub::SLICE`], before anybody has joined one.
    pub fn with_slice(mut self, slice: usize) -> Self {
        self.hub = Hub::new(slice);
        self
    }

    /// A turn begins. `now` counts from any fixed origin and never runs backwards.
    pub fn begin_turn(&mut self, now: Duration) {
        self.now = now;
        self.ask_again();
    }

    /// Everything that has come has been handed over: does what follows from it.
    pub fn finish_turn(&mut self) {
        self.read_ready();
        self.sweep();
        self.see_to_timers();
        self.go_on_draining();
        self.settle_touched();
    }

    /// How long after `now` the next turn is due, if nothing comes before.
    pub fn patience(&self, now: Duration) -> Duration {
        if self.hub.is_sweeping() || !self.ready.is_empty() || !self.touched.is_empty() {
            return Duration::ZERO;
        }
        let timers = self.wheel.until_next(now).unwrap_or(SLEEP).min(SLEEP);
        let asking = if self.outlets.is_congested() { ASK_AGAIN } else { SLEEP };
        let draining = if self.drain.is_some() { DRAIN_STEP } else { SLEEP };
        timers.min(asking).min(draining)
    }

    /// Whether a large room is being served.
    pub fn is_sweeping(&self) -> bool {
        self.hub.is_sweeping()
    }

    /// How many connections it has.
    pub fn connections(&self) -> usize {
        self.slots.len()
    }

    /// The slot that the next connection will have.
    pub fn next_slot(&self) -> usize {
        self.slots.vacant_key()
    }

    /// Takes a connection over, together with what the edge says for its client, and with what that has sent right behind
    /// its request.
    pub fn open(
        &mut self,
        socket: S,
        kind: Kind,
        credentials: UpgradeCredentials,
        guard: ConnectionGuard,
        opening: &[u8],
        read_ahead: &[u8],
    ) {
        self.generation = self.generation.wrapping_add(1);
        let stomp = &self.settings.stomp;
        let connection = Connection::new(self.generation, kind, credentials, guard, stomp, self.now);
        let slot = self.slots.insert(Slot { socket, connection, hung_up: false });
        self.with(slot, Connection::greet);
        if !opening.is_empty() {
            self.with(slot, |it, cx| it.speak_for(opening, cx));
        }
        if !read_ahead.is_empty() {
            self.with(slot, |it, cx| it.handle_octets(read_ahead, cx));
        }
        if self.draining {
            self.with(slot, Connection::drain);
        }
        self.touch(slot);
    }

    /// A slot's socket can be read from, written to, or its client has shut its side down.
    pub fn handle_readiness(&mut self, slot: usize, readable: bool, writable: bool, read_closed: bool) {
        let Some(it) = self.slots.get_mut(slot) else { return };
        if readable || read_closed {
            it.hung_up |= read_closed;
            // Read in this turn: waiting for the next one would cost another look at the poll for each frame that comes.
            if !std::mem::replace(&mut it.connection.readable, true) {
                self.ready.push(slot);
            }
        }
        if writable {
            it.connection.outbound.writable();
            // Every event says that an idle socket can be written to; nothing follows from that.
            if !it.connection.outbound.is_empty() {
                self.touch(slot);
            }
        }
    }

    /// After a turn: how long its deliveries took, if there were any; `clock` tells the time since the turn's origin, and
    /// the wall's in milliseconds.
    pub fn measure_delivery(&mut self, clock: impl FnOnce() -> (Duration, i64)) {
        if let Some(sent_ms) = self.delivered.take() {
            let (now, wall_ms) = clock();
            self.metrics.times.delivered(now.saturating_sub(self.now), sent_ms, wall_ms);
        }
    }

    /// Sockets of connections that ended since the last call; to be dropped.
    pub fn take_closed(&mut self) -> impl Iterator<Item = S> {
        self.closed.drain(..)
    }

    /// Octets that wait for each client.
    pub fn queued(&self) -> impl Iterator<Item = usize> + '_ {
        self.slots.iter().map(|(_, it)| it.connection.outbound.bytes())
    }

    /// One read for each connection that has octets and may be read; who has more gets its next turn after the others.
    fn read_ready(&mut self) {
        std::mem::swap(&mut self.ready, &mut self.reading);
        let mut reading = std::mem::take(&mut self.reading);
        reading.drain(..).for_each(|slot| self.read(slot));
        self.reading = reading;
    }

    pub(super) fn read(&mut self, slot: usize) {
        let Some(it) = self.slots.get_mut(slot) else { return };
        if !it.connection.readable || !it.connection.wants_input() {
            return;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = it.socket.read(&mut buffer);
        match result {
            Ok(0) => self.with(slot, Connection::end_of_stream),
            Ok(count) => {
                // A short read has emptied the socket, unless the end of the stream is still to be read.
                it.connection.readable = count == buffer.len() || it.hung_up;
                if !it.connection.readable && it.connection.handle_beat(&buffer[..count], &self.metrics, self.now) {
                    self.buffer = buffer;
                    return;
                }
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
        let (hub, mut connections) = self.hub_and_connections();
        hub.sweep(&mut connections);
        let Connections { count, oldest, .. } = connections;
        self.note_delivered(count, oldest);
    }

    /// Notes what a batch or a slice came to.
    pub(super) fn note_delivered(&mut self, count: Count, oldest: Option<i64>) {
        count.report(&self.metrics);
        if count.is_some() {
            self.delivered = [self.delivered, oldest].into_iter().flatten().min();
        }
    }

    /// Who is in which room, and whom that is.
    pub(super) fn hub_and_connections(&mut self) -> (&mut Hub, Connections<'_, S>) {
        let Self { hub, slots, touched, settings, spares, .. } = self;
        let (cap, queues, count) = (settings.outbound_bytes, &mut spares.queues, Count::default());
        (hub, Connections { slots, touched, queues, cap, count, oldest: None })
    }

    fn see_to_timers(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(self.now, &mut due);
        for (slot, tick) in due.drain(..) {
            let Some(it) = self.slots.get_mut(slot).filter(|it| it.connection.armed == tick) else { continue };
            it.connection.armed = 0;
            self.with(slot, Connection::handle_timeout);
        }
        self.due = due;
    }
}
