//! curl in a room: the README's own examples, as they stand there, and what a shell script wants to know of a refusal.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::dialogue::{ask, plan};
use super::guarded;
use super::kit::edge::Edge;
use super::kit::{guard, require_tool, root};

/// A command under way; ended with the test.
struct Running(Child);

impl Running {
    fn start(line: &str) -> Self {
        let child =
            Command::new("bash").args(["-c", line]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        guard::process_started(child.id());
        Self(child)
    }

    /// Its output, line by line, as it comes.
    fn lines(&mut self) -> impl Iterator<Item = String> + use<> {
        BufReader::new(self.0.stdout.take().unwrap()).lines().map_while(Result::ok)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        if self.0.wait().is_ok() {
            guard::process_ended(self.0.id());
        }
    }
}

fn output(line: &str) -> String {
    let lines: Vec<String> = Running::start(line).lines().collect();
    lines.join("\n")
}

/// The README's shell commands for rooms, with this edge's address in place of theirs.
fn examples(edge: &Edge) -> Vec<String> {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let section = readme.split_once("\n## The other ways in\n").unwrap().1.split("\n## ").next().unwrap();
    let block = section.split_once("```sh\n").unwrap().1.split("```").next().unwrap();
    assert!(block.contains("http://localhost:8080/"), "{block}");
    block.replace("localhost:8080", &edge.listen).lines().map(str::to_owned).collect()
}

/// Promises 1 and 4 among others: the 201 names the place that everybody reads, and a key stores once.
#[test]
fn p1_p2_p4_the_examples_of_the_readme() {
    if !require_tool("curl") {
        return;
    }
    let edge = Edge::start(&["--dev"]);
    let mut before = String::from("set -euo pipefail\n");
    let mut said: HashMap<&str, String> = HashMap::new();
    for line in examples(&edge) {
        let command = line.split(" #").next().unwrap().trim_end();
        let script = format!("{before}exec {command}");
        if command.contains("wait=30") {
            // It waits; what is said meanwhile ends the wait. The position that it shows is the room's end.
            let mut waiting = Running::start(&script);
            assert_eq!(ask(&edge.listen, "POST", "/rooms/lobby/messages", "", b"waited for").status, 201);
            said.insert("wait", waiting.lines().collect());
        } else if command.contains("/events") {
            let mut stream = Running::start(&script);
            let mut lines = stream.lines();
            let retry = lines.by_ref().find_map(|line| line.strip_prefix("retry: ").map(str::to_owned)).unwrap();
            assert!(retry.parse::<u32>().is_ok_and(|ms| ms >= 500), "{retry}");
            assert!(lines.by_ref().any(|line| line == "event: subscribed"));
            assert_eq!(ask(&edge.listen, "POST", "/rooms/lobby/messages", "", b"streamed").status, 201);
            let id = lines.by_ref().find_map(|line| line.strip_prefix("id: ").map(str::to_owned)).unwrap();
            // The position at the beginning has an id too.
            let message = lines.find(|line| line.starts_with("data: ") && line.contains("streamed")).unwrap();
            let message: Value = serde_json::from_str(message.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!((&message["body"], &message["type"]), (&"streamed".into(), &"message".into()));
            said.insert("events", id);
        } else if command.starts_with("printf") {
            said.insert("batch", output(&format!("{before}{command}")));
        } else if command.contains("limit=10") {
            said.insert("history", output(&script));
        } else if command.starts_with("curl") {
            said.insert("post", output(&script));
            assert_eq!(said["post"], output(&script), "the same key: the same place");
        } else {
            // A value is found once: what is asked for later must not stand behind what is said later.
            let name = command.split('=').next().unwrap();
            let value = output(&format!("{before}{command}\nprintf %s \"${name}\""));
            before += &format!("{name}='{value}'\n");
        }
    }
    let json = |what: &str| -> Value { serde_json::from_str(&said[what]).unwrap_or_else(|_| panic!("{said:?}")) };
    let history = json("history");
    let bodies = |answer: &Value| -> Vec<String> {
        answer["messages"].as_array().unwrap().iter().map(|one| one["body"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(history["messages"][0]["id"], json("post")["id"]);
    assert_eq!(bodies(&history), ["hello"]);
    assert_eq!((bodies(&json("wait")), &json("wait")["recovered"]), (vec!["waited for".to_owned()], &true.into()));
    let batch: Vec<Value> = said["batch"].lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(batch.iter().map(|line| line["status"].as_u64()).collect::<Vec<_>>(), [Some(201), Some(201)]);
    assert!(said.contains_key("events"));
}

/// `curl --fail` and its like go by the status; the problem says the rest, and nobody's right to another room helps.
#[test]
fn a_refusal_has_its_status_and_says_why() {
    if !require_tool("curl") {
        return;
    }
    let (edge, _users) = guarded(&[]);
    let plan = plan(&edge, &edge);
    let token = plan["token"].as_str().unwrap();
    let room = super::encoded(plan["room"].as_str().unwrap());
    let ask = |room: &str, what: &str, more: &str| {
        let url = format!("http://{}/rooms/{room}/{what}", edge.listen);
        let told = output(&format!("curl -sS -m 60 -o - -w '\\n%{{http_code}} %{{content_type}}' {more} '{url}'"));
        let (body, last) = told.rsplit_once('\n').unwrap();
        let (status, content_type) = last.split_once(' ').unwrap();
        (status.parse::<u16>().unwrap(), content_type.to_owned(), body.to_owned())
    };
    let bearer = format!("-H 'Authorization: Bearer {token}'");
    let refusals = [
        (&*room, "messages", String::new(), 401),
        (&*room, "events", String::new(), 401),
        (&*room, "messages", format!("-d x {bearer}"), 403),
        ("elsewhere", "messages", bearer.clone(), 403),
        ("elsewhere", "events", bearer.clone(), 403),
    ];
    for (room, what, more, status) in refusals {
        let (got, content_type, body) = ask(room, what, &more);
        assert_eq!((got, &*content_type), (status, "application/problem+json"), "{what} {body}");
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["title"].is_string() && problem["code"].is_string(), "{problem}");
    }
    let (status, content_type, body) = ask(&room, "messages?wait=0", &bearer);
    assert_eq!((status, &*content_type), (200, "application/json"), "{body}");
}
