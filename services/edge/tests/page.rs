//! The page that an edge serves: its STOMP client and outbox under Node.js, and all of it in headless Chromium.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use kit::edge::Edge;
use kit::node::Node;
use serde_json::json;

/// Well above what the whole script takes on a busy machine with two cores.
const STEP: Duration = Duration::from_secs(180);

/// Promises 2, 4, 8 as a reader sees them, and the page's own: delivery states, strict content security policy, text only.
/// The script (`js/page.mjs`) asks for the edge's death and for its return.
#[test]
fn two_pages_talk_and_survive_kill_9_of_the_edge() {
    if !kit::require_node() || !require_browser() {
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
    assert_eq!(files.len(), 3, "{files:?}");
    let out = Command::new("node").args(["--test", "--test-reporter=tap"]).args(&files).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    let count = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u32>().ok());
    assert!(out.status.success() && count("# fail") == Some(0), "{text}\n{}", String::from_utf8_lossy(&out.stderr));
    assert!(count("# pass") > Some(60), "{text}");
}

fn require_browser() -> bool {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let there = |dir: PathBuf| names.iter().any(|name| dir.join(name).is_file());
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(there))
        || kit::require_tool("chromium")
}
