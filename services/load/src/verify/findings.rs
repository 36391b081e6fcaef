//! What was checked, how often a promise broke, and the first counter-example of each.

use serde::Serialize;

use super::log::At;

/// The promises (DESIGN §2) that a history can prove broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Rule {
    /// A RECEIPT names a stored record, which is that SEND's.
    P1,
    /// A room has one order.
    P2,
    /// No silent gap.
    P3,
    /// Nothing twice inside a session.
    P4,
    /// Every SEND ends in time, and what was refused is not stored.
    P5,
    /// The sender is who was connected; no credential reaches a room.
    P6,
    /// Who was closed, and may come back, goes on without missing anything.
    P7,
    /// What was receipted survives a killed edge.
    P8,
    /// Sessions that do not send stay.
    P10,
}

impl Rule {
    /// All of them, in the order of a report.
    pub const ALL: [Rule; 9] =
        [Rule::P1, Rule::P2, Rule::P3, Rule::P4, Rule::P5, Rule::P6, Rule::P7, Rule::P8, Rule::P10];

    /// The promise in words, and what is counted as checked.
    pub const fn promise(self) -> (&'static str, &'static str) {
        match self {
            Rule::P1 => ("a RECEIPT means: this SEND is stored at that place", "receipts"),
            Rule::P2 => ("a room has one order, the log's; a session's SENDs keep theirs", "messages"),
            Rule::P3 => ("no silent gap", "messages"),
            Rule::P4 => ("nothing twice inside a session; repeats are hidden from all alike", "messages"),
            Rule::P5 => ("every SEND ends within its time; what was refused is not in the log", "SENDs"),
            Rule::P6 => ("the sender is who was connected; no credential reaches a room", "messages"),
            Rule::P7 => ("who was closed and may come back (4002, 1012, …) goes on without loss", "resumptions"),
            Rule::P8 => ("what was receipted survives the death of its edge", "receipts"),
            Rule::P10 => ("sessions that do not send stay, though the log is away", "sessions"),
        }
    }
}

/// Where in the histories something was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Scene {
    /// The history.
    pub file: u32,
    /// Its line.
    pub line: u64,
    /// Microseconds since 1970.
    pub t: u64,
    /// The run.
    pub run: u32,
    /// The client.
    pub client: u32,
    /// Its session.
    pub session: u32,
}

/// A counter-example.
#[derive(Debug, Clone, Serialize)]
pub struct Story {
    /// What broke.
    pub rule: Rule,
    /// Where it was seen.
    pub scene: Scene,
    /// What was seen.
    pub what: String,
    /// The lines of the client's history around it.
    pub history: Vec<String>,
    /// The records around it.
    pub log: Vec<String>,
    #[serde(skip)]
    pub(super) at: Option<At>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    checked: u64,
    violations: u64,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub struct Findings {
    counts: [Count; Rule::ALL.len()],
    first: Vec<Story>,
}

impl Findings {
    /// One more that could have broken this promise.
    pub(super) fn checked(&mut self, rule: Rule) {
        self.counts[rule as usize].checked += 1;
    }

    /// `count` breaches; the first of its kind is told.
    pub(super) fn broken(
        &mut self,
        rule: Rule,
        count: u64,
        scene: Scene,
        at: Option<At>,
        what: impl FnOnce() -> String,
    ) {
        self.counts[rule as usize].violations += count;
        // The first in time, not the first that was found out.
        let known = self.first.iter().position(|story| story.rule == rule);
        if known.is_some_and(|known| self.first[known].scene.t <= scene.t) {
            return;
        }
        let story = Story { rule, scene, what: what(), history: Vec::new(), log: Vec::new(), at };
        match known {
            Some(known) => self.first[known] = story,
            None => self.first.push(story),
        }
    }

    /// How many were checked, and how many broke it.
    pub fn count(&self, rule: Rule) -> (u64, u64) {
        let Count { checked, violations } = self.counts[rule as usize];
        (checked, violations)
    }

    /// Nothing broke.
    pub fn held(&self) -> bool {
        self.counts.iter().all(|count| count.violations == 0)
    }

    /// The first counter-example of each, by promise.
    pub fn into_stories(mut self) -> Vec<Story> {
        self.first.sort_by_key(|story| story.rule);
        self.first
    }

    pub(super) fn stories_mut(&mut self) -> &mut [Story] {
        &mut self.first
    }
}
