//! What a client did wrong, in a form that its owner turns into an ERROR frame and a close.

use crate::{Text, Version};
use alloc::{borrow::Cow, boxed::Box};
use core::{error::Error, fmt};

/// The family of a fault. It decides the code; the owner derives the WebSocket close code from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The frame breaks STOMP's grammar or lacks a header (400).
    Malformed,
    /// A frame before CONNECT was accepted (401, V03).
    NotConnected,
    /// An id that is not known: transaction, subscription, ack (404).
    Unknown,
    /// An id that is in use, or a second CONNECT (409).
    Conflict,
    /// A size limit (413; family L).
    TooLarge,
    /// No common version (426, V07).
    Version,
    /// A number of things limit: subscriptions, transactions (429; L04).
    TooMany,
    /// No CONNECT in time (400, L05).
    ConnectTimeout,
    /// Nothing was heard of the client for too long (400, B06).
    Silent,
}

impl ErrorKind {
    /// The value of `x-error-code`.
    pub const fn code(self) -> u16 {
        match self {
            ErrorKind::Malformed | ErrorKind::ConnectTimeout | ErrorKind::Silent => 400,
            ErrorKind::NotConnected => 401,
            ErrorKind::Unknown => 404,
            ErrorKind::Conflict => 409,
            ErrorKind::TooLarge => 413,
            ErrorKind::Version => 426,
            ErrorKind::TooMany => 429,
        }
    }
}

/// A fault of the client; the session parses nothing more after it. Its texts never hold what a client wrote (E05).
#[derive(Clone, PartialEq, Eq)]
pub struct ProtocolError(Box<Fault>);

#[derive(Clone, PartialEq, Eq)]
struct Fault {
    kind: ErrorKind,
    message: &'static str,
    detail: Cow<'static, str>,
    receipt: Option<Text>,
}

impl ProtocolError {
    pub(crate) fn new(kind: ErrorKind, message: &'static str, detail: impl Into<Cow<'static, str>>) -> ProtocolError {
        ProtocolError(Box::new(Fault { kind, message, detail: detail.into(), receipt: None }))
    }

    pub(crate) fn malformed(detail: impl Into<Cow<'static, str>>) -> ProtocolError {
        ProtocolError::new(ErrorKind::Malformed, "malformed frame", detail)
    }

    pub(crate) fn size(detail: impl Into<Cow<'static, str>>) -> ProtocolError {
        ProtocolError::new(ErrorKind::TooLarge, "frame too large", detail)
    }

    /// Adds the offending frame's receipt unless one is there already (E02).
    pub(crate) fn with_receipt(mut self, receipt: Option<Text>) -> ProtocolError {
        if self.0.receipt.is_none() {
            self.0.receipt = receipt;
        }
        self
    }

    /// The family of the fault.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The value of `x-error-code`.
    pub fn code(&self) -> u16 {
        self.0.kind.code()
    }

    /// A few words for the `message` header.
    pub fn message(&self) -> &'static str {
        self.0.message
    }

    /// One sentence for the body.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The `receipt` of the offending frame, if it could be read.
    pub fn receipt(&self) -> Option<&Text> {
        self.0.receipt.as_ref()
    }

    /// Whether a size limit was crossed (WebSocket 1009).
    pub fn too_large(&self) -> bool {
        self.0.kind == ErrorKind::TooLarge
    }

    /// Headers that belong on the ERROR frame: `version`, when there is no common one (V07).
    pub fn headers(&self) -> &'static [(&'static str, &'static str)] {
        match self.0.kind {
            ErrorKind::Version => &[("version", Version::SUPPORTED)],
            _ => &[],
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.message, self.0.detail)
    }
}

impl fmt::Debug for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProtocolError")
            .field("kind", &self.0.kind)
            .field("detail", &self.0.detail)
            .field("receipt", &self.0.receipt)
            .finish()
    }
}

impl Error for ProtocolError {}
