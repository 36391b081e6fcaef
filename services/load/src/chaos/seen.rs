//! What the clients saw, read from their histories while these are being written. MESSAGEs are only counted here: whether
//! they were the right ones is for `verify` to say.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
};

use super::crowd::Plan;
use crate::{
    client::Transport,
    history::{Event, Head, Outcome, Why, read},
};

/// What tells the lines that are by far the most, and how far into a line it can stand.
const MESSAGE: &[u8] = br#""e":"message""#;
const HEAD: usize = 80;

/// The histories of a round's clients.
#[derive(Debug)]
pub(crate) struct Histories {
    files: Vec<Tail>,
    /// What has been read so far.
    pub(crate) seen: Seen,
}

/// What all clients together saw. Times are microseconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// SENDs; one that is sent again counts once.
    pub(crate) sends: u64,
    /// What came of each try, in the order of the files.
    pub(crate) answers: Vec<Answer>,
    /// Sessions that ended without being asked to.
    pub(crate) closes: Vec<Close>,
    /// Clients that lost a session and joined again: when, and when.
    pub(crate) absences: Vec<(u64, u64)>,
    /// Sessions after a client's first.
    pub(crate) reconnects: u64,
    /// Attempts to connect that failed.
    pub(crate) refused: Vec<u64>,
    /// ERRORs that answer no SEND.
    pub(crate) errors: Vec<(u64, String)>,
    /// Gaps that were announced: 410, or `x-recovered:false`.
    pub(crate) gaps: u64,
    /// SUBSCRIBEs that were resumed.
    pub(crate) recovered: u64,
    /// MESSAGEs.
    pub(crate) messages: u64,
    /// Clients that are in their room now.
    pub(crate) joined: u64,
    /// Of each transport that clients use, how it was for them to be cut.
    pub(crate) ways: BTreeMap<Transport, Way>,
}

/// How it was for the clients of a transport to be cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Way {
    /// How often one lost the room that it was in.
    pub(crate) cut: u64,
    /// How often one was in it again, with nothing missing behind its token.
    pub(crate) resumed: u64,
}

/// What came of one try of a SEND.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    /// When it was sent.
    pub(crate) sent: u64,
    /// When that was known.
    pub(crate) at: u64,
    /// What.
    pub(crate) what: What,
}

/// What came of a SEND.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// RECEIPT.
    Receipt,
    /// ERROR: not in the log.
    Refused,
    /// ERROR, or the end of the session: nobody knows.
    Unknown,
}

/// The end of a session that was not asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Close {
    /// When.
    pub(crate) at: u64,
    /// WebSocket's code; 1006 where there was none.
    pub(crate) code: u16,
    /// What the client says about it.
    pub(crate) text: String,
    /// This client had never sent anything.
    pub(crate) quiet: bool,
}

#[derive(Debug)]
struct Tail {
    path: PathBuf,
    plan: Plan,
    file: Option<File>,
    rest: Vec<u8>,
    clients: HashMap<u32, Client>,
}

#[derive(Debug, Default)]
struct Client {
    sent: HashSet<u64>,
    /// By number: when each was sent, and in which session.
    waiting: HashMap<u64, (u64, u32)>,
    /// The session that is in the room; while one takes over from another, the later one.
    joined: Option<u32>,
    away_since: Option<u64>,
}

impl Histories {
    /// Of these files, which need not be there yet, with what their clients are.
    pub(crate) fn new(files: impl IntoIterator<Item = (PathBuf, Plan)>) -> Histories {
        let tail = |(path, plan)| Tail { path, plan, file: None, rest: Vec::new(), clients: HashMap::new() };
        let files: Vec<Tail> = files.into_iter().map(tail).collect();
        let ways = files.iter().flat_map(|file| &file.plan.transports).map(|transport| (*transport, Way::default()));
        let seen = Seen { ways: ways.collect(), ..Seen::default() };
        Histories { files, seen }
    }

    /// Reads what has been added.
    ///
    /// # Errors
    /// A file cannot be read, or has a line that is none.
    pub(crate) fn read(&mut self) -> Result<(), String> {
        for file in &mut self.files {
            file.read(&mut self.seen).map_err(|error| format!("{}: {error}", file.path.display()))?;
        }
        Ok(())
    }
}

