//! What clients send: the parsed frames that reach the owner as events, and an encoder for load generators and tests.

use crate::{
    Headers, SubscriptionHandle, Text, Version,
    encode::{self, Escaping},
    frame::Command,
    header::is_reserved,
};
use alloc::vec::Vec;
use bytes::Bytes;
use core::{fmt, str};

/// CONNECT or STOMP, with the version already agreed. Its `Debug` shows no value that may be a credential.
#[derive(Clone)]
pub struct Connect {
    /// The highest common version.
    pub version: Version,
    /// The virtual host, if the client named one (V08).
    pub host: Option<Text>,
    /// User name.
    pub login: Option<Text>,
    /// Password or token.
    pub passcode: Option<Text>,
    /// Every header as it came, undecoded (H06).
    pub headers: Headers,
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// SEND. `headers` holds the user's own ones only, each name once, in order (S03, F22).
#[derive(Clone, Debug)]
pub struct Send {
    /// Where to.
    pub destination: Text,
    /// As given (S04).
    pub content_type: Option<Text>,
    /// `x-idempotency-key`.
    pub idempotency_key: Option<Text>,
    /// The receipt asked for; the owner answers it once the message is stored (R02).
    pub receipt: Option<Text>,
    /// The user's headers; names of [`is_reserved`] are not among them.
    pub headers: Headers,
    /// The body, octet for octet (S02).
    pub body: Bytes,
}

impl Send {
    /// `headers` are all of the frame's; `None` when `destination` is missing (S01).
    pub(crate) fn new(mut headers: Headers, body: Bytes, receipt: Option<Text>) -> Option<Send> {
        let (mut destination, mut content_type, mut idempotency_key) = (None, None, None);
        headers.retain_first(|headers, name, value| {
            let slot = match name {
                b"destination" => &mut destination,
                b"content-type" => &mut content_type,
                b"x-idempotency-key" => &mut idempotency_key,
                _ => return !str::from_utf8(name).is_ok_and(is_reserved),
            };
            if slot.is_none() {
                *slot = Some(headers.share(value));
            }
            false
        });
        Some(Send { destination: destination?, content_type, idempotency_key, receipt, headers, body })
    }
}

/// How a subscription acknowledges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AckMode {
    /// Not at all; the window is endless.
    #[default]
    Auto,
    /// ACK settles that delivery and all earlier ones of the subscription (A05).
    Client,
    /// ACK settles one delivery (A06).
    ClientIndividual,
}

/// SUBSCRIBE. The session has noted the subscription; the owner may take it back with
/// [`Session::cancel`](crate::Session::cancel).
#[derive(Clone, Debug)]
pub struct Subscribe {
    /// The session's name for the subscription.
    pub handle: SubscriptionHandle,
    /// The client's name for it; only 1.0 may leave it out (U02). In an allocation of its own.
    pub id: Option<Text>,
    /// Where from. In an allocation of its own.
    pub destination: Text,
    /// How it acknowledges.
    pub ack: AckMode,
    /// The delivery window granted; `usize::MAX` in auto mode.
    pub prefetch: usize,
    /// The receipt asked for; the owner answers it.
    pub receipt: Option<Text>,
    /// Every header of the frame, decoded.
    pub headers: Headers,
}

/// Writes a client frame in canonical form: escaped for `version` (CONNECT and STOMP never are), with content-length
/// when there is a body and `headers` name none.
pub fn encode<'a>(
    command: Command,
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    body: &[u8],
    version: Version,
) -> Vec<u8> {
    let escaping = if command.is_unescaped() { Escaping::None } else { version.into() };
    let mut out = Vec::with_capacity(128 + body.len());
    let mut length_given = false;
    encode::command(&mut out, command);
    for (name, value) in headers {
        length_given |= name == "content-length";
        encode::header(&mut out, escaping, name, value);
    }
    if !body.is_empty() && !length_given {
        encode::content_length(&mut out, body.len());
    }
    encode::end(&mut out, body);
    out
}
