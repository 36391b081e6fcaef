//! What `chat` records on two real edges over real Kafka, while one of them is killed, is judged by `verify`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod kit;

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, SystemTime},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use kit::{Edge, Ended, eventually, kafka::Kafka, load, require_kafka};
use serde_json::Value;

const SECRET: &[u8] = b"a secret for tests that is long enough";

/// A token for each client: so a SEND that is sent again after a reconnect is its sender's again.
fn tokens(path: &Path, clients: u32) {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let token = |client: u32| {
        let claims = serde_json::json!({ "sub": format!("user-{client}"), "exp": since.as_secs() + 3600 });
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET)).unwrap()
    };
    fs::write(path, (0..clients).map(|client| token(client) + "\n").collect::<String>()).unwrap();
}

/// Promises 1 to 8, on two edges and real Kafka; one of them dies.
#[test]
fn p8_an_edge_is_killed_and_every_promise_holds() {
    if !require_kafka() {
        return;
    }
    let (ended, statistics) = an_edge_dies(&[]);
    assert_eq!((ended.number("reconnects"), ended.number("recovered")), (30, 30), "{}", ended.stdout);
    let number = |name: &str| statistics[name].as_u64().unwrap();
    assert_eq!((number("recovered"), statistics["closes"]["1006"].as_u64()), (30, Some(30)), "{statistics}");
    assert_eq!(number("receipted"), number("sends"), "what was unknown was sent again: {statistics}");
    assert_eq!(number("again"), number("unanswered"), "{statistics}");
}

/// The same for rooms in which some speak STOMP, some a plain WebSocket, and some read events or poll and publish by POST:
/// all of them go on at the other edge by their tokens.
#[test]
fn p1_to_p8_on_every_transport_while_an_edge_is_killed() {
    if !require_kafka() {
        return;
    }
    let (ended, statistics) = an_edge_dies(&["--transport", "stomp,socket,events,poll,long-poll"]);
    assert!(ended.number("reconnects") >= 30, "{}", ended.stdout);
    let number = |name: &str| statistics[name].as_u64().unwrap();
    assert!(number("recovered") >= 30, "{statistics}");
    assert!(number("receipted") > number("sends") * 9 / 10, "{statistics}");
}

/// What `chat` said when one of its two edges was killed, and what `verify` says of what it recorded.
fn an_edge_dies(more: &[&str]) -> (Ended, Value) {
    let dir = tempfile::tempdir().unwrap();
    let [history, token_file, key] =
        ["history.jsonl", "tokens", "key"].map(|name| dir.path().join(name).to_str().unwrap().to_owned());
    fs::write(&key, SECRET).unwrap();
    tokens(Path::new(&token_file), 60);
    let kafka = Kafka::start(1);
    let brokers = kafka.bootstrap();
    let start = |instance| {
        let place = ["--kafka", &brokers, "--create-topic", "--replication-factor", "1", "--instance", instance];
        let who = ["--auth", "jwt", "--jwt-alg", "HS256", "--jwt-key", &key, "--open-rooms"];
        Edge::start(&[&place[..], &who[..]].concat())
    };
    let (mut one, other) = (start("edge-1"), start("edge-2"));
    let size = ["--connections", "60", "--rooms", "6", "--rate", "150", "--seconds", "6", "--token-file", &token_file];
    let how = ["--keys", "--retry", "--soft-errors", "--authorization-on-send", "--json", "--record", &history];
    let url = one.url.clone();
    let args = [&["chat", "--url", &url, "--url", &other.url], &size[..], &how[..], more].concat();
    let ended = thread::scope(|scope| {
        let chat = scope.spawn(|| load(&args));
        eventually("200 receipts", Duration::from_secs(60), || {
            let lines = fs::read_to_string(&history).unwrap_or_default();
            (lines.matches("\"e\":\"receipt\"").count() > 200).then_some(())
        });
        one.kill9();
        chat.join().unwrap()
    });
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);

    let verdict = load(&["verify", "--json", "--history", &history, "--kafka", &brokers]);
    assert_eq!((verdict.code, verdict.number("violations")), (Some(0), 0), "{}{}", verdict.stdout, verdict.stderr);
    for row in verdict.report()["rules"].as_array().unwrap() {
        assert!(row["checked"].as_u64().unwrap() > 0 || row["rule"] == "P7", "{row}");
    }
    let statistics = verdict.report()["statistics"].clone();
    (ended, statistics)
}
