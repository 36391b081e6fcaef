//! The load generator against a real edge, which keeps its promises, and against a server that breaks one at a time.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod kit;

use std::ops::RangeInclusive;

use kit::{Edge, Ended, liar::Lie, load};

/// Promises 1 to 4, on one edge: 1000 SENDs to ten receivers each.
#[test]
fn a_real_edge_keeps_its_promises() {
    let edge = Edge::start(&[]);
    let size = ["--connections", "200", "--rooms", "20", "--rate", "200", "--seconds", "5"];
    let ended = load(&[&["chat", "--json", "--url", &edge.url], &size[..]].concat());
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
    for (name, number) in [
        ("sent", 1_000),
        ("receipted", 1_000),
        ("refused", 0),
        ("unknown", 0),
        ("not_sent", 0),
        ("delivered", 10_000),
        ("expected", 10_000),
        ("foreign", 0),
        ("lost", 0),
        ("duplicates", 0),
        ("out_of_order", 0),
        ("wrong_ids", 0),
        ("reconnects", 0),
    ] {
        assert_eq!(ended.number(name), number, "{name} in {}", ended.stdout);
    }
    assert!(ended.report()["delivery"]["p50_ms"].as_f64().unwrap() > 0.0);
    assert!(ended.stderr.contains("200/200 connected"), "a progress line: {}", ended.stderr);
}

async fn chat_with(lie: Lie) -> Ended {
    let url = kit::liar::serve(lie).await;
    let run = move || {
        let size = ["--connections", "6", "--rooms", "2", "--rate", "100", "--seconds", "1"];
        load(&[&["chat", "--json", "--url", &url], &size[..]].concat())
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// The lie is found this often, named, and nothing else is blamed.
async fn is_caught(lie: Lie, counter: &str, often: RangeInclusive<u64>, example: &str) {
    let ended = chat_with(lie).await;
    assert_eq!(ended.code, Some(1), "{lie:?}: {}\n{}", ended.stdout, ended.stderr);
    for name in ["lost", "duplicates", "out_of_order", "wrong_ids", "refused_yet_delivered"] {
        let wanted = if name == counter { often.clone() } else { 0..=0 };
        assert!(wanted.contains(&ended.number(name)), "{lie:?}, {name}: {}", ended.stdout);
    }
    let breaches = ended.report()["breaches"].to_string();
    assert!(breaches.contains(example), "{lie:?}: {breaches}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_keeps_its_promises_passes() {
    let ended = chat_with(Lie::None).await;
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
    assert_eq!((ended.number("receipted"), ended.number("delivered"), ended.number("expected")), (100, 300, 300));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_dropped_message_is_caught() {
    is_caught(Lie::Drop, "lost", 1..=1, "0-20-0000abcd").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipted_message_that_nobody_gets_is_caught() {
    is_caught(Lie::Swallow, "lost", 3..=3, "0-20-0000abcd").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_repeated_message_is_caught() {
    is_caught(Lie::Repeat, "duplicates", 1..=1, "0-20-0000abcd").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_swapped_pair_is_caught() {
    is_caught(Lie::Swap, "out_of_order", 1..=1, "0-20-0000abcd").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_receipt_is_caught() {
    is_caught(Lie::ReceiptId, "wrong_ids", 1..=1, "0-1020-0000abcd").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_that_is_delivered_is_caught() {
    is_caught(Lie::Refuse, "refused_yet_delivered", 1..=3, "0-20-0000abcd").await;
}

/// Not a broken promise: the SEND's outcome is unknown, and the client comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_is_counted_and_comes_back() {
    let ended = chat_with(Lie::Cut).await;
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
    assert_eq!((ended.number("unknown"), ended.number("reconnects")), (1, 1), "{}", ended.stdout);
}

#[test]
fn what_cannot_run_says_what_to_do() {
    let ended = load(&["chat", "--url", "ws://127.0.0.1:1/ws", "--seconds", "1"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("ws://127.0.0.1:1/ws") && ended.stderr.contains("make run"), "{}", ended.stderr);
    let ended = load(&["chat", "--url", "ws://127.0.0.1:1/ws", "--token-file", "/nonexistent"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("/nonexistent"), "{}", ended.stderr);
    let ended = load(&["dump", "--kafka", "127.0.0.1:1"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("make kafka"), "{}", ended.stderr);
}
