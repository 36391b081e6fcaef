//! How a stream is cut into pieces changes nothing (F20).
#![no_main]

#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::cuts_change_nothing(data));
