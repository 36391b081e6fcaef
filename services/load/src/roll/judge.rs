//! What was demanded, and what was measured: the table.

use std::{collections::BTreeMap, time::Duration};

use super::{moves::Moves, replace::Replaced};
use crate::chaos::{measure::percentile, row::seconds, verdict::Verdict};

/// The table's columns.
pub(super) const COLUMNS: [&str; 4] = ["demand", "measured", "bound", "met"];

/// An edge never closes fewer sessions a second than this, nor more (its --drain-rate).
const SLOWEST: f64 = 20.0;
const FASTEST: f64 = 500.0;
/// An edge keeps this much of its grace for those that did not go by themselves.
const RESERVE: f64 = 5.0;
/// How long those who were closed may take to come back, in microseconds.
const RETURN: u64 = 6_000_000;
const MOST_MOVES: usize = 2;
const MOST_OF_PACE: f64 = 1.5;
const LONGEST_GAP: u64 = 3_000;

/// One demand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Demand {
    what: &'static str,
    measured: String,
    bound: String,
    /// `None`: it was measured, but not judged.
    met: Option<bool>,
}

impl Demand {
    /// It was not met.
    pub(super) fn failed(&self) -> bool {
        self.met == Some(false)
    }

    /// The columns.
    pub(super) fn cells(&self) -> Vec<String> {
        let met = self.met.map_or("–", |met| if met { "yes" } else { "**no**" });
        vec![self.what.to_owned(), self.measured.clone(), self.bound.clone(), met.to_owned()]
    }
}

/// What else went wrong; nothing, most of the time.
pub(super) fn others(wrong: &[String]) -> Option<Demand> {
    let (bound, measured) = ("nothing".to_owned(), wrong.join("; "));
    (!wrong.is_empty()).then_some(Demand { what: "what else went wrong", measured, bound, met: Some(false) })
}

/// All that was measured.
pub(super) struct Facts<'a> {
    pub(super) sessions: u32,
    pub(super) grace: Duration,
    /// Times and rates are judged.
    pub(super) strict: bool,
    pub(super) verdict: &'a Verdict,
    pub(super) moves: &'a Moves,
    pub(super) replaced: &'a [Replaced],
}

