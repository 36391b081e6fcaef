//! Sessions that take one step at a time, many side by side on plain blocking sockets: what a step costs a server is
//! read between the steps. They cost the generator next to nothing while they are idle.

use std::{
    fmt::Write as _,
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    ops::Range,
    time::Duration,
};

use socket2::{Domain, Socket, Type};

use super::crowd::allow_files;
use crate::target::Target;

mod wire;

use wire::message;
pub(crate) use wire::{Frame, put};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// See [`Sessions::at_once`].
const AT_ONCE: usize = 64;
/// A heart-beat, as a client's WebSocket message.
const BEAT: [u8; 7] = [0x81, 0x81, 0, 0, 0, 0, b'\n'];

/// Sessions with one server, numbered from 0.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// How many are written to before the first answer is read. Enough to keep a server busy; its accept queue bounds it.
    pub(crate) at_once: usize,
    /// The kernel's receive buffer of connections to come, in octets; `None`: as the kernel likes.
    pub(crate) receive_buffer: Option<usize>,
    target: Target,
    address: SocketAddr,
    all: Vec<Session>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Session {
    stream: TcpStream,
    /// What has come and was not looked at.
    pending: Vec<u8>,
}

impl Sessions {
    /// None yet.
    ///
    /// # Errors
    /// The server's name means nothing.
    pub(crate) fn new(target: &Target) -> Result<Sessions, String> {
        let mut addresses = (target.host.as_str(), target.port).to_socket_addrs().map_err(|error| error.to_string())?;
        let address = addresses.next().ok_or("the server has no address")?;
        Ok(Sessions {
            at_once: AT_ONCE,
            receive_buffer: None,
            target: target.clone(),
            address,
            all: Vec::new(),
            buffer: vec![0; 256 * 1024],
        })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Step 1: this many more TCP connections.
    ///
    /// # Errors
    /// One is refused.
    pub(crate) fn connect(&mut self, count: usize) -> Result<Range<usize>, String> {
        let first = self.all.len();
        allow_files(count as u64)?;
        for _ in 0..count {
            let open = || {
                let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, None)?;
                self.receive_buffer.map_or(Ok(()), |octets| socket.set_recv_buffer_size(octets))?;
                socket.connect(&self.address.into())?;
                let stream = TcpStream::from(socket);
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(stream)
            };
            let stream = open().map_err(|error: std::io::Error| format!("connection {}: {error}", self.all.len()))?;
            self.all.push(Session { stream, pending: Vec::new() });
        }
        Ok(first..self.all.len())
    }

