//! The load: `klatsch-load chat --record` as child processes.

use std::{
    env,
    fs::File,
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use clap::ValueEnum as _;
use rustix::process::{Pid, Signal, kill_process};

use super::scripts::Parts;
use crate::{client::Transport, stop::Stop};

/// How long a chat may take to answer for itself, once it has been told to end.
const GOODBYE: Duration = Duration::from_secs(90);

/// One process.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// Where its clients connect: to the first, and whoever is cut to the next.
    pub(crate) urls: Vec<String>,
    /// Clients.
    pub(crate) connections: u32,
    /// Rooms.
    pub(crate) rooms: u32,
    /// SENDs a second.
    pub(crate) rate: f64,
    /// Clients that send; the others only listen.
    pub(crate) senders: u32,
    /// A refused SEND leaves its session open.
    pub(crate) soft: bool,
    /// All clients begin at the first URL, and come back at once when it is gone.
    pub(crate) storm: bool,
    /// More arguments: how fast they come, and how they come back.
    pub(crate) habits: Vec<String>,
    /// How its clients speak to the edges, handed round the members of each room.
    pub(crate) transports: Vec<Transport>,
}

impl Plan {
    /// How a client speaks to the edges.
    pub(super) fn transport_of(&self, client: u32) -> Transport {
        Transport::of(&self.transports, client, self.rooms)
    }
}

/// Clients that are cut and come back as soon as they may, so that what is measured is the cluster and not their patience.
const EAGER: [&str; 8] = ["--ramp", "1000", "--notices", "off", "--after-restart", "0.5", "--back-off", "10"];

fn eager() -> Vec<String> {
    EAGER.map(str::to_owned).to_vec()
}

/// Processes that chat.
#[derive(Debug)]
pub(crate) struct Crowd {
    members: Vec<Member>,
    /// Clients of all of them.
    pub(crate) connections: u64,
}

#[derive(Debug)]
struct Member {
    child: Child,
    ended: Option<ExitStatus>,
    log: PathBuf,
}

/// One process through the balancer, one, with soft errors, that knows every edge; a fifth of the clients only listen. All
/// of them speak STOMP, unless the crowd is `mixed`.
pub(crate) fn usual(parts: &Parts, connections: u32, rooms: u32, rate: f64, mixed: bool) -> Vec<Plan> {
    let transports = if mixed { Transport::value_variants() } else { &[Transport::Stomp] };
    let share = |urls: Vec<String>, soft| Plan {
        urls,
        connections: connections / 2,
        rooms: (rooms / 2).max(1),
        rate: rate / 2.0,
        senders: connections / 2 * 4 / 5,
        soft,
        storm: false,
        habits: eager(),
        transports: transports.to_vec(),
    };
    vec![share(vec![parts.balancer.clone()], false), share(parts.edges.clone(), true)]
}

/// 12,000 sessions in 4,000 rooms on the first edge, in three processes that know all edges.
pub(crate) fn storm(parts: &Parts) -> Vec<Plan> {
    let plan = Plan {
        urls: parts.edges.clone(),
        connections: 4_000,
        rooms: 1_333,
        rate: 34.0,
        senders: 4_000,
        soft: false,
        storm: true,
        habits: eager(),
        transports: vec![Transport::Stomp],
    };
    vec![plan.clone(), plan.clone(), Plan { rooms: 1_334, ..plan }]
}

/// The history that process `n` writes, from 0.
pub(crate) fn history(dir: &Path, n: usize) -> PathBuf {
    dir.join(format!("chat-{n}.jsonl"))
}

impl Crowd {
    /// Starts them; their histories, reports and complaints lie in `dir`.
    ///
    /// # Errors
    /// One cannot be started.
    pub(crate) fn start(plans: &[Plan], dir: &Path) -> Result<Crowd, String> {
        let connections = plans.iter().map(|plan| u64::from(plan.connections)).sum();
        let mut crowd = Crowd { members: Vec::new(), connections };
        for (n, plan) in plans.iter().enumerate() {
            let member = Member::start(n, plan, dir).map_err(|error| format!("klatsch-load chat: {error}"))?;
            crowd.members.push(member);
        }
        Ok(crowd)
    }

    /// All of them still run.
    ///
    /// # Errors
    /// Which one does not, and its last words.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        for member in &mut self.members {
            if let Some(status) = member.poll()? {
                return Err(format!("a load process ended ({status}): {}", member.last_words()));
            }
        }
        Ok(())
    }

    /// Asks them to end, and waits; what went wrong beside the promises.
    ///
    /// # Errors
    /// One cannot be asked, or did not end.
    pub(crate) fn end(mut self) -> Result<Vec<String>, String> {
        for member in &mut self.members {
            if member.poll()?.is_none() {
                member.signal(Signal::INT).map_err(|error| format!("a load process: {error}"))?;
            }
        }
        // Whoever asked us to stop waits for this, too.
        let stop = Stop::default();
        let mut wrong = Vec::new();
        for member in &mut self.members {
            let status = stop.until(GOODBYE, || member.poll())?;
            match status.and_then(|status| status.code()) {
                Some(0) => {}
                Some(1) => wrong.push(format!("the clients saw a broken promise: {}", member.last_words())),
                _ => return Err(format!("a load process did not end as it should: {}", member.last_words())),
            }
        }
        Ok(wrong)
    }
}

impl Member {
    fn start(n: usize, plan: &Plan, dir: &Path) -> io::Result<Member> {
        let log = dir.join(format!("chat-{n}.log"));
        let mut command = Command::new(env::current_exe()?);
        command.arg("chat").arg("--record").arg(history(dir, n));
        plan.urls.iter().for_each(|url| _ = command.args(["--url", url]));
        let numbers = [
            ("--connections", plan.connections.to_string()),
            ("--rooms", plan.rooms.to_string()),
            ("--rate", plan.rate.to_string()),
            ("--senders", plan.senders.to_string()),
            ("--room-prefix", format!("chaos-{n}-")),
            // Until it is told to end.
            ("--seconds", "36000".to_owned()),
            ("--threads", "1".to_owned()),
        ];
        let transports: Vec<String> = plan.transports.iter().map(|transport| transport.name()).collect();
        command.args(["--keys", "--retry", "--authorization-on-send", "--transport", &transports.join(",")]);
        command.args(&plan.habits);
        numbers.iter().for_each(|(name, number)| _ = command.args([name, number.as_str()]));
        if plan.soft {
            command.arg("--soft-errors");
        }
        if plan.storm {
            command.args(["--first-url-first", "--reconnect-at-once"]);
        }
        // A Ctrl-C is for us: we end them in order.
        command.process_group(0).stdin(Stdio::null());
        command.stdout(File::create(dir.join(format!("chat-{n}.txt")))?).stderr(File::create(&log)?);
        Ok(Member { child: command.spawn()?, ended: None, log })
    }

    fn poll(&mut self) -> Result<Option<ExitStatus>, String> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().map_err(|error| format!("a load process: {error}"))?;
        }
        Ok(self.ended)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last = text.trim().lines().next_back().unwrap_or("it said nothing").to_owned();
        format!("{last} (all of it: {})", self.log.display())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for member in &mut self.members {
            if matches!(member.poll(), Ok(None)) {
                let _ = member.child.kill();
                let _ = member.child.wait();
            }
        }
    }
}
