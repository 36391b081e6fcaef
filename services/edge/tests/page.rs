//! The page that an edge serves: its STOMP client and outbox under Node.js, and all of it in headless Chromium.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use kit::edge::Edge;
use kit::kafka::Kafka;
use kit::node::Node;
use kit::wire::Wire;
use serde_json::json;

/// Well above what the whole script takes on a busy machine with two cores.
const STEP: Duration = Duration::from_secs(180);
/// Said while the page is away.
const MEANWHILE: usize = 80;

/// Promises 2, 4, 8 as a reader sees them, and the page's own: delivery states, strict content security policy, text only.
/// The script (`js/page.mjs`) asks for the edge's death and for its return.
#[test]
fn two_pages_talk_and_survive_kill_9_of_the_edge() {
    if !kit::require_node() || !kit::require_browser() {
        return;
    }
    let mut edge = Edge::start(&["--dev"]);
    let address = edge.listen.clone();
    let mut script = Node::start("page.mjs", &[&format!("http://{address}")]);
    for expected in ["kill", "start", "passed"] {
        let said = script.wait_for("the script goes on", STEP, |_| true);
        assert_eq!(said["at"], expected, "{}", said["why"].as_str().unwrap_or_default());
        match expected {
            "kill" => edge.kill9(),
            "start" => edge = Edge::start(&["--dev", "--listen", &address]),
            _ => return,
        }
        script.tell(&json!({}));
    }
}

/// Promises 3, 4 and 8: the edge dies, much is said meanwhile, and another edge, which does not remember that far back,
/// takes over its address: the page goes on behind what it had, without a gap and without anything twice.
#[test]
fn p3_p8_the_page_goes_on_at_another_edge_beyond_what_that_remembers() {
    if !kit::require_kafka() || !kit::require_node() || !kit::require_browser() {
        return;
    }
    let kafka = Kafka::start(1);
    let sizes = ["--partitions", "1", "--max-body", "4KiB", "--max-headers", "4KiB"];
    let mut edge = Edge::on(&kafka, "first", &[&sizes[..], &["--create-topic", "--page"]].concat());
    let address = edge.listen.clone();
    let other = Edge::on(&kafka, "other", &sizes);
    let mut sender = Wire::connect(&other);
    let mut script = Node::start("page_resume.mjs", &[&format!("http://{address}"), &MEANWHILE.to_string()]);
    for expected in ["speak", "kill", "passed"] {
        let said = script.wait_for("the script goes on", STEP, |_| true);
        assert_eq!(said["at"], expected, "{}", said["why"].as_str().unwrap_or_default());
        match expected {
            "speak" => drop(sender.send("/topic/room", "before")),
            "kill" => {
                edge.kill9();
                (0..MEANWHILE).for_each(|n| drop(sender.send("/topic/room", &format!("meanwhile {n}"))));
                let noise = "x".repeat(3_000);
                for _ in 0..60 {
                    sender.say("SEND", &[("destination", "/topic/noise"), ("receipt", "noise")], &noise);
                    sender.receipt("noise");
                }
                let small = ["--page", "--tail-bytes", "64KiB", "--listen", &address];
                edge = Edge::on(&kafka, "second", &[&sizes[..], &small].concat());
            }
            _ => {
                assert!(
                    edge.metric("klatsch_resume_total{result=\"kafka\"}") >= 1.0,
                    "more than the memory was needed"
                );
                return;
            }
        }
        script.tell(&json!({}));
    }
}

/// F, H, R, B, E and §7 of `stomp.md` on the client's side, at every cut of the bytes: `page/*.test.js`.
#[test]
fn the_stomp_client_of_the_page_under_node() {
    if !kit::require_tool("node") {
        return;
    }
    let page = kit::root().join("services/edge/page");
    let files: Vec<PathBuf> = std::fs::read_dir(&page)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".test.js"))
        .collect();
    assert_eq!(files.len(), 5, "{files:?}");
    let out = Command::new("node").args(["--test", "--test-reporter=tap"]).args(&files).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    let count = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u32>().ok());
    assert!(out.status.success() && count("# fail") == Some(0), "{text}\n{}", String::from_utf8_lossy(&out.stderr));
    assert!(count("# pass") > Some(85), "{text}");
}
