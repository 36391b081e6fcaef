//! A server under test: a child process with a known address, ended when dropped.

use std::{
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{meter::Meter, settings::BaselineKind, stage::EdgeLog};
use crate::{
    http::{get, metric},
    target::Target,
};

/// A server that runs and accepts clients.
#[derive(Debug)]
pub(crate) struct Server {
    /// `edge`, or the baseline's name.
    pub(crate) name: &'static str,
    /// Where clients connect.
    pub(crate) target: Target,
    /// Where an edge answers operators; baselines do not.
    pub(crate) admin: Option<SocketAddr>,
    process: Process,
    log: PathBuf,
}

/// A child that ends with us.
#[derive(Debug)]
struct Process(Child);

/// What an edge says of itself at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Metrics(String);

impl Metrics {
    /// The sum of the samples of a metric whose labels contain `label`.
    pub(crate) fn sum(&self, name: &str, label: &str) -> f64 {
        metric(&self.0, name, label)
    }
}

impl Server {
    /// Starts an edge and waits until it is ready.
    ///
    /// # Errors
    /// It ended before: what it said last.
    pub(super) fn edge(program: &Path, log: &EdgeLog, args: &[&str], dir: &Path) -> Result<Server, String> {
        let mut command = Command::new(program);
        match log {
            EdgeLog::Memory => {
                command.arg("--log-memory");
            }
            EdgeLog::Kafka { brokers, topic } => {
                command.args(["--kafka", brokers, "--topic", topic, "--create-topic"]);
            }
        }
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).args(args);
        Server::start("edge", command, dir)
    }

    /// Starts a baseline.
    ///
    /// # Errors
    /// It ended before it listened.
    pub(super) fn baseline(kind: BaselineKind, dir: &Path) -> Result<Server, String> {
        let program = env::current_exe().map_err(|error| format!("this program's path: {error}"))?;
        let mut command = Command::new(program);
        command.args(["baseline", kind.name()]);
        Server::start(kind.name(), command, dir)
    }

    fn start(name: &'static str, mut command: Command, dir: &Path) -> Result<Server, String> {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let log = dir.join(format!("{name}-{}.log", STARTED.fetch_add(1, Ordering::Relaxed)));
        let failed = |error: std::io::Error| format!("{name}: {error}");
        let file = File::create(&log).map_err(failed)?;
        // Settings of the caller's shell are not the bench's.
        for (variable, _) in env::vars_os().filter(|(variable, _)| variable.to_string_lossy().starts_with("KLATSCH_")) {
            command.env_remove(variable);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file).spawn().map_err(failed)?;
        let mut process = Process(child);
        let lines = process.0.stdout.take().map(|stdout| BufReader::new(stdout).lines().map_while(Result::ok));
        let (mut target, mut admin, mut ready) = (None, None, false);
        // Nothing is printed behind `ready`, so nothing meets the closed pipe.
        for line in lines.into_iter().flatten() {
            if let Some(address) = line.strip_prefix("listening on http://") {
                target = format!("ws://{address}/ws").parse().ok();
            }
            if let Some(address) = line.strip_prefix("admin on http://") {
                admin = address.parse().ok();
            }
            if line == "ready" {
                ready = true;
                break;
            }
        }
        match target.filter(|_| ready) {
            Some(target) => Ok(Server { name, target, admin, process, log }),
            None => Err(format!("{name} ended before it was ready: {}", end_of(&log))),
        }
    }

    /// Reads what it costs.
    pub(crate) fn meter(&self) -> Meter {
        Meter::new(self.process.0.id())
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// An edge's metrics.
    ///
    /// # Errors
    /// It has no admin address, or does not answer there.
    pub(crate) fn metrics(&self) -> Result<Metrics, String> {
        let admin = self.admin.ok_or_else(|| format!("{} has no metrics", self.name))?;
        let (_, text) = get(admin, "/metrics").map_err(|error| format!("{}: metrics: {error}", self.name))?;
        Ok(Metrics(text))
    }

    /// The end of its log.
    pub(crate) fn said(&self) -> String {
        end_of(&self.log)
    }
}

fn end_of(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(3)..].join("\n  ")
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
