//! The committed code is what prost makes of `v1/message.proto`. `UPDATE_GEN=1 cargo test -p chat-proto` writes it anew.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, path::Path};

#[test]
fn generated_code_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().unwrap();
    let schema = protox::compile(["v1/message.proto"], [root]).expect("v1/message.proto compiles");
    prost_build::Config::new()
        // `body` and `uuid` are slices of the record, not copies.
        .bytes(["."])
        .out_dir(out.path())
        .compile_fds(schema)
        .unwrap();

    let fresh = fs::read_to_string(out.path().join("chat.v1.rs")).unwrap();
    let committed = root.join("src/gen/chat.v1.rs");
    if std::env::var_os("UPDATE_GEN").is_some_and(|v| v == "1") {
        fs::write(&committed, fresh).unwrap();
    } else {
        let committed = fs::read_to_string(committed).expect("src/gen/chat.v1.rs is committed");
        assert!(committed == fresh, "src/gen/chat.v1.rs is stale: run `UPDATE_GEN=1 cargo test -p chat-proto`");
    }
}
