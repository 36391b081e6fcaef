//! What the tests of the load generator share: the program, and a real edge.
// Each test file uses a part of it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, unreachable_pub)]

pub mod liar;

/// Of the edge's tests: real brokers, one cluster at a time on the whole machine, ended however the test ends.
#[path = "../../../edge/tests/kit/guard.rs"]
pub mod guard;
#[path = "../../../edge/tests/kit/kafka.rs"]
pub mod kafka;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// The program's end.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// A number of the report.
    #[track_caller]
    pub fn number(&self, name: &str) -> u64 {
        self.report()[name].as_u64().unwrap_or_else(|| panic!("no number {name} in {}", self.stdout))
    }

    #[track_caller]
    pub fn report(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

/// `klatsch-load` with these arguments, to its end.
pub fn load(args: &[&str]) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_klatsch-load")).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A real edge with its embedded log, on a free port.
pub struct Edge {
    child: Child,
    pub url: String,
}

impl Edge {
    #[track_caller]
    pub fn start(args: &[&str]) -> Edge {
        let mut command = Command::new(binary());
        if !args.contains(&"--kafka") {
            command.arg("--dev");
        }
        command.args(["--listen", "127.0.0.1:0"]).args(args);
        // Settings of the caller's shell are not the test's.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("KLATSCH_")) {
            command.env_remove(name);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut edge = Edge { child, url: String::new() };
        for line in lines {
            if let Some(address) = line.strip_prefix("listening on http://") {
                edge.url = format!("ws://{address}/ws");
            }
            if line == "ready" {
                return edge;
            }
        }
        panic!("the edge ended before it was ready");
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, as when its machine dies.
    pub fn kill9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Asks every 10 ms until there is an answer, and fails the test when there is none `within` that time.
#[track_caller]
pub fn eventually<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Can real brokers be started? If not: a failure with CI=true; elsewhere false, and SKIPPED is said past the test harness.
#[must_use]
pub fn require_kafka() -> bool {
    let out = Command::new(root().join("deploy/local/kafka-local")).arg("jars").output().unwrap();
    if out.status.success() {
        return true;
    }
    let (test, why) = (std::thread::current(), String::from_utf8_lossy(&out.stderr));
    let test = test.name().unwrap_or("?");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{test}: {why}");
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {}", why.trim());
    false
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The edge belongs to another package, so cargo does not say where it is: beside this test's own `deps`.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("klatsch-edge");
    if !path.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let target = path.parent().unwrap().parent().unwrap();
        let built = Command::new(cargo)
            .args(["build", "--release", "--locked", "-p", "klatsch-edge", "--target-dir"])
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(built.unwrap().success(), "cargo build -p klatsch-edge");
    }
    path
}
