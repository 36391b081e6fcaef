//! The registry of endings: every way a connection ends (DESIGN §8, stomp.md E, W19, §7).
//!
//! No other file invents a close code, an error code or an ERROR text. To add an ending, add a variant: the compiler
//! then asks for its facts.

use tracing::Level;

use crate::log::Reason;

/// Why a connection ends, or why one SEND or SUBSCRIBE is refused when the session asked for soft errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The client closed the WebSocket without DISCONNECT (W20).
    ClientClosed,
    /// The socket broke.
    ClientLost,
    /// DISCONNECT, answered (D01, D02).
    Disconnected,
    /// A frame that cannot be read or lacks what it needs (F, H, B01, S01, U01, U02 …).
    Malformed,
    /// A frame that has no business here: before CONNECT, a second CONNECT, an unknown command (V03, V04, E04).
    OutOfTurn,
    /// A transaction or delivery that is not open (A04, T03).
    NotOpen,
    /// A subscription or transaction id that is open already (U03, T02).
    AlreadyOpen,
    /// The destination names no room (U06).
    UnknownDestination,
    /// A SEND whose body should name its room, and does not.
    NoRoomInBody,
    /// The peer broke RFC 6455 (W10).
    WebSocketProtocol,
    /// A text message that is not UTF-8 (W10).
    WebSocketNotUtf8,
    /// A message that is not strings in JSON, on a SockJS session (J11).
    NotSockJs,
    /// Over a size of family L (L02, W08).
    TooLarge,
    /// Over a cap of the connection: subscriptions, transactions, receipts in flight (L04).
    TooMany,
    /// Too fast.
    RateLimited,
    /// The token gives no right to this room.
    Forbidden,
    /// No valid credentials (V09).
    BadCredentials,
    /// The token's time is over (P20).
    CredentialsExpired,
    /// The user is shut out.
    Banned,
    /// No common STOMP version (V07).
    Version,
    /// No CONNECT in time (L05).
    ConnectTimeout,
    /// A frame that began and did not end in time.
    FrameTimeout,
    /// No sign of life from the client (B06).
    HeartBeatLost,
    /// A SEND that is certainly not in the log.
    SendRefused(Reason),
    /// A SEND that may be in the log.
    SendUnknown,
    /// The log is away: SENDs are refused at once.
    LogAway,
    /// The client takes nothing any more (L07).
    Slow,
    /// The log no longer holds what the subscription has not seen.
    Gap,
    /// `x-from` could not be served and nobody asked for a RECEIPT that could say so.
    NotRecovered,
    /// The edge cannot take more from this client for longer than the send time-out.
    Busy,
    /// The edge cannot take this client now (full, or draining before CONNECT).
    TryLater,
    /// The edge drains; another one takes over.
    Draining,
    /// The edge drains and the client asked to be told apart from a plain close.
    RestartNotice,
    /// The grace is over.
    ShutDown,
    /// A fault of the edge.
    Internal,
}

/// What an [`Ending`] means on the wire and in the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The metric's `code` label, the log's event and ERROR's `x-error`. Stable; `[a-z_]`.
    pub label: &'static str,
    /// ERROR's `message` header and `x-error-code`; `None`: no ERROR is sent.
    pub error: Option<(&'static str, u16)>,
    /// The WebSocket close code; `None`: nothing is left to be said.
    pub close: Option<u16>,
    /// The close frame's reason, at most 123 octets.
    pub reason: &'static str,
    /// Whether the same client may come back and hope for better.
    pub may_retry: bool,
    /// ERROR's `retry-after`, in seconds. The caller may add to it, never take away.
    pub retry_after: Option<u32>,
    /// How loudly it is logged.
    pub level: Level,
    /// Close with SO_LINGER 0: unsent bytes are in the way of the FIN (DESIGN §4).
    pub linger_zero: bool,
    /// For a SEND: `refused` is not in the log, `unknown` may be (send again with the same key).
    pub outcome: Option<&'static str>,
}

