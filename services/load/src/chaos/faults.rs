//! What may happen because of each fault of `deploy/local/fault`. What is not named here must not happen. The promises
//! (DESIGN §2) hold in every row; `verify` judges them.

/// A fault, and what is expected of the system under it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    /// As `deploy/local/fault` calls it.
    pub(super) name: &'static str,
    /// What it works on; two faults on the same thing are never in force together.
    pub(super) on: On,
    /// Close codes that clients may see; with none, no session ends.
    pub(super) closes: &'static [u16],
    /// What may come of SENDs.
    pub(super) sends: Sends,
    /// Gaps may be announced: records are really lost.
    pub(super) gaps: bool,
    /// Edges may end and start again.
    pub(super) edges_end: bool,
    /// When RECEIPTs must flow as before.
    pub(super) recovers: Recovers,
    /// Clients cannot be reached, so that answers come when they can.
    pub(super) late_answers: bool,
    /// Its clients use every transport, each of them.
    pub(super) mixed: bool,
    /// It needs a cluster with passwords.
    pub(super) secure: bool,
    /// `F=random` does it, with these arguments.
    pub(super) random: Option<Args>,
}

/// What a fault works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    /// Edges, or their way to Kafka.
    Edges,
    /// Brokers.
    Brokers,
    /// What the brokers keep.
    Topic,
    /// Clients.
    Clients,
}

/// What may come of SENDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sends {
    /// Each gets its RECEIPT, late if need be.
    Receipted,
    /// A session may end before the answer comes: unknown. None is refused.
    Unknown,
    /// Refused or unknown, and said so.
    Fail,
}

/// When RECEIPTs must flow as before, at the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recovers {
    /// So many seconds after the beginning, with the fault still there.
    Alone(u64),
    /// So many seconds after the end of the fault.
    AfterEnd(u64),
}

/// What can be said with `begin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Args {
    /// Nothing.
    None,
    /// Which edge.
    Edge,
    /// Which edge, and perhaps which broker.
    EdgeAndBroker,
}

/// Nothing is seen of it but late RECEIPTs.
const HARMLESS: Fault = Fault {
    name: "",
    on: On::Brokers,
    closes: &[],
    sends: Sends::Receipted,
    gaps: false,
    edges_end: false,
    recovers: Recovers::Alone(5),
    late_answers: false,
    mixed: false,
    secure: false,
    random: None,
};

/// The one that has a load of its own.
pub(super) const STORM: &str = "reconnect-storm";

/// Seconds until Kafka, with its own settings, has given up a broker and all is as before.
pub(super) const KAFKA_DEFAULTS: u64 = 12;

use Args::{Edge, EdgeAndBroker};
use On::{Brokers, Clients, Edges, Topic};
use Recovers::{AfterEnd, Alone};
use Sends::{Fail, Receipted, Unknown};

/// An edge ends and another one takes over.
const EDGE_ENDS: Fault = Fault { on: Edges, sends: Unknown, edges_end: true, ..HARMLESS };
/// An edge and Kafka lose each other.
const CUT: Fault =
    Fault { on: Edges, closes: &[4004], sends: Fail, recovers: AfterEnd(15), random: Some(EdgeAndBroker), ..HARMLESS };

