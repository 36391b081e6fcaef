//! The server under test, and a client that says exactly what a test wants to say.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use klatsch_edge::compare::Compare;
use klatsch_edge::readiness::{Check, Readiness};
use klatsch_edge::server::{Server, ServerEvents, ServerHandle, ServerParts, ServerSettings};
use klatsch_edge::shutdown::Shutdown;
use klatsch_edge::upgrade::{Socket, Sockets};
use serde_json::json;

/// Nothing on loopback takes this long; a test that waits for it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The header fields of a correct opening handshake (the key is RFC 6455's example).
pub(crate) const UPGRADE: &str = "Host: chat.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// What the server reported, to be waited for.
#[derive(Default)]
pub(crate) struct Events {
    seen: Mutex<Vec<&'static str>>,
    news: Condvar,
}

impl ServerEvents for Events {
    fn opened(&self, result: &'static str) {
        self.seen.lock().unwrap().push(result);
        self.news.notify_all();
    }

    fn accept_failed(&self, _: &io::Error) {
        self.opened("accept_failed");
    }

    fn slow(&self) {
        self.opened("slow");
    }
}

impl Events {
    /// Returns when `result` has been reported `times` times.
    pub(crate) fn wait(&self, result: &'static str, times: usize) {
        let seen = self.seen.lock().unwrap();
        let few = |seen: &mut Vec<&'static str>| seen.iter().filter(|one| **one == result).count() < times;
        let (seen, waited) = self.news.wait_timeout_while(seen, PATIENCE, few).unwrap();
        assert!(!waited.timed_out(), "{result} × {times} not in {seen:?}");
    }

    pub(crate) fn count(&self, result: &'static str) -> usize {
        self.seen.lock().unwrap().iter().filter(|one| **one == result).count()
    }
}

pub(crate) struct Sink {
    handed: SyncSender<Socket>,
    pub(crate) refuses: AtomicBool,
    pub(crate) full: AtomicBool,
}

impl Sockets for Sink {
    fn hand_over(&self, socket: Socket) -> Result<(), Socket> {
        if self.refuses.load(Ordering::Relaxed) {
            Err(socket)
        } else {
            self.handed.try_send(socket).map_err(|_| panic!())
        }
    }

    fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }
}

pub(crate) struct Edge {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) events: Arc<Events>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) sink: Arc<Sink>,
    pub(crate) handle: ServerHandle,
    sockets: Receiver<Socket>,
    thread: Option<JoinHandle<()>>,
}

impl Edge {
    /// A ready edge whose same-origin rule knows one host.
    pub(crate) fn start(change: impl FnOnce(&mut ServerSettings)) -> Self {
        let edge = Self::starting(change);
        for check in [Check::Topic, Check::Tail, Check::Producer] {
            edge.readiness.set(check, Ok(()));
        }
        edge
    }

    /// An edge that is not ready yet.
    pub(crate) fn starting(change: impl FnOnce(&mut ServerSettings)) -> Self {
        Self::bind(change).unwrap()
    }

    pub(crate) fn bind(change: impl FnOnce(&mut ServerSettings)) -> io::Result<Self> {
        let mut settings = ServerSettings { page: true, ..ServerSettings::default() };
        change(&mut settings);
        let events = Arc::new(Events::default());
        let readiness = Readiness::new(|| ());
        let (handed, sockets) = mpsc::sync_channel(10_000);
        let sink = Arc::new(Sink { handed, refuses: AtomicBool::default(), full: AtomicBool::default() });
        let counted = Arc::clone(&events);
        let parts = ServerParts {
            readiness: Arc::clone(&readiness),
            shutdown: Shutdown::new(),
            sockets: Arc::clone(&sink) as Arc<dyn Sockets>,
            credentials: Default::default(),
            origin: Arc::new(|origin, host| {
                origin.is_none_or(|origin| Some(origin) == host.map(|host| format!("https://{host}")).as_deref())
            }),
            events: Arc::clone(&events) as Arc<dyn ServerEvents>,
            metrics: Arc::new(|format| format!("{format:?}")),
            requests: klatsch_edge::worker::Pipes::new(0, || ()),
            compare: Compare {
                held: Arc::new(|| json!({"transports": {}})),
                cut: Some(Arc::new(move || counted.opened("cut"))),
            },
        };
        let server = Server::bind(settings, parts)?;
        let (address, admin, handle) = (server.local_addr().unwrap(), server.admin_addr().unwrap(), server.handle());
        let thread = Some(std::thread::spawn(move || server.run().unwrap()));
        Ok(Self { address, admin, events, readiness, sink, handle, sockets, thread })
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// One request on a connection of its own.
    pub(crate) fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        self.client().ask(request)
    }

    /// The next socket that was handed over.
    pub(crate) fn socket(&self) -> Socket {
        self.sockets.recv_timeout(PATIENCE).expect("no socket was handed over")
    }

    /// A socket that was handed over, if there is one soon.
    pub(crate) fn try_socket(&self) -> Option<Socket> {
        self.sockets.recv_timeout(Duration::from_millis(10)).ok()
    }

    /// Guards report nothing when they are dropped, so the counts have to be looked at.
    pub(crate) fn wait_for_counts(&self, connections: usize, half_open: usize) {
        let deadline = Instant::now() + PATIENCE;
        while (self.handle.connections(), self.handle.half_open()) != (connections, half_open) {
            let (have, pending) = (self.handle.connections(), self.handle.half_open());
            assert!(Instant::now() < deadline, "{have} connections, {pending} of them half-open");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.handle.stop();
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the HTTP thread panicked");
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header field; `None` if it is absent.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let mut values = fields.filter(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let value = values.next();
        assert!(values.next().is_none(), "{name} twice in {}", self.head);
        value
    }

    pub(crate) fn retry_after(&self) -> u32 {
        self.field("retry-after").expect("Retry-After").parse().unwrap()
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, read: Vec::new() }
    }

    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.say(request);
        self.answer()
    }

    /// The next response, body included.
    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer().expect("closed without an answer")
    }

    /// The next response; `None` if the server closes instead.
    pub(crate) fn try_answer(&mut self) -> Option<Answer> {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if self.more() == 0 {
                assert!(self.read.is_empty(), "closed within a head: {:?}", String::from_utf8_lossy(&self.read));
                return None;
            }
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        let bodyless = matches!(status, 101 | 304);
        let length = answer.field("content-length").filter(|_| !bodyless).map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            assert!(self.more() > 0, "closed within a body");
        }
        answer.body = String::from_utf8(self.read.drain(..length).collect()).unwrap();
        Some(answer)
    }

    /// Everything until the server closes; a reset counts as closing.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.more() > 0 {}
        std::mem::take(&mut self.read)
    }

    fn more(&mut self) -> usize {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(length) => {
                self.read.extend_from_slice(&buffer[..length]);
                length
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("the server neither answers nor closes: {error}"),
        }
    }
}
