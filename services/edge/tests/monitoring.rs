//! The alerts and the dashboard of `deploy/monitoring` against a live edge that a real Prometheus scrapes: each expression
//! names what there is, and each panel shows something. What needs no edge is looked at by `deploy/check/monitoring`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod kit;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kit::edge::Edge;
use kit::wire::Wire;
use kit::{eventually, guard, http_get, require_tool, root};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

const SCRAPED: Duration = Duration::from_secs(30);

/// A Prometheus that scrapes one edge every half second, with the alerts of this tree.
struct Prometheus {
    child: Child,
    dir: tempfile::TempDir,
    address: String,
}

impl Prometheus {
    fn start(edge: &Edge) -> Self {
        let dir = tempfile::Builder::new().prefix("klatsch-prometheus-").tempdir().unwrap();
        let alerts = root().join("deploy/monitoring/alerts.yaml");
        let config = format!(
            "global: {{scrape_interval: 500ms, evaluation_interval: 1s}}\n\
             rule_files: [{alerts:?}]\n\
             scrape_configs:\n\
             - job_name: klatsch-edge\n\
             \x20 static_configs: [{{targets: [{:?}], labels: {{namespace: test, pod: edge-0}}}}]\n",
            edge.admin
        );
        fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()));
        command.args(["--web.listen-address=127.0.0.1:0", "--log.level=info"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        guard::process_started(child.id());
        let mut prometheus = Self { child, dir, address: String::new() };
        prometheus.address = eventually("Prometheus listens", SCRAPED, || {
            let log = fs::read_to_string(prometheus.dir.path().join("log")).unwrap();
            let line = log.lines().find(|line| line.contains("msg=\"Listening on\""))?;
            Some(line.split("address=").nth(1)?.split(' ').next()?.to_owned())
        });
        prometheus
    }

    /// What its API answers, if it is well.
    fn ask(&self, path: &str) -> Option<Value> {
        let (status, body) = http_get(&self.address, path).ok()?;
        assert!(status == 200 || status == 503, "{path}: {status} {body}");
        let answer: Value = serde_json::from_str(&body).ok()?;
        (answer["status"] == "success").then(|| answer["data"].clone())
    }

    /// The values of an expression at this moment; not a number is none.
    fn values(&self, expression: &str) -> usize {
        let query = utf8_percent_encode(expression, NON_ALPHANUMERIC);
        let answer = self.ask(&format!("/api/v1/query?query={query}"));
        let result = answer.map(|answer| answer["result"].clone()).unwrap_or_default();
        let numbers = result.as_array().into_iter().flatten().filter(|sample| sample["value"][1] != "NaN");
        numbers.count()
    }

    /// The expressions of the alerts, as it has read them.
    fn alerts(&self) -> Vec<(String, String)> {
        let rules = eventually("the rules have been evaluated", SCRAPED, || {
            let rules = self.ask("/api/v1/rules")?["groups"][0]["rules"].as_array()?.clone();
            rules.iter().all(|rule| rule["health"] == "ok").then_some(rules)
        });
        let text = |rule: &Value, field: &str| rule[field].as_str().unwrap().to_owned();
        rules.iter().map(|rule| (text(rule, "name"), text(rule, "query"))).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        if self.child.wait().is_ok() {
            guard::process_ended(self.child.id());
        }
    }
}

/// The dashboard's expressions, each with its panel's title.
fn panels() -> Vec<(String, String)> {
    let dashboard = fs::read_to_string(root().join("deploy/monitoring/dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let mut expressions = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "4s");
            let expression = expression.replace("$namespace", ".*").replace("$pod", ".*");
            expressions.push((panel["title"].as_str().unwrap().to_owned(), expression));
        }
    }
    expressions
}

/// The selectors of an expression: our metrics' names, each with what stands in braces behind it.
fn selectors(expression: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for prefix in ["klatsch_", "process_"] {
        for (at, _) in expression.match_indices(prefix) {
            let rest = &expression[at..];
            let name = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let braces = if rest[name..].starts_with('{') { rest[name..].find('}').unwrap() + 1 } else { 0 };
            found.push(&rest[..name + braces]);
        }
    }
    found
}

