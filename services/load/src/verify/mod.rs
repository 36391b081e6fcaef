//! `verify`: what clients did and saw, against what lies in the topic: promises 1 to 8 and 10 of the design, offline.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | [`judge`]: the histories line by line, each to the rules that it concerns |
//! | `rules/` | the rules, one idea a file |
//! | `log.rs`, `log/` | the topic: places, rooms, which records are shown |
//! | `merge.rs` | several histories as one |
//! | `client.rs` | what is known of a client meanwhile |
//! | `findings.rs` | what broke, and the first counter-example of each promise |
//! | `statistics.rs`, `faults.rs` | how long users noticed something |
//! | `command.rs`, `report.rs` | files, topic; what is printed |
//!
//! In memory are the records of the log, a hundred octets each, and what is unsettled of each client; the histories are read
//! once, in the order of their times.

mod client;
mod command;
mod faults;
mod findings;
mod log;
mod merge;
mod report;
mod rules;
mod statistics;

pub use command::run;
pub use faults::Fault;
pub use findings::{Findings, Rule, Scene, Story};
pub use log::{Loader, Log, Row};
pub use report::Report;
pub use statistics::Statistics;

use std::{io::BufRead, mem};

use crate::{
    dump::Load,
    history::{Event, VERSION, Why},
};
use chat_proto::MessageId;
use client::{Client, Closed, Others, Sent, Session};
use log::{At, Found, NOBODY};
use merge::{Line, Merge};
use rules::Told;

/// A history.
pub struct Source<'a> {
    /// Its file's name.
    pub name: String,
    /// Its lines.
    pub lines: Box<dyn BufRead + 'a>,
}

/// What is asked beyond the promises.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// No session may end unless its client asked for it.
    pub expect_no_close: bool,
    /// Clients could not be reached for a while: how late an answer came is not judged.
    pub late_answers: bool,
    /// When faults began, in milliseconds since 1970.
    pub fault_at: Vec<u64>,
}

/// A server that drains closes with this those who have not moved by themselves.
const DRAINED: u16 = 1012;
/// More clients than this has no run.
const MOST_CLIENTS: u32 = 1_000_000;

/// What a history's first line says.
#[derive(Clone, Copy)]
struct RunFacts {
    run: u32,
    /// In microseconds.
    send_timeout: u64,
    last_t: u64,
    ended: bool,
}

struct Judge {
    log: Log,
    findings: Findings,
    statistics: Statistics,
    options: Options,
    runs: Vec<Option<RunFacts>>,
    /// By history and number.
    clients: Vec<Vec<Client>>,
}

/// Judges histories by the log that they were made on.
///
/// # Errors
/// A history cannot be read.
pub fn judge(histories: Vec<Source<'_>>, log: Log, options: Options) -> Result<Report, String> {
    let count = histories.len();
    let names: Vec<_> = histories.iter().map(|source| source.name.clone()).collect();
    let mut lines = Merge::new(histories)?;
    let statistics = Statistics::new(&options.fault_at);
    let clients = (0..count).map(|_| Vec::new()).collect();
    let mut judge = Judge { log, findings: Findings::default(), statistics, options, runs: vec![None; count], clients };
    while let Some(line) = lines.next()? {
        let (file, number) = (line.file, line.number);
        judge.take(line).map_err(|why| format!("{}: line {number}: {why}", names[file as usize]))?;
    }
    judge.finish();
    let whole = judge.runs.iter().all(|run| run.is_some_and(|run| run.ended));
    Ok(Report::new(names, whole, judge.log, judge.findings, judge.statistics))
}

impl Judge {
    fn take(&mut self, Line { file, number, head, event }: Line<'_>) -> Result<(), String> {
        self.statistics.lines += 1;
        let Some(facts) = &mut self.runs[file as usize] else {
            let Event::Run { run, version, send_timeout_ms, .. } = event else {
                return Err("the history does not begin with its run".to_owned());
            };
            if version != VERSION {
                return Err(format!("the history has version {version}; this reads {VERSION}"));
            }
            let send_timeout = send_timeout_ms * 1_000;
            self.runs[file as usize] = Some(RunFacts { run, send_timeout, last_t: head.t, ended: false });
            return Ok(());
        };
        facts.last_t = head.t;
        let run = facts.run;
        let (Some(client), Some(session)) = (head.c, head.s) else {
            facts.ended |= matches!(event, Event::End {});
            return Ok(());
        };
        if client >= MOST_CLIENTS {
            return Err(format!("there is no client {client}"));
        }
        let clients = &mut self.clients[file as usize];
        if clients.len() <= client as usize {
            clients.resize_with(client as usize + 1, Client::default);
        }
        let mut state = mem::take(&mut clients[client as usize]);
        let scene = Scene { file, line: number, t: head.t, run, client, session };
        self.event(&mut state, scene, event);
        self.clients[file as usize][client as usize] = state;
        Ok(())
    }