impl Facts {
    const fn new(label: &'static str, close: u16, reason: &'static str) -> Self {
        Facts {
            label,
            error: None,
            close: Some(close),
            reason,
            may_retry: false,
            retry_after: None,
            level: Level::DEBUG,
            linger_zero: false,
            outcome: None,
        }
    }

    const fn error(mut self, message: &'static str, code: u16) -> Self {
        self.error = Some((message, code));
        self
    }

    const fn retry(mut self) -> Self {
        self.may_retry = true;
        self
    }

    const fn after(mut self, seconds: u32) -> Self {
        self.may_retry = true;
        self.retry_after = Some(seconds);
        self
    }

    const fn at(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    const fn refused(mut self) -> Self {
        self.outcome = Some("refused");
        self
    }

    const fn silent(mut self) -> Self {
        self.close = None;
        self.reason = "";
        self
    }
}

const ALL_REASONS: [Reason; 7] = [
    Reason::QueueFull,
    Reason::TooLarge,
    Reason::NotAuthorized,
    Reason::Purged,
    Reason::TimedOut,
    Reason::Unavailable,
    Reason::Fatal,
];

impl Ending {
    /// What it means. The one table of endings.
    #[rustfmt::skip]
    pub const fn facts(self) -> Facts {
        use Ending::*;
        let f = Facts::new;
        match self {
            ClientClosed => f("client_closed", 1000, "").silent().retry(),
            ClientLost => f("client_lost", 1006, "").silent().retry(),
            Disconnected => f("disconnected", 1000, "").retry(),
            Malformed => f("malformed", 1002, "STOMP protocol error").error("malformed frame", 400).at(Level::INFO),
            OutOfTurn => f("out_of_turn", 1002, "STOMP protocol error").error("frame not allowed here", 400).at(Level::INFO),
            NotOpen => f("not_open", 1002, "STOMP protocol error").error("no such id", 404),
            AlreadyOpen => f("already_open", 1002, "STOMP protocol error").error("id in use", 409),
            UnknownDestination => f("unknown_destination", 1008, "no such destination").error("no such destination", 404),
            NoRoomInBody => f("no_room_in_body", 1008, "no room in the body").error("no room in the body", 400).at(Level::INFO),
            WebSocketProtocol => f("websocket_protocol", 1002, "WebSocket protocol error").at(Level::INFO),
            WebSocketNotUtf8 => f("websocket_not_utf8", 1007, "text is not UTF-8").at(Level::INFO),
            NotSockJs => f("not_sockjs", 1002, "Broken framing.").at(Level::INFO),
            TooLarge => f("too_large", 1009, "too large").error("too large", 413).at(Level::INFO),
            TooMany => f("too_many", 1008, "too many").error("too many open at once", 429).after(5).at(Level::INFO),
            RateLimited => f("rate_limited", 1013, "too fast").error("too fast", 429).after(1).at(Level::INFO),
            Forbidden => f("forbidden", 1008, "forbidden").error("forbidden", 403).at(Level::INFO),
            BadCredentials => f("bad_credentials", 4501, "credentials refused").error("credentials refused", 401).at(Level::INFO),
            CredentialsExpired => f("credentials_expired", 4501, "credentials expired").error("credentials expired", 401),
            Banned => f("banned", 4502, "banned").error("banned", 403).at(Level::INFO),
            Version => f("version", 4503, "no common STOMP version").error("no common STOMP version", 426).at(Level::INFO),
            ConnectTimeout => f("connect_timeout", 1008, "no CONNECT in time").error("no CONNECT in time", 400).retry(),
            FrameTimeout => f("frame_timeout", 1008, "frame not completed in time").error("frame not completed in time", 400).retry(),
            HeartBeatLost => f("heart_beat_lost", 1002, "no heart-beat").error("no heart-beat", 400).retry(),
            SendRefused(reason) => match reason {
                Reason::QueueFull => f("send_refused_queue_full", 4004, "log away").error("SEND refused, the log is behind", 503).after(2).at(Level::WARN).refused(),
                Reason::TooLarge => f("send_refused_too_large", 1009, "too large").error("SEND refused, too large for the log", 413).at(Level::WARN).refused(),
                Reason::NotAuthorized => f("send_refused_not_authorized", 4004, "log away").error("SEND refused, the edge may not write", 503).after(30).at(Level::ERROR).refused(),
                Reason::Purged => f("send_refused_purged", 4004, "log away").error("SEND refused, taken back before it was sent", 503).after(2).at(Level::WARN).refused(),
                Reason::TimedOut => f("send_refused_timed_out", 4004, "log away").error("SEND refused, the log did not answer", 503).after(2).at(Level::WARN).refused(),
                Reason::Unavailable => f("send_refused_unavailable", 4004, "log away").error("SEND refused, the log is unavailable", 503).after(2).at(Level::WARN).refused(),
                Reason::Fatal => f("send_refused_fatal", 4004, "log away").error("SEND refused, the producer is being replaced", 503).after(2).at(Level::ERROR).refused(),
            },
            SendUnknown => {
                let mut facts = f("send_unknown", 4004, "log away").error("SEND outcome unknown, send again with the same x-idempotency-key", 503).after(2).at(Level::WARN);
                facts.outcome = Some("unknown");
                facts
            }
            LogAway => f("log_away", 4004, "log away").error("SEND refused, the log is away", 503).after(2).at(Level::WARN).refused(),
            Slow => {
                let mut facts = f("slow", 4002, "too slow").retry().at(Level::INFO);
                facts.linger_zero = true;
                facts
            }
            Gap => f("gap", 4003, "gap").error("messages were missed", 410).retry().at(Level::INFO),
            NotRecovered => f("not_recovered", 4003, "gap").error("x-from cannot be served", 410).retry().at(Level::INFO),
            Busy => f("busy", 1013, "busy").error("busy", 503).after(2).at(Level::WARN),
            TryLater => f("try_later", 1013, "try later").retry(),
            Draining => f("draining", 1012, "draining").retry(),
            RestartNotice => f("restart_notice", 4001, "restart").retry(),
            ShutDown => f("shut_down", 1001, "going away").retry(),
            Internal => f("internal", 1011, "internal error").error("internal error", 500).after(2).at(Level::ERROR),
        }
    }