/// The labels that it groups or joins by.
fn labels(expression: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for word in ["by (", "without (", "on (", "ignoring ("] {
        for (at, _) in expression.match_indices(word) {
            let list = &expression[at + word.len()..];
            found.extend(list[..list.find(')').unwrap()].split(',').map(str::trim));
        }
    }
    found
}

/// Somebody is always coming, sending, listening, and going.
fn busy(edge: &str, stop: &AtomicBool) {
    let mut reader = Wire::connect(edge);
    reader.subscribe("0", "/topic/lobby");
    while !stop.load(Ordering::Relaxed) {
        let mut wire = Wire::connect(edge);
        let history = [("id", "0"), ("destination", "/topic/lobby"), ("x-history", "2"), ("receipt", "in")];
        wire.say("SUBSCRIBE", &history, "");
        wire.say("SEND", &[("destination", "/topic/lobby")], "hello");
        assert_eq!(reader.message(), "hello");
        wire.leave();
    }
}

#[test]
fn every_expression_shows_something_of_a_live_edge() {
    if !require_tool("prometheus") {
        return;
    }
    let edge = Edge::start(&["--dev"]);
    let stop = AtomicBool::new(false);
    let prometheus = Prometheus::start(&edge);
    let (panels, alerts) = (panels(), prometheus.alerts());
    assert!(panels.len() > 40 && alerts.len() > 12);
    std::thread::scope(|scope| {
        let listen = edge.listen.as_str();
        let stop = &stop;
        scope.spawn(move || busy(listen, stop));
        let empty = || -> Vec<String> {
            let mut empty: Vec<String> = Vec::new();
            for (title, expression) in &panels {
                if prometheus.values(expression) == 0 {
                    empty.push(format!("{title}: {expression}"));
                }
            }
            for (name, expression) in panels.iter().chain(&alerts) {
                let nothing = selectors(expression).into_iter().filter(|selector| prometheus.values(selector) == 0);
                empty.extend(nothing.map(|selector| format!("{name}: there is no {selector}")));
            }
            empty
        };
        let deadline = std::time::Instant::now() + SCRAPED;
        let mut left = empty();
        while !left.is_empty() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(500));
            left = empty();
        }
        stop.store(true, Ordering::Relaxed);
        assert!(left.is_empty(), "{left:#?}");
    });
    let known: HashSet<String> = serde_json::from_value(prometheus.ask("/api/v1/labels").unwrap()).unwrap();
    for (name, expression) in panels.iter().chain(&alerts) {
        for label in labels(expression) {
            assert!(known.contains(label), "{name}: there is no label {label}");
        }
    }
}

/// What `promtool` says of the text that an edge serves to whoever names no format.
#[test]
fn promtool_finds_nothing_wrong_with_the_text() {
    if !require_tool("promtool") {
        return;
    }
    let edge = Edge::start(&["--dev"]);
    eventually("librdkafka's own figures", SCRAPED, || (edge.metric("klatsch_kafka_broker_up") > 0.0).then_some(()));
    let (_, text) = edge.admin_get("/metrics");
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = command.spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let out = promtool.wait_with_output().unwrap();
    let said = [out.stdout, out.stderr].concat();
    assert!(out.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));

    let mut stream = TcpStream::connect(&edge.admin).unwrap();
    let request = "GET /metrics HTTP/1.0\r\nHost: a\r\nAccept: application/openmetrics-text; version=1.0.0\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let text = std::io::read_to_string(stream).unwrap();
    assert!(text.contains("# UNIT klatsch_delivery_seconds seconds\n") && text.ends_with("# EOF\n"));
    let all = text.lines().filter(|line| line.starts_with("# TYPE klatsch_")).count();
    eprintln!("{all} metrics");
    assert!(all > 70, "{all}");
}