    fn event(&mut self, client: &mut Client, scene: Scene, event: Event<'_>) {
        match event {
            Event::Connected { user, .. } => {
                let user = user.map_or(NOBODY, |user| self.log.users.number(&user));
                self.statistics.connected(scene.session);
                client.sessions.push(Session::new(scene.session, user));
            }
            Event::Refused { .. } => self.statistics.refused_to_connect(scene.t),
            Event::Joined { position, recovered, .. } => {
                let Some(mut session) = client.take(scene.session) else { return };
                let takes_over = client.sessions.iter().any(|other| other.joined).then_some(DRAINED);
                let before = takes_over.map(|code| Closed { t: scene.t, code }).or(client.closed.take());
                self.statistics.joined(before, scene.t, recovered);
                self.joined(&mut session, scene, position.as_deref(), recovered, before);
                client.sessions.push(session);
            }
            Event::Gap { .. } => self.statistics.gaps += 1,
            event => {
                let Some(mut session) = client.take(scene.session) else { return };
                let others = client.others();
                match self.in_session(&mut session, others, scene, event) {
                    Some(closed) => client.ended(&session, closed),
                    None => client.sessions.push(session),
                }
            }
        }
    }

    /// Says how the session ended, if it did.
    fn in_session(&mut self, session: &mut Session, others: Others, scene: Scene, event: Event<'_>) -> Option<Closed> {
        let send = |n, attempt| Load { run: scene.run, client: scene.client, n, attempt };
        match event {
            Event::Subscribe { room, from, history } => {
                session.room = self.log.rooms.number(&room);
                session.from = from.and_then(|from| from.parse().ok());
                session.history = history.is_some();
            }
            Event::Send { n, attempt, key, .. } => {
                session.sends += 1;
                session.unanswered.insert((n, attempt), Sent { scene, keyed: key.is_some() });
                self.statistics.sent(scene.t, attempt);
                self.log.sent_by(send(n, attempt), session.user, key.as_deref());
            }
            Event::Receipt { n, attempt, id, ts } => {
                let sent = self.answered(session, scene, (n, attempt));
                self.statistics.receipted(scene.t, sent.map(|sent| sent.scene.t));
                let at = self.receipt(session, scene, send(n, attempt), sent, (id.as_deref(), ts));
                if let Some(at) = at.filter(|_| attempt == 1) {
                    self.sent_order(session, scene, n, at);
                }
            }
            Event::Failed { n, attempt, outcome, .. } => {
                let sent = self.answered(session, scene, (n, attempt));
                self.statistics.failed(scene.t, sent.map(|sent| sent.scene.t), outcome);
                self.failed(scene, send(n, attempt), outcome);
            }
            Event::Message { id, ts, sender, from, n, attempt, run, damaged, leaked, discarded, .. } => {
                let load = Load { run: run.unwrap_or(scene.run), client: from, n, attempt };
                let (sender, leaked) = (sender.as_deref(), leaked.as_deref());
                let at = self.message(session, scene, &id, Some(Told { load, ts, sender, damaged, leaked }));
                self.shown(session, others, scene, at, discarded);
            }
            Event::Foreign { id, discarded, .. } => {
                let at = self.message(session, scene, &id, None);
                self.shown(session, others, scene, at, discarded);
            }
            Event::Close { code, why, .. } => {
                let waiting = session.unanswered.values().map(|sent| sent.scene.t).collect();
                self.statistics.closed(scene.t, code, why, waiting);
                self.judge_session(session, scene, Some(why), "was left without answer until its session ended");
                self.closed(session, scene, code, why);
                return Some(Closed { t: scene.t, code });
            }
            _ => {}
        }
        None
    }

    /// Its record, if the log has it.
    fn message(&mut self, session: &mut Session, scene: Scene, id: &str, told: Option<Told<'_>>) -> Option<At> {
        self.statistics.messages += 1;
        match id.parse::<MessageId>().map(|id| self.log.find(id)) {
            Ok(Found::Here(at)) => {
                self.came(session, scene, at);
                self.agrees(scene, at, told);
                if let Some(told) = told {
                    self.sender(scene, at, told);
                }
                return Some(at);
            }
            Ok(Found::Trimmed(_)) => self.statistics.trimmed += 1,
            Ok(Found::Missing) | Err(_) => self.no_record(scene, id),
        }
        None
    }

    fn judge_session(&mut self, session: &mut Session, scene: Scene, why: Option<Why>, how: &'static str) {
        self.judge_unanswered(session, scene.t, how);
        self.judge_missed(session, scene, why == Some(Why::Asked));
        self.judge_lost(session, why);
    }

    /// Sessions that no line ends: their process stopped.
    fn finish(&mut self) {
        for file in 0..self.clients.len() {
            let Some(RunFacts { run, last_t, .. }) = self.runs[file] else { continue };
            let clients = mem::take(&mut self.clients[file]).into_iter().enumerate();
            let open = clients.flat_map(|(number, client)| client.sessions.into_iter().map(move |of| (number, of)));
            for (number, mut session) in open {
                let (file, client, number) = (file as u32, number as u32, session.number);
                let scene = Scene { file, line: u64::MAX, t: last_t, run, client, session: number };
                self.statistics.unanswered += session.unanswered.len() as u64;
                self.judge_session(&mut session, scene, None, "had no answer when the history stopped");
            }
        }
        let scene = Scene { file: 0, line: 0, t: 0, run: 0, client: 0, session: 0 };
        self.judge_senders(scene);
        self.judge_copies(scene);
    }

    fn send_timeout(&self, file: u32) -> u64 {
        self.runs.get(file as usize).copied().flatten().map_or(u64::MAX / 2, |run| run.send_timeout)
    }
}
