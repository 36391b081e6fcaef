//! What the integration tests share: real brokers, real edges, real clients, and waiting with a deadline.
//!
//! Nothing a test started outlives it: see [`guard`].
// Each test file uses a part of it.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

pub mod cluster;
pub mod edge;
pub mod events;
pub mod frame;
pub mod guard;
pub mod http;
pub mod kafka;
pub mod node;
pub mod script;
pub mod stomp;
pub mod tcp;
pub mod topic;
pub mod users;
pub mod websocket;
pub mod wire;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
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

/// Is this program there? If not: a failure with CI=true; elsewhere false, and SKIPPED is said past the test harness,
/// which would swallow it. Use: `if !require_tool("node") { return; }`
#[must_use]
pub fn require_tool(name: &str) -> bool {
    // Debian keeps servers, HAProxy among them, where only root looks.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).chain(["/usr/sbin".into()]).any(|dir| dir.join(name).is_file());
    found || skip(&format!("no '{name}'; make tools says how to get it"))
}

/// Can a cluster have a network namespace of its own, and lose packets in it?
#[must_use]
pub fn require_namespaces() -> bool {
    let made =
        || Command::new("unshare").args(["-r", "-n", "-m", "true"]).status().is_ok_and(|status| status.success());
    ["ip", "nft", "kcat"].into_iter().all(require_tool) && (made() || skip("no right to make network namespaces"))
}

/// Can real brokers be started (Java, Kafka's jars)? Fetches the jars if they are not in the cache.
#[must_use]
pub fn require_kafka() -> bool {
    let out = Command::new(root().join("deploy/local/kafka-local")).arg("jars").output().unwrap();
    out.status.success() || skip(String::from_utf8_lossy(&out.stderr).trim())
}

/// Can Node.js run the scripts of `tests/js`?
#[must_use]
pub fn require_node() -> bool {
    let packages = root().join("services/edge/tests/js/node_modules/ws");
    require_tool("node") && (packages.exists() || skip("the npm packages of tests/js are missing; make tools"))
}

/// Is there a Chromium that the scripts of `tests/js` can drive?
#[must_use]
pub fn require_browser() -> bool {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let there = |dir: PathBuf| names.iter().any(|name| dir.join(name).is_file());
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(there)) || require_tool("chromium")
}

/// Starts the Python or Java that has the STOMP clients of `tests/python` or `tests/java`; fetches those if they are not
/// in the cache. None if that cannot be.
#[must_use]
pub fn require_clients(language: &str) -> Option<Command> {
    let out = Command::new(root().join("deploy/local/clients")).arg(language).output().unwrap();
    if !out.status.success() {
        let _: bool = skip(String::from_utf8_lossy(&out.stderr).trim());
        return None;
    }
    let words = String::from_utf8(out.stdout).unwrap();
    let mut words = words.lines();
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    Some(command)
}

fn skip(why: &str) -> bool {
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{test}: {why}");
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
    false
}

/// GET over HTTP/1.0: the status and the body.
pub fn http_get(address: &str, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((status.ok_or_else(|| std::io::Error::other(format!("no HTTP answer: {head}")))?, body.to_owned()))
}

/// The sum of a metric's samples in Prometheus' text format, over all labels; None if it is not there.
pub fn metric(text: &str, name: &str) -> Option<f64> {
    let samples: Vec<f64> = text
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])))
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect();
    (!samples.is_empty()).then(|| samples.iter().sum())
}