    /// Every ending, for metrics that list all their labels from the start.
    #[rustfmt::skip]
    pub fn all() -> impl Iterator<Item = Ending> {
        use Ending::*;
        [
            ClientClosed, ClientLost, Disconnected, Malformed, OutOfTurn, NotOpen, AlreadyOpen, UnknownDestination,
            NoRoomInBody, WebSocketProtocol, WebSocketNotUtf8, NotSockJs, TooLarge, TooMany, RateLimited, Forbidden, BadCredentials,
            CredentialsExpired, Banned, Version, ConnectTimeout, FrameTimeout, HeartBeatLost, SendUnknown, LogAway, Slow,
            Gap, NotRecovered, Busy, TryLater, Draining, RestartNotice, ShutDown, Internal,
        ]
        .into_iter()
        .chain(ALL_REASONS.map(SendRefused))
    }

    /// Whether the client broke a rule of STOMP, of WebSocket or of family L.
    pub const fn is_protocol_error(self) -> bool {
        use Ending::*;
        matches!(
            self,
            Malformed
                | OutOfTurn
                | NotOpen
                | AlreadyOpen
                | WebSocketProtocol
                | WebSocketNotUtf8
                | NotSockJs
                | TooLarge
                | TooMany
                | Version
        )
    }

    /// Whether `CONNECT x-errors:soft` turns this into a MESSAGE on `/user/queue/errors`: a refusal of a single SEND or
    /// SUBSCRIBE, never a protocol fault (DESIGN §8).
    pub const fn may_be_soft(self) -> bool {
        use Ending::*;
        matches!(
            self,
            Forbidden
                | UnknownDestination
                | NoRoomInBody
                | RateLimited
                | TooLarge
                | SendRefused(_)
                | SendUnknown
                | LogAway
                | NotRecovered
        )
    }
}

#[cfg(test)]
mod tests;
