//! No file descriptor left: accepting pauses without spinning, and goes on by itself.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::shutdown::{argument, in_a_process_of_its_own};
use crate::support::{Client, Edge};

#[test]
fn running_out_of_files_pauses_accepting() {
    assert_eq!(in_a_process_of_its_own("exhaustion::no_file_left", ""), 0);
}

#[test]
#[ignore = "limits its process; started by running_out_of_files_pauses_accepting"]
fn no_file_left() {
    argument();
    let edge = Edge::start(|_| ());
    assert_eq!(edge.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
    edge.wait_for_counts(0, 0);
    let before = getrlimit(Resource::Nofile);
    let next = File::open("/dev/null").unwrap();
    let lowest_free = u64::try_from(next.as_raw_fd()).unwrap();
    setrlimit(Resource::Nofile, Rlimit { current: Some(lowest_free + 1), maximum: before.maximum }).unwrap();
    drop(next);

    // The client takes the last descriptor; the kernel completes the connection, but accept has none for it.
    let began = Instant::now();
    let mut client = Client::connect(edge.address);
    client.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    edge.events.wait("accept_failed", 4);
    assert!(began.elapsed() >= Duration::from_millis(250), "four failures in {:?}: it spins", began.elapsed());
    assert_eq!(edge.handle.connections(), 0);

    setrlimit(Resource::Nofile, before).unwrap();
    assert_eq!(client.answer().status, 200);
}
