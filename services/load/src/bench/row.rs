//! A row of the table: a figure, what it is held against, and whether that is enough.

use std::fmt::Write as _;

use serde::Serialize;

use super::targets::{self, Goal};

/// What came out for one goal.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// The row of performance.md §6.
    pub(crate) number: &'static str,
    /// What is demanded, and of what load.
    pub(crate) goal: String,
    /// What was measured, with its unit.
    pub(crate) figure: String,
    /// The same of the baseline in the same run; empty where the goal is absolute.
    pub(crate) baseline: String,
    /// Figure ÷ baseline, median of the rounds.
    pub(crate) ratio: Option<f64>,
    /// The smallest and the largest ratio of a round.
    pub(crate) spread: Option<(f64, f64)>,
    /// The release gate.
    pub(crate) must: String,
    /// The ambition.
    pub(crate) aim: String,
    /// The verdict.
    pub(crate) met: Met,
    /// What a reader should know: latencies, lateness, what was left out.
    pub(crate) note: String,
}

/// A verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Met {
    /// The ambition, and so the gate too.
    Aim,
    /// The gate.
    Must,
    /// Not the gate, but within the slack of a run that only looks for what has become much worse.
    Near,
    /// Not even the gate.
    No,
    /// Nothing was proven: why.
    Void(String),
    /// Not judged by this command.
    Outside,
    /// Of a load that the goal does not speak of.
    Beside,
}

/// A number over several rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// The middle one; of an even count the mean of the two.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) min: f64,
    /// The largest.
    pub(crate) max: f64,
}

impl Spread {
    /// Of these; `None` if there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) };
        Some(Spread { median, min, max })
    }
}

impl Row {
    /// A row judged by one number: the ratio if the goal is one, otherwise the figure itself. `load` tells rows of one
    /// goal apart.
    pub(crate) fn judged(goal: &Goal, load: &str, value: f64) -> Row {
        let met = match (goal.aim.holds(value), goal.must.holds(value)) {
            (true, _) => Met::Aim,
            (false, true) => Met::Must,
            (false, false) => Met::No,
        };
        let figure = if goal.unit.is_empty() { String::new() } else { format!("{} {}", short(value), goal.unit) };
        Row { figure, met, ..Row::blank(goal, load) }
    }

    /// A row that this command does not judge.
    pub(crate) fn outside(goal: &Goal) -> Row {
        Row::blank(goal, "")
    }

    /// A row without a result.
    pub(crate) fn void(goal: &Goal, load: &str, why: impl Into<String>) -> Row {
        Row { met: Met::Void(why.into()), ..Row::blank(goal, load) }
    }

    fn blank(goal: &Goal, load: &str) -> Row {
        let what = if load.is_empty() { goal.what.to_owned() } else { format!("{}: {load}", goal.what) };
        Row {
            number: goal.number,
            goal: what,
            figure: String::new(),
            baseline: String::new(),
            ratio: None,
            spread: None,
            must: goal.must.show(goal.unit),
            aim: goal.aim.show(goal.unit),
            met: Met::Outside,
            note: String::new(),
        }
    }

    /// With what was measured of both, in words with units.
    pub(crate) fn measured(mut self, figure: impl Into<String>, baseline: impl Into<String>) -> Row {
        (self.figure, self.baseline) = (figure.into(), baseline.into());
        self
    }

    /// With the ratio that was judged.
    pub(crate) fn ratio(mut self, ratio: Spread) -> Row {
        (self.ratio, self.spread) = (Some(ratio.median), Some((ratio.min, ratio.max)));
        self
    }

    /// With a remark.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Row {
        self.note = note.into();
        self
    }

    /// With one more remark.
    pub(crate) fn also(mut self, note: &str) -> Row {
        if !self.note.is_empty() {
            self.note.push_str("; ");
        }
        self.note.push_str(note);
        self
    }

    /// A missed gate counts as nearly met, if it would be met by a value better by this factor.
    pub(crate) fn slack(mut self, goal: &Goal, value: f64, factor: f64) -> Row {
        if self.met == Met::No && (goal.must.holds(value / factor) || goal.must.holds(value * factor)) {
            self.met = Met::Near;
        }
        self
    }

    /// With another verdict, where one number does not decide both.
    pub(crate) fn met(mut self, must: bool, aim: bool) -> Row {
        self.met = match (must, aim) {
            (true, true) => Met::Aim,
            (true, false) => Met::Must,
            (false, _) => Met::No,
        };
        self
    }

    /// Told, not judged: a load that the goal does not speak of.
    pub(crate) fn beside(mut self) -> Row {
        if matches!(self.met, Met::Aim | Met::Must | Met::Near | Met::No) {
            self.met = Met::Beside;
        }
        self
    }

    /// As nothing proven, if something broke on the way.
    pub(crate) fn unless(mut self, broken: Option<String>) -> Row {
        if let (Some(why), false) = (broken, matches!(self.met, Met::Void(_))) {
            self.met = Met::Void(why);
        }
        self
    }

    /// Whether the run is not good because of it.
    pub(crate) fn fails(&self) -> bool {
        matches!(self.met, Met::No | Met::Void(_))
    }

    fn cells(&self) -> [String; 9] {
        let ratio = match (self.ratio, self.spread) {
            (Some(ratio), Some((min, max))) => format!("{ratio:.2} ({min:.2}–{max:.2})"),
            (Some(ratio), None) => format!("{ratio:.2}"),
            _ => String::new(),
        };
        let met = match &self.met {
            Met::Aim => "aim".to_owned(),
            Met::Must => "must".to_owned(),
            Met::Near => "nearly".to_owned(),
            Met::No => "NO".to_owned(),
            Met::Void(why) => format!("VOID: {why}"),
            Met::Outside => "bench --url".to_owned(),
            Met::Beside => "–".to_owned(),
        };
        let [number, goal] = [self.number.to_owned(), self.goal.clone()];
        let [figure, baseline, must, aim, note] =
            [&self.figure, &self.baseline, &self.must, &self.aim, &self.note].map(Clone::clone);
        [number, goal, figure, baseline, ratio, must, aim, met, note]
    }
}

