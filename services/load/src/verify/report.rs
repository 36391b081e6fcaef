//! What `verify` says.

use std::fmt;

use serde::Serialize;

use super::{Findings, Log, Rule, Statistics, Story};

/// One promise.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Its number in the design.
    pub rule: Rule,
    /// In words.
    pub promise: &'static str,
    /// How many could have broken it.
    pub checked: u64,
    /// Of what.
    pub of: &'static str,
    /// How many did.
    pub violations: u64,
}

/// The verdict; as JSON its fields are what scripts read.
#[derive(Debug, Serialize)]
pub struct Report {
    /// No promise broke.
    pub held: bool,
    /// The histories.
    pub histories: Vec<String>,
    /// Every history ends as it should; otherwise its process was stopped.
    pub whole: bool,
    /// Records in the log.
    pub records: usize,
    /// Every promise.
    pub rules: Vec<Row>,
    /// Breaches in all.
    pub violations: u64,
    /// How it was for users.
    pub statistics: Statistics,
    /// The first counter-example of each promise that broke.
    pub stories: Vec<Story>,
}

impl Report {
    pub(super) fn new(
        histories: Vec<String>,
        whole: bool,
        log: Log,
        mut findings: Findings,
        mut statistics: Statistics,
    ) -> Report {
        statistics.finish();
        for story in findings.stories_mut() {
            story.log = story.at.map(|at| log.around(at)).unwrap_or_default();
        }
        let row = |rule: Rule| {
            let ((promise, of), (checked, violations)) = (rule.promise(), findings.count(rule));
            Row { rule, promise, checked, of, violations }
        };
        let rules: Vec<_> = Rule::ALL.into_iter().map(row).collect();
        let violations = rules.iter().map(|row| row.violations).sum();
        let (held, records) = (findings.held(), log.len());
        let stories = findings.into_stories();
        Report { held, histories, whole, records, rules, violations, statistics, stories }
    }

    /// How often a promise was broken.
    pub fn violations(&self, rule: Rule) -> u64 {
        self.rules.iter().find(|row| row.rule == rule).map_or(0, |row| row.violations)
    }

    /// What makes the verdict doubtful, though no promise broke.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.whole {
            warnings.push("a history stops in the middle: its process was killed".to_owned());
        }
        if self.statistics.trimmed > 0 {
            let trimmed = self.statistics.trimmed;
            warnings.push(format!("{trimmed} receipts and messages lie before the dump's first record: nothing is said of them (--dump may name an earlier dump, too)"));
        }
        if self.statistics.messages == 0 {
            warnings.push("nothing was delivered: this proves little".to_owned());
        }
        warnings
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statistics = &self.statistics;
        let (histories, lines) = (self.histories.len(), statistics.lines);
        writeln!(f, "{histories} histories, {lines} lines; {} records", self.records)?;
        writeln!(f, "{:<76}{:>10}  {:<12}{:>8}", "promise", "checked", "", "broken")?;
        for Row { rule, promise, checked, of, violations } in &self.rules {
            let number = format!("{rule:?}");
            writeln!(f, "  {number:<5}{promise:<69}{checked:>10}  {of:<12}{violations:>8}")?;
        }
        let Statistics { sends, again, receipted, refused, unknown, unanswered, .. } = *statistics;
        let ended = unknown + unanswered;
        writeln!(
            f,
            "{sends} SENDs, {again} sent again: {receipted} receipted, {refused} refused, {ended} unknown ({unanswered} with their session)"
        )?;
        let Statistics { sessions, reconnects, connect_failures, recovered, not_recovered, gaps, .. } = *statistics;
        writeln!(
            f,
            "{sessions} sessions, {reconnects} after another ({recovered} recovered, {not_recovered} not), {connect_failures} refused; {gaps} × ERROR 410"
        )?;
        writeln!(f, "{:<26}{:>10}{:>12}{:>12}{:>12}", "ms", "count", "p50", "p99", "max")?;
        for (name, spread) in
            [("SEND to RECEIPT", statistics.receipt), ("away between sessions", statistics.session_gap)]
        {
            let (count, p50, p99, max) = (spread.count, spread.p50_ms, spread.p99_ms, spread.max_ms);
            writeln!(f, "  {name:<24}{count:>10}{p50:>12.1}{p99:>12.1}{max:>12.1}")?;
        }
        writeln!(f, "  {:<24}{:>46.1}", "longest without RECEIPT", statistics.longest_silence_ms)?;
        if !statistics.closes.is_empty() {
            let closes: Vec<_> = statistics.closes.iter().map(|(code, count)| format!("{count} × {code}")).collect();
            writeln!(f, "sessions ended by {}", closes.join(", "))?;
        }
        for fault in &statistics.faults {
            let ms = |time: Option<f64>| time.map_or_else(|| "never".to_owned(), |ms| format!("after {ms:.0} ms"));
            let (noticed, recovered) = (ms(fault.noticed_ms), ms(fault.recovered_ms));
            let (troubled, failed) = (fault.troubled, fault.failed);
            writeln!(
                f,
                "fault at {}: noticed {noticed}, over {recovered}; {troubled} SENDs late or failed, {failed} failed",
                fault.at_ms
            )?;
        }
        self.stories.iter().try_for_each(|story| write!(f, "\n{story}"))?;
        self.warnings().iter().try_for_each(|warning| writeln!(f, "warning: {warning}"))?;
        write!(f, "{}", if self.held { "every promise held" } else { "A PROMISE BROKE" })
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (promise, _) = self.rule.promise();
        writeln!(f, "BROKEN, {:?}: {promise}", self.rule)?;
        let scene = &self.scene;
        writeln!(f, "  client    {}, session {}, run {}", scene.client, scene.session, scene.run)?;
        writeln!(f, "  at        {}.{:06} s since 1970", scene.t / 1_000_000, scene.t % 1_000_000)?;
        writeln!(f, "  seen      {}", self.what)?;
        for (title, lines) in [("history", &self.history), ("log", &self.log)] {
            for (number, line) in lines.iter().enumerate() {
                writeln!(f, "  {:<10}{line}", if number == 0 { title } else { "" })?;
            }
        }
        Ok(())
    }
}
