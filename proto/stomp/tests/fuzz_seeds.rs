//! The properties of the fuzz targets, on their seeds and on random frames, for compilers without libFuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../fuzz/properties.rs"]
mod properties;

use proptest::prelude::*;
use std::{fs, path::Path};

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

/// F20
#[test]
fn f20_cuts_change_nothing_on_the_seeds() {
    seeds("decode").iter().chain(&seeds("session")).for_each(|seed| properties::cuts_change_nothing(seed));
}

/// F20, with every single place for one cut
#[test]
fn f20_every_single_cut_of_every_seed() {
    for seed in seeds("decode") {
        let stream = [b"CONNECT\naccept-version:1.2\n\n\0", &seed[1..]].concat();
        let config = properties::small(Default::default());
        let whole = properties::trace(config.clone(), [&stream[..]]);
        for at in 0..=stream.len() {
            let (head, tail) = stream.split_at(at);
            assert_eq!(whole, properties::trace(config.clone(), [head, tail]), "cut at {at}");
        }
    }
}

#[test]
fn m07_e03_l02_session_keeps_its_promises_on_the_seeds() {
    seeds("session").iter().chain(&seeds("decode")).for_each(|seed| properties::session_keeps_its_promises(seed));
}

/// Streams made of the pieces that real ones are made of, in any order and number.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let scraps = [
        "SEND\n",
        "SUBSCRIBE\n",
        "UNSUBSCRIBE\n",
        "ACK\n",
        "NACK\n",
        "BEGIN\n",
        "COMMIT\n",
        "ABORT\n",
        "DISCONNECT\n",
        "CONNECT\n",
        "MESSAGE\n",
        "send\n",
        "destination:/topic/a\n",
        "destination:/topic/a\r\n",
        "id:1\n",
        "id:0-1-1\n",
        "transaction:t\n",
        "receipt:r\\c1\n",
        "ack:client\n",
        "ack:client-individual\n",
        "content-length:3\n",
        "content-length:-1\n",
        "content-length:99999\n",
        "heart-beat:0,0\n",
        "selector:x\n",
        "a\\nb:c\\\\d\n",
        "é:한\n",
        "x:\\t\n",
        ":\n",
        "sender:eve\n",
        "prefetch-count:1\n",
        "message-id:m-1\n",
        "subscription:1\n",
        "\n",
        "\r\n",
        "\n\0",
        "\n\nabc\0",
        "\0",
        "abc",
        "\r",
        "\u{1}",
        "\n\0\n",
        "destination:/topic/a\n\nhello\0",
        "SUBSCRIBE\nid:1\ndestination:/topic/a\nack:client\n\n\0",
        "SEND\ndestination:/topic/a\nx:y\n\nhi\0",
        "BEGIN\ntransaction:t\n\n\0",
        "COMMIT\ntransaction:t\n\n\0",
        "ACK\nid:0-1-1\n\n\0",
    ];
    let scrap = prop_oneof![
        20 => proptest::sample::select(scraps.to_vec()).prop_map(|scrap| scrap.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ];
    (any::<u8>(), proptest::collection::vec(scrap, 0..40)).prop_map(|(choice, scraps)| {
        let mut data = vec![choice];
        data.extend(scraps.concat());
        data
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn f20_cuts_change_nothing(data in soup()) {
        properties::cuts_change_nothing(&data);
    }

    #[test]
    fn m07_e03_l02_session_keeps_its_promises(data in soup()) {
        properties::session_keeps_its_promises(&data);
    }
}
