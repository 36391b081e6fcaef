//! Whatever a producer writes: both readers agree, none panics, and what can be shown is written again as it was meant.
#![no_main]

#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::readers_agree(data));
