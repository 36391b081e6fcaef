//! Signals and dead threads.

use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use klatsch_edge::shutdown::{End, Shutdown, Supervisor, ThreadEnd};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::raise;

use crate::support::PATIENCE;

/// Runs one ignored test of this very program in a process of its own: signals and limits concern whole processes.
pub(crate) fn in_a_process_of_its_own(test: &str, argument: &str) -> i32 {
    let program = std::env::current_exe().unwrap();
    let mut child: Child = Command::new(program)
        .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
        .env("KLATSCH_TEST_ARGUMENT", argument)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE * 3;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().expect("an exit code, not a signal");
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("{test} hangs");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What the starting test said; refuses to run a test that would harm the whole test process.
pub(crate) fn argument() -> String {
    std::env::var("KLATSCH_TEST_ARGUMENT").expect("another test starts this one, in a process of its own")
}

#[test]
fn the_first_signal_drains_and_the_second_exits() {
    for (signal, code) in [(SIGTERM, 143), (SIGINT, 130)] {
        assert_eq!(in_a_process_of_its_own("shutdown::two_signals", &signal.to_string()), code);
    }
}

#[test]
#[ignore = "ends its process; started by the_first_signal_drains_and_the_second_exits"]
fn two_signals() {
    let second: i32 = argument().parse().unwrap();
    let shutdown = Shutdown::new();
    let (woken, wakes) = sync_channel(8);
    let late = woken.clone();
    shutdown.on_drain(move || woken.send("waiting").unwrap());
    shutdown.on_signals().unwrap();
    assert!(!shutdown.is_draining());
    raise(SIGTERM).unwrap();
    assert_eq!(wakes.recv_timeout(PATIENCE), Ok("waiting"));
    assert!(shutdown.is_draining());
    shutdown.on_drain(move || late.send("late").unwrap());
    assert_eq!(wakes.try_recv(), Ok("late"), "at once when the drain has begun");
    shutdown.drain();
    assert!(wakes.try_recv().is_err(), "each wake once");
    raise(second).unwrap();
    std::thread::sleep(PATIENCE);
    panic!("the second signal was ignored");
}

#[test]
fn every_end_of_a_thread_is_reported() {
    let (supervisor, ends) = Supervisor::new();
    let named = supervisor.supervise("worker-0", || assert_eq!(std::thread::current().name(), Some("worker-0")));
    named.unwrap().join().unwrap();
    let next = || ends.recv_timeout(PATIENCE).unwrap();
    assert_eq!(next(), ThreadEnd { name: "worker-0".to_owned(), how: End::Returned });

    supervisor.supervise("follower", || panic!("offset {} went backwards", 7)).unwrap();
    let how = End::Panicked("offset 7 went backwards".to_owned());
    assert_eq!(next(), ThreadEnd { name: "follower".to_owned(), how });

    let guard = supervisor.guard("producer");
    let _ = std::thread::spawn(move || {
        let _guard = guard;
        panic!("unwinds");
    });
    assert_eq!(next(), ThreadEnd { name: "producer".to_owned(), how: End::Panicked("panicked".to_owned()) });
    assert!(ends.try_recv().is_err());
}
