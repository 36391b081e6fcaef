//! A line: what an event carries, as JSON or as text.

use std::fmt::{self, Write as _};

use serde_json::Value;
use tracing::{
    Level,
    field::{Field, Visit},
};
use tracing_subscriber::fmt::{
    format::Writer,
    time::{FormatTime as _, SystemTime},
};

use super::level_name;

/// Names that a line has already, whatever a library calls its fields.
const OURS: [&str; 7] = ["ts", "level", "event", "msg", "target", "text", "suppressed"];
/// What a library says, which knows no events of ours.
const LIBRARY: &str = "library";

/// The fields of an event, in order, `message` and `event` apart.
#[derive(Default)]
pub(super) struct Fields {
    event: Option<String>,
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    /// What is counted together: the event, and the code of an ending.
    pub(super) fn kind(&self) -> String {
        let event = self.event.as_deref().unwrap_or(LIBRARY);
        match self.others.iter().find(|(name, _)| *name == "code") {
            Some((_, Value::String(code))) => format!("{event} {code}"),
            _ => event.to_owned(),
        }
    }

    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("event", Value::String(name)) => self.event = Some(name),
            // What was a line of the `log` crate says again where it comes from.
            (name, _) if name.starts_with("log.") => {}
            (name, value) => self.others.push((if name == "error" { "err" } else { name }, value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }
}

/// All there is to be written.
pub(super) struct Line<'a> {
    pub(super) level: Level,
    pub(super) target: &'a str,
    pub(super) fields: &'a Fields,
    /// Lines of this kind that were not written since the last one.
    pub(super) suppressed: u64,
}

impl Line<'_> {
    /// Everything but time and level; a library's line says which library it is.
    fn rest(&self) -> impl Iterator<Item = (&str, Value)> {
        let Fields { event, message, others } = self.fields;
        let is_library = event.is_none();
        let event = event.as_deref().unwrap_or(LIBRARY);
        let msg = if is_library { "a library says" } else { message.as_str() };
        let library = [("target", self.target), ("text", message.as_str())];
        [("event", event), ("msg", msg)]
            .into_iter()
            .chain(library.into_iter().filter(move |(_, text)| is_library && !text.is_empty()))
            .map(|(name, text)| (name, Value::from(text)))
            .chain(others.iter().filter(|(name, _)| !OURS.contains(name)).map(|(name, value)| (*name, value.clone())))
            .chain((self.suppressed > 0).then(|| ("suppressed", self.suppressed.into())))
    }

    pub(super) fn json(&self) -> String {
        let mut line = format!(r#"{{"ts":"{}","level":"{}""#, now(), level_name(self.level));
        for (name, value) in self.rest() {
            // Writing to a String cannot fail.
            let _ = write!(line, ",{}:{value}", Value::from(name));
        }
        line.push_str("}\n");
        line
    }

    pub(super) fn text(&self) -> String {
        let mut line = format!("{} {:>5}", now(), level_name(self.level));
        for (name, value) in self.rest() {
            let _ = match (name, &value) {
                ("event", Value::String(text)) => write!(line, " {text}:"),
                ("msg", Value::String(text)) => write!(line, " {}", text.escape_debug()),
                _ => write!(line, " {name}={value}"),
            };
        }
        line.push('\n');
        line
    }
}

/// RFC 3339, UTC.
fn now() -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}
