//! What a worker needs of a client's socket.

use std::{
    io::{Read, Write},
    net::Shutdown,
    time::Duration,
};

use socket2::SockRef;

/// A client's socket. Nothing of it ever waits: what cannot be done now is `WouldBlock`, and readiness is told later.
pub trait ClientSocket: Read + Write {
    /// Nothing more will be written: what was written arrives, and then the end of the stream.
    fn finish(&mut self);

    /// What was written and has not been taken is thrown away when the socket is dropped.
    fn cut(&mut self);
}

impl ClientSocket for mio::net::TcpStream {
    fn finish(&mut self) {
        // A client that has gone meanwhile needs no end of the stream.
        self.shutdown(Shutdown::Write).ok();
    }

    fn cut(&mut self) {
        // Or the FIN waits behind the unsent octets and nothing is cut.
        SockRef::from(&*self).set_linger(Some(Duration::ZERO)).ok();
    }
}
