//! The properties of the fuzz targets for transports and batches, on their seeds and on changed ones, for compilers without libFuzzer.
//! W07, J09, J10, J11.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../fuzz/batches.rs"]
mod batches;
#[path = "../fuzz/transports.rs"]
mod transports;

use klatsch_edge::{rooms::ndjson, spare, transport};
use proptest::prelude::*;
use std::{fs, path::Path};
use transport::Kind;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

const OVER_WEBSOCKET: [Kind; 4] = [Kind::WebSocket, Kind::SockJs, Kind::Echo, Kind::SockJsEcho];

#[test]
fn w07_cuts_change_nothing_on_the_seeds() {
    let seeds = [seeds("websocket"), seeds("sockjs")].concat();
    for kind in OVER_WEBSOCKET {
        seeds.iter().for_each(|seed| transports::cuts_change_nothing(&kind, seed));
        // The first octet of SockJS's says whether it is a stream.
        seeds.iter().for_each(|seed| transports::cuts_change_nothing(&kind, &seed[1..]));
    }
}

/// J11: a message that is incomplete when we close, and turns out not to be SockJS.
#[test]
fn j11_what_comes_behind_our_close_is_passed_over() {
    transports::cuts_change_nothing(&Kind::SockJs, b"\x05\x81\x82\x01\xdc\x04\x5a\x5f");
}

#[test]
fn cuts_change_no_batch_on_the_seeds() {
    seeds("ndjson").iter().for_each(|seed| batches::cuts_change_nothing(seed));
}

proptest! {
    #[test]
    fn cuts_change_no_batch(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut seed = which.get(&seeds("ndjson")).clone();
        for (at, octet) in changes {
            let at = at.index(seed.len());
            seed[at] = octet;
        }
        batches::cuts_change_nothing(&seed);
    }

    #[test]
    fn w07_cuts_change_nothing(
        which in any::<prop::sample::Index>(),
        kind in prop::sample::select(&OVER_WEBSOCKET[..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut seed = which.get(&seeds("websocket")).clone();
        for (at, octet) in changes {
            let at = at.index(seed.len());
            seed[at] = octet;
        }
        transports::cuts_change_nothing(&kind, &seed);
    }

    #[test]
    fn j09_j10_strings_are_read_back(text in any::<String>()) {
        transports::strings_are_read_back(&text);
    }
}
