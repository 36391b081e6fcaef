//! Ctrl-C, and waiting that it can interrupt.

use std::{
    io, process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

/// A terminal, make and `timeout` may all pass on the same Ctrl-C: what comes this soon after the first is that one.
const SAME: Duration = Duration::from_secs(1);

/// Set by SIGINT and SIGTERM; a second one ends the process at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Handles the signals from now on.
    ///
    /// # Errors
    /// They cannot be handled.
    pub(crate) fn on_signals() -> io::Result<Stop> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let stop = Stop::default();
        let asked = Arc::clone(&stop.0);
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let mut first = None;
            for _ in signals.forever() {
                asked.store(true, Ordering::Relaxed);
                if first.get_or_insert_with(Instant::now).elapsed() > SAME {
                    process::exit(130);
                }
            }
        })?;
        Ok(stop)
    }

    /// Whether to stop.
    pub(crate) fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks every 50 ms until there is an answer; `None` after this time, or when told to stop.
    ///
    /// # Errors
    /// What the question says.
    pub(crate) fn until<T>(
        &self,
        within: Duration,
        mut ask: impl FnMut() -> Result<Option<T>, String>,
    ) -> Result<Option<T>, String> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(answer) = ask()? {
                return Ok(Some(answer));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.asked() {
                return Ok(None);
            }
            thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}
