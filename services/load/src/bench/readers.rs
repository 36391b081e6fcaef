//! Readers over HTTP by the thousand, on one thread: streams of server-sent events, and long polls that are asked again with
//! the token of their answer. They are in the writer's rooms in turn; each knows which message of its room comes next: one
//! that is lost, or comes twice, ends the run.
//!
//! | file | what |
//! |---|---|
//! | `reader.rs` | one of them: what it asks, and what it makes of what comes |
//! | `writer.rs` | whose messages they read |

mod reader;
mod writer;

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs as _},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use socket2::SockRef;

use super::crowd::allow_files;
use crate::{clock, latency, target::Target};
use reader::Reader;
pub(crate) use reader::Way;
pub(crate) use writer::Writer;

/// How many join at the same time: fewer than the shortest usual accept queue.
const AT_ONCE: usize = 64;
/// Nothing has come for this long: the server does not answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Without a message for this long, what has not come is lost.
const STILL: Duration = Duration::from_secs(5);
/// Octets read at a time.
const BUFFER: usize = 64 * 1024;

/// Readers of one edge.
pub(crate) struct Readers {
    target: Target,
    address: SocketAddr,
    rooms: String,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    all: Vec<Reader>,
    /// How many of each way.
    counts: [usize; 2],
    joined: usize,
    seen: Seen,
}

/// What came of a load.
pub(crate) struct Seen {
    /// Messages that were sent.
    pub(crate) sent: u64,
    /// Messages that readers got.
    pub(crate) deliveries: u64,
    /// Microseconds from the write to the read, by way.
    pub(crate) latency: [Histogram<u64>; 2],
}

impl Seen {
    fn new() -> Seen {
        let histogram = || latency::Latency::new().delivery;
        Seen { sent: 0, deliveries: 0, latency: [histogram(), histogram()] }
    }
}

impl Readers {
    /// Nobody yet; `rooms` is how their names begin.
    ///
    /// # Errors
    /// The server's name means nothing, or there is no poll.
    pub(crate) fn new(target: &Target, rooms: &str) -> Result<Readers, String> {
        let mut addresses = (target.host.as_str(), target.port).to_socket_addrs().map_err(|error| error.to_string())?;
        let address = addresses.next().ok_or("the server has no address")?;
        Ok(Readers {
            target: target.clone(),
            address,
            rooms: rooms.to_owned(),
            poll: Poll::new().map_err(|error| format!("a poll: {error}"))?,
            events: Events::with_capacity(1_024),
            buffer: vec![0; BUFFER],
            all: Vec::new(),
            counts: [0; 2],
            joined: 0,
            seen: Seen::new(),
        })
    }

    /// So many more of a way: each is in its room and reads when this returns.
    ///
    /// # Errors
    /// One was refused, or nobody answers.
    pub(crate) fn open(&mut self, way: Way, count: usize, writer: &Writer) -> Result<(), String> {
        allow_files(count as u64)?;
        let (first, mut heard) = (self.all.len(), (Instant::now(), self.joined));
        while self.joined < first + count {
            while self.all.len() < first + count && self.all.len() < self.joined + AT_ONCE {
                let reader =
                    self.connect(way, writer).map_err(|error| format!("reader {}: {error}", self.all.len()))?;
                self.all.push(reader);
            }
            self.turn(Duration::from_millis(100))?;
            if heard.1 != self.joined {
                heard = (Instant::now(), self.joined);
            } else if heard.0.elapsed() > PATIENCE {
                return Err(format!("{} of {} readers joined, the others get no answer", self.joined, self.all.len()));
            }
        }
        Ok(())
    }

    fn connect(&mut self, way: Way, writer: &Writer) -> io::Result<Reader> {
        let room = self.counts[way as usize] % writer.rooms();
        self.counts[way as usize] += 1;
        let socket = std::net::TcpStream::connect(self.address)?;
        socket.set_nodelay(true)?;
        // Thousands that leave together would otherwise keep their ports for a minute.
        SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        self.poll.registry().register(&mut socket, Token(self.all.len()), Interest::READABLE)?;
        let (host, rooms) = (format!("{}:{}", self.target.host, self.target.port), &self.rooms);
        Reader::begin(socket, way, &host, &format!("{rooms}{room}"), writer.sent_to(room))
    }

    /// Lets the writer send `rate` messages a second for so long, the rooms in turn, and reads until everybody has
    /// everything.
    ///
    /// # Errors
    /// A message is lost, or comes twice; the server ends a connection.
    pub(crate) fn drive(&mut self, writer: &mut Writer, rate: f64, time: Duration) -> Result<Seen, String> {
        let (start, all) = (clock::now(), (rate * time.as_secs_f64()).round() as u64);
        let (mut expected, mut moved, mut since) = (0, 0, Instant::now());
        self.seen = Seen::new();
        loop {
            let due = |sent: u64| start + (sent as f64 * 1e9 / rate) as u64;
            while self.seen.sent < all && due(self.seen.sent) <= clock::now() {
                let room = writer.send()?;
                let rooms = writer.rooms();
                let there = |readers: &usize| (readers / rooms + usize::from(room < readers % rooms)) as u64;
                expected += self.counts.iter().map(there).sum::<u64>();
                self.seen.sent += 1;
                since = Instant::now();
            }
            let over = self.seen.sent == all && clock::now() >= due(all);
            if over && self.seen.deliveries >= expected {
                writer.settle()?;
                return Ok(std::mem::replace(&mut self.seen, Seen::new()));
            }
            if self.seen.deliveries != moved {
                (moved, since) = (self.seen.deliveries, Instant::now());
            } else if over && since.elapsed() > STILL {
                return Err(format!("{} of {expected} messages came to readers over HTTP", self.seen.deliveries));
            }
            let pause = due(self.seen.sent).saturating_sub(clock::now());
            self.turn(if over { Duration::from_millis(20) } else { Duration::from_nanos(pause) })?;
        }
    }

    /// How many there are of a way.
    pub(crate) fn count(&self, way: Way) -> usize {
        self.counts[way as usize]
    }

    /// Everybody leaves.
    pub(crate) fn close(&mut self) {
        self.all.clear();
        (self.counts, self.joined) = ([0; 2], 0);
    }

    /// Sleeps until something comes, or for so long, and reads it.
    fn turn(&mut self, longest: Duration) -> Result<(), String> {
        match self.poll.poll(&mut self.events, Some(longest)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            other => other.map_err(|error| format!("the poll: {error}"))?,
        }
        for event in &self.events {
            let number = event.token().0;
            let Some(reader) = self.all.get_mut(number) else { continue };
            let joined = reader.joined;
            let seen = &mut self.seen;
            let (way, mut came) = (reader.way as usize, 0);
            let read = reader.read(&mut self.buffer, |written| {
                came += 1;
                latency::record(&mut seen.latency[way], clock::now().saturating_sub(written));
            });
            self.joined += usize::from(!joined && reader.joined);
            seen.deliveries += came;
            read.map_err(|why| format!("reader {number} ({}): {why}", reader.name()))?;
        }
        Ok(())
    }
}
