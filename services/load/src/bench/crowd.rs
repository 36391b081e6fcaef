//! The cheap clients: thousands of connections on one thread.
//!
//! Members subscribe to one room each and are *ballast*: drained by sweeps, their messages counted by frame heads, so that
//! a server never pays for waking them. Some are *probes*: woken for each message, which is parsed, its number checked, its
//! latency taken from the time at which it was due. *Publishers* only send, by a timetable that nothing delays.
//!
//! | file | what |
//! |---|---|
//! | `join.rs` | connecting, up to the RECEIPT of SUBSCRIBE |
//! | `wire.rs` | WebSocket, as cheap as it goes |
//! | `drive.rs` | a load: SENDs by the timetable, and all that comes of them |
//! | `members.rs` | sweeping the ballast, reading the probes |
//! | `publish.rs` | which SEND is due when, by whom, into which room |
//! | `last.rs` | when the last member of a room has a message |
//! | `tally.rs` | what was seen |
//! | `timer.rs` | sleeping to the microsecond |

mod drive;
mod join;
mod last;
mod members;
mod publish;
mod tally;
mod timer;
mod wire;

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs as _},
    thread,
    time::Duration,
};

use mio::{Events, Interest, Poll, Token};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{clock, dialect::Dialect, target::Target};
pub(crate) use drive::Load;
use members::{Member, Probe};
use publish::{Publisher, Timetable};
pub(crate) use tally::Tally;
use timer::Timer;

/// The timer's token; probes count from 0, publishers from [`PUBLISHERS`].
const TIMER: Token = Token(usize::MAX - 1);
const PUBLISHERS: usize = 1 << 32;
/// Octets read at a time.
const BUFFER: usize = 64 * 1024;
/// Files of this process beside its connections.
const OTHER_FILES: u64 = 256;
/// A client counts as subscribed this much later where nothing confirms it.
const NO_BARRIER: Duration = Duration::from_secs(1);

/// Who connects where.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The server.
    pub(crate) target: Target,
    /// How it is spoken to.
    pub(crate) dialect: Dialect,
    /// Connections with one subscription; member i is in room i modulo `rooms`.
    pub(crate) members: u32,
    /// Rooms.
    pub(crate) rooms: u32,
    /// How many of the members check each message.
    pub(crate) probes: u32,
    /// Connections that only send.
    pub(crate) publishers: u32,
    /// Octets of a SEND's body.
    pub(crate) body: usize,
    /// How often ballast is drained.
    pub(crate) sweep: Duration,
}

/// Clients that have joined.
pub(crate) struct Crowd {
    plan: Plan,
    poll: Poll,
    events: Events,
    timer: Timer,
    buffer: Vec<u8>,
    members: Vec<Member>,
    probes: Vec<Probe>,
    publishers: Vec<Publisher>,
    /// Tells the messages of one load from those of all others.
    run: u32,
    /// The present load's, or the last one's.
    last: Option<Timetable>,
    /// The next member to be swept, behind the end between sweeps.
    cursor: usize,
    /// Every member sends a beat this often; 0: none.
    beat: u64,
    next_beat: u64,
    next_beater: usize,
}

impl Plan {
    /// `members` in `rooms` of this server, spoken to as klatsch and the baselines want it: no beats, no receipts for SENDs,
    /// 200 octets, 2 % probes (two at least), at most 8 publishers.
    pub(crate) fn new(target: &Target, members: u32, rooms: u32) -> Plan {
        Plan {
            target: target.clone(),
            dialect: Dialect::quiet(),
            members,
            rooms: rooms.max(1),
            probes: (members / 50).clamp(2, 100).min(members),
            publishers: rooms.clamp(1, 8),
            body: 200,
            sweep: Duration::from_millis(20),
        }
    }
}

