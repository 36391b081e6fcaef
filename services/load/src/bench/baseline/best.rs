//! tokio-tungstenite at its best: a task and a bounded channel for each connection, a small read buffer, all that is pending
//! fed, then one flush.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    net::TcpStream,
    sync::mpsc::{self, Receiver, Sender},
};
use tokio_tungstenite::{
    WebSocketStream, accept_async_with_config,
    tungstenite::{Error, Message, Utf8Bytes, protocol::WebSocketConfig},
};

use super::stomp;

/// A connection's backlog; what does not fit is lost, which the crowd counts.
const BACKLOG: usize = 1024;
/// Messages taken at a time.
const BATCH: usize = 64;
const READ_BUFFER: usize = 2 * 1024;

#[derive(Default)]
pub(super) struct Rooms {
    by_name: HashMap<String, Vec<Sender<Utf8Bytes>>>,
    sent: u64,
}

/// Serves one connection.
///
/// # Errors
/// It has ended otherwise than by its client's close.
pub(super) async fn client(socket: TcpStream, rooms: Rc<RefCell<Rooms>>) -> Result<(), Error> {
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    let mut socket = accept_async_with_config(socket, Some(config)).await?;
    let (sender, mut messages) = mpsc::channel(BACKLOG);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            _ = messages.recv_many(&mut batch, BATCH) => write(&mut socket, &mut batch, &mut messages).await?,
            frame = socket.next() => match frame {
                Some(frame) => take(&mut socket, frame?, &rooms, &sender).await?,
                None => return Ok(()),
            },
        }
    }
}

async fn write(
    socket: &mut WebSocketStream<TcpStream>,
    batch: &mut Vec<Utf8Bytes>,
    messages: &mut Receiver<Utf8Bytes>,
) -> Result<(), Error> {
    while let Ok(message) = messages.try_recv() {
        batch.push(message);
    }
    for message in batch.drain(..) {
        socket.feed(Message::Text(message)).await?;
    }
    socket.flush().await
}

async fn take(
    socket: &mut WebSocketStream<TcpStream>,
    frame: Message,
    rooms: &RefCell<Rooms>,
    own: &Sender<Utf8Bytes>,
) -> Result<(), Error> {
    let Message::Text(text) = frame else { return Ok(()) };
    let join = |rooms: &mut Rooms, destination: &str| {
        rooms.by_name.entry(destination.to_owned()).or_default().push(own.clone());
    };
    let answer = stomp::answer(&text, &mut *rooms.borrow_mut(), join, relay);
    match answer {
        Some(answer) => socket.send(Message::text(answer)).await,
        None => Ok(()),
    }
}

fn relay(rooms: &mut Rooms, destination: &str, body: &str) {
    rooms.sent += 1;
    let message = Utf8Bytes::from(stomp::message(destination, rooms.sent, body));
    if let Some(members) = rooms.by_name.get_mut(destination) {
        members.retain(|member| !member.is_closed());
        for member in members {
            let _ = member.try_send(message.clone());
        }
    }
}
