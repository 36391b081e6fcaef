//! A whole edge in one thread: worker, follower, a log in memory, and sockets that count.

use std::{
    cell::{Cell, RefCell},
    io::{self, ErrorKind, IoSlice, Read, Write},
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use klatsch_edge::{
    auth::{Identity, Rights, UpgradeCredentials},
    context::{AuthJob, Settings},
    follower::Follower,
    follower_thread::FollowerInbox,
    log::{
        Feed, Log, Outcome, Reports, Start, Ticket,
        memory::{MemoryFeed, MemoryLog},
    },
    metrics::Metrics,
    tail::Bounds,
    tokens::Checked,
    transport::Kind,
    upgrade::ConnectionGuard,
    worker::{ClientSocket, Core, Identities, LogGate, Outlets},
};

const PARTITIONS: i32 = 4;

/// What the client writes, and how often it is written to.
pub(crate) struct Socket {
    input: Rc<RefCell<Vec<u8>>>,
    at: usize,
    writes: Rc<Cell<usize>>,
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut input = self.input.borrow_mut();
        let count = (&input[self.at..]).read(into)?;
        self.at += count;
        if self.at == input.len() {
            input.clear();
            self.at = 0;
        }
        if count == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }
}

impl Write for Socket {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.writes.set(self.writes.get() + 1);
        Ok(octets.len())
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.writes.set(self.writes.get() + 1);
        Ok(pieces.iter().map(|piece| piece.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ClientSocket for Socket {
    fn finish(&mut self) {}

    fn cut(&mut self) {}
}

struct Guests;

impl Identities for Guests {
    fn check(&self, _: usize, job: AuthJob) -> Checked {
        let user = format!("guest-{}", &job.session[..8]).into();
        Checked::Now(Ok(Identity { user, rights: Rights::all(), expires_at: None }))
    }

    fn session_id(&self) -> String {
        "0123456789abcdef".repeat(2)
    }

    fn message_uuid(&self) -> [u8; 16] {
        uuid::Uuid::now_v7().into_bytes()
    }
}

#[derive(Default)]
struct Reported(Mutex<Vec<(Ticket, Outcome)>>);

impl Reports for Reported {
    fn settled(&self, ticket: Ticket, outcome: Outcome) {
        self.0.lock().unwrap().push((ticket, outcome));
    }
}

pub(crate) struct Edge {
    core: Core<Socket, Outlets<MemoryLog, Guests>>,
    follower: Follower,
    inbox: Arc<FollowerInbox>,
    feed: MemoryFeed,
    log: Arc<MemoryLog>,
    reports: Arc<Reported>,
    taken: Vec<(Ticket, Outcome)>,
    asked: Vec<klatsch_edge::message::ToFollower>,
    inputs: Vec<Rc<RefCell<Vec<u8>>>>,
    writes: Rc<Cell<usize>>,
    now: Duration,
}

impl Edge {
    pub(crate) fn new() -> Self {
        let (metrics, reports) = (Arc::new(Metrics::new()), Arc::new(Reported::default()));
        let log = Arc::new(MemoryLog::new(PARTITIONS, 10_000, reports.clone()));
        let inbox = Arc::new(FollowerInbox::new(1024));
        let outlets = Outlets {
            log: log.clone(),
            follower: inbox.clone(),
            identities: Arc::new(Guests),
            gate: Arc::new(LogGate::default()),
            worker: 0,
            unasked: Default::default(),
        };
        let feed = log.feed(Start::Now).unwrap();
        let bounds = Bounds { bytes: 1 << 20, age: Duration::from_secs(600) };
        let mut edge = Self {
            core: Core::new(0, outlets, Arc::new(settings()), metrics.clone()),
            follower: Follower::new(1, PARTITIONS, bounds, metrics),
            inbox,
            feed,
            log,
            reports,
            taken: Vec::new(),
            asked: Vec::new(),
            inputs: Vec::new(),
            writes: Rc::default(),
            now: Duration::from_secs(1),
        };
        edge.turn();
        edge
    }

    /// A client that has connected and subscribed to a room. Its own buffers are not the edge's.
    pub(crate) fn open(&mut self, room: &str) {
        let client = self.core.next_slot();
        let input = uncounted(|| {
            let input = Rc::new(RefCell::new(Vec::with_capacity(512)));
            self.inputs.push(Rc::clone(&input));
            input
        });
        let socket = Socket { input, at: 0, writes: self.writes.clone() };
        self.core.open(socket, Kind::WebSocket, UpgradeCredentials::default(), ConnectionGuard::uncounted(), &[], &[]);
        self.write(client, || masked(b"CONNECT\naccept-version:1.2\nhost:a\nheart-beat:10000,10000\n\n\0"));
        self.subscribe(client, 0, room);
    }

    pub(crate) fn subscribe(&mut self, client: usize, id: usize, room: &str) {
        self.write(client, || {
            masked(format!("SUBSCRIBE\nid:sub-{id}\ndestination:/topic/{room}\nreceipt:r\n\n\0").as_bytes())
        });
    }

    pub(crate) fn send(&mut self, client: usize, room: &str, body: &str) {
        self.write(client, || send_frame(room, body, false));
    }

    /// Hands over what a client has written, and does everything that follows.
    pub(crate) fn send_frame(&mut self, client: usize, frame: &[u8]) {
        self.write(client, || frame.to_vec());
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// Half a minute of heart-beats both ways; how many that were.
    pub(crate) fn beat(&mut self) -> usize {
        let (clients, before) = (self.inputs.len(), self.writes());
        for tenth in 0..300 {
            self.pass(Duration::from_millis(100));
            for client in (tenth % 100..clients).step_by(100) {
                self.write(client, || masked(b"\n"));
            }
            self.turn();
        }
        3 * clients + self.writes() - before
    }

    /// How often clients have been written to.
    pub(crate) fn writes(&self) -> usize {
        self.writes.get()
    }

    /// About what the log keeps for good.
    pub(crate) fn log_bytes(&self) -> usize {
        let records = |partition| self.log.offsets(partition).end as usize;
        (0..PARTITIONS).map(records).sum::<usize>() * 60_100
    }

    fn write(&mut self, client: usize, frame: impl FnOnce() -> Vec<u8>) {
        uncounted(|| self.inputs[client].borrow_mut().extend(frame()));
        self.core.handle_readiness(client, true, false, false);
        self.turn();
    }

    /// Turns of the worker and rounds of the follower until nothing is left to do.
    fn turn(&mut self) {
        for _ in 0..100 {
            self.now += Duration::from_micros(1);
            self.core.begin_turn(self.now);
            std::mem::swap(&mut self.taken, &mut self.reports.0.lock().unwrap());
            for (ticket, outcome) in self.taken.drain(..) {
                self.core.handle_outcome(ticket, outcome);
            }
            for what in self.follower.poll_outbox(0).into_iter().flat_map(|outbox| outbox.drain(..)) {
                self.core.handle_follower(what);
            }
            self.core.finish_turn();
            self.inbox.commands.take(&mut self.asked);
            let follower = &mut self.follower;
            let mut idle = self.asked.is_empty();
            self.asked.drain(..).for_each(|command| follower.handle_command(command, self.now));
            idle &= self.feed.drain(64, &mut |event| follower.handle_feed(event)).unwrap() == 0;
            let told = follower.poll_outbox(0).is_some();
            if idle
                && !told
                && self.core.patience(self.now) > Duration::ZERO
                && self.reports.0.lock().unwrap().is_empty()
            {
                return;
            }
        }
        panic!("never at rest");
    }
}

/// What is not the edge's is not counted.
fn uncounted<T>(act: impl FnOnce() -> T) -> T {
    let mut result = None;
    allocation_counter::opt_out(|| result = Some(act()));
    result.unwrap()
}

/// A SEND as it lies on the wire.
pub(crate) fn send_frame(room: &str, body: &str, receipt: bool) -> Vec<u8> {
    let receipt = if receipt { "receipt:r-1\n" } else { "" };
    let frame = format!("SEND\ndestination:/topic/{room}\n{receipt}content-type:text/plain\n\n{body}\0");
    masked(frame.as_bytes())
}

/// A client's frame, masked with zeros.
fn masked(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend((long as u16).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

fn settings() -> Settings {
    Settings {
        stomp: Arc::default(),
        stomp_frame_bytes: 81 * 1024,
        credentials: Default::default(),
        destinations: Default::default(),
        partitions: PARTITIONS,
        instance: "edge".to_owned(),
        max_receipts: 1024,
        send_rate: None,
        outbound_bytes: 162 * 1024,
        replay_bytes: 65_536,
        send_timeout: Duration::from_secs(15),
        ping_every: Duration::from_secs(25),
        frame_timeout: Duration::from_secs(30),
        stuck_timeout: Duration::from_secs(10),
    }
}
