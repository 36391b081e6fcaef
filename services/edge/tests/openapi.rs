//! `/openapi.yaml` against the edge that serves it: schemathesis (PyPI) asks for all that the description allows, and for
//! much that it does not, and compares each answer with it: statuses, media types, fields, bodies, line by line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod kit;

use std::process::Command;

use kit::edge::Edge;
use kit::http::ask;
use kit::users::Users;
use kit::{require_clients, root};

/// Runs schemathesis against this edge, once with the description's own examples and all of its corners, once with requests
/// made at random, so many for each operation. What it finds fails the test.
fn check(edge: &Edge, args: &[&str]) {
    for (phases, lines) in [("examples,coverage", ""), ("fuzzing", "1")] {
        let Some(python) = require_clients("python") else { return };
        let folder = root().join("services/edge/tests/python");
        let here = tempfile::tempdir().unwrap();
        let out = Command::new("timeout")
            .args(["-s", "KILL", "120"])
            .arg(python.get_program())
            .args(["-m", "schemathesis.cli", "run", &format!("http://{}/openapi.yaml", edge.listen)])
            .args(["--phases", phases, "--max-examples", "60", "--seed", "7", "--checks", "all"])
            .args(["--request-timeout", "10", "--warnings", "off", "--no-color"])
            .args(args)
            .env("SCHEMATHESIS_HOOKS", "rooms_openapi")
            .env("LINES", lines)
            .env("PYTHONPATH", folder)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(here.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success(), "{said}\n{}", String::from_utf8_lossy(&out.stderr));
        eprintln!("{}", said.rsplit_once("SUMMARY").unwrap().1);
    }
}

/// Everything that is answered within HTTP. Streams have no end, so that they are tested elsewhere.
#[test]
fn every_answer_is_as_described() {
    let edge = Edge::start(&["--log-memory", "--max-body", "2KiB"]);
    // A room that is not empty.
    assert_eq!(ask(&edge, "POST", "/rooms/general/messages", &[], "hello").status, 201);
    check(&edge, &["--exclude-tag", "streams", "--exclude-checks", "ignored_auth"]);
}

/// Who is not let in is refused as described, by streams too.
#[test]
fn every_refusal_is_as_described() {
    let users = Users::new();
    let edge = Edge::start(&[&["--log-memory"], &*users.args()].concat());
    // Its 101 comes before anybody is looked at.
    check(&edge, &["--exclude-operation-id", "openSocket", "--exclude-checks", "positive_data_acceptance"]);
}
