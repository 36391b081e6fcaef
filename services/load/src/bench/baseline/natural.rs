//! tokio-tungstenite as most people use it: a task for each connection that selects between the room's broadcast channel and
//! the socket, `send` for each message, default buffers.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use futures_util::{SinkExt as _, StreamExt as _, future::pending};
use tokio::{
    net::TcpStream,
    sync::broadcast::{self, Receiver, Sender},
};
use tokio_tungstenite::{
    WebSocketStream, accept_async,
    tungstenite::{Error, Message, Utf8Bytes},
};

use super::stomp;

/// A room's backlog; who is behind by more is cut.
const BACKLOG: usize = 1024;

#[derive(Default)]
pub(super) struct Rooms {
    by_name: HashMap<String, Sender<Utf8Bytes>>,
    sent: u64,
}

/// Serves one connection.
///
/// # Errors
/// It has ended otherwise than by its client's close.
pub(super) async fn client(socket: TcpStream, rooms: Rc<RefCell<Rooms>>) -> Result<(), Error> {
    let mut socket = accept_async(socket).await?;
    let mut room: Option<Receiver<Utf8Bytes>> = None;
    loop {
        tokio::select! {
            message = next(&mut room) => match message {
                Some(message) => socket.send(Message::Text(message)).await?,
                None => return Ok(()),
            },
            frame = socket.next() => match frame {
                Some(frame) => take(&mut socket, frame?, &rooms, &mut room).await?,
                None => return Ok(()),
            },
        }
    }
}

async fn next(room: &mut Option<Receiver<Utf8Bytes>>) -> Option<Utf8Bytes> {
    match room {
        Some(room) => room.recv().await.ok(),
        None => pending().await,
    }
}

async fn take(
    socket: &mut WebSocketStream<TcpStream>,
    frame: Message,
    rooms: &RefCell<Rooms>,
    room: &mut Option<Receiver<Utf8Bytes>>,
) -> Result<(), Error> {
    let Message::Text(text) = frame else { return Ok(()) };
    let join = |rooms: &mut Rooms, destination: &str| {
        let sender = rooms.by_name.entry(destination.to_owned()).or_insert_with(|| broadcast::channel(BACKLOG).0);
        *room = Some(sender.subscribe());
    };
    let answer = stomp::answer(&text, &mut *rooms.borrow_mut(), join, relay);
    match answer {
        Some(answer) => socket.send(Message::text(answer)).await,
        None => Ok(()),
    }
}

fn relay(rooms: &mut Rooms, destination: &str, body: &str) {
    rooms.sent += 1;
    let message = stomp::message(destination, rooms.sent, body);
    if let Some(sender) = rooms.by_name.get(destination) {
        // Nobody may be there.
        let _ = sender.send(message.into());
    }
}
