//! The settings that most edges leave alone: limits, times, STOMP's details, logging.

use clap::Args;

#[derive(Debug, Args)]
pub(super) struct TuningFlags {
    /// Largest body of a SEND
    #[arg(long, env = "KLATSCH_MAX_BODY", value_name = "SIZE", default_value = "64KiB", help_heading = "Limits")]
    pub(super) max_body: String,
    /// Largest header block of a frame
    #[arg(long, env = "KLATSCH_MAX_HEADERS", value_name = "SIZE", default_value = "16KiB", help_heading = "Limits")]
    pub(super) max_headers: String,
    /// Client connections of this edge
    #[arg(long, env = "KLATSCH_MAX_CONNECTIONS", value_name = "N", default_value = "20000", help_heading = "Limits")]
    pub(super) max_connections: String,
    /// Client connections from one address; 0: no limit, as an edge behind a proxy sees only the proxy's
    #[arg(
        long,
        env = "KLATSCH_MAX_CONNECTIONS_PER_ADDRESS",
        value_name = "N",
        default_value = "0",
        help_heading = "Limits"
    )]
    pub(super) max_connections_per_address: String,
    /// New sessions a second, after a burst of ten times as many; who comes beyond it is told when to try again; 0: no limit
    #[arg(long, env = "KLATSCH_ADMIT_RATE", value_name = "N", default_value = "1000", help_heading = "Limits")]
    pub(super) admit_rate: String,
    /// Subscriptions of one session
    #[arg(long, env = "KLATSCH_MAX_SUBSCRIPTIONS", value_name = "N", default_value = "100", help_heading = "Limits")]
    pub(super) max_subscriptions: String,
    /// Receipts that one session may wait for
    #[arg(long, env = "KLATSCH_MAX_RECEIPTS", value_name = "N", default_value = "1024", help_heading = "Limits")]
    pub(super) max_receipts: String,
    /// SENDs a second of one user, over all its connections to this edge; 0: no limit
    #[arg(long, env = "KLATSCH_SEND_RATE", value_name = "N", default_value = "0", help_heading = "Limits")]
    pub(super) send_rate: String,
    /// Memory for the recent end of the log
    #[arg(long, env = "KLATSCH_TAIL_BYTES", value_name = "SIZE", default_value = "64MiB", help_heading = "Limits")]
    pub(super) tail_bytes: String,
    /// How far back the recent end of the log reaches, if its memory suffices
    #[arg(long, env = "KLATSCH_TAIL_TIME", value_name = "TIME", default_value = "10m", help_heading = "Limits")]
    pub(super) tail_time: String,
    /// Records that one look into the log reads at most, for what the tail does not hold
    #[arg(long, env = "KLATSCH_SCAN_RECORDS", value_name = "N", default_value = "100000", help_heading = "Limits")]
    pub(super) scan_records: String,
    /// Keys and values that one look into the log reads at most
    #[arg(long, env = "KLATSCH_SCAN_BYTES", value_name = "SIZE", default_value = "32MiB", help_heading = "Limits")]
    pub(super) scan_bytes: String,
    /// What was read from the log for one session and has not been sent yet
    #[arg(long, env = "KLATSCH_REPLAY_BYTES", value_name = "SIZE", default_value = "4MiB", help_heading = "Limits")]
    pub(super) replay_bytes: String,
    /// The same for all sessions of this edge
    #[arg(
        long,
        env = "KLATSCH_REPLAY_BYTES_TOTAL",
        value_name = "SIZE",
        default_value = "64MiB",
        help_heading = "Limits"
    )]
    pub(super) replay_bytes_total: String,
    /// Threads that own connections [default: the processors there are]
    #[arg(long, env = "KLATSCH_WORKERS", value_name = "N", help_heading = "Limits")]
    pub(super) workers: Option<String>,

    /// A SEND that is not acknowledged by then is answered with ERROR
    #[arg(long, env = "KLATSCH_SEND_TIMEOUT", value_name = "TIME", default_value = "15s", help_heading = "Times")]
    pub(super) send_timeout: String,
    /// One look into the log takes at most this long
    #[arg(long, env = "KLATSCH_SCAN_TIME", value_name = "TIME", default_value = "2s", help_heading = "Times")]
    pub(super) scan_time: String,
    /// A connection without CONNECT is closed by then
    #[arg(long, env = "KLATSCH_CONNECT_TIMEOUT", value_name = "TIME", default_value = "10s", help_heading = "Times")]
    pub(super) connect_timeout: String,
    /// A frame that has begun must be complete after this long, however slowly it comes
    #[arg(long, env = "KLATSCH_FRAME_TIMEOUT", value_name = "TIME", default_value = "30s", help_heading = "Times")]
    pub(super) frame_timeout: String,
    /// From SIGTERM to the end at the latest; the edge ends as soon as it is empty
    #[arg(long, env = "KLATSCH_GRACE", value_name = "TIME", default_value = "30s", help_heading = "Times")]
    pub(super) grace: String,
    /// Most sessions closed per second while draining
    #[arg(long, env = "KLATSCH_DRAIN_RATE", value_name = "N", default_value = "500", help_heading = "Times")]
    pub(super) drain_rate: String,
    /// The shortest heart-beat interval that is agreed to
    #[arg(long, env = "KLATSCH_HEART_BEAT_FLOOR", value_name = "TIME", default_value = "1s", help_heading = "Times")]
    pub(super) heart_beat_floor: String,
    /// The longest heart-beat interval; also how often a WebSocket ping is sent where a client wants no heart-beats
    #[arg(long, env = "KLATSCH_HEART_BEAT_CAP", value_name = "TIME", default_value = "25s", help_heading = "Times")]
    pub(super) heart_beat_cap: String,

    /// spring forgives what Spring forgives; strict is the specification's letter
    #[arg(
        long,
        env = "KLATSCH_PROFILE",
        value_name = "spring|strict",
        default_value = "spring",
        help_heading = "STOMP"
    )]
    pub(super) profile: String,
    /// Another name of rooms in SEND: a prefix, or a pattern such as /app/chat.{room}.send; the one that says most wins;
    /// repeatable
    #[arg(
        long,
        env = "KLATSCH_ALIAS_SEND",
        value_name = "ALIAS",
        default_values = ["/app/", "/pub/", "/publish/"],
        help_heading = "STOMP"
    )]
    pub(super) alias_send: Vec<String>,
    /// Another name of rooms in SUBSCRIBE: a prefix, or a pattern such as /rooms/{room}/messages; repeatable
    #[arg(
        long,
        env = "KLATSCH_ALIAS_SUBSCRIBE",
        value_name = "ALIAS",
        default_value = "/sub/",
        help_heading = "STOMP"
    )]
    pub(super) alias_subscribe: Vec<String>,
    /// A SEND destination whose JSON body names the room, with a JSON pointer to it: /pub/chat/message=/roomId;
    /// repeatable
    #[arg(long, env = "KLATSCH_SEND_BY_BODY", value_name = "DEST=POINTER", help_heading = "STOMP")]
    pub(super) send_by_body: Vec<String>,

    /// Trace one SEND in so many, on all edges that are told so: 0.001 is one in a thousand; 0: none
    #[arg(long, env = "KLATSCH_TRACE_SAMPLE", value_name = "RATIO", default_value = "0", help_heading = "Logging")]
    pub(super) trace_sample: String,
    /// Where traces go: an OpenTelemetry collector that takes OTLP over HTTP, such as http://otel-collector:4318 [default:
    /// what OTEL_EXPORTER_OTLP_ENDPOINT says]
    #[arg(long, env = "KLATSCH_OTLP_ENDPOINT", value_name = "URL", help_heading = "Logging")]
    pub(super) otlp_endpoint: Option<String>,

    /// How log lines look on stderr [default: text on a terminal, json elsewhere]
    #[arg(long, env = "KLATSCH_LOG", value_name = "json|text", help_heading = "Logging")]
    pub(super) log: Option<String>,
    /// How users and rooms are named in log lines: as hashes that nobody can turn back, or as they are
    #[arg(
        long,
        env = "KLATSCH_LOG_NAMES",
        value_name = "hashed|plain",
        default_value = "hashed",
        help_heading = "Logging"
    )]
    pub(super) log_names: String,
    /// What those hashes are salted with, the same on every edge whose lines are to be compared [default: a random one]
    #[arg(long, env = "KLATSCH_LOG_SALT", value_name = "TEXT", hide_env_values = true, help_heading = "Logging")]
    pub(super) log_salt: Option<String>,
    /// What is logged: a level, or target=level,… as in RUST_LOG
    #[arg(long, env = "KLATSCH_LOG_FILTER", value_name = "FILTER", default_value = "info", help_heading = "Logging")]
    pub(super) log_filter: String,
}
