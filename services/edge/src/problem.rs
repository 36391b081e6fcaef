//! What is wrong, as RFC 9457 (problem details) says it, in the words of the registry of endings ([`crate::disconnect`]).

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};

use crate::disconnect::Ending;

/// Of problems that have no page of their own: the status says what kind of problem it is.
const BLANK: &str = "about:blank";

/// A problem object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Always the blank one.
    pub r#type: &'static str,
    /// The same words each time.
    pub title: Cow<'static, str>,
    /// The HTTP status that says the same.
    pub status: u16,
    /// What is wrong this time.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub detail: Cow<'static, str>,
    /// The ending's label: stable, for programs.
    pub code: Cow<'static, str>,
    /// For a message that was to be stored: `refused` (it is not in the log) or `unknown` (it may be).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    /// Seconds after which it may go better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
}

impl Problem {
    /// One of this kind; the rest is still to be said.
    pub fn new(status: u16, code: impl Into<Cow<'static, str>>) -> Self {
        let (title, detail) = (Cow::default(), Cow::default());
        Self { r#type: BLANK, title, status, detail, code: code.into(), outcome: None, retry_after: None }
    }
}

/// One without an ERROR is a fault of the moment.
impl From<Ending> for Problem {
    fn from(ending: Ending) -> Self {
        let facts = ending.facts();
        let (title, status) = facts.error.unwrap_or((facts.reason, 503));
        let (outcome, retry_after) = (facts.outcome, facts.retry_after);
        Self { title: title.into(), outcome, retry_after, ..Self::new(status, facts.label) }
    }
}

/// The same as it is read again.
#[derive(Deserialize)]
struct Told {
    title: String,
    status: u16,
    #[serde(default)]
    detail: String,
    code: String,
    outcome: Option<String>,
    retry_after: Option<u32>,
}

impl<'de> Deserialize<'de> for Problem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Told { title, status, detail, code, outcome, retry_after } = Told::deserialize(deserializer)?;
        let known = |told: String| ["refused", "unknown"].into_iter().find(|known| *known == told);
        let (title, detail, outcome) = (title.into(), detail.into(), outcome.and_then(known));
        Ok(Self { title, detail, outcome, retry_after, ..Self::new(status, code) })
    }
}
