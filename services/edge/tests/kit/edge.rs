//! One edge: the real binary.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::kafka::Kafka;
use super::{eventually, guard, http_get};

const START: Duration = Duration::from_secs(60);

pub struct Edge {
    child: Child,
    stdout: Receiver<String>,
    dir: tempfile::TempDir,
    /// `127.0.0.1:port` of the public and the admin listener, once [`Edge::listening`] has seen them.
    pub listen: String,
    pub admin: String,
    /// The same for STOMP on TCP; empty without `--stomp-listen`.
    pub stomp: String,
    speaks_tcp: bool,
}

impl Edge {
    /// Starts the process and waits for nothing. Both listeners are on port 0 unless `args` say otherwise.
    pub fn spawn(args: &[&str]) -> Self {
        Self::spawn_program(env!("CARGO_BIN_EXE_klatsch-edge").as_ref(), args)
    }

    /// The same of another build.
    pub fn spawn_program(program: &std::ffi::OsStr, args: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("klatsch-edge-").tempdir().unwrap();
        let mut command = Command::new(program);
        for (flag, value) in [("--listen", "127.0.0.1:0"), ("--admin", "127.0.0.1:0")] {
            if !args.contains(&flag) {
                command.args([flag, value]);
            }
        }
        // Settings of the caller's shell are not the test's.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("KLATSCH_")) {
            command.env_remove(name);
        }
        let log = File::create(dir.path().join("log")).unwrap();
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap();
        guard::process_started(child.id());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, stdout) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let speaks_tcp = args.contains(&"--stomp-listen");
        Self { child, stdout, dir, listen: String::new(), admin: String::new(), stomp: String::new(), speaks_tcp }
    }

    /// Starts an edge and waits until it is ready.
    #[track_caller]
    pub fn start(args: &[&str]) -> Self {
        let mut edge = Self::spawn(args);
        edge.listening();
        edge.ready();
        edge
    }

    /// Starts an edge on a real Kafka and waits until it is ready.
    #[track_caller]
    pub fn on(kafka: &Kafka, instance: &str, args: &[&str]) -> Self {
        let bootstrap = kafka.bootstrap();
        Self::start(&[&["--kafka", &bootstrap, "--instance", instance], args].concat())
    }

    /// Waits for the two `… on http://…` lines, and the one for STOMP on TCP if there is to be one.
    #[track_caller]
    pub fn listening(&mut self) {
        self.listen = self.line("listening on http://");
        self.admin = self.line("admin on http://");
        if self.speaks_tcp {
            self.stomp = self.line("stomp on tcp://");
        }
    }

    /// Waits for the line `ready`.
    #[track_caller]
    pub fn ready(&self) {
        assert_eq!(self.line("ready"), "");
    }

    /// The next line of standard output must begin like this; returns its rest.
    #[track_caller]
    pub fn line(&self, begin: &str) -> String {
        match self.stdout.recv_timeout(START) {
            Ok(line) => {
                line.strip_prefix(begin).unwrap_or_else(|| panic!("`{begin}…` expected, got `{line}`")).to_owned()
            }
            Err(RecvTimeoutError::Timeout) => panic!("no line `{begin}…` within {START:?}"),
            Err(RecvTimeoutError::Disconnected) => panic!("the edge ended without a line `{begin}…`:\n{}", self.log()),
        }
    }

    /// Is there anything on standard output that has not been read?
    pub fn has_line(&self) -> bool {
        self.stdout.try_recv().is_ok()
    }

    /// `ws://…/ws`
    pub fn url(&self) -> String {
        format!("ws://{}/ws", self.listen)
    }

    /// GET on the admin listener.
    #[track_caller]
    pub fn admin_get(&self, path: &str) -> (u16, String) {
        http_get(&self.admin, path).unwrap()
    }

    /// The sum of a metric over its labels; 0 while it is not there.
    #[track_caller]
    pub fn metric(&self, name: &str) -> f64 {
        super::metric(&self.admin_get("/metrics").1, name).unwrap_or(0.0)
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Waits until the log contains this text; the process may end meanwhile.
    #[track_caller]
    pub fn logged(&self, text: &str, within: Duration) {
        eventually(&format!("the log says `{text}`"), within, || self.log().contains(text).then_some(()));
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// SIGKILL, as when the machine dies.
    pub fn kill9(&mut self) {
        self.child.kill().unwrap();
        self.exit(Duration::from_secs(10));
    }

    /// SIGTERM, then its exit status.
    #[track_caller]
    pub fn terminate(&mut self, within: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        self.exit(within)
    }

    /// Its exit status, which must come within this time.
    #[track_caller]
    pub fn exit(&mut self, within: Duration) -> ExitStatus {
        let pid = self.child.id();
        let from = Instant::now();
        let status = eventually("the edge ends", within, || self.child.try_wait().unwrap());
        eprintln!("edge {pid} ended after {:?}: {status}", from.elapsed());
        guard::process_ended(pid);
        status
    }

    /// Has it not ended?
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let pid = self.child.id();
        let _ = self.child.kill();
        if self.child.wait().is_ok() {
            guard::process_ended(pid);
        }
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(40).collect();
            eprintln!("---- the end of the log of edge {pid}");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}
