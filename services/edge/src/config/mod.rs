//! Every setting: name, default, bounds. Read once at start; all faults are reported together.
//!
//! [`Config::load`] takes the arguments and the environment as values, so tests need neither. To add a setting: a field
//! in `flags.rs` or `tuning.rs` (text and help), one in [`Config`] (type), one line in `load.rs` (bounds).

use std::{net::SocketAddr, time::Duration};

use crate::{
    auth::{Authenticator, CredentialSettings, OriginPolicy, jwt::Jwt, jwt::JwtSettings, open::Open},
    destination::Aliases,
    logging::names::Names,
    traces::TraceSettings,
};

mod authentication;
mod command_line;
mod faults;
mod flags;
mod java;
mod kafka;
mod load;
mod properties;
mod sockjs;
mod tuning;
mod values;
mod watched;

pub use faults::{Fault, Faults};
pub use sockjs::SockJsSettings;
pub use watched::{KafkaProperties, NewProperties, WatchedProperties};

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Run the edge.
    Run(Box<Config>),
    /// Everything is in order: say so, exit 0.
    CheckConfig(Box<Config>),
    /// GET /readyz at this address; exit 0 on 200, 1 otherwise.
    Healthcheck(SocketAddr),
    /// Help or version: print it to stdout, exit 0.
    Print(String),
}

/// All settings of an edge, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where probes and metrics are served.
    pub admin: SocketAddr,
    /// Where clients speak STOMP straight on TCP; `None`: nowhere.
    pub stomp_listen: Option<SocketAddr>,
    /// Base paths: each upgrades to WebSocket, and has SockJS below it; at least one.
    pub ws_paths: Vec<String>,
    /// A path whose WebSockets get back what they send, for conformance suites.
    pub ws_echo: Option<String>,
    /// What SockJS offers beside WebSocket.
    pub sockjs: SockJsSettings,
    /// Serve rooms over HTTP to clients without STOMP.
    pub http_api: bool,
    /// This edge's name: part of `group.id`.
    pub instance: String,
    /// Serve the pages: the chat, and the four ways into a room.
    pub page: bool,
    /// Whether the page may have every connection cut: a developer's edge.
    pub cut: bool,
    /// Which log.
    pub log: LogChoice,
    /// The topic and what it must be like.
    pub topic: TopicSettings,
    /// How sessions are authenticated.
    pub auth: AuthChoice,
    /// Where tokens may stand.
    pub credentials: CredentialSettings,
    /// Which web pages may connect.
    pub origin: OriginPolicy,
    /// Sizes and counts.
    pub limits: Limits,
    /// Time-outs and intervals.
    pub times: Times,
    /// What is done where Spring and the specification differ.
    pub profile: Profile,
    /// Names of rooms beside `/topic/{room}`.
    pub aliases: Aliases,
    /// Traces, if there are to be any.
    pub traces: Option<TraceSettings>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// How users and rooms are named there.
    pub log_names: Names,
    /// What is logged: an `EnvFilter` directive list that has been parsed once.
    pub log_filter: String,
}

/// Which log the edge reads and writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogChoice {
    /// librdkafka's mock cluster inside the process; nothing is kept.
    Embedded,
    /// Plain vectors; for tests.
    Memory,
    /// Apache Kafka, or what speaks its protocol.
    Kafka {
        /// `HOST:PORT,…`.
        brokers: String,
        /// librdkafka properties on top of our own, translated and checked.
        properties: KafkaProperties,
    },
}

/// The topic and what it must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// Its name.
    pub name: String,
    /// N of the partition function.
    pub partitions: i32,
    /// Copies; `None`: 3, or as many as there are brokers.
    pub replication_factor: Option<i32>,
    /// In-sync copies a write needs; `None`: one less than the copies, at least 1.
    pub min_isr: Option<i32>,
    /// Create it if it is missing.
    pub create: bool,
}

impl TopicSettings {
    /// Copies in a cluster of this many brokers (DESIGN §9).
    pub fn replication_factor(&self, brokers: usize) -> i32 {
        self.replication_factor.unwrap_or_else(|| i32::try_from(brokers).unwrap_or(3).clamp(1, 3))
    }

    /// In-sync copies a write needs, with this many copies.
    pub fn min_isr(&self, replication_factor: i32) -> i32 {
        self.min_isr.unwrap_or_else(|| (replication_factor - 1).max(1))
    }
}

/// How sessions are authenticated.
#[derive(Debug, Clone)]
pub enum AuthChoice {
    /// Everybody may everything.
    Open,
    /// Signed tokens.
    Jwt(JwtSettings),
}

/// Sizes in octets, and counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Body of a SEND.
    pub max_body: usize,
    /// Header block of a frame.
    pub max_headers: usize,
    /// Client connections.
    pub max_connections: usize,
    /// Client connections from one address; `None`: no limit.
    pub max_connections_per_address: Option<usize>,
    /// Subscriptions of a session.
    pub max_subscriptions: usize,
    /// Receipts that a session may wait for.
    pub max_receipts: usize,
    /// SENDs a second of one user; 0: no limit.
    pub send_rate: u32,
    /// Memory of the tail.
    pub tail_bytes: usize,
    /// How far back the tail reaches.
    pub tail_time: Duration,
    /// Records that one look into the log reads.
    pub scan_records: usize,
    /// Octets that one look into the log reads.
    pub scan_bytes: usize,
    /// Octets read from the log for one session, and not sent yet.
    pub replay_bytes: usize,
    /// The same for all sessions.
    pub replay_bytes_total: usize,
    /// New sessions a second, after a burst; 0: no limit.
    pub admit_rate: u32,
    /// Threads that own connections; at least one.
    pub workers: usize,
    /// Sessions closed per second while draining.
    pub drain_rate: u32,
}

/// Time-outs and intervals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// A SEND is answered by then.
    pub send: Duration,
    /// One look into the log takes at most this long.
    pub scan: Duration,
    /// CONNECT must have come by then.
    pub connect: Duration,
    /// A frame that has begun must be complete after this long.
    pub frame: Duration,
    /// From SIGTERM to the end at the latest.
    pub grace: Duration,
    /// The shortest heart-beat interval.
    pub heart_beat_floor: Duration,
    /// The longest heart-beat interval, and the WebSocket ping's.
    pub heart_beat_cap: Duration,
}

/// What is done where Spring and the specification differ (stomp.md §7: U09, U11, V04).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Forgive what Spring forgives.
    #[default]
    Spring,
    /// The specification's letter.
    Strict,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl Config {
    /// The largest STOMP frame: body, headers, and 1 KiB for command, separators and line ends (DESIGN §9).
    pub const fn max_frame(&self) -> usize {
        self.limits.max_body + self.limits.max_headers + 1024
    }

    /// The largest record, for `message.max.bytes` and the topic's `max.message.bytes`: body, headers, and 4 KiB for
    /// what the edge adds.
    pub const fn max_record(&self) -> usize {
        self.limits.max_body + self.limits.max_headers + 4096
    }

    /// Kafka's `group.id`: a label that librdkafka demands; nothing joins it.
    pub fn group_id(&self) -> String {
        format!("klatsch-edge-{}", self.instance)
    }

    /// The checker of CONNECTs that these settings describe.
    pub fn authenticator(&self) -> Authenticator {
        match &self.auth {
            AuthChoice::Open => Authenticator::Open(Open),
            AuthChoice::Jwt(jwt) => Authenticator::Jwt(Jwt::new(jwt.clone(), self.credentials.clone()).into()),
        }
    }
}