/// All of them, in the order of `F=all`.
#[rustfmt::skip]
pub(super) const ALL: [Fault; 21] = [
    Fault { name: "kill-edge", closes: &[1006], mixed: true, random: Some(Edge), ..EDGE_ENDS },
    Fault { name: "roll-edges", closes: &[1012, 1001], recovers: AfterEnd(5), random: Some(Args::None), ..EDGE_ENDS },
    Fault { name: "kill-leader", random: Some(Args::None), ..HARMLESS },
    Fault { name: "kill-controller", recovers: Alone(10), random: Some(Args::None), ..HARMLESS },
    Fault { name: "pause-leader", recovers: Alone(8), random: Some(Args::None), ..HARMLESS },
    Fault { name: "two-brokers-down", closes: &[4004], sends: Fail, recovers: AfterEnd(15), random: Some(Args::None), ..HARMLESS },
    Fault { name: "edge-cut-from-kafka", ..CUT },
    Fault { name: "one-way-cut", ..CUT },
    Fault { name: "one-way-cut-out", ..CUT },
    Fault { name: "slow-client", on: Clients, closes: &[1006, 4002], sends: Unknown, recovers: AfterEnd(15), random: Some(Args::None), late_answers: true, ..HARMLESS },
    Fault { name: "producer-queue-full", closes: &[4004, 1012], edges_end: true, random: Some(Args::None), ..CUT },
    Fault { name: "clock-skew", closes: &[1006, 1012, 1001], recovers: AfterEnd(5), ..EDGE_ENDS },
    Fault { name: "add-partitions", on: Topic, ..HARMLESS },
    Fault { name: "delete-topic", on: Topic, closes: &[4003, 4004], sends: Fail, gaps: true, recovers: AfterEnd(20), ..HARMLESS },
    Fault { name: "trim-log", on: Topic, closes: &[4003], gaps: true, ..HARMLESS },
    Fault { name: "trim-log-paused", on: Edges, closes: &[4003], gaps: true, sends: Unknown, recovers: AfterEnd(10), ..HARMLESS },
    Fault { name: "poison-record", on: Topic, random: Some(Args::None), ..HARMLESS },
    Fault { name: "disk-full", recovers: Alone(10), ..HARMLESS },
    Fault { name: "credential-rotation", on: Edges, closes: &[4004], sends: Fail, recovers: Alone(10), secure: true, ..HARMLESS },
    Fault { name: STORM, closes: &[1006], recovers: Alone(30), ..EDGE_ENDS },
    Fault { name: "mixed-versions", closes: &[1012, 1001], recovers: AfterEnd(5), ..EDGE_ENDS },
];

/// The one of this name.
pub(super) fn named(name: &str) -> Option<&'static Fault> {
    ALL.iter().find(|fault| fault.name == name)
}

impl Fault {
    /// The same where brokers have Kafka's own time-outs.
    pub(super) fn with_kafka_defaults(self) -> Fault {
        match self.recovers {
            Alone(bound) if self.on == Brokers => Fault { recovers: Alone(bound.max(KAFKA_DEFAULTS)), ..self },
            _ => self,
        }
    }

    /// What may happen, in words.
    pub(super) fn expectation(&self) -> String {
        let mut words = Vec::new();
        match self.closes {
            [] => words.push("no session ends".to_owned()),
            codes => {
                let codes: Vec<String> = codes.iter().map(u16::to_string).collect();
                words.push(format!("sessions may end ({})", codes.join(", ")));
            }
        }
        let sends = match self.sends {
            Receipted => "every SEND is receipted",
            Unknown => "SENDs of sessions that end may be unknown",
            Fail => "SENDs may be refused or unknown; who does not send stays",
        };
        words.push(sends.to_owned());
        words.push(if self.edges_end { "edges end and start" } else { "no edge ends" }.to_owned());
        if self.gaps {
            words.push("gaps are announced".to_owned());
        }
        if self.mixed {
            words.push("clients of every transport are cut, and go on by their tokens".to_owned());
        }
        words.push(match self.recovers {
            Alone(seconds) => format!("as before within {seconds} s"),
            AfterEnd(seconds) => format!("as before within {seconds} s of its end"),
        });
        words.join("; ")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_fault_of_the_scripts_has_its_expectations_and_no_other() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/local/fault.d");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let scripts = fs::read_dir(dir).unwrap().map(name).filter(|name| !name.starts_with('.'));
        let scripts: BTreeSet<String> = scripts.collect();
        let ours: BTreeSet<String> = ALL.iter().map(|fault| fault.name.to_owned()).collect();
        assert_eq!(scripts, ours);
        assert_eq!(ours.len(), ALL.len(), "a name twice");
    }

    #[test]
    fn an_expectation_can_be_read() {
        let text = named("kill-leader").unwrap().expectation();
        assert_eq!(text, "no session ends; every SEND is receipted; no edge ends; as before within 5 s");
        let slower = named("kill-leader").unwrap().with_kafka_defaults();
        assert_eq!(slower.recovers, Alone(12));
        assert!(named("x").is_none());
    }
}
