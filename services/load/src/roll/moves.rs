//! Where every client was, and when: read from the histories, once they are complete.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use crate::{
    chaos::measure::percentile,
    history::{Event, Head, Why, read},
};

/// What tells the lines that are by far the most, and how far into a line it can stand.
const MESSAGE: &[u8] = br#""e":"message""#;
const DISCARDED: &[u8] = br#""discarded":true"#;
const HEAD: usize = 80;

/// One session of a client. Times are microseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Session {
    number: u32,
    connected: u64,
    /// The edge's name at the balancer.
    edge: Option<String>,
    joined: Option<u64>,
    closed: Option<u64>,
}

/// All of them, by client.
#[derive(Debug, Default)]
pub(super) struct Moves {
    clients: BTreeMap<u32, Vec<Session>>,
    /// How sessions ended unasked, by close code.
    pub(super) closes: BTreeMap<u16, u64>,
    /// Notices that an edge drains.
    pub(super) notices: u64,
    /// Attempts to connect that were refused.
    pub(super) refused: u64,
    /// MESSAGEs that came in a second session, too, and were not shown again.
    pub(super) discarded: u64,
    /// Subscriptions that went on where the one before was, and those that could not.
    pub(super) recovered: (u64, u64),
    end: u64,
}

impl Moves {
    /// Reads a complete history.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn read(&mut self, path: &Path) -> Result<(), String> {
        let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let mut lines = BufReader::with_capacity(1 << 20, File::open(path).map_err(|error| failed(&error))?);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).map_err(|error| failed(&error))? > 0 {
            self.take(&line).map_err(|why| failed(&why))?;
            line.clear();
        }
        Ok(())
    }

    pub(super) fn take(&mut self, line: &[u8]) -> Result<(), String> {
        let has = |text: &[u8], word: &[u8]| text.windows(word.len()).any(|part| part == word);
        if has(&line[..line.len().min(HEAD)], MESSAGE) {
            self.discarded += u64::from(has(line, DISCARDED));
            return Ok(());
        }
        let (Head { t, c, s }, event) = read(line).map_err(|error| error.to_string())?;
        // The last line of all has a time of its own.
        self.end = self.end.max(t);
        let (Some(client), Some(number)) = (c, s) else { return Ok(()) };
        let sessions = self.clients.entry(client).or_default();
        match event {
            Event::Connected { edge, .. } => {
                let edge = edge.map(|edge| edge.into_owned());
                sessions.push(Session { number, connected: t, edge, ..Session::default() });
            }
            Event::Joined { recovered, .. } => {
                self.recovered.0 += u64::from(recovered == Some(true));
                self.recovered.1 += u64::from(recovered == Some(false));
                sessions.iter_mut().filter(|session| session.number == number).for_each(|of| of.joined = Some(t));
            }
            Event::Close { code, why, .. } => {
                if why != Why::Asked {
                    *self.closes.entry(code).or_default() += 1;
                }
                sessions.iter_mut().filter(|session| session.number == number).for_each(|of| of.closed = Some(t));
            }
            Event::Notice { .. } => self.notices += 1,
            Event::Refused { .. } => self.refused += 1,
            _ => {}
        }
        Ok(())
    }

    /// How many clients moved how often.
    pub(super) fn moves(&self) -> BTreeMap<usize, u64> {
        let mut moves = BTreeMap::new();
        self.clients.values().for_each(|sessions| *moves.entry(sessions.len().max(1) - 1).or_default() += 1);
        moves
    }

    /// Each client's longest time without a subscription, in milliseconds, sorted.
    pub(super) fn gaps(&self) -> Vec<u64> {
        let mut gaps: Vec<u64> =
            self.clients.values().map(|sessions| longest_gap(sessions, self.end) / 1_000).collect();
        percentile(&mut gaps, 1.0);
        gaps
    }

    /// Sessions on the edge of that name at that time.
    pub(super) fn on(&self, edge: &str, at: u64) -> u64 {
        let there = |session: &&Session| {
            session.edge.as_deref() == Some(edge)
                && session.connected <= at
                && session.closed.is_none_or(|closed| closed > at)
        };
        self.clients.values().flatten().filter(there).count() as u64
    }

    /// The most connections that came to one edge within a second of a time, and its name; not to `leaving`.
    pub(super) fn peak(&self, from: u64, until: u64, leaving: &str) -> Option<(u64, String)> {
        let mut buckets: BTreeMap<(&str, u64), u64> = BTreeMap::new();
        for session in self.clients.values().flatten().filter(|session| (from..until).contains(&session.connected)) {
            if let Some(edge) = session.edge.as_deref().filter(|edge| *edge != leaving) {
                *buckets.entry((edge, (session.connected - from) / 1_000_000)).or_default() += 1;
            }
        }
        let (most, count) = buckets.into_iter().max_by_key(|(_, count)| *count)?;
        Some((count, most.0.to_owned()))
    }

    /// Clients that have connected at least once.
    pub(super) fn clients(&self) -> u64 {
        self.clients.len() as u64
    }
}

