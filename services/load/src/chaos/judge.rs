//! From what was seen to a row: what a fault did, held against what it may do.

use std::collections::BTreeMap;

use super::{
    faults::{Fault, Recovers, Sends},
    measure::{Outage, percentile},
    probe::Change,
    row::{Row, Spread},
    seen::{Seen, Way, What},
};

/// What begins this soon after a fault, in microseconds, is its doing.
const AT_ONCE: u64 = 3_000_000;

/// What a round measured beside the histories. Times are microseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The fault began.
    pub(super) begun: u64,
    /// It had ended.
    pub(super) ended: u64,
    /// What `/readyz` said.
    pub(super) changes: Vec<Change>,
    /// Since when all edges have been ready; `None`: they are not.
    pub(super) ready_since: Option<u64>,
    /// When RECEIPTs did not flow.
    pub(super) outages: Vec<Outage>,
    /// Edges that are not the process that they were.
    pub(super) restarted: Vec<String>,
}

/// The row, with everything but the violations.
pub(super) fn row(name: &str, seen: &Seen, facts: &Facts) -> Row {
    let since = |at: u64| at.saturating_sub(facts.begun) / 1_000;
    let unready = facts.changes.iter().filter(|change| change.at >= facts.begun && change.failing.is_some());
    let unready = unready.min_by_key(|change| change.at);
    let client = seen.first_sign(facts.begun);
    let (detect, sign) = match (unready, client) {
        (Some(edge), client) if client.is_none_or(|client| edge.at <= client) => {
            (Some(edge.at), format!("edge {}: {}", edge.edge, edge.failing.as_deref().unwrap_or_default()))
        }
        (_, Some(client)) => (Some(client), "a client".to_owned()),
        _ => (None, String::new()),
    };
    let last = facts.outages.last().and_then(|outage| outage.until);
    let cut = |(from, until): &(u64, u64)| (facts.begun..facts.ended).contains(from).then_some(*until);
    let back = seen.absences.iter().filter_map(cut).max();
    let flows = facts.outages.iter().find(|outage| outage.from < facts.ended).and_then(|outage| outage.until);
    Row {
        name: name.to_owned(),
        sends: seen.sends,
        refused: seen.count(What::Refused),
        unknown: seen.count(What::Unknown),
        detect: detect.map(since),
        sign,
        recover: back.max(flows).map(since),
        after_end: last.unwrap_or(0).saturating_sub(facts.ended) / 1_000,
        ready: unready.and(facts.ready_since).map(since),
        gap: spread(seen.absences.iter().map(|(from, until)| (until - from) / 1_000).collect()),
        reconnects: seen.reconnects,
        recovered: seen.recovered,
        gaps: seen.gaps,
        closes: seen.close_codes(),
        ways: if seen.ways.len() > 1 {
            seen.ways.iter().map(|(way, counts)| (way.name(), (counts.cut, counts.resumed))).collect()
        } else {
            BTreeMap::new()
        },
        messages: seen.messages,
        story: story(seen, facts),
        ..Row::default()
    }
}

/// p50, p99 and the greatest of some milliseconds.
pub(super) fn spread(mut ms: Vec<u64>) -> Option<Spread> {
    let (p50, p99, max) = (percentile(&mut ms, 0.5)?, percentile(&mut ms, 0.99)?, ms.last().copied()?);
    Some(Spread { p50, p99, max })
}

