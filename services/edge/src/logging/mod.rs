//! What an edge says of itself on standard error: one JSON object a line, or text for people (operations.md §5).
//!
//! Every line has an `event` from a closed set ([`events`]) and a constant `msg`; what differs from line to line stands in
//! fields. Of each kind only a few a second are written, and the rest is counted: the next one says how many were not, and
//! so does [`tell_suppressed`]. Users and rooms stand there as [`names::Named`] has them. Bodies, tokens, cookies and headers
//! are never said.

use std::{
    io::Write,
    sync::{Arc, OnceLock},
    time::Instant,
};

use tracing::{Event, Level, Subscriber, field::Visit};
use tracing_subscriber::{
    EnvFilter, Layer,
    layer::{Context, SubscriberExt as _},
    util::SubscriberInitExt as _,
};

use crate::config::{Config, LogFormat};

pub mod events;
mod fields;
mod limit;
pub mod names;

use fields::{Fields, Line};
use limit::Limit;

static LIMIT: OnceLock<Arc<Limit>> = OnceLock::new();

/// Writes to standard error from now on, panics too. Called once.
pub fn init(config: &Config) {
    names::init(&config.log_names);
    // Config has parsed the filter once already, so this one cannot differ.
    let filter = EnvFilter::new(&config.log_filter);
    let limit = Arc::clone(LIMIT.get_or_init(Arc::default));
    let lines = Lines { format: config.log_format, limit, origin: Instant::now() };
    // The filter is everybody's: what it lets nobody have costs its place in the code a load, and some of these are passed
    // with every record.
    tracing_subscriber::registry().with(filter).with(lines).init();
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("?");
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let owned = payload.downcast_ref::<String>().map(String::as_str);
        let err = payload.downcast_ref::<&str>().copied().or(owned).unwrap_or("?");
        tracing::error!(event = "panic", thread, at, err, "a thread has panicked");
    }));
}

/// Says of which kinds lines were suppressed that nothing more has been said of. To be called now and then.
pub fn tell_suppressed() {
    let Some(limit) = LIMIT.get() else { return };
    for (of, lines) in limit.take_silent() {
        tracing::info!(event = "suppressed", of, lines, "lines of this kind were not written");
    }
}

struct Lines {
    format: LogFormat,
    limit: Arc<Limit>,
    origin: Instant,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields as &mut dyn Visit);
        let metadata = event.metadata();
        let kind = fields.kind();
        let Some(suppressed) = self.limit.admit(&kind, self.origin.elapsed()) else { return };
        let line = Line { level: *metadata.level(), target: metadata.target(), fields: &fields, suppressed };
        let text = match self.format {
            LogFormat::Json => line.json(),
            LogFormat::Text => line.text(),
        };
        // One write: lines of several threads do not mix. Nobody is left to tell if it fails.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

/// How loud a level is written.
fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN",
        Level::INFO => "INFO",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    }
}
