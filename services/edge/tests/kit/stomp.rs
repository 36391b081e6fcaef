//! STOMP clients by the hundred on one thread, steered from the test's thread: what they received lies in a log that the
//! test waits on. For one or two clients as pages have them see [`super::node`] and `tests/js`.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::frame::{self, Frame};
use super::topic::MessageId;

const ANSWER: Duration = Duration::from_secs(20);

/// The thread that all clients made from it run on. Ends, and with it every connection, when dropped.
pub struct Crowd {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// One session. Dropping it does not end the connection; [`Client::leave`] does.
pub struct Client {
    shared: Arc<Shared>,
    out: mpsc::UnboundedSender<Message>,
    next_receipt: std::cell::Cell<u32>,
}

#[derive(Default)]
struct Shared {
    log: Mutex<Log>,
    changed: Condvar,
}

/// What a client has received.
#[derive(Default)]
pub struct Log {
    /// MESSAGE frames, in order.
    pub messages: Vec<Received>,
    /// RECEIPT frames by receipt-id, each with when it came.
    pub receipts: HashMap<String, (Frame, Instant)>,
    /// ERROR and whatever else is none of the above, CONNECTED first.
    pub others: Vec<Frame>,
    /// How the connection ended, if it has, and when.
    pub closed: Option<String>,
    pub closed_at: Option<Instant>,
}

/// One MESSAGE.
#[derive(Clone, Debug)]
pub struct Received {
    /// The number that [`Client::subscribe`] was given.
    pub subscription: u32,
    pub id: MessageId,
    pub body: Box<[u8]>,
}

impl Crowd {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || drop(runtime.block_on(stopped)));
        Self { handle, stop: Some(stop), thread: Some(thread) }
    }

    /// Connects to `ws://HOST:PORT/ws` and waits for CONNECTED.
    #[track_caller]
    pub fn client(&self, url: &str) -> Client {
        let (out, to_send) = mpsc::unbounded_channel();
        let client = Client { shared: Arc::default(), out, next_receipt: 0.into() };
        self.handle.spawn(run(url.to_owned(), client.shared.clone(), to_send));
        client.frame("CONNECT", &[("accept-version", "1.2"), ("host", "localhost"), ("heart-beat", "0,0")], "");
        let command = client.wait("CONNECTED", ANSWER, |log| log.others.first().map(|frame| frame.command.clone()));
        assert_eq!(command, "CONNECTED");
        client
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn run(url: String, shared: Arc<Shared>, to_send: mpsc::UnboundedReceiver<Message>) {
    let end = session(&url, &shared, to_send).await.unwrap_or_else(|error| format!("failed: {error}"));
    let mut log = shared.lock();
    (log.closed, log.closed_at) = (Some(end), Some(Instant::now()));
    drop(log);
    shared.changed.notify_all();
}

async fn session(
    url: &str,
    shared: &Shared,
    mut to_send: mpsc::UnboundedReceiver<Message>,
) -> Result<String, Box<dyn std::error::Error>> {
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", "v12.stomp".parse()?);
    let address = request.uri().authority().ok_or("no address")?.to_string();
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut socket, _): (WebSocketStream<TcpStream>, _) = tokio_tungstenite::client_async(request, stream).await?;
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => shared.take(Bytes::from(text).as_ref()),
                Some(Ok(Message::Binary(octets))) => shared.take(&octets),
                Some(Ok(Message::Close(Some(close)))) => return Ok(format!("{} {}", u16::from(close.code), close.reason)),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok("without a close frame".into()),
            },
            message = to_send.recv() => match message {
                Some(message) => socket.send(message).await?,
                None => return Ok("left".into()),
            },
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }

    fn take(&self, mut octets: &[u8]) {
        let mut log = self.lock();
        while let Some(frame) = frame::read(&mut octets) {
            match frame.command.as_str() {
                "MESSAGE" => log.messages.push(Received {
                    subscription: frame
                        .header("subscription")
                        .and_then(|id| id.parse().ok())
                        .expect("our subscription id"),
                    id: frame.header("message-id").and_then(MessageId::parse).expect("a message-id"),
                    body: frame.body.into(),
                }),
                "RECEIPT" => {
                    let id = frame.header("receipt-id").expect("a receipt-id").to_owned();
                    let before = log.receipts.insert(id, (frame, Instant::now()));
                    assert!(before.is_none(), "a second RECEIPT for the same id");
                }
                _ => log.others.push(frame),
            }
        }
        drop(log);
        self.changed.notify_all();
    }
}

impl Client {
    /// Sends a frame; waits for nothing.
    pub fn frame(&self, command: &str, headers: &[(&str, &str)], body: &str) {
        let _ = self.out.send(Message::text(frame::write(command, headers, body)));
    }

    /// Subscribes to `/topic/{room}` under this number and waits for the RECEIPT: what is stored from then on comes.
    #[track_caller]
    pub fn subscribe(&self, number: u32, room: &str) {
        let receipt = format!("subscribe-{number}");
        let (id, destination) = (number.to_string(), format!("/topic/{room}"));
        self.frame("SUBSCRIBE", &[("id", &id), ("destination", &destination), ("receipt", &receipt)], "");
        self.receipt(&receipt, ANSWER);
    }

    /// Sends to `/topic/{room}` with a receipt; waits for nothing. Returns the receipt's id.
    pub fn send(&self, room: &str, body: &str) -> String {
        let receipt = self.next_receipt.replace(self.next_receipt.get() + 1).to_string();
        let destination = format!("/topic/{room}");
        self.frame("SEND", &[("destination", &destination), ("receipt", &receipt)], body);
        receipt
    }

    /// The RECEIPT with this id.
    #[track_caller]
    pub fn receipt(&self, id: &str, within: Duration) -> Frame {
        self.wait(&format!("RECEIPT {id}"), within, |log| log.receipts.get(id).map(|(frame, _)| frame.clone()))
    }

    /// Asks at every change of the log until there is an answer; fails the test if there is none within that time.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, within: Duration, mut ask: impl FnMut(&Log) -> Option<T>) -> T {
        let deadline = Instant::now() + within;
        let mut log = self.shared.lock();
        loop {
            if let Some(answer) = ask(&log) {
                return answer;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let (messages, receipts, last) = (log.messages.len(), log.receipts.len(), log.others.last().cloned());
                let closed = log.closed.clone();
                drop(log);
                panic!(
                    "not within {within:?}: {what}; {messages} MESSAGE, {receipts} RECEIPT, {last:?}, closed: {closed:?}"
                );
            }
            log = self.shared.changed.wait_timeout(log, left).unwrap().0;
        }
    }

    /// What it has received so far.
    pub fn log(&self) -> MutexGuard<'_, Log> {
        self.shared.lock()
    }

    /// The message-ids of one subscription, in order of arrival.
    pub fn ids(&self, subscription: u32) -> Vec<MessageId> {
        self.log().messages.iter().filter(|m| m.subscription == subscription).map(|m| m.id).collect()
    }

    /// Is the connection open?
    pub fn is_open(&self) -> bool {
        self.log().closed.is_none()
    }

    /// Closes the connection without a word.
    pub fn leave(self) {}
}
