//! A Spring front end's page, unchanged, in headless Chromium: SockJS and webstomp-client, `/sub/chat/room/{id}`,
//! `/pub/chat/message` with the room in the body (`stomp.md` §3.4, family B; P01, P02, P20).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::time::Duration;

use kit::edge::Edge;
use kit::node::Node;
use serde_json::json;

/// Well above what the whole script takes on a busy machine with two cores.
const STEP: Duration = Duration::from_secs(180);

/// What an edge has to be told about such a front end: its path, and where its rooms are named.
const FAMILY_B: &[&str] = &["--send-by-body", "/pub/chat/message=/roomId", "--alias-subscribe", "/sub/chat/room/"];

/// Over WebSocket, and over each of the transports for browsers that have none, from a page of another origin.
#[test]
fn p01_p02_p20_a_spring_page_runs_unchanged() {
    if !kit::require_node() || !kit::require_browser() {
        return;
    }
    let mut script = Node::start("spring.mjs", &[]);
    let origin = script.wait_for("the page is served", STEP, |_| true)["at"]["serving"].as_str().unwrap().to_owned();
    let edge = Edge::start(&[&["--dev", "--ws-path", "/ws-stomp", "--allow-origin", &origin], FAMILY_B].concat());
    script.tell(&json!({ "server": format!("http://{}", edge.listen) }));
    let end = script.wait_for("the script ends", STEP, |_| true);
    assert_eq!(end["at"], "passed", "{}", end["why"].as_str().unwrap_or_default());
}
