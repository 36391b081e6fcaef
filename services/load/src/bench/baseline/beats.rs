//! One read and one write per heart-beat, and nothing else: no upgrade, no STOMP. Who sends something gets three octets at
//! the next tick, as from a server whose timers are coarse.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net,
    time::{Duration, Instant},
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};

const LISTENER: Token = Token(usize::MAX);
/// As coarse as an edge's timers.
const TICK: Duration = Duration::from_millis(64);
/// A server's beat as a WebSocket message.
const BEAT: [u8; 3] = [0x81, 1, b'\n'];

/// Serves until it is killed.
pub(super) fn serve(listener: net::TcpListener) -> io::Result<()> {
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    let mut listener = TcpListener::from_std(listener);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let (mut all, mut due, mut next) = (Vec::new(), Vec::new(), Instant::now());
    let mut buffer = [0; 4096];
    loop {
        let patience = (!due.is_empty()).then(|| next.saturating_duration_since(Instant::now()));
        match poll.poll(&mut events, patience) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => accept(&listener, &poll, &mut all)?,
                Token(index) => {
                    let Some(stream) = &mut all[index] else { continue };
                    match stream.read(&mut buffer) {
                        Ok(1..) => due.push(index),
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        Ok(_) | Err(_) => all[index] = None,
                    }
                }
            }
        }
        let now = Instant::now();
        if now >= next {
            for index in due.drain(..) {
                // Three octets do not fit only where nobody reads any more, and then reading says so.
                let _ = all[index].as_mut().map(|stream| stream.write(&BEAT));
            }
            next = now + TICK;
        }
    }
}

fn accept(listener: &TcpListener, poll: &Poll, all: &mut Vec<Option<TcpStream>>) -> io::Result<()> {
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                stream.set_nodelay(true)?;
                poll.registry().register(&mut stream, Token(all.len()), Interest::READABLE)?;
                all.push(Some(stream));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error),
        }
    }
}
