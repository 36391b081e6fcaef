//! The flags of `chaos`.

use std::path::PathBuf;

use clap::Args;

/// What `chaos --help` says at its end.
pub const HELP: &str = "\
The cluster is deploy/local/cluster (three brokers, three edges, HAProxy, in a network namespace): one that runs is taken \
and left running, otherwise one is started and ended. For each fault clients chat, write histories and go on where they \
were cut; the fault begins, lasts, ends; when all is as before, `verify` judges the histories and the topic, and what was \
seen is held against what the fault may do (`chaos list`). Ctrl-C ends a run in order, with the table so far.

Examples:
  klatsch-load chaos list
  klatsch-load chaos kill-edge kill-leader
  klatsch-load chaos kill-leader --runs 10       the distribution of its times
  klatsch-load chaos all --write deploy/README.md
  klatsch-load chaos random --seed 7 --minutes 60

Exit codes: 0 every promise held and all was as expected, 1 not so, 2 it could not run.";

/// The settings of `chaos`.
#[derive(Debug, Clone, Args)]
pub struct ChaosSettings {
    /// Names of faults, `all`, `random` or `list`
    #[arg(required = true, value_name = "FAULT")]
    pub faults: Vec<String>,
    /// How often each
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub runs: u32,
    /// What decides the random faults [default: another one each time]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How long random faults go on
    #[arg(long, default_value_t = 60, value_name = "N")]
    pub minutes: u64,

    /// Clients in all
    #[arg(long, default_value_t = 400, value_name = "N")]
    pub connections: u32,
    /// Rooms in all
    #[arg(long, default_value_t = 40, value_name = "N")]
    pub rooms: u32,
    /// SENDs a second, of all clients together
    #[arg(long, default_value_t = 150.0, value_name = "X")]
    pub rate: f64,

    /// Measure times, but do not judge them: for a machine that does other things
    #[arg(long)]
    pub any_time: bool,
    /// Put the rows into the tables of this file
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Keep histories and logs of good rounds too
    #[arg(long)]
    pub keep: bool,
    /// Where histories and logs go [default: a new directory for temporary files]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Where the scripts of the cluster are
    #[arg(long, default_value = "deploy/local", value_name = "DIR")]
    pub scripts: PathBuf,
    /// Play one round inside the cluster's namespace; files go here
    #[arg(long, hide = true, value_name = "DIR")]
    pub round: Option<PathBuf>,
}
