//! The closed label sets. A label's values are known before the first client comes: nothing that a client, a room or a
//! record can influence ever becomes one (operations.md §5).

use crate::{auth::AuthError, disconnect::Ending, readiness::Check};

/// A value of a label whose values are all known.
pub trait Label: Copy + PartialEq + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// Every value.
    fn all() -> Vec<Self>;
    /// How it is written.
    fn value(self) -> &'static str;
}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident($label:literal) { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl Label for $name {
            const NAME: &'static str = $label;

            fn all() -> Vec<Self> {
                vec![$($name::$variant),*]
            }

            fn value(self) -> &'static str {
                match self { $($name::$variant => $value,)* }
            }
        }
    )*};
}

labels! {
    /// How an upgrade ended.
    Opened("result") {
        /// 101.
        Ok = "ok",
        /// 403, `Origin`.
        Origin = "origin",
        /// 503, all connections taken.
        Limit = "limit",
        /// 429, too many from one address.
        AddressLimit = "address_limit",
        /// 400 and the like.
        BadRequest = "bad_request",
        /// 503 before the first `ready`.
        NotReady = "not_ready",
        /// 503, draining.
        Draining = "draining",
        /// 503, too many at once.
        Admission = "admission",
    }
    /// What a session is spoken over.
    Spoken("transport") {
        /// WebSocket.
        WebSocket = "websocket",
        /// A bare stream.
        Tcp = "tcp",
        /// SockJS, over WebSocket or XHR.
        SockJs = "sockjs",
        /// Server-sent events.
        Events = "events",
        /// A room on a plain WebSocket.
        Socket = "socket",
        /// Requests that are answered within HTTP.
        Poll = "poll",
    }
    /// What became of a SUBSCRIBE.
    Subscribed("result") {
        /// Open.
        Ok = "ok",
        /// No right.
        Denied = "denied",
        /// Too many.
        Limit = "limit",
        /// No such destination.
        BadDestination = "bad_destination",
        /// The id is in use, or a header is wrong.
        Invalid = "invalid",
    }
    /// What became of a SEND.
    Sent("result") {
        /// In the log.
        Ok = "ok",
        /// Its key was known: the message is in the log already, and it was not written again.
        Repeated = "repeated",
        /// No right.
        Denied = "denied",
        /// Not a SEND that could be taken.
        Invalid = "invalid",
        /// Too fast.
        RateLimited = "rate_limited",
        /// The producer's queue was full.
        QueueFull = "queue_full",
        /// Certainly not in the log, for another reason.
        Refused = "refused",
        /// No answer in time: it may be in the log.
        Timeout = "timeout",
        /// Another error after which it may be in the log.
        Unknown = "unknown",
    }
    /// STOMP commands of clients, as far as they reach the connection; BEGIN and ABORT are the session's own.
    ClientCommand("command") {
        /// CONNECT, STOMP.
        Connect = "connect",
        /// SEND.
        Send = "send",
        /// SUBSCRIBE.
        Subscribe = "subscribe",
        /// UNSUBSCRIBE.
        Unsubscribe = "unsubscribe",
        /// ACK.
        Ack = "ack",
        /// NACK.
        Nack = "nack",
        /// COMMIT.
        Commit = "commit",
        /// DISCONNECT.
        Disconnect = "disconnect",
        /// Anything else.
        Invalid = "invalid",
    }
    /// STOMP commands of the edge; MESSAGE is counted as a delivery.
    ServerCommand("command") {
        /// CONNECTED.
        Connected = "connected",
        /// RECEIPT.
        Receipt = "receipt",
        /// ERROR.
        Error = "error",
    }
    /// A step on the way to a session.
    Handshake("stage") {
        /// From the connection (or its next request) to the hand-over to a worker.
        Upgrade = "upgrade",
        /// From there to CONNECTED.
        Connect = "connect",
    }
    /// Whose rate was exceeded.
    RateLimit("scope") {
        /// Too many connections from one address.
        Address = "address",
        /// SENDs of one user.
        User = "user",
        /// Newcomers of this edge (`--admit-rate`).
        Edge = "edge",
    }
    /// Why octets that waited for a client were thrown away.
    Discarded("reason") {
        /// The client took nothing any more.
        Slow = "slow",
        /// The connection was over before they could be written.
        Closed = "closed",
    }
    /// A thread whose lateness is watched.
    Ticker("thread") {
        /// The one that watches the others.
        Main = "main",
        /// The runtime of HTTP.
        Http = "http",
    }
    /// A client of librdkafka that lasts.
    KafkaClient("client") {
        /// It writes.
        Producer = "producer",
        /// It reads.
        Reader = "reader",
    }
    /// Why a record could not be shown.
    Poison("reason") {
        /// Not a `chat.v1.Message`.
        Decode = "decode",
        /// No key.
        NoKey = "no_key",
        /// The uuid is not one.
        Uuid = "uuid",
        /// The key is no room.
        BadRoom = "bad_room",
        /// Key and message name different rooms.
        RoomMismatch = "room_mismatch",
        /// In another partition than its room's.
        WrongPartition = "wrong_partition",
        /// A header without a name or with a NUL.
        Header = "header",
        /// A NUL where STOMP has none.
        Nul = "nul",
    }
    /// Where a resumed subscription was served from.
    Resumed("result") {
        /// The tail.
        Memory = "memory",
        /// The log was asked.
        Kafka = "kafka",
        /// Not recovered.
        NotRecovered = "not_recovered",
    }
    /// How a look into the log's past ended.
    Scanned("result") {
        /// Everything was read.
        Complete = "complete",
        /// More was wanted than a look may cost.
        OverBudget = "over_budget",
        /// The log did not answer.
        Unreachable = "unreachable",
        /// Too many looks waited already.
        Busy = "busy",
    }
}

impl Label for Ending {
    const NAME: &'static str = "code";

    fn all() -> Vec<Self> {
        Ending::all().collect()
    }

    fn value(self) -> &'static str {
        self.facts().label
    }
}

/// `None`: authenticated.
impl Label for Option<AuthError> {
    const NAME: &'static str = "result";

    fn all() -> Vec<Self> {
        std::iter::once(None).chain(AuthError::ALL.map(Some)).collect()
    }

    fn value(self) -> &'static str {
        self.map_or("ok", AuthError::label)
    }
}

impl Label for Check {
    const NAME: &'static str = "check";

    fn all() -> Vec<Self> {
        Check::ALL.to_vec()
    }

    fn value(self) -> &'static str {
        self.name()
    }
}
