//! A small STOMP server over WebSocket that keeps its promises, but for one lie. It reads and writes frames without the
//! codec that the generator uses.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc::{Sender, channel},
};
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
    },
};

/// What it lies about, once: at its 20th message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// It does not.
    None,
    /// One subscriber misses it.
    Drop,
    /// One subscriber gets it twice.
    Repeat,
    /// One subscriber gets the one before after it.
    Swap,
    /// The RECEIPT names another message.
    ReceiptId,
    /// It is refused, and delivered.
    Refuse,
    /// Nobody gets it, though it is receipted.
    Swallow,
    /// It gets no RECEIPT, and the connection is cut: that is no lie, its outcome is unknown.
    Cut,
}

const AT: u64 = 20;

struct Server {
    lie: Lie,
    offset: u64,
    rooms: HashMap<String, Vec<Sender<String>>>,
    /// A destination, and its message that is to come after the next one.
    held: Option<(String, String)>,
}

/// Serves on a free port for as long as the runtime lives; returns its URL.
pub async fn serve(lie: Lie) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/stomp", listener.local_addr().unwrap());
    let server = Arc::new(Mutex::new(Server { lie, offset: 0, rooms: HashMap::new(), held: None }));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(session(stream, Arc::clone(&server)));
        }
    });
    url
}

async fn session(stream: TcpStream, server: Arc<Mutex<Server>>) {
    stream.set_nodelay(true).unwrap();
    // The library's callback fixes the type of the error.
    #[allow(clippy::result_large_err)]
    let choose = |_: &Request, mut response: Response| {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("v12.stomp"));
        Ok(response)
    };
    let Ok(socket) = accept_hdr_async(stream, choose).await else { return };
    let (mut sink, mut source) = socket.split();
    let (outbox, mut queue) = channel::<String>(4_096);
    tokio::spawn(async move {
        while let Some(frame) = queue.recv().await {
            if sink.send(Message::text(frame)).await.is_err() {
                return;
            }
        }
        let _ = sink.close().await;
    });
    let mut room = None;
    while let Some(Ok(message)) = source.next().await {
        let Message::Text(text) = message else { continue };
        let Some((head, rest)) = text.trim_start_matches('\n').split_once("\n\n") else { continue };
        let mut lines = head.lines();
        let command = lines.next().unwrap();
        let headers: HashMap<_, _> = lines.map(|line| line.split_once(':').unwrap()).collect();
        let receipt = headers.get("receipt").copied().unwrap_or_default();
        let reply = |frame: String| outbox.try_send(frame).unwrap();
        match command {
            "CONNECT" => reply("CONNECTED\nversion:1.2\nheart-beat:0,0\n\n\0".to_owned()),
            "SUBSCRIBE" => {
                let mut server = server.lock().unwrap();
                let destination = headers["destination"].to_owned();
                server.rooms.entry(destination.clone()).or_default().push(outbox.clone());
                room = Some(destination);
                reply(format!("RECEIPT\nreceipt-id:{receipt}\n\n\0"));
            }
            "SEND" => {
                let body = rest.trim_end_matches('\0');
                let Some(answer) = server.lock().unwrap().send(headers["destination"], receipt, body) else { break };
                reply(answer);
            }
            "DISCONNECT" => {
                reply(format!("RECEIPT\nreceipt-id:{receipt}\n\n\0"));
                break;
            }
            _ => {}
        }
    }
    let mut server = server.lock().unwrap();
    if let Some(members) = room.and_then(|room| server.rooms.get_mut(&room)) {
        members.retain(|member| !member.same_channel(&outbox));
    }
}

impl Server {
    /// Stores, delivers and answers; `None`: the connection is cut.
    fn send(&mut self, destination: &str, receipt: &str, body: &str) -> Option<String> {
        let offset = self.offset;
        self.offset += 1;
        let lie = if offset == AT { self.lie } else { Lie::None };
        let message = format!(
            "MESSAGE\nsubscription:0\ndestination:{destination}\nmessage-id:0-{offset}-0000abcd\ncontent-length:{}\n\n{body}\0",
            body.len()
        );
        let held = self.held.take_if(|(room, _)| room == destination);
        let members = self.rooms.get(destination).map_or(&[][..], Vec::as_slice);
        for (number, member) in members.iter().enumerate() {
            let deliver = |message: &String| member.try_send(message.clone()).unwrap();
            match lie {
                Lie::Swallow => {}
                Lie::Drop | Lie::Swap if number == 0 => {}
                Lie::Repeat if number == 0 => [&message; 2].into_iter().for_each(deliver),
                _ => deliver(&message),
            }
            if let Some((_, held)) = held.as_ref().filter(|_| number == 0) {
                deliver(held);
            }
        }
        match lie {
            Lie::Swap => self.held = Some((destination.to_owned(), message)),
            Lie::Cut => return None,
            Lie::Refuse => {
                let head = "ERROR\nmessage:SEND refused\nx-error:send_refused_queue_full\nx-error-code:503";
                return Some(format!("{head}\nreceipt-id:{receipt}\n\n\0"));
            }
            _ => {}
        }
        let named = if lie == Lie::ReceiptId { offset + 1_000 } else { offset };
        Some(format!("RECEIPT\nreceipt-id:{receipt}\nmessage-id:0-{named}-0000abcd\n\n\0"))
    }
}