impl Tail {
    fn read(&mut self, seen: &mut Seen) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => match File::open(&self.path) {
                Ok(file) => none.insert(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            },
        };
        let mut chunk = vec![0; 1 << 20];
        loop {
            let read = file.read(&mut chunk)?;
            if read == 0 {
                return Ok(());
            }
            self.rest.extend_from_slice(&chunk[..read]);
            let mut from = 0;
            while let Some(length) = self.rest[from..].iter().position(|octet| *octet == b'\n') {
                take(&self.rest[from..from + length], &self.plan, &mut self.clients, seen)?;
                from += length + 1;
            }
            self.rest.drain(..from);
        }
    }
}

fn take(line: &[u8], plan: &Plan, clients: &mut HashMap<u32, Client>, seen: &mut Seen) -> io::Result<()> {
    let head = &line[..line.len().min(HEAD)];
    if head.windows(MESSAGE.len()).any(|word| word == MESSAGE) {
        seen.messages += 1;
        return Ok(());
    }
    let (Head { t, c, s }, event) =
        read(line).map_err(|error| io::Error::other(format!("{error} in a line of a history")))?;
    let Some(c) = c else { return Ok(()) };
    let client = clients.entry(c).or_default();
    let mut answer = |n, what| {
        if let Some((sent, _)) = client.waiting.remove(&n) {
            seen.answers.push(Answer { sent, at: t, what });
        }
    };
    match event {
        Event::Send { n, .. } => {
            seen.sends += u64::from(client.sent.insert(n));
            client.waiting.insert(n, (t, s.unwrap_or(0)));
        }
        Event::Receipt { n, .. } => answer(n, What::Receipt),
        Event::Failed { n, outcome: Outcome::Refused, .. } => answer(n, What::Refused),
        Event::Failed { n, outcome: Outcome::Unknown, .. } => answer(n, What::Unknown),
        Event::Connected { .. } => seen.reconnects += u64::from(s > Some(1)),
        Event::Joined { recovered, .. } => {
            seen.joined += u64::from(client.joined.is_none());
            client.joined = client.joined.max(s.or(Some(0)));
            if client.away_since.is_some() && recovered == Some(true) {
                seen.ways.entry(plan.transport_of(c)).or_default().resumed += 1;
            }
            seen.absences.extend(client.away_since.take().map(|since| (since, t)));
            seen.recovered += u64::from(recovered == Some(true));
            seen.gaps += u64::from(recovered == Some(false));
        }
        Event::Gap { .. } => seen.gaps += 1,
        Event::Error { code, text } => seen.errors.push((t, format!("{} {text}", code.unwrap_or(0)))),
        Event::Refused { .. } => seen.refused.push(t),
        Event::Close { code, why, text, .. } => {
            if client.joined.is_some() && why != Why::Asked {
                seen.ways.entry(plan.transport_of(c)).or_default().cut += 1;
            }
            let close = Close { at: t, code, text: text.into_owned(), quiet: client.sent.is_empty() };
            client.closed(s.unwrap_or(0), close, why, seen);
        }
        _ => {}
    }
    Ok(())
}

impl Client {
    fn closed(&mut self, session: u32, close: Close, why: Why, seen: &mut Seen) {
        let at = close.at;
        let its = self.waiting.extract_if(|_, (_, of)| *of == session);
        seen.answers.extend(its.map(|(_, (sent, _))| Answer { sent, at, what: What::Unknown }));
        let present = self.joined.is_some_and(|joined| joined <= session);
        if present {
            self.joined = None;
            seen.joined -= 1;
        }
        if why != Why::Asked {
            // Where another session has taken over, nobody is away.
            if self.joined.is_none() {
                self.away_since.get_or_insert(at);
            }
            seen.closes.push(close);
        }
    }
}

impl Seen {
    /// How often each close code was seen.
    pub(crate) fn close_codes(&self) -> BTreeMap<u16, u64> {
        let mut codes = BTreeMap::new();
        self.closes.iter().for_each(|close| *codes.entry(close.code).or_default() += 1);
        codes
    }

    /// Tries that ended like this.
    pub(crate) fn count(&self, what: What) -> u64 {
        self.answers.iter().filter(|answer| answer.what == what).count() as u64
    }

    /// When a client first saw that something is wrong, at or after `from`.
    pub(crate) fn first_sign(&self, from: u64) -> Option<u64> {
        let failed = self.answers.iter().filter(|answer| answer.what != What::Receipt).map(|answer| answer.at);
        let closed = self.closes.iter().map(|close| close.at);
        let errors = self.errors.iter().map(|(at, _)| *at);
        failed.chain(closed).chain(errors).chain(self.refused.iter().copied()).filter(|at| *at >= from).min()
    }
}

#[cfg(test)]
#[path = "seen_tests.rs"]
mod tests;