/// What happened under this fault and should not have.
pub(super) fn misses(fault: &Fault, seen: &Seen, facts: &Facts, row: &Row) -> Vec<String> {
    let mut misses = general(facts);
    let (refused, unknown) = (row.refused, row.unknown);
    match fault.sends {
        Sends::Receipted if refused + unknown > 0 => misses.push(format!("{refused} SENDs refused, {unknown} unknown")),
        Sends::Unknown if refused > 0 => misses.push(format!("{refused} SENDs refused")),
        _ => {}
    }
    let felt = match fault.sends {
        Sends::Receipted => true,
        Sends::Unknown => fault.closes.is_empty() || !seen.closes.is_empty(),
        Sends::Fail => refused + unknown > 0,
    };
    if !felt {
        misses.push("nobody felt it: this proves nothing".to_owned());
    }
    let strange = seen.closes.iter().find(|close| !fault.closes.contains(&close.code));
    if let Some(close) = strange {
        let often = seen.closes.iter().filter(|close| !fault.closes.contains(&close.code)).count();
        misses.push(format!(
            "{often} sessions ended that should not have, the first with {} ({})",
            close.code, close.text
        ));
    }
    if fault.sends == Sends::Fail && fault.closes == [4004] {
        let quiet = seen.closes.iter().filter(|close| close.quiet).count();
        if quiet > 0 {
            misses.push(format!("{quiet} sessions ended that had sent nothing"));
        }
    }
    if fault.mixed {
        for (way, Way { cut, resumed }) in &seen.ways {
            match cut {
                0 => misses.push(format!("no client of {} was cut: this proves nothing of it", way.name())),
                cut if resumed < cut => {
                    let name = way.name();
                    misses.push(format!("{} of {cut} clients of {name} did not go on by their tokens", cut - resumed));
                }
                _ => {}
            }
        }
    }
    if !fault.gaps && seen.gaps > 0 {
        misses.push(format!("{} gaps were announced, though nothing was lost", seen.gaps));
    }
    if !fault.edges_end && !facts.restarted.is_empty() {
        misses.push(format!("ended or started again: {}", facts.restarted.join(", ")));
    }
    match fault.recovers {
        Recovers::Alone(bound) => {
            for outage in &facts.outages {
                // What begins later is measured from there.
                let from = if outage.from < facts.begun + AT_ONCE { facts.begun } else { outage.from };
                late(&mut misses, outage, from, bound, "it began");
            }
        }
        Recovers::AfterEnd(bound) => {
            facts
                .outages
                .iter()
                .for_each(|outage| late(&mut misses, outage, facts.ended, bound, "the end of the fault"));
        }
    }
    misses
}

/// What must not happen under any fault.
pub(super) fn general(facts: &Facts) -> Vec<String> {
    let mut misses = Vec::new();
    if facts.ready_since.is_none() {
        let last = |edge| facts.changes.iter().rev().find(|change| change.edge == edge);
        for change in (1..=facts.changes.iter().map(|change| change.edge).max().unwrap_or(0)).filter_map(last) {
            let failing = change.failing.iter();
            misses.extend(failing.map(|why| format!("edge {} did not become ready again: {why}", change.edge)));
        }
    }
    if facts.outages.last().is_some_and(|outage| outage.until.is_none()) {
        misses.push("RECEIPTs did not flow again as before".to_owned());
    }
    misses
}

fn late(misses: &mut Vec<String>, outage: &Outage, from: u64, bound: u64, of: &str) {
    if let Some(until) = outage.until.filter(|until| *until > from + bound * 1_000_000) {
        let took = (until - from) as f64 / 1e6;
        misses.push(format!("RECEIPTs flowed again {took:.1} s after {of}; {bound} s are allowed"));
    }
}

