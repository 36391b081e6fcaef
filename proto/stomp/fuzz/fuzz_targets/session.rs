//! No input makes a session panic, grow past its limits, or say anything after ERROR.
#![no_main]

#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::session_keeps_its_promises(data));
