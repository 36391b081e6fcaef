//! Many clients at once from a TCP connection to the RECEIPT of their SUBSCRIBE.

use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
    net::{self, SocketAddr},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};
use stomp_proto::{Command, ServerFrame, Version, frame::client::encode};

use super::{
    Plan,
    wire::{self, Inbox, Item},
};

/// Clients that are on their way at the same time; fewer than the shortest usual accept queue.
const AT_ONCE: usize = 64;
/// Nothing has come for this long: the server does not answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client that has joined.
pub(super) struct Joined {
    /// Its socket, watched by nobody.
    pub(super) socket: TcpStream,
    /// What was read behind the last answer.
    pub(super) rest: Vec<u8>,
    /// How often it has to send something, in nanoseconds; 0: never.
    pub(super) beat: u64,
}

enum Stage {
    Upgrade(Vec<u8>),
    Connect(Inbox),
    Subscribe(Inbox, u64),
}

struct Joining {
    socket: TcpStream,
    stage: Stage,
}

/// Lets `count` clients join; `room(i)` is the room of the ith, `None` if it only sends.
///
/// # Errors
/// One was refused or cut, or nobody answers: who and why.
pub(super) fn join(
    plan: &Plan,
    address: SocketAddr,
    count: usize,
    room: impl Fn(usize) -> Option<u32>,
) -> Result<Vec<Joined>, String> {
    let cannot = |error: io::Error| format!("{}: {error}", plan.target.url);
    let mut poll = Poll::new().map_err(cannot)?;
    let mut events = Events::with_capacity(AT_ONCE);
    let mut under_way: HashMap<usize, Joining> = HashMap::new();
    let mut joined: Vec<Option<Joined>> = Vec::new();
    joined.resize_with(count, || None);
    let (mut next, mut done, mut heard) = (0, 0, Instant::now());
    let mut buffer = vec![0; 16 * 1024];
    while done < count {
        while next < count && under_way.len() < AT_ONCE {
            under_way.insert(next, begin(plan, address, &poll, next).map_err(cannot)?);
            next += 1;
        }
        match poll.poll(&mut events, Some(Duration::from_secs(1))) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other.map_err(cannot)?,
        }
        if !events.is_empty() {
            heard = Instant::now();
        } else if heard.elapsed() > PATIENCE {
            return Err(format!("{}: {done} of {count} clients joined, the others get no answer", plan.target.url));
        }
        for event in &events {
            let index = event.token().0;
            let Some(mut joining) = under_way.remove(&index) else { continue };
            let who = |why: String| format!("{}: client {index} of {count}: {why}", plan.target.url);
            match joining.go_on(plan, room(index), &mut buffer).map_err(who)? {
                None => {
                    under_way.insert(index, joining);
                }
                Some((rest, beat)) => {
                    poll.registry().deregister(&mut joining.socket).map_err(cannot)?;
                    joined[index] = Some(Joined { socket: joining.socket, rest, beat });
                    done += 1;
                }
            }
        }
    }
    Ok(joined.into_iter().flatten().collect())
}

fn begin(plan: &Plan, address: SocketAddr, poll: &Poll, index: usize) -> io::Result<Joining> {
    let socket = net::TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_nonblocking(true)?;
    let mut socket = TcpStream::from_std(socket);
    poll.registry().register(&mut socket, Token(index), Interest::READABLE)?;
    socket.write_all(&wire::upgrade(&plan.target, &plan.dialect.subprotocols))?;
    Ok(Joining { socket, stage: Stage::Upgrade(Vec::new()) })
}

