//! What a round showed: one row of the table.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

/// A round's result. Times are milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The fault, or the seed and number of a random round.
    pub(crate) name: String,
    /// Promises broken, as `verify` counts.
    pub(crate) violations: u64,
    /// SENDs; one that is sent again counts once.
    pub(crate) sends: u64,
    /// Tries that were refused.
    pub(crate) refused: u64,
    /// Tries that ended as unknown, or with their session.
    pub(crate) unknown: u64,
    /// From the beginning until somebody said so.
    pub(crate) detect: Option<u64>,
    /// Who, and what.
    pub(crate) sign: String,
    /// From the beginning until RECEIPTs flowed as before and whoever was cut was back; `None`: nothing was disturbed.
    pub(crate) recover: Option<u64>,
    /// The same from the end of the fault; 0 if all was well by then.
    pub(crate) after_end: u64,
    /// From the beginning until all edges were ready for good; `None`: they never were anything else.
    pub(crate) ready: Option<u64>,
    /// How long clients that were cut were away.
    pub(crate) gap: Option<Spread>,
    /// Sessions after a client's first.
    pub(crate) reconnects: u64,
    /// SUBSCRIBEs that were resumed.
    pub(crate) recovered: u64,
    /// Gaps that were announced.
    pub(crate) gaps: u64,
    /// Sessions that ended unasked, by close code.
    pub(crate) closes: BTreeMap<u16, u64>,
    /// By transport, where there is more than one: how often its clients were cut, and how often they went on by their tokens.
    pub(crate) ways: BTreeMap<String, (u64, u64)>,
    /// MESSAGEs.
    pub(crate) messages: u64,
    /// What was expected otherwise, and what could not be done.
    pub(crate) misses: Vec<String>,
    /// What happened when, for whoever looks into it.
    pub(crate) story: Vec<String>,
    /// Where histories and logs are kept.
    pub(crate) kept: Option<PathBuf>,
}

/// A distribution, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spread {
    /// Half are at most this.
    pub p50: u64,
    /// 99 of 100.
    pub p99: u64,
    /// All.
    pub(crate) max: u64,
}

/// The table's columns.
pub(crate) const COLUMNS: [&str; 12] = [
    "fault",
    "violations",
    "SENDs",
    "refused",
    "unknown",
    "detect",
    "recover",
    "after end",
    "away p50/p99",
    "reconnects",
    "gaps",
    "closes",
];

impl Row {
    /// No promise broke and everything was as expected.
    pub(crate) fn is_good(&self) -> bool {
        self.violations == 0 && self.misses.is_empty()
    }

    /// The columns.
    pub(crate) fn cells(&self) -> [String; 12] {
        let none = || "–".to_owned();
        let closes: Vec<String> = self.closes.iter().map(|(code, count)| format!("{count} × {code}")).collect();
        [
            self.name.clone(),
            match self.violations {
                0 if self.misses.is_empty() => "0".to_owned(),
                0 => "0, but see below".to_owned(),
                violations => format!("**{violations}**"),
            },
            self.sends.to_string(),
            self.refused.to_string(),
            self.unknown.to_string(),
            self.detect.map_or_else(none, seconds),
            self.recover.map_or_else(none, seconds),
            if self.after_end == 0 { none() } else { seconds(self.after_end) },
            self.gap.map_or_else(none, |gap| format!("{} / {}", seconds(gap.p50), seconds(gap.p99))),
            self.reconnects.to_string(),
            self.gaps.to_string(),
            if closes.is_empty() { none() } else { closes.join(", ") },
        ]
    }

    /// What the table cannot say.
    pub(crate) fn notes(&self) -> Vec<String> {
        let name = &self.name;
        let mut notes: Vec<String> = self.misses.iter().map(|miss| format!("{name}: {miss}")).collect();
        if !self.ways.is_empty() {
            let ways = self.ways.iter().map(|(way, (cut, resumed))| format!("{way} {resumed} of {cut}"));
            let ways = ways.collect::<Vec<_>>().join(", ");
            notes.push(format!("{name}: cut, and gone on by their tokens: {ways}"));
        }
        notes.extend(self.kept.iter().map(|kept| format!("{name}: histories and logs are in {}", kept.display())));
        notes
    }
}

/// Milliseconds as people read them.
pub(crate) fn seconds(ms: u64) -> String {
    if ms < 10_000 { format!("{:.2} s", ms as f64 / 1e3) } else { format!("{:.1} s", ms as f64 / 1e3) }
}

/// Rows as a Markdown table, its columns padded so that it can be read as it is.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.zip(&widths).map(|(cell, width)| format!(" {cell:width$} "));
        format!("|{}|\n", cells.collect::<Vec<_>>().join("|"))
    };
    let mut text = line(&mut head.iter().copied());
    let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    text += &line(&mut dashes.iter().map(String::as_str));
    rows.iter().for_each(|row| text += &line(&mut row.iter().map(String::as_str)));
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_row_is_readable() {
        let row = Row {
            name: "kill-edge".to_owned(),
            sends: 3_000,
            unknown: 4,
            detect: Some(12),
            recover: Some(1_234),
            gap: Some(Spread { p50: 300, p99: 12_340, max: 12_340 }),
            closes: BTreeMap::from([(1006, 133)]),
            ..Row::default()
        };
        let text = table(&COLUMNS, &[row.cells().to_vec()]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[2].starts_with("| kill-edge | 0          | 3000  | 0       | 4       | 0.01 s | 1.23 s "),
            "{text}"
        );
        assert!(lines[2].contains("| 0.30 s / 12.3 s |") && lines[2].ends_with("| 133 × 1006 |"), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() == lines[0].chars().count()), "{text}");
        assert!(row.is_good() && row.notes().is_empty());
        let mixed = Row { ways: BTreeMap::from([("poll".to_owned(), (3, 2))]), ..row.clone() };
        assert_eq!(mixed.notes(), ["kill-edge: cut, and gone on by their tokens: poll 2 of 3"]);
        let bad = Row { misses: vec!["x".to_owned()], ..row };
        assert!(!bad.is_good() && bad.cells()[1].contains("see below") && bad.notes() == ["kill-edge: x"]);
        assert_eq!(serde_json::from_str::<Row>(&serde_json::to_string(&bad).unwrap()).unwrap(), bad);
    }
}
