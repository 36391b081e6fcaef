//! SockJS: its messages over WebSocket, and its strings by themselves.
#![no_main]
#![allow(dead_code, unused_imports)]

#[path = "../edge.rs"]
mod edge;
#[path = "../../src/spare.rs"]
mod spare;
#[path = "../../src/transport/mod.rs"]
mod transport;
#[path = "../transports.rs"]
mod transports;

use edge::{destination, disconnect, log, message, metrics, problem};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((0, stream)) => transports::cuts_change_nothing(&transport::Kind::SockJs, stream),
        Some((_, text)) => std::str::from_utf8(text).into_iter().for_each(transports::strings_are_read_back),
        None => {}
    }
});
