//! A program that a test steers: JSON objects, one a line, in both directions.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::guard;

pub struct Script {
    child: Child,
    stdin: ChildStdin,
    stdout: Receiver<String>,
    /// Every object that the script has written and that was read here, in order.
    pub seen: Vec<Value>,
}

impl Script {
    /// Starts it; standard error goes to the test's.
    pub fn run(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        guard::process_started(child.id());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, stdout) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { stdin: child.stdin.take().unwrap(), child, stdout, seen: Vec::new() }
    }

    /// Hands the script one object.
    #[track_caller]
    pub fn tell(&mut self, command: &Value) {
        writeln!(self.stdin, "{command}").unwrap();
    }

    /// The first object from now on for which `wanted` holds; the others are kept in [`Script::seen`].
    #[track_caller]
    pub fn wait_for(&mut self, what: &str, within: Duration, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = match self.stdout.recv_timeout(left) {
                Ok(line) => line,
                Err(error) => panic!("{what}: {error}; the script said: {:#?}", self.seen.iter().rev().take(10)),
            };
            let value: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            self.seen.push(value.clone());
            if wanted(&value) {
                return value;
            }
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        if self.child.wait().is_ok() {
            guard::process_ended(self.child.id());
        }
    }
}
