//! A TCP connection between a client and an edge: bounded, in pieces, stalled, half-closed, broken.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice, Read, Write},
    rc::Rc,
    time::Duration,
};

use klatsch_edge::worker::ClientSocket;

use crate::rng::Rng;

/// Octets in one direction.
#[derive(Default)]
pub struct Pipe {
    sent: VecDeque<u8>,
    pub arrived: VecDeque<u8>,
    fin: bool,
    pub fin_arrived: bool,
}

impl Pipe {
    fn room(&self, capacity: usize) -> usize {
        capacity.saturating_sub(self.sent.len() + self.arrived.len())
    }

    fn is_moving(&self) -> bool {
        !self.sent.is_empty() || (self.fin && !self.fin_arrived)
    }
}

/// The connection as the network sees it.
pub struct Link {
    pub up: Pipe,
    pub down: Pipe,
    capacity: usize,
    /// Broken: both sides find out when they next look.
    pub reset: bool,
    pub stalled_until: Duration,
    pub edge: usize,
    /// The edge has closed in order, or has thrown away what it had to say.
    pub finished: bool,
    pub cut: bool,
    /// A fault of the simulation has broken it.
    pub broken_by_fault: bool,
    pub edge_open: bool,
    pub client_open: bool,
    readable: bool,
    writable: bool,
    read_closed: bool,
    /// The edge has been told that there is no room, and not yet that there is again.
    pub blocked: bool,
}

/// Both ends hold one.
pub type Shared = Rc<RefCell<Link>>;

impl Link {
    pub fn new(edge: usize, capacity: usize) -> Shared {
        Rc::new(RefCell::new(Self {
            up: Pipe::default(),
            down: Pipe::default(),
            capacity,
            reset: false,
            stalled_until: Duration::ZERO,
            edge,
            finished: false,
            cut: false,
            broken_by_fault: false,
            edge_open: true,
            client_open: true,
            readable: true,
            writable: true,
            read_closed: false,
            blocked: false,
        }))
    }

    pub fn is_moving(&self) -> bool {
        !self.reset && (self.up.is_moving() || self.down.is_moving())
    }

    pub fn is_over(&self) -> bool {
        !self.edge_open && !self.client_open
    }

    /// The network carries something on.
    pub fn carry(&mut self, rng: &mut Rng) {
        let up = self.up.is_moving() && (!self.down.is_moving() || rng.one_in(2));
        let pipe = if up { &mut self.up } else { &mut self.down };
        let most = pipe.sent.len();
        let count = if most > 1 && rng.percent(30) { 1 + rng.below(most) } else { most };
        pipe.arrived.extend(pipe.sent.drain(..count));
        let ended = pipe.sent.is_empty() && pipe.fin && !pipe.fin_arrived;
        pipe.fin_arrived |= ended;
        if !up {
            return;
        }
        if count > 0 && !self.edge_open {
            // Nobody is there any more: what the edge still had on its way is lost with the answer.
            return self.break_off();
        }
        self.readable |= count > 0 || ended;
        self.read_closed |= ended;
    }

    pub fn break_off(&mut self) {
        self.reset = true;
        self.up.sent.clear();
        self.down.sent.clear();
        (self.readable, self.writable, self.read_closed) = (true, true, true);
    }

    /// What the worker's poll would tell: readable, writable, read side closed. Edge-triggered.
    pub fn take_events(&mut self) -> Option<(bool, bool, bool)> {
        let events = (self.readable, self.writable, self.read_closed);
        (self.readable, self.writable, self.read_closed) = (false, false, false);
        (events.0 || events.1 || events.2).then_some(events)
    }

    pub fn has_events(&self) -> bool {
        self.readable || self.writable || self.read_closed
    }

    /// The client writes as much as fits.
    pub fn client_writes(&mut self, octets: &mut VecDeque<u8>) {
        let count = octets.len().min(self.up.room(self.capacity));
        self.up.sent.extend(octets.drain(..count));
    }

    pub fn client_can_write(&self) -> bool {
        self.up.room(self.capacity) > 0
    }

    pub fn client_finishes(&mut self) {
        self.up.fin = true;
    }

    /// The client reads all that has arrived.
    pub fn client_reads(&mut self) -> Vec<u8> {
        let octets: Vec<u8> = self.down.arrived.drain(..).collect();
        if self.blocked && !octets.is_empty() {
            (self.blocked, self.writable) = (false, true);
        }
        octets
    }
}

/// The edge's end.
pub struct SimSocket {
    pub link: Shared,
    pub slot: usize,
}

impl Read for SimSocket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut link = self.link.borrow_mut();
        if link.reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        match link.up.arrived.is_empty() {
            false => link.up.arrived.read(into),
            true if link.up.fin_arrived => Ok(0),
            true => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for SimSocket {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(octets)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut link = self.link.borrow_mut();
        if link.reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let room = link.down.room(link.capacity);
        if room == 0 {
            link.blocked = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut taken = 0;
        for piece in pieces {
            let count = piece.len().min(room - taken);
            link.down.sent.extend(&piece[..count]);
            taken += count;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ClientSocket for SimSocket {
    fn finish(&mut self) {
        let mut link = self.link.borrow_mut();
        (link.down.fin, link.finished) = (true, true);
    }

    fn cut(&mut self) {
        self.link.borrow_mut().cut = true;
    }
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        let mut link = self.link.borrow_mut();
        link.edge_open = false;
        // As a kernel does: unread octets, linger zero and a dead process break the connection.
        if link.cut || !link.finished || !link.up.arrived.is_empty() {
            link.break_off();
        }
    }
}
