//! STOMP frames over one WebSocket, as its client.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Sink as _, Stream as _, future::FutureExt as _};
use stomp_proto::{ServerDecoder, ServerFrame};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest as _,
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};

use super::failure::{Failure, Reason};
use crate::target::Target;

/// Octets read at a time; the library's default of 128 KiB is allocated for each connection.
const READ_BUFFER: usize = 4 * 1024;

/// A connection.
pub(super) struct Wire {
    socket: WebSocketStream<TcpStream>,
    decoder: ServerDecoder,
    /// Something was written that the kernel has not taken yet.
    blocked: bool,
}

/// What came.
pub(super) enum Input {
    Frame(ServerFrame),
    /// A heart-beat, a ping, a part of a frame: a sign of life.
    Life,
    /// What the server had not read, it has read now.
    Drained,
    /// The end: the close code, or what went wrong.
    Closed(Result<u16, String>),
}

impl Wire {
    /// Connects and upgrades.
    pub(super) async fn open(target: &Target, subprotocols: &str) -> Result<Wire, Failure> {
        let unreachable = |error: io::Error| Failure::new(Reason::Unreachable, error.to_string());
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let malformed = |error: Error| Failure::new(Reason::Upgrade, error.to_string());
        let mut request = target.url.as_str().into_client_request().map_err(malformed)?;
        if !subprotocols.is_empty() {
            let value = HeaderValue::from_str(subprotocols);
            let value = value.map_err(|error| Failure::new(Reason::Upgrade, error.to_string()))?;
            request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, value);
        }
        // Nothing is kept back: a SEND is on its way when it was queued, unless the kernel takes no more.
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(0);
        match client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => Ok(Wire { socket, decoder: ServerDecoder::new(), blocked: false }),
            Err(Error::Http(answer)) => {
                let retry = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
                let why = answer.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
                let text = format!("HTTP {}: {}", answer.status(), why.trim());
                let (status, retry_after) = (Some(answer.status().as_u16()), retry.map(Duration::from_secs));
                Err(Failure { status, retry_after, ..Failure::new(Reason::Refused, text) })
            }
            Err(Error::Io(error)) => Err(unreachable(error)),
            Err(error) => Err(Failure::new(Reason::Upgrade, error.to_string())),
        }
    }

    /// Queues a frame, or a beat. Written at once unless the server does not read.
    pub(super) fn send(&mut self, frame: Vec<u8>) -> Result<(), String> {
        let text = String::from_utf8(frame).map_err(|error| error.to_string())?;
        Pin::new(&mut self.socket).start_send(Message::text(text)).map_err(|error| error.to_string())?;
        self.blocked = true;
        // One attempt now; `next` goes on with it.
        poll_fn(|cx| self.poll_flush(cx)).now_or_never();
        Ok(())
    }

    /// Is something waiting for the server to read?
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// What comes next; flushes meanwhile. Nothing is lost when it is dropped half-way.
    pub(super) async fn next(&mut self) -> Input {
        match self.decoder.poll() {
            Ok(Some(frame)) => return Input::Frame(frame),
            Ok(None) => {}
            Err(error) => return Input::Closed(Err(format!("unreadable frame: {}", error.message()))),
        }
        let Some(message) = poll_fn(|cx| self.poll_message(cx)).await else { return Input::Drained };
        match message {
            Some(Ok(Message::Text(text))) => self.decode(text.as_bytes()),
            Some(Ok(Message::Binary(bytes))) => self.decode(&bytes),
            Some(Ok(Message::Close(close))) => {
                // The answer to it is queued.
                poll_fn(|cx| Poll::Ready(Pin::new(&mut self.socket).poll_flush(cx))).now_or_never();
                Input::Closed(Ok(close.map_or(1005, |close| close.code.into())))
            }
            Some(Ok(_)) => Input::Life,
            Some(Err(Error::Io(error))) => Input::Closed(Err(error.kind().to_string())),
            Some(Err(error)) => Input::Closed(Err(error.to_string())),
            None => Input::Closed(Err("end of stream".to_owned())),
        }
    }

    fn decode(&mut self, bytes: &[u8]) -> Input {
        self.decoder.push(bytes);
        match self.decoder.poll() {
            Ok(Some(frame)) => Input::Frame(frame),
            Ok(None) => Input::Life,
            Err(error) => Input::Closed(Err(format!("unreadable frame: {}", error.message()))),
        }
    }

    /// A message, or the end, or nothing but room to write.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Option<Result<Message, Error>>>> {
        if self.blocked && self.poll_flush(cx).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.socket).poll_next(cx).map(Some)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A failure shows when reading.
        self.blocked = Pin::new(&mut self.socket).poll_flush(cx).is_pending();
        if self.blocked { Poll::Pending } else { Poll::Ready(()) }
    }
}