fn story(seen: &Seen, facts: &Facts) -> Vec<String> {
    let mut events: Vec<(u64, String)> =
        vec![(facts.begun, "the fault".to_owned()), (facts.ended, "its end".to_owned())];
    events.extend(facts.changes.iter().map(|change| {
        let what = change.failing.as_deref().unwrap_or("ready");
        (change.at, format!("edge {}: {what}", change.edge))
    }));
    for outage in &facts.outages {
        events.push((outage.from, "RECEIPTs lack".to_owned()));
        events.extend(outage.until.map(|until| (until, "RECEIPTs flow".to_owned())));
    }
    let mut known: Vec<(u16, &str)> = Vec::new();
    for close in &seen.closes {
        if !known.contains(&(close.code, &close.text)) && known.len() < 20 {
            known.push((close.code, &close.text));
            events.push((close.at, format!("the first session ends with {} {}", close.code, close.text)));
        }
    }
    for (at, text) in &seen.errors {
        if !known.contains(&(0, text)) && known.len() < 40 {
            known.push((0, text));
            events.push((*at, format!("the first ERROR {text}")));
        }
    }
    events.sort();
    let at = |at: u64| (at as f64 - facts.begun as f64) / 1e6;
    events.into_iter().map(|(when, what)| format!("{:+8.2} s  {what}", at(when))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::chaos::{
        faults::named,
        seen::{Answer, Close},
    };

    const S: u64 = 1_000_000;

    fn facts() -> Facts {
        let changes = vec![
            Change { at: S, edge: 1, failing: None },
            Change { at: 102 * S, edge: 1, failing: Some("log: stalled".to_owned()) },
            Change { at: 103 * S, edge: 1, failing: None },
        ];
        let outages = vec![Outage { from: 100 * S, until: Some(103 * S) }];
        Facts { begun: 100 * S, ended: 115 * S, changes, ready_since: Some(103 * S), outages, restarted: vec![] }
    }

    fn judged(fault: &str, seen: &Seen, facts: &Facts) -> (Row, Vec<String>) {
        let row = row(fault, seen, facts);
        let misses = misses(named(fault).unwrap(), seen, facts, &row);
        (row, misses)
    }

    #[test]
    fn what_is_as_expected_is_measured() {
        let seen = Seen { sends: 5, absences: vec![(S, 2 * S)], ..Seen::default() };
        let (row, misses) = judged("kill-leader", &seen, &facts());
        assert_eq!(misses, [""; 0]);
        assert_eq!((row.detect, row.recover, row.ready, row.after_end), (Some(2_000), Some(3_000), Some(3_000), 0));
        assert_eq!((row.sign.as_str(), row.gap.unwrap().p99), ("edge 1: log: stalled", 1_000));
    }

    #[test]
    fn every_transport_has_to_be_cut_and_to_go_on() {
        use crate::client::Transport::{Events, Poll, Stomp};
        let way = |cut, resumed| Way { cut, resumed };
        let seen =
            Seen { ways: [(Stomp, way(3, 3)), (Events, way(3, 2)), (Poll, way(0, 0))].into(), ..Seen::default() };
        let (row, misses) = judged("kill-edge", &seen, &facts());
        let named = |what: &str| misses.iter().filter(|miss| miss.contains(what)).count();
        assert_eq!(
            (named("1 of 3 clients of events"), named("no client of poll"), named("stomp")),
            (1, 1, 0),
            "{misses:?}"
        );
        assert_eq!(row.ways["events"], (3, 2));
        assert_eq!(judged("roll-edges", &seen, &facts()).1.iter().filter(|miss| miss.contains("events")).count(), 0);
    }

    #[test]
    fn everything_that_must_not_happen_is_named() {
        let lost = Answer { sent: 100 * S, at: 101 * S, what: What::Unknown };
        let closes = vec![Close { at: 101 * S, code: 4004, text: "log away".to_owned(), quiet: true }];
        let seen = Seen { answers: vec![lost], closes, gaps: 1, ..Seen::default() };
        let mut facts = facts();
        facts.restarted = vec!["edge2".to_owned()];
        facts.outages = vec![Outage { from: 100 * S, until: Some(107 * S) }, Outage { from: 116 * S, until: None }];
        facts.ready_since = None;
        facts.changes.push(Change { at: 120 * S, edge: 1, failing: Some("tail: x".to_owned()) });
        let (row, misses) = judged("kill-leader", &seen, &facts);
        assert_eq!((row.detect, row.sign.as_str()), (Some(1_000), "a client"));
        let wanted =
            ["edge 1 did not", "did not flow", "1 unknown", "4004 (log away)", "1 gaps", "edge2", "7.0 s after"];
        assert_eq!(misses.len(), wanted.len(), "{misses:#?}");
        for (miss, wanted) in misses.iter().zip(wanted) {
            assert!(miss.contains(wanted), "{miss}: {wanted}");
        }
        let (_, misses) = judged("two-brokers-down", &seen, &facts);
        assert!(misses.iter().any(|miss| miss.contains("had sent nothing")), "{misses:#?}");
    }
}
