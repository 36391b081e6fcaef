//! Batches: lines of JSON that are messages, in any pieces.
#![no_main]
#![allow(dead_code)]

#[path = "../batches.rs"]
mod batches;
#[path = "../../src/rooms/ndjson.rs"]
mod ndjson;

libfuzzer_sys::fuzz_target!(|data: &[u8]| batches::cuts_change_nothing(data));
