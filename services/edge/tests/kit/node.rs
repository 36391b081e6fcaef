//! A script of `tests/js` under Node.js.

use std::process::Command;

pub use super::script::Script as Node;

impl Node {
    /// Starts `node SCRIPT ARGS…`.
    pub fn start(script: &str, args: &[&str]) -> Self {
        let script = super::root().join("services/edge/tests/js").join(script);
        Self::run(Command::new("node").arg(script).args(args))
    }
}
