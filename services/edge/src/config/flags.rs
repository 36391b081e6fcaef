//! The settings as text: names, defaults, help. Everything stays a string here so that [`super::Config::load`] can report
//! all faults at once instead of the first one.

use clap::{ArgAction, Parser, ValueEnum};

/// What to do; without one, the edge runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Action {
    /// Read all settings, name every fault, start nothing
    CheckConfig,
    /// Ask the --admin address whether the edge is ready; exit 0 or 1
    Healthcheck,
}

const EXAMPLES: &str = "\
Sizes are octets or carry KiB, MiB, GiB; times carry ms, s, m, h.
A repeatable flag takes a comma-separated list from its variable
(KLATSCH_KAFKA_PROPERTY: one k=v a line). A flag wins over its variable;
an empty variable counts as unset.

Examples:
  klatsch-edge --dev
      everything in one process, nothing kept; open http://127.0.0.1:8080
  klatsch-edge --kafka broker-1:9092,broker-2:9092 --create-topic --page
      a real log, clients on this machine only
  klatsch-edge --listen 0.0.0.0:8080 --admin 0.0.0.0:9090 \\
      --kafka kafka:9093 --kafka-properties /etc/klatsch/client.properties \\
      --auth jwt --jwt-alg RS256 --jwt-key /etc/klatsch/issuer.pem \\
      --allow-origin https://chat.example
      production; add check-config to try the settings first

Exit codes: 0 drained, 64 settings, 69 topic refused, 70 a thread died.";

/// klatsch's edge: browsers speak STOMP over WebSocket to it, every message is a record in one Kafka topic.
#[derive(Debug, Parser)]
#[command(name = "klatsch-edge", version, after_help = EXAMPLES, max_term_width = 120, disable_help_flag = true)]
pub(super) struct Flags {
    /// check-config: read all settings, name every fault, start nothing;
    /// healthcheck: ask the --admin address whether the edge is ready, exit 0 or 1;
    /// without a command the edge runs
    #[arg(value_enum, value_name = "COMMAND", hide_possible_values = true)]
    pub(super) action: Option<Action>,

    /// Print help
    #[arg(short = 'h', long, action = ArgAction::Help)]
    pub(super) help: Option<bool>,

