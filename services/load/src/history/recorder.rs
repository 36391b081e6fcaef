//! Writing a history while a run goes on. Lines gather in one buffer; a thread writes them. Nothing is ever dropped: a disk
//! that is too slow holds the run up, and one that fails makes it fail.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use super::event::{Event, Head, write};
use crate::outcome::complain;

/// What a process that is killed may lose of its history.
const EVERY: Duration = Duration::from_millis(50);
/// More than this is written at once.
const PLENTY: usize = 256 * 1024;
/// Who adds to this much waits.
const MOST: usize = 32 * 1024 * 1024;

/// Takes the lines of all clients.
pub struct Recorder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    origin: Instant,
    /// Microseconds since 1970, at `origin`: the wall clock is read once, so that no step of it shows.
    origin_us: u64,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    room: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    ended: bool,
    failed: Option<String>,
}

impl Recorder {
    /// Writes to a new file.
    ///
    /// # Errors
    /// The file cannot be made, or the thread not be started.
    pub fn create(path: &Path) -> io::Result<Recorder> {
        Self::on(File::create(path)?)
    }

    /// Writes to `out`.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn on(out: impl Write + Send + 'static) -> io::Result<Recorder> {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        let thread = thread::Builder::new().name("recorder".to_owned()).spawn(move || writer.write_to(out))?;
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let origin_us = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        Ok(Recorder { shared, thread: Some(thread), origin: Instant::now(), origin_us })
    }

    /// One line. Waits while the disk is far behind.
    pub fn record(&self, client: Option<(u32, u32)>, event: &Event<'_>) {
        let mut state = self.shared.lock();
        while state.lines.len() >= MOST && state.failed.is_none() {
            state = self.shared.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.failed.is_some() {
            return;
        }
        // Read under the lock, so that lines lie in the order of their times.
        let t = self.origin_us + u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX);
        let head = Head { t, c: client.map(|(client, _)| client), s: client.map(|(_, session)| session) };
        if let Err(error) = write(&mut state.lines, head, event) {
            state.failed = Some(error.to_string());
        }
        if state.lines.len() >= PLENTY {
            self.shared.work.notify_one();
        }
    }

    /// The last line, and waits until all are written.
    ///
    /// # Errors
    /// What could not be written, now or before.
    pub fn finish(mut self) -> Result<(), String> {
        self.record(None, &Event::End {});
        self.end();
        self.shared.lock().failed.take().map_or(Ok(()), Err)
    }

    fn end(&mut self) {
        self.shared.lock().ended = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // It has told what went wrong, if anything did.
            let _ = thread.join();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        loop {
            let quiet = |state: &mut State| state.lines.len() < PLENTY && !state.ended;
            let waited = self.work.wait_timeout_while(self.lock(), EVERY, quiet);
            let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut state.lines, &mut lines);
            let ended = state.ended;
            drop(state);
            self.room.notify_all();
            if let Err(error) = out.write_all(&lines).and_then(|()| out.flush()) {
                complain(&format!("klatsch-load: the history cannot be written: {error}"));
                self.lock().failed = Some(error.to_string());
                self.room.notify_all();
                return;
            }
            lines.clear();
            if ended {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::history::read;

    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<Vec<u8>>>);

    impl Write for Disk {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            // Slower than who fills it.
            thread::sleep(Duration::from_millis(1));
            self.0.lock().unwrap().write(&octets[..octets.len().min(1 << 20)])
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nothing_is_dropped_and_times_rise() {
        let disk = Disk::default();
        let recorder = Recorder::on(disk.clone()).unwrap();
        thread::scope(|scope| {
            for client in 0..4 {
                let recorder = &recorder;
                scope.spawn(move || {
                    for n in 0..50_000 {
                        let id = Some("1-2-0000abcd".into());
                        recorder.record(Some((client, 1)), &Event::Receipt { n, attempt: 1, id, ts: None });
                    }
                });
            }
        });
        recorder.finish().unwrap();
        let written = disk.0.lock().unwrap();
        let (mut next, mut last, mut ended) = ([0; 4], 0, false);
        for line in written.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()) {
            let (head, event) = read(line).unwrap();
            assert!(head.t >= last);
            last = head.t;
            match event {
                Event::Receipt { n, .. } => {
                    let client = head.c.unwrap() as usize;
                    assert_eq!(n, next[client]);
                    next[client] += 1;
                }
                _ => ended = true,
            }
        }
        assert_eq!((next, ended), ([50_000; 4], true));
    }

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("disk full"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_disk_that_fails_is_told_and_holds_nobody_up() {
        let recorder = Recorder::on(Full).unwrap();
        let why = "x".repeat(1 << 20);
        for _ in 0..64 {
            recorder.record(None, &Event::Error { code: None, text: why.as_str().into() });
        }
        assert_eq!(recorder.finish(), Err("disk full".to_owned()));
    }
}
