//! What a real edge says on standard error: JSON lines with events of the closed set, at a bounded rate, and nothing of what
//! its clients said.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod kit;

use std::time::Duration;

use kit::edge::Edge;
use kit::eventually;
use kit::users::Users;
use kit::wire::{PATIENCE, Wire};
use klatsch_edge::config::{Command, Config};
use klatsch_edge::logging::{events::EVENTS, names::Names};
use serde_json::{Map, Value};

/// Refused at once, by so many clients.
const REFUSED: u64 = 30;

/// Every line, each of which has to be as they all are.
fn lines(edge: &Edge) -> Vec<Map<String, Value>> {
    let log = edge.log();
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(line).collect()
}

fn line(text: &str) -> Map<String, Value> {
    let line: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let line = line.as_object().unwrap().clone();
    let names = line.keys().map(|name| text.matches(&format!(",\"{name}\":")).count());
    assert!(names.into_iter().all(|times| times <= 1), "a name twice: {text}");
    let field = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_else(|| panic!("no {name}: {text}"));
    let at = field("ts");
    assert!(at.ends_with('Z') && at.len() >= 20 && is_rfc_3339(at), "{text}");
    assert!(["ERROR", "WARN", "INFO", "DEBUG"].contains(&field("level")), "{text}");
    assert!(EVENTS.iter().any(|(name, _)| *name == field("event")), "{text}");
    assert!(!field("msg").is_empty(), "{text}");
    assert!(["timestamp", "message", "error"].iter().all(|name| !line.contains_key(*name)), "{text}");
    line
}

/// `2026-11-23T13:05:00…Z`
fn is_rfc_3339(at: &str) -> bool {
    let shape = "0000-00-00T00:00:00";
    at.chars().zip(shape.chars()).all(|(got, wanted)| if wanted == '0' { got.is_ascii_digit() } else { got == wanted })
}

/// Those with this event, and this code if it is not empty.
fn with<'a>(lines: &'a [Map<String, Value>], event: &str, code: &str) -> Vec<&'a Map<String, Value>> {
    lines.iter().filter(|line| line["event"] == event && (code.is_empty() || line["code"] == code)).collect()
}

/// The count that each of these lines stands for beside itself.
fn suppressed(lines: &[&Map<String, Value>], field: &str) -> u64 {
    lines.iter().filter_map(|line| line.get(field)?.as_u64()).sum()
}

#[test]
fn json_lines_of_known_events_that_say_nothing_of_what_clients_said() {
    let users = Users::new();
    let mut edge = Edge::start(&[&["--dev", "--log-filter", "debug"], &users.args()[..]].concat());
    let mut said = Vec::new();
    for _ in 0..2 {
        let mut ann = Users::connect(&edge, "ann-the-user");
        ann.subscribe("0", "/topic/a-secret-room");
        ann.send("/topic/a-secret-room", "a secret body");
        ann.message();
        ann.say("ABORT", &[("transaction", "a-secret-header")], "");
        ann.refused("404", 1002);
    }
    for number in 0..REFUSED {
        let token = format!("{}{number}", Users::token("bob-the-user"));
        let mut wire = Wire::open(&edge);
        wire.say("CONNECT", &[("accept-version", "1.2"), ("Authorization", &format!("Bearer {token}"))], "");
        wire.refused("401", 4501);
        said.push(token);
    }
    let all = eventually("nobody's refusal is forgotten", Duration::from_secs(10), || {
        let lines = lines(&edge);
        let (ended, others) = (with(&lines, "connection_ended", "bad_credentials"), with(&lines, "suppressed", ""));
        let others: Vec<_> =
            others.into_iter().filter(|line| line["of"] == "connection_ended bad_credentials").collect();
        let told = ended.len() as u64 + suppressed(&ended, "suppressed") + suppressed(&others, "lines");
        assert!(told <= REFUSED);
        (told == REFUSED).then_some(lines)
    });
    let told = with(&all, "connection_ended", "bad_credentials").len();
    eprintln!("{told} lines for {REFUSED} refusals");
    assert!(told < 30, "{told} lines");

    let ended = with(&all, "connection_ended", "not_open");
    assert_eq!(ended.len(), 2);
    let names = |field: &str| -> Vec<&str> { ended.iter().map(|line| line[field].as_str().unwrap()).collect() };
    assert!(names("user").iter().chain(&names("conn")).all(|name| name.len() == 16), "{ended:?}");
    assert_eq!(names("user")[0], names("user")[1], "one user");
    assert_ne!(names("conn")[0], names("conn")[1], "two connections");
    assert_eq!(with(&all, "embedded_log", "").len(), 1);

    assert_eq!(edge.terminate(PATIENCE).code(), Some(0));
    let all = lines(&edge);
    for event in ["draining", "drained", "flushed"] {
        assert_eq!(with(&all, event, "").len(), 1, "{event}");
    }
    let log = edge.log();
    let secrets = ["a-secret-room", "a secret body", "a-secret-header", "ann-the-user", "bob-the-user", "Bearer"];
    for secret in secrets.into_iter().chain(said.iter().map(|token| token.split('.').nth(1).unwrap())) {
        assert!(!log.contains(secret), "{secret}");
    }
}

#[test]
fn names_as_they_are_for_those_who_ask() {
    let users = Users::new();
    let edge =
        Edge::start(&[&["--log-memory", "--log-filter", "debug", "--log-names", "plain"], &users.args()[..]].concat());
    Users::connect(&edge, "ann-the-user").leave();
    eventually("her end", PATIENCE, || {
        let lines = lines(&edge);
        let ended = with(&lines, "connection_ended", "disconnected");
        ended.first().map(|line| assert_eq!(line["user"], "ann-the-user"))
    });
}

#[test]
fn names_are_hashed_unless_asked_for_and_the_salt_is_nobodys_business() {
    let names = |args: &[&str]| {
        let args = ["klatsch-edge", "--dev"].into_iter().chain(args.iter().copied());
        let Ok(Command::Run(config)) = Config::load(args.map(Into::into), []) else { panic!("no configuration") };
        assert!(!format!("{config:?}").contains("a-salt"));
        config.log_names
    };
    assert_eq!(names(&[]), Names::Hashed);
    assert_eq!(names(&["--log-names", "plain"]), Names::Plain);
    let salt = "a-salt-of-sixteen-octets";
    assert_eq!(names(&["--log-salt", salt]), Names::Salted(salt.to_owned()));
}

/// librdkafka's own lines, and what it is waited for, are lines like all others.
#[test]
fn librdkafka_says_it_the_same_way() {
    let args = ["--kafka", "127.0.0.1:1", "--kafka-property", "debug=broker", "--log-filter", "info,librdkafka=debug"];
    let mut edge = Edge::spawn(&args);
    edge.listening();
    eventually("all of them", Duration::from_secs(20), || {
        let lines = lines(&edge);
        ["librdkafka", "kafka_error", "waiting_for_kafka"]
            .iter()
            .all(|event| !with(&lines, event, "").is_empty())
            .then_some(())
    });
    assert_eq!(edge.terminate(PATIENCE).code(), Some(0));
    lines(&edge);
}