impl Crowd {
    /// Lets all clients join.
    ///
    /// # Errors
    /// A client was refused, or this process may not have as many open files.
    pub(crate) fn open(plan: &Plan) -> Result<Crowd, String> {
        allow_files(u64::from(plan.members + plan.publishers))?;
        let address = resolve(&plan.target)?;
        let cannot = |error: io::Error| format!("a poll cannot be made: {error}");
        let poll = Poll::new().map_err(cannot)?;
        let timer = Timer::new(poll.registry(), TIMER).map_err(cannot)?;
        let run = getrandom::u32().map_err(|error| format!("no entropy: {error}"))?;
        let rooms = plan.rooms as usize;
        let joined = join::join(plan, address, plan.members as usize, |index| Some((index % rooms) as u32))?;
        let beat = joined.first().map_or(0, |member| member.beat);
        let members = joined.into_iter().enumerate().map(|(index, joined)| Member::new(joined, (index % rooms) as u32));
        let mut crowd = Crowd {
            plan: plan.clone(),
            poll,
            events: Events::with_capacity(256),
            timer,
            buffer: vec![0; BUFFER],
            members: members.collect(),
            probes: Vec::new(),
            publishers: Vec::new(),
            run,
            last: None,
            cursor: usize::MAX,
            beat,
            next_beat: clock::now(),
            next_beater: 0,
        };
        for joined in join::join(plan, address, plan.publishers as usize, |_| None)? {
            let token = Token(PUBLISHERS + crowd.publishers.len());
            let mut publisher = Publisher::new(joined);
            let interest = Interest::READABLE | Interest::WRITABLE;
            crowd.poll.registry().register(publisher.socket(), token, interest).map_err(cannot)?;
            crowd.publishers.push(publisher);
        }
        for probe in 0..plan.probes.min(plan.members) {
            let member = probe as usize * stride(plan) % plan.members as usize;
            let token = Token(crowd.probes.len());
            let socket = crowd.members[member].become_probe();
            crowd.poll.registry().register(socket, token, Interest::READABLE).map_err(cannot)?;
            crowd.probes.push(Probe::new(member));
        }
        if plan.dialect.no_barrier {
            thread::sleep(NO_BARRIER);
        }
        Ok(crowd)
    }

    /// From now on this member is not read, or read again. A probe cannot be stalled: `false`.
    pub(crate) fn stall(&mut self, member: usize, stalled: bool) -> bool {
        self.members.get_mut(member).is_some_and(|member| member.stall(stalled))
    }
}

/// How far apart probes are, so that they lie in different rooms and at different places of their rooms.
fn stride(plan: &Plan) -> usize {
    let (members, rooms) = (plan.members as usize, plan.rooms as usize);
    let least = (members / plan.probes.max(1) as usize).max(1);
    (least..).find(|step| gcd(*step, members) == 1 && gcd(*step, rooms) == 1).unwrap_or(1)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn resolve(target: &Target) -> Result<SocketAddr, String> {
    let mut addresses =
        (target.host.as_str(), target.port).to_socket_addrs().map_err(|error| format!("{}: {error}", target.url))?;
    addresses.next().ok_or_else(|| format!("{}: no address", target.url))
}

/// Lifts the limit of open files as far as this process may; several crowds may be open at a time.
///
/// # Errors
/// That is not enough for so many more connections.
pub(crate) fn allow_files(more: u64) -> Result<(), String> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Nothing is lost if it may not be lifted; whether it suffices is asked next.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    match spare_files() {
        spare if spare < more => {
            Err(format!("{more} more open files are needed, {spare} are allowed: raise `ulimit -Hn`"))
        }
        _ => Ok(()),
    }
}

/// Connections that this process may still open.
pub(crate) fn spare_files() -> u64 {
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64);
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    maximum.unwrap_or(u64::MAX).saturating_sub(open + OTHER_FILES)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn probes_are_spread_over_the_rooms() {
        let target: Target = "ws://127.0.0.1:1".parse().unwrap();
        for (members, rooms) in [(5000, 100), (1000, 1), (200, 1), (5000, 1000), (10_000, 20), (3, 3), (2, 1)] {
            let plan = Plan::new(&target, members, rooms);
            let (stride, members) = (stride(&plan), members as usize);
            let chosen: HashSet<usize> = (0..plan.probes as usize).map(|probe| probe * stride % members).collect();
            let in_rooms: HashSet<usize> = chosen.iter().map(|member| member % rooms as usize).collect();
            assert_eq!(chosen.len(), plan.probes as usize, "{members} {rooms}");
            assert_eq!(in_rooms.len(), (rooms as usize).min(plan.probes as usize), "{members} {rooms}");
        }
    }
}
