//! What the edges say of themselves: `/readyz`, all the time.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::now;
use crate::http::get;

/// How often an edge is asked.
const EVERY: Duration = Duration::from_millis(50);

/// An edge's answer, from when on it was that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// Microseconds since 1970.
    pub(super) at: u64,
    /// The edge, from 1.
    pub(super) edge: usize,
    /// `None`: ready. Else why not: `/readyz`' own words, or why it could not be asked.
    pub(super) failing: Option<String>,
}

/// Threads that ask `/readyz` of every edge until dropped.
#[derive(Debug)]
pub(super) struct Watch {
    changes: Arc<Mutex<Vec<Change>>>,
    end: Arc<AtomicBool>,
    edges: usize,
}

impl Watch {
    /// Of these admin addresses.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(super) fn start(admins: &[SocketAddr]) -> io::Result<Watch> {
        let watch = Watch { changes: Arc::default(), end: Arc::default(), edges: admins.len() };
        for (edge, admin) in (1..).zip(admins.iter().copied()) {
            let (changes, end) = (Arc::clone(&watch.changes), Arc::clone(&watch.end));
            thread::Builder::new().name(format!("watch-{edge}")).spawn(move || follow(edge, admin, &changes, &end))?;
        }
        Ok(watch)
    }

    /// All that has been seen.
    pub(super) fn changes(&self) -> Vec<Change> {
        lock(&self.changes).clone()
    }

    /// Since when all have been ready without a break; `None` if one is not.
    pub(super) fn ready_since(&self) -> Option<u64> {
        let last = self.last();
        let ready = last.iter().filter(|change| change.failing.is_none()).map(|change| change.at);
        if ready.clone().count() == self.edges { ready.max() } else { None }
    }

    /// The edges that are not ready, and why.
    pub(super) fn failing(&self) -> Vec<(usize, String)> {
        self.last().into_iter().filter_map(|change| Some((change.edge, change.failing?))).collect()
    }

    fn last(&self) -> Vec<Change> {
        let changes = lock(&self.changes);
        let last = |edge| changes.iter().rev().find(|change| change.edge == edge).cloned();
        (1..=self.edges).filter_map(last).collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}

fn follow(edge: usize, admin: SocketAddr, changes: &Mutex<Vec<Change>>, end: &AtomicBool) {
    let mut last = None;
    while !end.load(Ordering::Relaxed) {
        let failing = match get(admin, "/readyz") {
            Ok((200, _)) => None,
            Ok((_, body)) => Some(body.trim().replace('\n', "; ")),
            Err(error) => Some(error.to_string()),
        };
        // "stalled: nothing acknowledged for 3 s" and "… for 4 s" are the same thing.
        let kind = failing.as_ref().map(|text| text.split(|c: char| c.is_ascii_digit()).collect::<String>());
        if last.as_ref() != Some(&kind) {
            lock(changes).push(Change { at: now(), edge, failing });
            last = Some(kind);
        }
        thread::sleep(EVERY);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::TcpListener,
        time::Instant,
    };

    use super::*;

    #[test]
    fn a_watch_sees_an_edge_go_and_come_back() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let answers = ["200 OK\r\n\r\nok\n", "503 X\r\n\r\nlog: away for 3 s\n", "503 X\r\n\r\nlog: away for 4 s\n"];
        let admin = listener.local_addr().unwrap();
        thread::spawn(move || {
            for answer in answers.into_iter().chain(std::iter::repeat("200 OK\r\n\r\nok\n")) {
                let Ok((mut stream, _)) = listener.accept() else { return };
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                let _ = write!(stream, "HTTP/1.0 {answer}");
            }
        });
        let (watch, begun) = (Watch::start(&[admin]).unwrap(), Instant::now());
        while watch.changes().len() < 3 {
            assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", watch.changes());
            thread::sleep(Duration::from_millis(5));
        }
        let failing: Vec<_> = watch.changes().into_iter().map(|change| change.failing).collect();
        assert_eq!(failing, [None, Some("log: away for 3 s".to_owned()), None]);
        assert_eq!(watch.failing(), []);
        assert_eq!(watch.ready_since(), Some(watch.changes()[2].at));
    }
}