impl Facts<'_> {
    /// Every demand.
    pub(super) fn judge(&self) -> Vec<Demand> {
        let count = |what, rules: &[&str], of: &str| {
            let rules: Vec<_> = self.verdict.rules.iter().filter(|row| rules.contains(&row.rule.as_str())).collect();
            let broken: u64 = rules.iter().map(|row| row.violations).sum();
            let checked = rules.first().map_or(0, |row| row.checked);
            let measured = format!("{broken} of {checked} {of}");
            Demand { what, measured, bound: "0".to_owned(), met: Some(broken == 0 && checked > 0) }
        };
        let (promises, violations) = (self.verdict.rules.len(), self.verdict.violations);
        vec![
            count("receipted messages lost (P1, P3, P7, P8)", &["P1", "P3", "P7", "P8"], "receipts"),
            Demand { measured: self.twice(), ..count("messages seen twice (P4)", &["P4"], "messages") },
            Demand {
                what: "promises broken, of all that `verify` checks",
                measured: format!("{violations} breaches of {promises} promises"),
                bound: "0".to_owned(),
                met: Some(violations == 0),
            },
            self.closes(),
            self.most_moves(),
            self.peak(),
            self.gap(),
            self.exits(),
        ]
    }

    fn twice(&self) -> String {
        let row = self.verdict.rules.iter().find(|row| row.rule == "P4");
        let (violations, checked) = row.map_or((0, 0), |row| (row.violations, row.checked));
        let known = self.moves.discarded;
        format!(
            "{violations} of {checked} messages; {known} came to both sessions of a client that moved, and were shown once"
        )
    }

    fn closes(&self) -> Demand {
        let closes = &self.moves.closes;
        let all: Vec<String> = closes.iter().map(|(code, count)| format!("{count} × {code}")).collect();
        let cut = closes.get(&1006).copied().unwrap_or(0);
        let rest = if all.is_empty() { "no session was ended by an edge".to_owned() } else { all.join(", ") };
        Demand { what: "closes 1006", measured: format!("{cut}; {rest}"), bound: "0".to_owned(), met: Some(cut == 0) }
    }

    fn most_moves(&self) -> Demand {
        let moves: BTreeMap<usize, u64> = self.moves.moves();
        let often: Vec<String> = moves.iter().map(|(often, count)| format!("{count} × {often}")).collect();
        let most = moves.last_key_value().map_or(0, |(most, _)| *most);
        let all = self.moves.clients() == u64::from(self.sessions);
        Demand {
            what: "moves of one session",
            measured: format!("{most}; {}", often.join(", ")),
            bound: format!("≤ {MOST_MOVES}"),
            met: Some(most <= MOST_MOVES && all),
        }
    }

    /// The roll in which it was worst.
    fn peak(&self) -> Demand {
        let share = |replaced: &Replaced| {
            let pace = self.pace(self.moves.on(&replaced.edge, replaced.told));
            let (count, edge) = self.moves.peak(replaced.told, replaced.ended + RETURN, &replaced.edge)?;
            Some((count as f64 / pace, count, edge, pace, replaced.edge.clone()))
        };
        let worst = self.replaced.iter().filter_map(share).max_by(|one, other| one.0.total_cmp(&other.0));
        let Some((share, count, edge, pace, leaving)) = worst else {
            return self.timed(
                "new connections a second on a survivor, at most",
                "nobody moved".to_owned(),
                String::new(),
                false,
            );
        };
        let measured =
            format!("{share:.2} × the pace: {count} on {edge}, while {leaving} drained at {pace:.0} a second");
        let bound = format!("≤ {MOST_OF_PACE} × the pace");
        self.timed("new connections a second on a survivor, at most", measured, bound, share <= MOST_OF_PACE)
    }

    /// At which an edge with so many sessions closes them.
    fn pace(&self, sessions: u64) -> f64 {
        let time = (self.grace.as_secs_f64() - RESERVE).max(0.5);
        (sessions as f64 / time).clamp(SLOWEST, FASTEST)
    }

    fn gap(&self) -> Demand {
        let mut gaps = self.moves.gaps();
        let of = |gaps: &mut Vec<u64>, share| percentile(gaps, share).map_or_else(|| "–".to_owned(), seconds);
        let (half, p99, most) = (of(&mut gaps, 0.5), of(&mut gaps, 0.99), of(&mut gaps, 1.0));
        let good = percentile(&mut gaps, 0.99).is_some_and(|gap| gap < LONGEST_GAP);
        let measured = format!("p99 {p99}; median {half}, longest {most}");
        self.timed("a session's gap, p99", measured, format!("< {}", seconds(LONGEST_GAP)), good)
    }

    fn exits(&self) -> Demand {
        let code = |code: Option<i32>| code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
        let each = |of: &Replaced| format!("{} after {:.1} s", code(of.code), of.took());
        let (measured, grace): (Vec<String>, _) = (self.replaced.iter().map(each).collect(), self.grace.as_secs());
        let in_time = |of: &Replaced| of.code == Some(0) && of.took() <= self.grace.as_secs_f64();
        Demand {
            what: "old processes exit",
            measured: measured.join(", "),
            bound: format!("0 within {grace} s"),
            met: Some(!self.replaced.is_empty() && self.replaced.iter().all(in_time)),
        }
    }

    fn timed(&self, what: &'static str, measured: String, bound: String, met: bool) -> Demand {
        Demand { what, measured, bound, met: self.strict.then_some(met) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const S: u64 = 1_000_000;

    fn verdict(p4: u64) -> Verdict {
        let rule = |name: &str, broken: u64| serde_json::json!({"rule": name, "checked": 90, "violations": broken});
        let rules = ["P1", "P2", "P3", "P7", "P8"].map(|name| rule(name, 0));
        let rules = [&rules[..], &[rule("P4", p4)]].concat();
        let all = serde_json::json!({"violations": p4, "rules": rules, "whole": true, "statistics": {"trimmed": 0}, "stories": []});
        serde_json::from_value(all).unwrap()
    }

    /// 100 clients on edge1, which drains from 10 s on; each comes to edge2 `every` microseconds after the one before.
    fn moves(every: u64, code: u16) -> Moves {
        let mut moves = Moves::default();
        for client in 0..100 {
            let gone = 10 * S + client * every;
            let mut line = |t: u64, s: u32, rest: &str| {
                moves.take(format!(r#"{{"t":{t},"c":{client},"s":{s},{rest}}}"#).as_bytes()).unwrap();
            };
            line(1, 1, r#""e":"connected","edge":"edge1""#);
            line(2, 1, r#""e":"joined","room":"a""#);
            line(gone, 1, &format!(r#""e":"close","code":{code},"why":"server","last":null"#));
            line(gone + S / 2, 2, r#""e":"connected","edge":"edge2""#);
            line(gone + S, 2, r#""e":"joined","room":"a","recovered":true"#);
        }
        moves
    }

    fn failed(moves: &Moves, code: Option<i32>, sessions: u32, strict: bool) -> Vec<&'static str> {
        let replaced = [Replaced { edge: "edge1".to_owned(), told: 10 * S, ended: 16 * S, code }];
        let (grace, verdict) = (Duration::from_secs(10), verdict(0));
        let demands = Facts { sessions, grace, strict, verdict: &verdict, moves, replaced: &replaced }.judge();
        demands.iter().filter(|demand| demand.failed()).map(|demand| demand.what).collect()
    }

    #[test]
    fn a_good_roll_meets_every_demand_and_each_fault_fails_its_own() {
        // The pace is 100 sessions in five seconds: 20 a second.
        let (even, burst) = (moves(S / 20, 1012), moves(S / 200, 1012));
        assert_eq!(failed(&even, Some(0), 100, true), [""; 0]);
        assert_eq!(failed(&burst, Some(0), 100, true), ["new connections a second on a survivor, at most"]);
        assert_eq!(failed(&burst, Some(0), 100, false), [""; 0]);
        assert_eq!(failed(&even, Some(70), 100, true), ["old processes exit"]);
        assert_eq!(failed(&even, None, 100, true), ["old processes exit"]);
        assert_eq!(failed(&even, Some(0), 101, true), ["moves of one session"]);
        assert_eq!(failed(&moves(S / 20, 1006), Some(0), 100, true), ["closes 1006"]);
        let (verdict, even) = (verdict(1), &even);
        let facts = Facts {
            sessions: 100,
            grace: Duration::from_secs(10),
            strict: true,
            verdict: &verdict,
            moves: even,
            replaced: &[],
        };
        let failed: Vec<_> = facts.judge().into_iter().filter(Demand::failed).map(|demand| demand.what).collect();
        assert!(failed.contains(&"messages seen twice (P4)") && failed.contains(&"old processes exit"), "{failed:?}");
    }
}
