//! The flags of `roll`.

use std::path::PathBuf;

use clap::{Args, builder::RangedU64ValueParser};

use crate::cli::Switch;

/// What `roll --help` says at its end.
pub const HELP: &str = "\
Starts a cluster of its own (deploy/local/cluster: Kafka, the edges, HAProxy), lets clients chat through the balancer, and \
replaces every edge as a Deployment with surge would: a new edge starts and HAProxy finds it ready; an old one gets SIGTERM, \
sends its clients elsewhere at its own pace, and ends; then the next. There is no preStop pause: the balancer learns that an \
edge drains from /readyz alone. At the end `verify` judges what the clients did and saw by what lies in the topic, and a table \
says for each demand what was measured. Ctrl-C ends it in order and leaves nothing behind.

A client that hears the notice of a drain (`--notices on`) connects anew while it is still served, goes on there from where \
it is, and then says goodbye to the old edge; without notices it is closed with 1012 and comes back within `--after-restart`. \
A session's gap is the longest time for which its client had no subscription that was confirmed.

Examples:
  klatsch-load roll                              6,000 sessions, three edges: three minutes
  klatsch-load roll --sessions 600 --rate 50 --grace 10 --brokers 1
  klatsch-load roll --from old/klatsch-edge --to target/release/klatsch-edge
      from one version to the next
  klatsch-load roll --notices off --after-restart 2

Exit codes: 0 every demand was met, 1 not so, 2 it could not run.";

/// The settings of `roll`.
#[derive(Debug, Clone, Args)]
pub struct RollSettings {
    /// Clients; each has one session
    #[arg(long, default_value_t = 6_000, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..=18_000))]
    pub sessions: u32,
    /// Rooms; each client is in one [default: one for ten clients]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..=18_000))]
    pub rooms: Option<u32>,
    /// SENDs a second, of all clients together
    #[arg(long, default_value_t = 200.0, value_name = "X")]
    pub rate: f64,
    /// Connections opened per second at the beginning
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..=100_000))]
    pub ramp: u32,

    /// Edges
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(2..=6))]
    pub edges: usize,
    /// New edges that run before the first old one goes
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=3))]
    pub surge: usize,
    /// Every edge's --grace, in seconds: from SIGTERM to its end
    #[arg(long, default_value_t = 30, value_name = "S", value_parser = RangedU64ValueParser::<u64>::new().range(6..=600))]
    pub grace: u64,
    /// Kafka's brokers: 1 or 3
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = brokers)]
    pub brokers: u32,
    /// The old edges' binary [default: what the environment's KLATSCH_EDGE says, or klatsch-edge beside this program]
    #[arg(long, value_name = "BINARY")]
    pub from: Option<PathBuf>,
    /// The new edges' binary [default: the same]
    #[arg(long, value_name = "BINARY")]
    pub to: Option<PathBuf>,

    /// Clients listen to the notice of a drain
    #[arg(long, value_enum, default_value_t = Switch::On, value_name = "on|off", hide_possible_values = true)]
    pub notices: Switch,
    /// A client that was closed with 1012 makes its first attempt at any time within this many seconds
    #[arg(long, default_value_t = 5.0, value_name = "S")]
    pub after_restart: f64,

    /// Measure times and rates, but do not judge them: for a machine that does other things
    #[arg(long)]
    pub any_time: bool,
    /// Put the table into this file, between its markers
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Keep histories and logs, whatever the result
    #[arg(long)]
    pub keep: bool,
    /// Where histories and logs go [default: a new directory for temporary files]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Where the scripts of the cluster are
    #[arg(long, default_value = "deploy/local", value_name = "DIR")]
    pub scripts: PathBuf,
}

impl RollSettings {
    /// How many rooms.
    pub(super) fn rooms(&self) -> u32 {
        self.rooms.unwrap_or_else(|| (self.sessions / 10).max(1))
    }
}

fn brokers(text: &str) -> Result<u32, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("1 or 3".to_owned()),
    }
}
