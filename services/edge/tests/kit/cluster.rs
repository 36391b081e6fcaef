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
    _turn: File,
}

impl Cluster {
    /// Starts all of it on free ports; returns when every edge is ready.
    #[track_caller]
    pub fn start() -> Self {
        let turn = kafka::turn();
        let dir = tempfile::Builder::new().prefix("klatsch-cluster-").tempdir().unwrap();
        let mut cluster = Self { dir, url: String::new(), _turn: turn };
        guard::cluster_started(&cluster.state());
        cluster.up();
        cluster
    }

    /// `cluster up`, which starts what is not running. Standard output must be the URL and nothing else.
    #[track_caller]
    pub fn up(&mut self) {
        let out = self.run(&["up"]).unwrap_or_else(|why| panic!("{why}"));
        let url = out.strip_suffix('\n').expect("a line");
        assert!(url.starts_with("http://127.0.0.1:") && !url.contains('\n'), "{out}");
        self.url = url.to_owned();
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Standard output of `cluster ARGS…`, or what it said on standard error.
    pub fn run(&self, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new(super::root().join("deploy/local/cluster"));
        command.args(args).env("KLATSCH_STATE", self.state()).env("KLATSCH_EDGE", env!("CARGO_BIN_EXE_klatsch-edge"));
        if self.url.is_empty() {
            // The load balancer, its edges, their admin listeners.
            let ours = [30].into_iter().chain(31..34).chain(131..134);
            let base = kafka::free_base(kafka::ports(3).chain(ours));
            command.env("KLATSCH_KAFKA_PORT", base.to_string()).env("KLATSCH_PORT", (base + 30).to_string());
        }
        let out = command.output().unwrap();
        if out.status.success() {
            Ok(String::from_utf8_lossy(&out.stdout).into_owned())
        } else {
            Err(format!("cluster {args:?}: {}", String::from_utf8_lossy(&out.stderr)))
        }
    }

    /// `127.0.0.1:port` of an edge's admin listener.
    pub fn admin(&self, edge: u16) -> String {
        let port: u16 = self.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        format!("127.0.0.1:{}", port + 100 + edge)
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
