//! The flags of `bench`, and of the hidden `baseline`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, ValueEnum, builder::RangedU64ValueParser};

use crate::{dialect::Dialect, target::Target};

/// What `bench --help` says at its end.
pub const HELP: &str = "\
Each scenario starts the edge and a baseline of this program (a raw send loop, tungstenite as most people use it, \
tungstenite at its best), puts the same crowd on both in turn, and prints the median ratio of the rounds: absolute times \
are worth little on a shared machine. The server under test is pinned to one core, the generator and a broker to another; where it may (root), the run goes before other processes. \
SENDs follow a timetable that nothing delays. Every member's messages are counted, some members check each one: a row whose \
messages were lost, repeated or out of order is void.

With --url the same load is put on any STOMP server that runs already; --pid names the processes whose CPU is read.

Examples:
  klatsch-load bench list                       the rows, what is demanded, and which scenario measures them
  klatsch-load bench                            all of them; needs a Kafka, or deploy/local to start one
  klatsch-load bench 1 1b 13 --rounds 7
  klatsch-load bench fanout --kafka 127.0.0.1:19092
  klatsch-load bench readers --readers 2000
  klatsch-load bench growth --plots deploy/plots --report deploy/README.md
  klatsch-load bench --url ws://127.0.0.1:8080/ws --members 1000 --rooms 1 --rate 24 --pid edge=4711 --pid broker=815
  klatsch-load bench --url ws://127.0.0.1:15674/ws --login guest --passcode guest --stomp-host / --no-receipts

Exit codes: 0 every must was met, 1 not so, or a row is void, 2 it could not run.";

/// The settings of `bench`.
#[derive(Debug, Clone, Args)]
pub struct BenchSettings {
    /// Rows of the table, names of scenarios, `all`, `quick` or `list` [default: all]
    #[arg(value_name = "ROW|SCENARIO", conflicts_with = "url")]
    pub what: Vec<String>,

    /// The edge's program [default: beside this one]
    #[arg(long, env = "KLATSCH_EDGE", value_name = "PATH")]
    pub edge: Option<PathBuf>,
    /// One more argument for the edge; repeatable
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    pub edge_arg: Vec<String>,
    /// Where the scripts are that start a Kafka
    #[arg(long, default_value = "deploy/local", value_name = "DIR")]
    pub scripts: PathBuf,
    /// A Kafka that runs, for the rows that need one [default: one is started, and ended]
    #[arg(long, value_name = "HOST:PORT,…")]
    pub kafka: Option<String>,
    /// Rounds of each measurement, the servers in turn
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=1000))]
    pub rounds: usize,
    /// How long a round sends [default: what the scenario says]
    #[arg(long, value_name = "S", value_parser = RangedU64ValueParser::<u64>::new().range(1..=3600))]
    pub seconds: Option<u64>,
    /// `readers`: how many of each way [default: 6000, or 500 in a quick run]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..=9000))]
    pub readers: Option<u32>,
    /// Write the table, as Markdown, to this file too: between its lines `<!-- bench -->` and `<!-- end -->`, where it
    /// has them
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// `growth`: a directory for its plots
    #[arg(long, value_name = "DIR")]
    pub plots: Option<PathBuf>,
    /// `growth`: a file between whose markers its tables are put
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// The rows as a JSON array
    #[arg(long)]
    pub json: bool,
    /// Keep the servers' logs
    #[arg(long)]
    pub keep: bool,

    /// Put the load on this server, which runs already
    #[arg(long, value_name = "ws://HOST:PORT/PATH", help_heading = "Any server")]
    pub url: Option<Target>,
    /// A process whose CPU is read, and what it is called; repeatable
    #[arg(long, value_name = "ROLE=PID", value_parser = role, requires = "url", help_heading = "Any server")]
    pub pid: Vec<(String, u32)>,
    /// Clients with a subscription
    #[arg(long, default_value_t = 1000, value_name = "N", requires = "url", help_heading = "Any server",
          value_parser = RangedU64ValueParser::<u32>::new().range(1..=1_000_000))]
    pub members: u32,
    /// Rooms; member i is in room i modulo R
    #[arg(long, default_value_t = 1, value_name = "R", requires = "url", help_heading = "Any server",
          value_parser = RangedU64ValueParser::<u32>::new().range(1..=1_000_000))]
    pub rooms: u32,
    /// SENDs a second, of all publishers together
    #[arg(long, default_value_t = 24.0, value_name = "X", requires = "url", help_heading = "Any server")]
    pub rate: f64,
    /// Size of a SEND's body in octets
    #[arg(long, default_value_t = 200, value_name = "OCTETS", help_heading = "Any server")]
    pub body: u32,
    /// How that server is spoken to.
    #[command(flatten)]
    pub dialect: Dialect,
}

/// The settings of `baseline`.
#[derive(Debug, Clone, Args)]
pub struct BaselineSettings {
    /// Which
    pub kind: BaselineKind,
    /// Where clients connect
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR")]
    pub listen: SocketAddr,
}

/// The baselines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub enum BaselineKind {
    /// A loop that sends one finished frame to each connection of the room
    Raw,
    /// The same, all frames that are pending for a connection in one write
    Coalesced,
    /// tokio-tungstenite as most people use it: a task for each connection, `select!`, default buffers
    Natural,
    /// tokio-tungstenite at its best: small buffers, all that is pending fed, then one flush
    Best,
    /// Heart-beats alone: one read and one write for each, without WebSocket and STOMP
    Beats,
}

impl BaselineKind {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            BaselineKind::Raw => "raw",
            BaselineKind::Coalesced => "coalesced",
            BaselineKind::Natural => "natural",
            BaselineKind::Best => "best",
            BaselineKind::Beats => "beats",
        }
    }
}

fn role(text: &str) -> Result<(String, u32), String> {
    let pair = text.split_once('=').and_then(|(role, pid)| Some((role.to_owned(), pid.parse().ok()?)));
    pair.filter(|(role, _)| !role.is_empty()).ok_or_else(|| "ROLE=PID, such as edge=4711".to_owned())
}
