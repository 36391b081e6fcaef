//! Ctrl-C, and waiting that it can interrupt.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

/// Set by SIGINT and SIGTERM; a second one ends the process at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Handles the signals from now on.
    ///
    /// # Errors
    /// They cannot be handled.
    pub(super) fn on_signals() -> io::Result<Stop> {
        let stop = Stop::default();
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop.0))?;
            flag::register(signal, Arc::clone(&stop.0))?;
        }
        Ok(stop)
    }

    /// Whether to stop.
    pub(super) fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks every 50 ms until there is an answer; `None` after this time, or when told to stop.
    ///
    /// # Errors
    /// What the question says.
    pub(super) fn until<T>(
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
