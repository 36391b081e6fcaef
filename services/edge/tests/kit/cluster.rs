//! What `make cluster` starts, through `deploy/local/cluster`: three brokers, three edges, a load balancer.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use super::{guard, kafka};

/// Edges are counted from 1.
pub struct Cluster {
    dir: tempfile::TempDir,
    /// The load balancer: `http://127.0.0.1:port`.
    pub url: String,
    apart: bool,
    _turn: File,
}

impl Cluster {
    /// Starts all of it on free ports; returns when every edge is ready.
    #[track_caller]
    pub fn start() -> Self {
        let mut cluster = Self::new(false);
        cluster.up();
        cluster
    }

    /// The same in a network namespace of its own: only what goes through [`Cluster::exec`] reaches it.
    #[track_caller]
    pub fn start_apart() -> Self {
        let mut cluster = Self::new(true);
        cluster.up();
        cluster
    }

    /// Nothing runs yet.
    #[track_caller]
    pub fn new(apart: bool) -> Self {
        let turn = kafka::turn();
        let dir = tempfile::Builder::new().prefix("klatsch-cluster-").tempdir().unwrap();
        let cluster = Self { dir, url: String::new(), apart, _turn: turn };
        guard::cluster_started(&cluster.state());
        cluster
    }

    /// `cluster up`, which starts what is not running. Standard output must be the URL and nothing else.
    #[track_caller]
    pub fn up(&mut self) {
        let args = ["up", "--netns"];
        let out = self.run(if self.apart { &args } else { &args[..1] }).unwrap_or_else(|why| panic!("{why}"));
        let url = out.strip_suffix('\n').expect("a line");
        assert!(url.starts_with("http://127.0.0.1:") && !url.contains('\n'), "{out}");
        self.url = url.to_owned();
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Standard output of `cluster ARGS…`, or what it said on standard error.
    pub fn run(&self, args: &[&str]) -> Result<String, String> {
        output(self.script("cluster").args(args))
    }

    /// Standard output of a command that runs where the cluster is, or what it said on standard error.
    pub fn exec(&self, command: &[&str]) -> Result<String, String> {
        output(self.script("cluster").arg("exec").args(command))
    }

    /// Standard output of `fault ARGS…`, or what it said on standard error.
    pub fn fault(&self, args: &[&str]) -> Result<String, String> {
        output(self.script("fault").args(args))
    }

    /// That script of `deploy/local`, for this cluster.
    pub fn script(&self, name: &str) -> Command {
        let mut command = Command::new(super::root().join("deploy/local").join(name));
        command.env("KLATSCH_STATE", self.state()).env("KLATSCH_EDGE", env!("CARGO_BIN_EXE_klatsch-edge"));
        if self.url.is_empty() {
            // The load balancer and its statistics, its edges, their admin listeners.
            let ours = [30, 130].into_iter().chain(31..34).chain(131..134);
            let base = kafka::free_base(kafka::ports(3).chain(ours));
            command.env("KLATSCH_KAFKA_PORT", base.to_string()).env("KLATSCH_PORT", (base + 30).to_string());
        }
        command
    }

    /// `127.0.0.1:port` of an edge's admin listener.
    pub fn admin(&self, edge: u16) -> String {
        let port: u16 = self.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        format!("127.0.0.1:{}", port + 100 + edge)
    }
}

fn output(command: &mut Command) -> Result<String, String> {
    let out = command.output().unwrap();
    if out.status.success() {
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    } else {
        Err(format!("{command:?}: {}", String::from_utf8_lossy(&out.stderr)))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        match self.run(&["down"]) {
            Ok(_) => guard::cluster_ended(&self.state()),
            Err(why) => eprintln!("{why}"), // the guard tries again
        }
    }
}