    /// Where clients connect
    #[arg(
        long,
        env = "KLATSCH_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:8080",
        help_heading = "Addresses"
    )]
    pub(super) listen: String,
    /// Where probes and metrics are served: /livez /readyz /startupz /metrics; port 0 lets the system choose
    #[arg(long, env = "KLATSCH_ADMIN", value_name = "ADDR", default_value = "127.0.0.1:0", help_heading = "Addresses")]
    pub(super) admin: String,
    /// A base path: it upgrades to WebSocket, and SockJS clients find what they need below it; repeatable
    #[arg(long, env = "KLATSCH_WS_PATH", value_name = "PATH", default_value = "/ws", help_heading = "Addresses")]
    pub(super) ws_path: Vec<String>,
    /// Where clients speak STOMP straight on TCP, such as 127.0.0.1:61613, beside --listen [default: nowhere]
    #[arg(long, env = "KLATSCH_STOMP_LISTEN", value_name = "ADDR", help_heading = "Addresses")]
    pub(super) stomp_listen: Option<String>,
    /// One more base path, which sends back what comes over WebSocket and SockJS, for conformance suites; nobody has to show who they are
    #[arg(long, env = "KLATSCH_WS_ECHO", value_name = "PATH", hide = true, help_heading = "Addresses")]
    pub(super) ws_echo: Option<String>,
    /// Rooms over HTTP, without STOMP: /rooms/ROOM/events, /rooms/ROOM/socket, /events and what else /openapi.yaml lists
    #[arg(long, env = "KLATSCH_HTTP_API", value_name = "on|off", default_value = "on", help_heading = "Addresses")]
    pub(super) http_api: String,
    /// This edge's name, unique and stable: part of Kafka's group.id [default: the host's name]
    #[arg(long, env = "KLATSCH_INSTANCE", value_name = "NAME", help_heading = "Addresses")]
    pub(super) instance: Option<String>,
    /// Serve the chat page at /, and at /compare one that compares the ways into a room
    #[arg(long, env = "KLATSCH_PAGE", help_heading = "Addresses")]
    pub(super) page: bool,
    /// For trying out: --page, --auth open, and a log inside the process unless --kafka is given
    #[arg(long, env = "KLATSCH_DEV", help_heading = "Addresses")]
    pub(super) dev: bool,

    /// Kafka's bootstrap brokers
    #[arg(long, env = "KLATSCH_KAFKA", value_name = "HOST:PORT,…", help_heading = "Kafka")]
    pub(super) kafka: Option<String>,
    /// The topic that holds every message
    #[arg(long, env = "KLATSCH_TOPIC", value_name = "NAME", default_value = "chat.events.v1", help_heading = "Kafka")]
    pub(super) topic: String,
    /// Partitions that rooms are spread over; the same on every edge, forever
    #[arg(long, env = "KLATSCH_PARTITIONS", value_name = "N", default_value = "12", help_heading = "Kafka")]
    pub(super) partitions: String,
    /// Copies of each partition [default: 3, or as many as there are brokers]
    #[arg(long, env = "KLATSCH_REPLICATION_FACTOR", value_name = "N", help_heading = "Kafka")]
    pub(super) replication_factor: Option<String>,
    /// Copies that must have a message before it counts as stored [default: one less than the copies, at least 1]
    #[arg(long, env = "KLATSCH_MIN_ISR", value_name = "N", help_heading = "Kafka")]
    pub(super) min_isr: Option<String>,
    /// Create the topic if it is missing
    #[arg(long, env = "KLATSCH_CREATE_TOPIC", help_heading = "Kafka")]
    pub(super) create_topic: bool,
    /// A setting for librdkafka; repeatable, wins over --kafka-properties
    #[arg(long, env = "KLATSCH_KAFKA_PROPERTY", value_name = "K=V", help_heading = "Kafka")]
    pub(super) kafka_property: Vec<String>,
    /// Settings for librdkafka in a Java-style properties file (TLS, SASL); ${directory:DIR:FILE} in a value stands for
    /// what that file says; read again when one of them changes
    #[arg(long, env = "KLATSCH_KAFKA_PROPERTIES", value_name = "FILE", help_heading = "Kafka")]
    pub(super) kafka_properties: Option<String>,
    /// A log of plain vectors, for tests
    #[arg(long, env = "KLATSCH_LOG_MEMORY", hide = true, help_heading = "Kafka")]
    pub(super) log_memory: bool,

    /// open: everybody may everything; jwt: a signed token says who and what [default: open while only
    /// this machine can connect]
    #[arg(long, env = "KLATSCH_AUTH", value_name = "open|jwt", help_heading = "Who may do what")]
    pub(super) auth: Option<String>,
    /// The one algorithm that tokens are signed with
    #[arg(long, env = "KLATSCH_JWT_ALG", value_name = "HS256|RS256|ES256|EdDSA", help_heading = "Who may do what")]
    pub(super) jwt_alg: Option<String>,
    /// The key: a public key in PEM, or the raw secret for HS256
    #[arg(long, env = "KLATSCH_JWT_KEY", value_name = "FILE", help_heading = "Who may do what")]
    pub(super) jwt_key: Option<String>,
    /// A token's iss must be this
    #[arg(long, env = "KLATSCH_JWT_ISSUER", value_name = "TEXT", help_heading = "Who may do what")]
    pub(super) jwt_issuer: Option<String>,
    /// A token's aud must name this
    #[arg(long, env = "KLATSCH_JWT_AUDIENCE", value_name = "TEXT", help_heading = "Who may do what")]
    pub(super) jwt_audience: Option<String>,
    /// A token without klatsch.send and klatsch.subscribe may use every room, not none
    #[arg(long, env = "KLATSCH_OPEN_ROOMS", help_heading = "Who may do what")]
    pub(super) open_rooms: bool,
    /// A CONNECT header that carries the token; repeatable; never forwarded to a room
    #[arg(
        long,
        env = "KLATSCH_AUTH_HEADER",
        value_name = "NAME",
        default_value = "Authorization",
        help_heading = "Who may do what"
    )]
    pub(super) auth_header: Vec<String>,
    /// A cookie of the upgrade request that carries the token
    #[arg(long, env = "KLATSCH_AUTH_COOKIE", value_name = "NAME", help_heading = "Who may do what")]
    pub(super) auth_cookie: Option<String>,
    /// Web pages that may connect, as scheme://host[:port], or * for all; repeatable [default: pages of the same host]
    #[arg(long, env = "KLATSCH_ALLOW_ORIGIN", value_name = "ORIGIN", help_heading = "Who may do what")]
    pub(super) allow_origin: Vec<String>,
    /// Refuse upgrades without an Origin header (only browsers send one)
    #[arg(long, env = "KLATSCH_REQUIRE_ORIGIN", help_heading = "Who may do what")]
    pub(super) require_origin: bool,

    #[command(flatten)]
    pub(super) sockjs: super::sockjs::SockJsFlags,
    #[command(flatten)]
    pub(super) tuning: super::tuning::TuningFlags,
}

/// A flag that is there or not takes no value from the command line and true/false from its variable.
pub(super) fn is_switch(arg: &clap::Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}
