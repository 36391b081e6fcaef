//! The real sockjs-client under Node.js (`js/sockjs.mjs`), over each transport, with each of the STOMP clients that pages
//! use with it.

use std::time::Duration;

use serde_json::Value;

use crate::kit::edge::Edge;
use crate::kit::node::Node;
use crate::kit::users::Users;
use crate::kit::{self, eventually};
use crate::support::edge;

/// Well above what a script takes on a busy machine with two cores.
const STEP: Duration = Duration::from_secs(120);
const TRANSPORTS: [&str; 3] = ["websocket", "xhr-streaming", "xhr-polling"];

/// Runs a script to its end.
#[track_caller]
fn passes(args: &[&str]) {
    let end = last(&mut Node::start("sockjs.mjs", args));
    assert_eq!(end["at"], "passed", "{args:?}: {}", end["why"].as_str().unwrap_or_default());
}

#[track_caller]
fn last(node: &mut Node) -> Value {
    node.wait_for("the script ends", STEP, |said| said["at"] == "passed" || said["at"] == "failed")
}

fn url(edge: &Edge) -> String {
    format!("http://{}/ws", edge.listen)
}

/// J01–J21, W07, W18, D01, R01: connect, subscribe, send, receipt, disconnect, and once more; Korean, emoji, 64 KiB.
#[test]
fn j11_j14_j15_the_real_client_talks() {
    if !kit::require_node() {
        return;
    }
    let edge = edge(&[]);
    for transport in TRANSPORTS {
        for library in ["stompjs", "webstomp-client", "@stomp/stompjs"] {
            passes(&["talk", &url(&edge), transport, library]);
        }
    }
}

/// J09, V09, P18: a page learns the close code that a WebSocket would have told.
#[test]
fn j09_v09_the_real_client_learns_why_it_was_refused() {
    if !kit::require_node() {
        return;
    }
    let users = Users::new();
    let edge = edge(&users.args());
    for transport in TRANSPORTS {
        passes(&["refused", &url(&edge), transport, "not-a-token"]);
    }
}

/// J20: without XHR the client hears of it at once.
#[test]
fn j20_the_real_client_gives_up_in_good_time() {
    if !kit::require_node() {
        return;
    }
    let edge = edge(&["--sockjs-xhr", "off"]);
    passes(&["nothing", &url(&edge)]);
}

/// J02: whom a balancer has sent to one edge polls at the edge that `base_url` names.
#[test]
fn j02_the_real_client_goes_where_base_url_says() {
    if !kit::require_node() {
        return;
    }
    let pinned = edge(&[]);
    let asked = edge(&["--public-url", &format!("http://{}", pinned.listen)]);
    for transport in ["xhr-streaming", "xhr-polling"] {
        let mut node = Node::start("sockjs.mjs", &["stay", &url(&asked), transport]);
        node.wait_for("it is connected", STEP, |said| said["at"] == "connected");
        assert_eq!((asked.metric("klatsch_sessions"), pinned.metric("klatsch_sessions")), (0.0, 1.0));
        drop(node);
        eventually("its session is over", STEP, || (pinned.metric("klatsch_sessions") == 0.0).then_some(()));
    }
}
