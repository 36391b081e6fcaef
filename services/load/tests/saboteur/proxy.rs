//! In front of an edge: a relay that can be cut off, as a killed process is.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// Relays octets both ways.
pub struct Proxy {
    pub address: String,
    /// `None` after the cut.
    sockets: Arc<Mutex<Option<Vec<TcpStream>>>>,
}

impl Proxy {
    pub fn start(to: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, to) = (listener.local_addr().unwrap().to_string(), to.parse::<SocketAddr>().unwrap());
        let sockets = Arc::new(Mutex::new(Some(Vec::new())));
        let all = Arc::clone(&sockets);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(to).unwrap());
                let Some(sockets) = &mut *all.lock().unwrap() else { return };
                sockets.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                relay(&client, &server);
                relay(&server, &client);
            }
        });
        Proxy { address, sockets }
    }

    /// Cuts everybody off; nobody new is taken.
    pub fn kill(&self) {
        let sockets = self.sockets.lock().unwrap().take().unwrap_or_default();
        sockets.iter().for_each(|socket| _ = socket.shutdown(Shutdown::Both));
        // Wakes the listener up, which then ends.
        let _ = TcpStream::connect(&self.address);
    }
}

fn relay(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}
