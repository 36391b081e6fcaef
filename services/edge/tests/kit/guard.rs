//! Ends what the tests started, however the test process ends: a shell in a session of its own reads what is running from
//! a pipe, and when that pipe closes (normal end, panic, Ctrl-C, SIGKILL) it ends what has not been reported as ended.

use std::io::Write;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};

const SCRIPT: &str = r#"
declare -A pids kafkas clusters
while read -r what value; do
  case $what in
    +pid) pids[$value]=1 ;;
    -pid) unset "pids[$value]" ;;
    +kafka) kafkas[$value]=1 ;;
    -kafka) unset "kafkas[$value]" ;;
    +cluster) clusters[$value]=1 ;;
    -cluster) unset "clusters[$value]" ;;
  esac
done
for pid in "${!pids[@]}"; do kill -KILL "$pid"; done
for state in "${!kafkas[@]}"; do KLATSCH_KAFKA_STATE=$state "$0/kafka-local" down; rm -rf "$(dirname "$state")"; done
for state in "${!clusters[@]}"; do KLATSCH_STATE=$state "$0/cluster" down; rm -rf "$(dirname "$state")"; done
"#;

fn tell(line: &str) {
    static PIPE: OnceLock<Mutex<ChildStdin>> = OnceLock::new();
    let pipe = PIPE.get_or_init(|| {
        let shell = Command::new("setsid")
            .args(["bash", "-c", SCRIPT])
            .arg(super::root().join("deploy/local"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Mutex::new(shell.expect("setsid, bash").stdin.expect("piped"))
    });
    let mut pipe = pipe.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    writeln!(pipe, "{line}").expect("the guard lives");
}

/// This process runs from now on.
pub fn process_started(pid: u32) {
    tell(&format!("+pid {pid}"));
}

/// This process has been waited for: its pid may be anybody's.
pub fn process_ended(pid: u32) {
    tell(&format!("-pid {pid}"));
}

/// Brokers live in this state directory, the only thing in its parent.
pub fn kafka_started(state: &Path) {
    tell(&format!("+kafka {}", state.display()));
}

/// Those brokers are down.
pub fn kafka_ended(state: &Path) {
    tell(&format!("-kafka {}", state.display()));
}

/// `make cluster` lives in this state directory, the only thing in its parent.
pub fn cluster_started(state: &Path) {
    tell(&format!("+cluster {}", state.display()));
}

/// That cluster is down.
pub fn cluster_ended(state: &Path) {
    tell(&format!("-cluster {}", state.display()));
}
