//! `deploy/local/fault` on a cluster in a network namespace of its own: what it breaks is broken, and nothing else is; what
//! it mends is whole again; and no end of a run leaves anything behind.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kit::cluster::Cluster;

const SOON: Duration = Duration::from_secs(40);

fn required() -> bool {
    kit::require_kafka() && kit::require_tool("haproxy") && kit::require_namespaces()
}

/// Promise 9: the edge that is cut from Kafka says so, the others stay ready, and all is well without a restart.
#[test]
fn one_edge_is_cut_from_kafka_and_mended_and_a_kill_of_the_caller_leaves_nothing() {
    if !required() {
        return;
    }
    let cluster = Cluster::start_apart();
    let faults = cluster.fault(&["list"]).unwrap();
    for line in faults.lines() {
        let mut words = line.split_whitespace();
        let (name, hold) = (words.next().unwrap(), words.next().unwrap());
        assert!(!name.is_empty() && (1..=60).contains(&hold.parse::<u32>().unwrap()), "{line}");
        assert!(words.count() > 3, "it is said what it does: {line}");
    }
    let unknown = cluster.fault(&["no-such-fault", "begin"]).unwrap_err();
    assert!(unknown.contains("fault list"), "{unknown}");

    let edge = env!("CARGO_BIN_EXE_klatsch-edge");
    let ready = |number: u16| cluster.exec(&[edge, "healthcheck", "--admin", &cluster.admin(number)]).is_ok();
    assert!([1, 2, 3].into_iter().all(ready));
    assert!(kit::http_get(&cluster.admin(1), "/readyz").is_err(), "it is not reached from outside");
    let pids = cluster.run(&["pids"]).unwrap();
    assert_eq!(pids.lines().count(), 7, "{pids}");

    let before = now();
    let moment = cluster.fault(&["edge-cut-from-kafka", "begin"]).unwrap();
    assert!((before..=now()).contains(&moment.trim().parse().unwrap()), "{moment}");
    assert_eq!(cluster.fault(&["edge-cut-from-kafka", "begin"]).unwrap(), moment, "begun once");
    kit::eventually("the edge that is cut says so", SOON, || (!ready(1)).then_some(()));
    assert!(ready(2) && ready(3), "the others are not cut");
    cluster.fault(&["edge-cut-from-kafka", "end"]).unwrap();
    cluster.fault(&["edge-cut-from-kafka", "end"]).unwrap();
    cluster.fault(&["settled"]).unwrap();
    assert_eq!(cluster.run(&["pids"]).unwrap(), pids, "nothing was restarted");

    // Whatever is in force, whoever has died, and whatever the caller still runs inside: down ends it.
    cluster.fault(&["kill-leader", "begin"]).unwrap();
    cluster.fault(&["one-way-cut", "begin", "2"]).unwrap();
    let namespace = cluster.exec(&["readlink", "/proc/self/ns/net"]).unwrap();
    assert_ne!(namespace.trim(), fs::read_link("/proc/self/ns/net").unwrap().to_str().unwrap());
    let mut inside = cluster.script("cluster").args(["exec", "sleep", "600"]).stdin(Stdio::null()).spawn().unwrap();
    cluster.run(&["down"]).unwrap();
    inside.wait().unwrap();
    assert_eq!(left_of(&cluster.state(), namespace.trim()), Vec::<String>::new());
}

#[test]
fn a_killed_up_can_be_taken_down() {
    if !required() {
        return;
    }
    let cluster = Cluster::new(true);
    let mut up = cluster.script("cluster").args(["up", "--netns"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    kit::eventually("a broker is started", SOON, || cluster.state().join("kafka/n1/pid").exists().then_some(()));
    let namespace = cluster.exec(&["readlink", "/proc/self/ns/net"]).unwrap();
    let up = up.as_mut().unwrap();
    up.kill().unwrap();
    up.wait().unwrap();
    cluster.run(&["down"]).unwrap();
    assert_eq!(left_of(&cluster.state(), namespace.trim()), Vec::<String>::new());
}

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()
}

/// Files of the cluster's state, processes that name it or are in its namespace, and mounts in it.
fn left_of(state: &Path, namespace: &str) -> Vec<String> {
    let mut left: Vec<_> =
        fs::read_dir(state).into_iter().flatten().map(|entry| entry.unwrap().path().display().to_string()).collect();
    let name = state.to_str().unwrap();
    for process in fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path()) {
        let arguments = fs::read(process.join("cmdline")).unwrap_or_default();
        let inside = fs::read_link(process.join("ns/net")).is_ok_and(|link| link.to_str() == Some(namespace));
        if inside || String::from_utf8_lossy(&arguments).contains(name) {
            left.push(format!("{}: {}", process.display(), String::from_utf8_lossy(&arguments)));
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    left.extend(mounts.lines().filter(|line| line.contains(name)).map(str::to_owned));
    left
}