/// From the first time in the room to the end of the last session.
fn longest_gap(sessions: &[Session], end: u64) -> u64 {
    let mut there: Vec<(u64, u64)> =
        sessions.iter().filter_map(|session| Some((session.joined?, session.closed.unwrap_or(end)))).collect();
    there.sort_unstable();
    let Some(&(_, mut until)) = there.first() else { return u64::MAX };
    let mut longest = 0;
    for (from, to) in there {
        longest = longest.max(from.saturating_sub(until));
        until = until.max(to);
    }
    longest
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn of(lines: &[String]) -> Moves {
        let mut moves = Moves::default();
        lines.iter().for_each(|line| moves.take(line.as_bytes()).unwrap());
        moves
    }

    /// Connected, joined, closed, in milliseconds.
    fn session(client: u32, number: u32, edge: &str, [connected, joined, closed]: [u64; 3], code: u16) -> [String; 3] {
        let line = |t: u64, rest: &str| format!(r#"{{"t":{},"c":{client},"s":{number},{rest}}}"#, t * 1_000);
        let why = if code == 1_000 { "asked" } else { "server" };
        [
            line(connected, &format!(r#""e":"connected","edge":"{edge}""#)),
            line(joined, r#""e":"joined","room":"a","recovered":true"#),
            line(closed, &format!(r#""e":"close","code":{code},"why":"{why}","last":null"#)),
        ]
    }

    #[test]
    fn who_overlaps_is_never_away_and_who_was_closed_is() {
        let moves = of(&[
            session(0, 1, "edge1", [0, 1, 500], 1_000),
            session(0, 2, "edge2", [400, 450, 900], 1_000),
            session(1, 1, "edge1", [0, 2, 300], 1_012),
            session(1, 2, "edge2", [700, 800, 900], 1_000),
            session(2, 1, "edge2", [0, 3, 900], 1_000),
        ]
        .concat());
        assert_eq!(moves.gaps(), [0, 0, 500]);
        assert_eq!(moves.moves(), BTreeMap::from([(0, 1), (1, 2)]));
        assert_eq!(moves.closes, BTreeMap::from([(1_012, 1)]));
        assert_eq!((moves.on("edge1", 350_000), moves.on("edge2", 450_000), moves.clients()), (1, 2, 3));
        assert_eq!(moves.peak(350_000, 950_000, "edge1"), Some((2, "edge2".to_owned())));
        assert_eq!(moves.peak(350_000, 950_000, "edge2"), None);
    }

    #[test]
    fn who_never_came_in_is_away_for_ever() {
        let connected = r#"{"t":5,"c":0,"s":1,"e":"connected","edge":"edge1"}"#.to_owned();
        assert_eq!(of(&[connected]).gaps(), [u64::MAX / 1_000]);
    }

    #[test]
    fn discarded_messages_are_counted() {
        let line = |rest: &str| format!(r#"{{"t":5,"c":0,"s":1,"e":"message","room":"a","id":"0-1-00000000"{rest}}}"#);
        assert_eq!(of(&[line(""), line(r#","discarded":true"#)]).discarded, 1);
    }
}