const COLUMNS: [&str; 9] = ["row", "goal", "figure", "baseline", "ratio", "must", "aim", "met", "note"];

/// All rows as a Markdown table whose columns are aligned.
pub(crate) fn table(rows: &[Row]) -> String {
    aligned(&rows.iter().map(Row::cells).collect::<Vec<_>>())
}

/// A table with these rows in place of those that have their numbers; the others stay as they were.
pub(crate) fn merged(old: &str, rows: &[Row]) -> String {
    let cells = |line: &str| -> Option<[String; 9]> {
        let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
        inner.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>().try_into().ok()
    };
    let new: Vec<[String; 9]> = rows.iter().map(Row::cells).collect();
    let measured_now = |number: &str| new.iter().any(|row| row[0] == number);
    let kept = old.lines().skip(2).filter_map(cells).filter(|row| !measured_now(&row[0]));
    let mut all: Vec<[String; 9]> = kept.chain(new.iter().cloned()).collect();
    all.sort_by_key(|row| targets::place(&row[0]));
    aligned(&all)
}

fn aligned(cells: &[[String; 9]]) -> String {
    let width = |column: usize| {
        let widest = cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        widest.max(COLUMNS[column].len())
    };
    let widths: [usize; 9] = std::array::from_fn(width);
    let mut text = String::new();
    let mut line = |cells: [&str; 9]| {
        for (cell, width) in cells.iter().zip(widths) {
            // Writing into a String cannot fail.
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
    };
    line(COLUMNS);
    let dashes = widths.map(|width| "-".repeat(width));
    line(std::array::from_fn(|column| dashes[column].as_str()));
    for row in cells {
        line(std::array::from_fn(|column| row[column].as_str()));
    }
    text
}

/// What is demanded, without results: number, goal, must, aim.
pub(crate) fn demands(rows: &[Row]) -> String {
    let widest = rows.iter().map(|row| row.goal.chars().count()).max().unwrap_or(0);
    let line = |row: &Row| format!("  {:<3} {:widest$}  must {:<28} aim {}\n", row.number, row.goal, row.must, row.aim);
    rows.iter().map(line).collect()
}

/// A number with about three digits.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_judged_by_its_goal_and_void_when_something_broke() {
        let met = |ratio| Row::judged(&targets::CPU, "", ratio).met;
        assert_eq!([met(1.05), met(1.1), met(1.2)], [Met::Aim, Met::Must, Met::No]);
        let broken = Row::judged(&targets::CPU, "x", 1.0).unless(Some("7 lost".to_owned()));
        assert!(broken.fails() && broken.met == Met::Void("7 lost".to_owned()));
        assert!(!Row::outside(&targets::OTHERS).fails());
        let row = Row::judged(&targets::IDLE_BYTES, "", 1500.0);
        assert_eq!((row.figure.as_str(), row.must.as_str(), row.met), ("1500 B", "≤ 2048 B", Met::Must));
    }

    #[test]
    fn rows_measured_anew_take_the_place_of_their_numbers_rows() {
        let row = |goal, load, value| Row::judged(goal, load, value);
        let old = table(&[row(&targets::CPU, "a", 1.1), row(&targets::CPU, "b", 1.2), row(&targets::ORDER, "", 0.0)]);
        let now = merged(&old, &[row(&targets::CPU, "c", 1.0), row(&targets::IDLE_BYTES, "", 7.0)]);
        let number = |line: &str| line.split('|').nth(1).unwrap_or_default().trim().to_owned();
        let numbers: Vec<String> = now.lines().skip(2).map(number).collect();
        assert_eq!(numbers, ["1", "4", "23"]);
        assert!(now.contains("raw: c") && !now.contains("raw: a"), "{now}");
        assert_eq!(merged("", &[row(&targets::CPU, "c", 1.0)]), table(&[row(&targets::CPU, "c", 1.0)]));
    }

    #[test]
    fn the_table_is_aligned_and_shows_the_spread() {
        let ratio = Spread::of([1.0, 1.2, 1.1, 1.3]).into_iter().next();
        assert_eq!(ratio, Some(Spread { median: 1.15, min: 1.0, max: 1.3 }));
        let rows = ratio.map(|ratio| Row::judged(&targets::CPU, "", ratio.median).ratio(ratio));
        let text = table(&rows.into_iter().collect::<Vec<_>>());
        assert!(text.contains("1.15 (1.00–1.30)"), "{text}");
        let widths: Vec<_> = text.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{text}");
        assert_eq!(Spread::of([]), None);
    }
}