    /// Step 2: the WebSocket.
    ///
    /// # Errors
    /// The answer is not 101.
    pub(crate) fn upgrade(&mut self, which: Range<usize>) -> Result<(), String> {
        let path = self.target.url.splitn(4, '/').nth(3).unwrap_or_default();
        let request = format!(
            "GET /{path} HTTP/1.1\r\nHost: {}:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: v12.stomp\r\n\r\n",
            self.target.host, self.target.port
        );
        self.in_windows(which, |sessions, window| {
            for session in &mut sessions.all[window.clone()] {
                session.stream.write_all(request.as_bytes()).map_err(|error| format!("upgrade: {error}"))?;
            }
            for session in &mut sessions.all[window] {
                let end = session.read_until(&mut sessions.buffer, |pending| {
                    Ok(pending.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4))
                })?;
                if !session.pending.starts_with(b"HTTP/1.1 101 ") {
                    return Err(format!("upgrade: {}", String::from_utf8_lossy(&session.pending)));
                }
                session.pending.drain(..end);
            }
            Ok(())
        })
    }

    /// Step 3: CONNECT, with heart-beats of so many milliseconds each way.
    ///
    /// # Errors
    /// Something else than CONNECTED comes.
    pub(crate) fn hello(&mut self, which: Range<usize>, heart_beat: u32) -> Result<(), String> {
        let frame = format!("CONNECT\naccept-version:1.2\nhost:bench\nheart-beat:{heart_beat},{heart_beat}\n\n\0");
        self.ask(which, |_, out| put(out, frame.as_bytes()), |_, answer| Ok(answer.is("CONNECTED")))
    }

    /// Step 4: SUBSCRIBE to a room as `id`, up to its RECEIPT.
    ///
    /// # Errors
    /// Something else than MESSAGEs and RECEIPT comes.
    pub(crate) fn subscribe(
        &mut self,
        which: Range<usize>,
        id: &str,
        room: impl Fn(usize) -> String,
    ) -> Result<(), String> {
        let mut frame = String::new();
        let write = |session, out: &mut Vec<u8>| {
            frame.clear();
            // Writing into a String cannot fail.
            let _ = write!(frame, "SUBSCRIBE\nid:{id}\ndestination:/topic/{}\nreceipt:s\n\n\0", room(session));
            put(out, frame.as_bytes());
        };
        self.ask(which, write, |_, answer| Ok(answer.is("RECEIPT")))
    }

    /// All four steps, for this many more.
    ///
    /// # Errors
    /// As theirs.
    pub(crate) fn open(
        &mut self,
        count: usize,
        heart_beat: u32,
        room: impl Fn(usize) -> String,
    ) -> Result<Range<usize>, String> {
        let first = self.all.len();
        while self.all.len() < first + count {
            let window = self.connect(self.at_once.min(first + count - self.all.len()))?;
            self.upgrade(window.clone())?;
            self.hello(window.clone(), heart_beat)?;
            self.subscribe(window, "sub-0", &room)?;
        }
        Ok(first..first + count)
    }

    /// Writes something to each and reads from each until `answered` has seen what it waits for; a window at a time.
    ///
    /// # Errors
    /// A connection ends, ERROR comes, nothing comes in time, or `answered` does not like what comes.
    pub(crate) fn ask(
        &mut self,
        which: Range<usize>,
        mut write: impl FnMut(usize, &mut Vec<u8>),
        mut answered: impl FnMut(usize, Frame<'_>) -> Result<bool, String>,
    ) -> Result<(), String> {
        let mut out = Vec::new();
        self.in_windows(which, |sessions, window| {
            for number in window.clone() {
                out.clear();
                write(number, &mut out);
                sessions.tell(number, &out)?;
            }
            sessions.await_all(window, &mut answered)
        })
    }

    /// Writes frames made by [`put`], and waits for nothing.
    ///
    /// # Errors
    /// The connection has ended.
    pub(crate) fn tell(&mut self, number: usize, frames: &[u8]) -> Result<(), String> {
        self.all[number].stream.write_all(frames).map_err(|error| format!("session {number}: {error}"))
    }

    /// Reads from each until `answered` has seen what it waits for.
    ///
    /// # Errors
    /// As [`Sessions::ask`].
    pub(crate) fn await_all(
        &mut self,
        which: Range<usize>,
        mut answered: impl FnMut(usize, Frame<'_>) -> Result<bool, String>,
    ) -> Result<(), String> {
        for number in which {
            let session = &mut self.all[number];
            let told = |why| format!("session {number}: {why}");
            loop {
                let end = session
                    .read_until(&mut self.buffer, |pending| message(pending).map(|found| found.map(|(_, end)| end)));
                let end = end.map_err(told)?;
                let done = match message(&session.pending).map_err(told)? {
                    Some((payload, _)) if payload.is_empty() => false,
                    Some((payload, _)) if Frame(&session.pending[payload.clone()]).is("ERROR") => {
                        return Err(told(String::from_utf8_lossy(&session.pending[payload]).into_owned()));
                    }
                    Some((payload, _)) => answered(number, Frame(&session.pending[payload])).map_err(told)?,
                    None => false,
                };
                session.pending.drain(..end);
                if done {
                    break;
                }
            }
            // What a large message has taken is not kept.
            session.pending.shrink_to_fit();
        }
        Ok(())
    }

    /// From now on nothing is waited for: only [`Sessions::beat`] and [`Sessions::drain`] are of use.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn stop_waiting(&mut self) -> Result<(), String> {
        let all = self.all.iter().try_for_each(|session| session.stream.set_nonblocking(true));
        all.map_err(|error| error.to_string())
    }

    /// A heart-beat.
    ///
    /// # Errors
    /// The connection has ended.
    pub(crate) fn beat(&mut self, number: usize) -> Result<(), String> {
        self.tell(number, &BEAT)
    }

    /// Throws away what has come; how many octets that were.
    ///
    /// # Errors
    /// The connection has ended.
    pub(crate) fn drain(&mut self, number: usize) -> Result<usize, String> {
        match self.all[number].stream.read(&mut self.buffer) {
            Ok(0) => Err(format!("session {number}: the server has closed it")),
            Ok(count) => Ok(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(format!("session {number}: {error}")),
        }
    }

    /// Whether the connection is known to be over, although nothing is read. Says so once.
    pub(crate) fn has_ended(&self, number: usize) -> bool {
        !matches!(self.all[number].stream.take_error(), Ok(None))
    }

    /// Ends them all at once, as a network that is gone.
    pub(crate) fn drop_all(&mut self) {
        self.all.clear();
    }

    fn in_windows(
        &mut self,
        which: Range<usize>,
        mut act: impl FnMut(&mut Sessions, Range<usize>) -> Result<(), String>,
    ) -> Result<(), String> {
        let step = self.at_once;
        which.clone().step_by(step).try_for_each(|first| act(self, first..which.end.min(first + step)))
    }
}

impl Session {
    /// Reads until `end` finds one in what is pending.
    fn read_until(
        &mut self,
        buffer: &mut [u8],
        end: impl Fn(&[u8]) -> Result<Option<usize>, String>,
    ) -> Result<usize, String> {
        loop {
            if let Some(end) = end(&self.pending)? {
                return Ok(end);
            }
            match self.stream.read(buffer) {
                Ok(0) => return Err("the server has closed it".to_owned()),
                Ok(count) => self.pending.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err("no answer".to_owned()),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}
