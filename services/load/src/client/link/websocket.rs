//! Messages over one WebSocket, as its client.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{Sink as _, Stream as _, future::FutureExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest as _,
        http::{
            HeaderName, HeaderValue,
            header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL},
        },
        protocol::WebSocketConfig,
    },
};

use crate::{
    client::failure::{Failure, Reason},
    target::Target,
};

/// Octets read at a time; the library's default of 128 KiB is allocated for each connection.
const READ_BUFFER: usize = 4 * 1024;

/// A header of the upgrade's answer; `deploy/local/haproxy.cfg` sets it.
const SERVED_BY: &str = "x-served-by";

/// A connection.
pub(super) struct WebSocket {
    socket: WebSocketStream<TcpStream>,
    /// Something was written that the kernel has not taken yet.
    blocked: bool,
}

/// What came.
pub(super) enum Input {
    /// A message, in one piece.
    Data(Message),
    /// A ping, a pong: a sign of life.
    Life,
    /// What the server had not read, it has read now.
    Drained,
    /// The end: the close code, or what went wrong.
    Closed(Result<u16, String>),
}

impl WebSocket {
    /// Connects and upgrades; also how a balancer calls the server behind it, if it does. `bearer` is what the upgrade's
    /// Authorization says.
    pub(super) async fn open(
        target: &Target,
        url: &str,
        subprotocols: &str,
        bearer: Option<&str>,
    ) -> Result<(WebSocket, Option<String>), Failure> {
        let unreachable = |error: io::Error| Failure::new(Reason::Unreachable, error.to_string());
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let malformed = |error: Error| Failure::new(Reason::Upgrade, error.to_string());
        let mut request = url.into_client_request().map_err(malformed)?;
        let mut add = |name: HeaderName, value: &str| {
            let value = HeaderValue::from_str(value);
            let value = value.map_err(|error| Failure::new(Reason::Upgrade, error.to_string()))?;
            request.headers_mut().insert(name, value);
            Ok::<(), Failure>(())
        };
        if !subprotocols.is_empty() {
            add(SEC_WEBSOCKET_PROTOCOL, subprotocols)?;
        }
        bearer.map_or(Ok(()), |token| add(AUTHORIZATION, &format!("Bearer {token}")))?;
        // Nothing is kept back: a message is on its way when it was queued, unless the kernel takes no more.
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(0);
        match client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, answer)) => {
                let edge = answer.headers().get(SERVED_BY).and_then(|name| name.to_str().ok());
                Ok((WebSocket { socket, blocked: false }, edge.map(str::to_owned)))
            }
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

    /// Queues a message. Written at once unless the server does not read.
    pub(super) fn send(&mut self, message: Message) -> Result<(), String> {
        Pin::new(&mut self.socket).start_send(message).map_err(|error| error.to_string())?;
        self.blocked = true;
        // One attempt now; `poll_next` goes on with it.
        poll_fn(|cx| self.poll_flush(cx)).now_or_never();
        Ok(())
    }

    /// Is something waiting for the server to read?
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// What comes next; flushes meanwhile.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        if self.blocked && self.poll_flush(cx).is_ready() {
            return Poll::Ready(Input::Drained);
        }
        Poll::Ready(match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
            Some(Ok(Message::Close(close))) => {
                // The answer to it is queued.
                poll_fn(|cx| Poll::Ready(Pin::new(&mut self.socket).poll_flush(cx))).now_or_never();
                Input::Closed(Ok(close.map_or(1005, |close| close.code.into())))
            }
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => Input::Data(message),
            Some(Ok(_)) => Input::Life,
            Some(Err(Error::Io(error))) => Input::Closed(Err(error.kind().to_string())),
            Some(Err(error)) => Input::Closed(Err(error.to_string())),
            None => Input::Closed(Err("end of stream".to_owned())),
        })
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A failure shows when reading.
        self.blocked = Pin::new(&mut self.socket).poll_flush(cx).is_pending();
        if self.blocked { Poll::Pending } else { Poll::Ready(()) }
    }
}
