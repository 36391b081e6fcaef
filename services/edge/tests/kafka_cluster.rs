//! `make cluster`: one URL in front of three edges, and what a client behind it notices when an edge dies.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::time::Duration;

use kit::cluster::Cluster;
use kit::stomp::Crowd;

const SOON: Duration = Duration::from_secs(20);

#[test]
fn the_load_balancer_spreads_clients_over_the_edges_and_leaves_out_a_dead_one() {
    if !kit::require_kafka() || !kit::require_tool("haproxy") {
        return;
    }
    let mut cluster = Cluster::start();
    let url = cluster.url.replace("http://", "ws://") + "/ws";
    let sessions = |edge: u16| {
        let (status, text) = kit::http_get(&cluster.admin(edge), "/metrics").unwrap();
        assert_eq!(status, 200);
        kit::metric(&text, "klatsch_sessions").expect("klatsch_sessions")
    };

    // The edge with the fewest comes next: as many clients as edges, so one on each, and they talk.
    let crowd = Crowd::new();
    let clients: Vec<_> = (0..3).map(|_| crowd.client(&url)).collect();
    assert_eq!([1, 2, 3].map(sessions), [1.0, 1.0, 1.0]);
    clients.iter().for_each(|client| client.subscribe(0, "lobby"));
    let ids: Vec<_> = (clients.iter().zip(0..))
        .map(|(client, n)| client.receipt(&client.send("lobby", &format!("from {n}")), SOON))
        .map(|receipt| receipt.header("message-id").unwrap().to_owned())
        .collect();
    for client in &clients {
        client.wait("all three", SOON, |log| (log.messages.len() == 3).then_some(()));
        assert_eq!(client.ids(0).iter().map(ToString::to_string).collect::<Vec<_>>(), ids, "promise 2");
    }

    // An edge dies: its client is cut, the others are not; who comes now comes through.
    cluster.run(&["kill", "2"]).unwrap();
    let cut = kit::eventually("one is cut", SOON, || clients.iter().position(|client| !client.is_open()));
    let late: Vec<_> = (0..3).map(|_| crowd.client(&url)).collect();
    late.iter().for_each(|client| client.subscribe(0, "lobby"));
    late[0].receipt(&late[0].send("lobby", "again"), SOON);
    for client in clients.iter().enumerate().filter(|(n, _)| *n != cut).map(|(_, client)| client) {
        client.wait("the fourth", SOON, |log| (log.messages.len() == 4).then_some(()));
        assert!(client.is_open());
    }
    assert!(cluster.run(&["status"]).is_err(), "status tells that one is dead");

    // `up` again starts what is dead and leaves alone what runs.
    cluster.up();
    cluster.run(&["status"]).unwrap();
    assert!(late.iter().all(kit::stomp::Client::is_open));
    let sessions = kit::metric(&kit::http_get(&cluster.admin(2), "/metrics").unwrap().1, "klatsch_sessions");
    assert_eq!(sessions, Some(0.0), "the edge that is back has no client yet");
    cluster.run(&["down"]).unwrap();
    assert!(kit::http_get(&cluster.admin(1), "/livez").is_err(), "down means down");
}