impl Joining {
    /// Reads what there is. When it has joined: what was read beyond, and how often it must send.
    fn go_on(&mut self, plan: &Plan, room: Option<u32>, buffer: &mut [u8]) -> Result<Option<(Vec<u8>, u64)>, String> {
        loop {
            let read = match self.socket.read(buffer) {
                Ok(0) => return Err("closed before it had joined".to_owned()),
                Ok(read) => &buffer[..read],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.to_string()),
            };
            if let Some(end) = self.take(read, plan, room)? {
                return Ok(Some(end));
            }
        }
    }

    fn take(&mut self, read: &[u8], plan: &Plan, room: Option<u32>) -> Result<Option<(Vec<u8>, u64)>, String> {
        match &mut self.stage {
            Stage::Upgrade(answer) => {
                answer.extend(read);
                let Some(end) = wire::upgraded(answer)? else { return Ok(None) };
                let mut inbox = Inbox::default();
                inbox.push(&answer[end..]);
                self.stage = Stage::Connect(inbox);
                self.say(&connect(plan))?;
            }
            Stage::Connect(inbox) | Stage::Subscribe(inbox, _) => inbox.push(read),
        }
        loop {
            let (Stage::Connect(inbox) | Stage::Subscribe(inbox, _)) = &mut self.stage else { return Ok(None) };
            let Some(item) = inbox.next()? else { return Ok(None) };
            let frame = match item {
                Item::Frame(frame) => frame,
                Item::Ping(payload) => {
                    let mut out = Vec::new();
                    wire::pong(&mut out, &payload);
                    self.socket.write_all(&out).map_err(|error| error.to_string())?;
                    continue;
                }
                Item::Close => return Err("closed before it had joined".to_owned()),
                Item::Life => continue,
            };
            if let Some(end) = self.answered(&frame, plan, room)? {
                return Ok(Some(end));
            }
        }
    }

    fn answered(
        &mut self,
        frame: &ServerFrame,
        plan: &Plan,
        room: Option<u32>,
    ) -> Result<Option<(Vec<u8>, u64)>, String> {
        let inbox = match (&mut self.stage, frame.command) {
            (_, Command::Error) => return Err(error_text(frame)),
            (Stage::Connect(inbox), Command::Connected) => inbox,
            (Stage::Subscribe(inbox, beat), Command::Receipt) => return Ok(Some((inbox.rest().to_vec(), *beat))),
            // Others may be sending already.
            (Stage::Subscribe(..), Command::Message) => return Ok(None),
            (_, command) => return Err(format!("{} instead of an answer", command.as_str())),
        };
        let beat = beat(plan.dialect.heart_beat.0, frame);
        let Some(room) = room else { return Ok(Some((inbox.rest().to_vec(), beat))) };
        let inbox = std::mem::take(inbox);
        let rest = plan.dialect.no_barrier.then(|| inbox.rest().to_vec());
        self.stage = Stage::Subscribe(inbox, beat);
        self.say(&subscribe(plan, room))?;
        Ok(rest.map(|rest| (rest, beat)))
    }

    fn say(&mut self, frame: &[u8]) -> Result<(), String> {
        let mut out = Vec::with_capacity(frame.len() + 16);
        wire::text(&mut out, frame);
        self.socket.write_all(&out).map_err(|error| error.to_string())
    }
}

/// An ERROR in one line.
pub(super) fn error_text(frame: &ServerFrame) -> String {
    let body = String::from_utf8_lossy(&frame.body);
    format!("ERROR: {} {}", frame.headers.get("message").unwrap_or("without message"), body.trim())
}

fn connect(plan: &Plan) -> Vec<u8> {
    let dialect = &plan.dialect;
    let heart_beat = format!("{},{}", dialect.heart_beat.0, dialect.heart_beat.1);
    let bearer = dialect.token.as_ref().map(|token| format!("Bearer {token}"));
    let optional = [("login", &dialect.login), ("passcode", &dialect.passcode), ("Authorization", &bearer)];
    let headers = [
        ("accept-version", "1.2,1.1"),
        ("host", dialect.stomp_host.as_deref().unwrap_or(&plan.target.host)),
        ("heart-beat", &heart_beat),
    ];
    let optional = optional.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    encode(Command::Connect, headers.into_iter().chain(optional), b"", Version::V1_2)
}

fn subscribe(plan: &Plan, room: u32) -> Vec<u8> {
    let dialect = &plan.dialect;
    let destination = format!("{}{}{room}", dialect.destination_prefix, dialect.room_prefix);
    let headers = [("id", "0"), ("destination", destination.as_str())];
    let receipt = (!dialect.no_barrier).then_some(("receipt", "join"));
    encode(Command::Subscribe, headers.into_iter().chain(receipt), b"", Version::V1_2)
}

/// How often we have to send something: as seldom as both sides allow.
fn beat(can: u32, connected: &ServerFrame) -> u64 {
    let wanted = connected.headers.get("heart-beat").and_then(|pair| pair.split_once(',')?.1.trim().parse().ok());
    match (can, wanted.unwrap_or(0)) {
        (0, _) | (_, 0) => 0,
        (can, wanted) => u64::from(can.max(wanted)) * 1_000_000,
    }
}
