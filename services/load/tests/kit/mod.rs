//! What the tests of the load generator share: the program, and a real edge.
// Each test file uses a part of it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

pub mod liar;

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

/// The program's end.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// A number of the report.
    #[track_caller]
    pub fn number(&self, name: &str) -> u64 {
        self.report()[name].as_u64().unwrap_or_else(|| panic!("no number {name} in {}", self.stdout))
    }

    #[track_caller]
    pub fn report(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

/// `klatsch-load` with these arguments, to its end.
pub fn load(args: &[&str]) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_klatsch-load")).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A real edge with its embedded log, on a free port.
pub struct Edge {
    child: Child,
    pub url: String,
}

impl Edge {
    #[track_caller]
    pub fn start(args: &[&str]) -> Edge {
        let mut command = Command::new(binary());
        command.args(["--dev", "--listen", "127.0.0.1:0"]).args(args);
        // Settings of the caller's shell are not the test's.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("KLATSCH_")) {
            command.env_remove(name);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut edge = Edge { child, url: String::new() };
        for line in lines {
            if let Some(address) = line.strip_prefix("listening on http://") {
                edge.url = format!("ws://{address}/ws");
            }
            if line == "ready" {
                return edge;
            }
        }
        panic!("the edge ended before it was ready");
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The edge belongs to another package, so cargo does not say where it is: beside this test's own `deps`.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("klatsch-edge");
    if !path.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let target = path.parent().unwrap().parent().unwrap();
        let built = Command::new(cargo)
            .args(["build", "--release", "--locked", "-p", "klatsch-edge", "--target-dir"])
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(built.unwrap().success(), "cargo build -p klatsch-edge");
    }
    path
}
