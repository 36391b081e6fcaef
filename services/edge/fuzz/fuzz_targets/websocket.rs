//! WebSocket, from the first octet behind the handshake on.
#![no_main]
#![allow(dead_code)]

#[path = "../../src/spare.rs"]
mod spare;
#[path = "../../src/transport/mod.rs"]
mod transport;
#[path = "../transports.rs"]
mod transports;

libfuzzer_sys::fuzz_target!(|data: &[u8]| transports::cuts_change_nothing(&transport::Kind::WebSocket, data));
