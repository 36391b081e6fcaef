//! The raw loop: for each SEND one finished frame, one `write` of it for each connection of the room, and nothing else. What
//! this costs is the kernel's; whatever is above it is the server's.

use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
    net,
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};

use super::{
    frames::{self, Came, Input},
    stomp,
};

/// When frames are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    /// Each for itself, at once.
    Each,
    /// All that one wake-up brought, in one write for each connection.
    Together,
}

const LISTENER: Token = Token(usize::MAX - 1);

struct Client {
    socket: TcpStream,
    input: Input,
    /// What the kernel has not taken.
    waiting: Vec<u8>,
}

#[derive(Default)]
struct Room {
    members: Vec<usize>,
    pending: Vec<u8>,
}

struct Raw {
    poll: Poll,
    writing: Writing,
    /// A closed connection's place stays empty: a baseline lives for a run.
    clients: Vec<Option<Client>>,
    rooms: HashMap<String, Room>,
    touched: Vec<String>,
    sent: u64,
}

/// Serves until it is killed.
///
/// # Errors
/// The poll or the listener fails.
pub(super) fn serve(listener: net::TcpListener, writing: Writing) -> io::Result<()> {
    let mut listener = TcpListener::from_std(listener);
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut raw = Raw { poll, writing, clients: Vec::new(), rooms: HashMap::new(), touched: Vec::new(), sent: 0 };
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match raw.poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                raw.accept(&listener)?;
                continue;
            }
            let index = event.token().0;
            if event.is_writable() {
                raw.flush(index);
            }
            if event.is_readable() {
                raw.read(index, &mut buffer);
            }
        }
        raw.write_pending();
    }
}

impl Raw {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let mut socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            socket.set_nodelay(true)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut socket, Token(self.clients.len()), interest)?;
            self.clients.push(Some(Client { socket, input: Input::default(), waiting: Vec::new() }));
        }
    }

    fn read(&mut self, index: usize, buffer: &mut [u8]) {
        loop {
            let Some(Some(client)) = self.clients.get_mut(index) else { return };
            match client.socket.read(buffer) {
                Ok(0) => return self.close(index),
                Ok(read) => client.input.push(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.close(index),
            }
            while let Some(came) = self.clients[index].as_mut().and_then(|client| client.input.next()) {
                match came {
                    Came::Upgrade(answer) => self.write(index, answer.as_bytes()),
                    Came::Text(text) => self.take(index, &text),
                    Came::Close => self.close(index),
                }
            }
        }
    }

    fn take(&mut self, index: usize, text: &str) {
        let join = |raw: &mut Raw, destination: &str| {
            raw.rooms.entry(destination.to_owned()).or_default().members.push(index);
        };
        let answer = stomp::answer(text, self, join, Raw::relay);
        if let Some(answer) = answer {
            let mut out = Vec::with_capacity(answer.len() + 4);
            frames::text(&mut out, &answer);
            self.write(index, &out);
        }
    }

    fn relay(&mut self, destination: &str, body: &str) {
        self.sent += 1;
        let Some(room) = self.rooms.get_mut(destination) else { return };
        if room.pending.is_empty() {
            self.touched.push(destination.to_owned());
        }
        frames::text(&mut room.pending, &stomp::message(destination, self.sent, body));
        if self.writing == Writing::Each {
            self.write_pending();
        }
    }

    fn write_pending(&mut self) {
        for name in std::mem::take(&mut self.touched) {
            let Some(room) = self.rooms.get_mut(&name) else { continue };
            for index in &room.members {
                if let Some(Some(client)) = self.clients.get_mut(*index) {
                    client.write(&room.pending);
                }
            }
            room.pending.clear();
        }
    }

    fn write(&mut self, index: usize, octets: &[u8]) {
        if let Some(Some(client)) = self.clients.get_mut(index) {
            client.write(octets);
        }
    }

    fn flush(&mut self, index: usize) {
        if let Some(Some(client)) = self.clients.get_mut(index) {
            let waiting = std::mem::take(&mut client.waiting);
            client.write(&waiting);
        }
    }

    fn close(&mut self, index: usize) {
        self.clients[index] = None;
    }
}

impl Client {
    fn write(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while self.waiting.is_empty() && !rest.is_empty() {
            match self.socket.write(rest) {
                Ok(written) => rest = &rest[written..],
                // Reading says why, if it is not only full.
                Err(_) => break,
            }
        }
        self.waiting.extend(rest);
    }
}
