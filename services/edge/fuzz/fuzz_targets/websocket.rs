//! WebSocket, from the first octet behind the handshake on.
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

libfuzzer_sys::fuzz_target!(|data: &[u8]| transports::cuts_change_nothing(&transport::Kind::WebSocket, data));
