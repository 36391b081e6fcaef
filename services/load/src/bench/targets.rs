//! What is demanded: every goal of performance.md §6, once, and from row 24 on those of the ways in beside STOMP. A row
//! with several demands has one goal for each.

/// A goal.
#[derive(Debug)]
pub(crate) struct Goal {
    /// The row of the table.
    pub(crate) number: &'static str,
    /// What is measured.
    pub(crate) what: &'static str,
    /// The unit of what is judged; empty: a ratio to the baseline of the same run.
    pub(crate) unit: &'static str,
    /// The release gate.
    pub(crate) must: Limit,
    /// The ambition.
    pub(crate) aim: Limit,
}

/// A bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// More than one number decides; in words. The scenario judges.
    Words(&'static str),
}

impl Limit {
    /// Whether a value keeps it; words keep nothing.
    pub(crate) fn holds(self, value: f64) -> bool {
        match self {
            Limit::AtMost(limit) => value <= limit,
            Limit::AtLeast(limit) => value >= limit,
            Limit::Words(_) => false,
        }
    }

    /// As the table shows it.
    pub(crate) fn show(self, unit: &str) -> String {
        let unit = if unit.is_empty() { "x" } else { &format!(" {unit}") };
        match self {
            Limit::AtMost(limit) => format!("≤ {limit}{unit}"),
            Limit::AtLeast(limit) => format!("≥ {limit}{unit}"),
            Limit::Words(words) => words.to_owned(),
        }
    }
}

use Limit::{AtLeast, AtMost, Words};

const fn goal(number: &'static str, what: &'static str, unit: &'static str, must: Limit, aim: Limit) -> Goal {
    Goal { number, what, unit, must, aim }
}

macro_rules! goals {
    ($($name:ident: $number:literal, $what:literal, $unit:literal, $must:expr, $aim:expr;)*) => {
        $(
            #[doc = concat!("Row ", $number, ": ", $what, ".")]
            pub(crate) static $name: Goal = goal($number, $what, $unit, $must, $aim);
        )*
        /// All of them, in the order of the table.
        pub(crate) static ALL: &[&Goal] = &[$(&$name),*];
    };
}

goals! {
    CPU: "1", "CPU per delivery / raw", "", AtMost(1.15), AtMost(1.05);
    CPU_SMALL: "1b", "CPU per delivery in rooms of 5 / raw", "", AtMost(1.35), AtMost(1.15);
    CPU_PENDING: "2", "CPU per delivery with 16 pending / coalescing raw", "", AtMost(1.5), AtMost(1.2);
    PER_CORE: "3", "deliveries per core / natural tungstenite", "", AtLeast(2.2), AtLeast(2.5);
    PER_CORE_PENDING: "3", "the same with 16 pending", "", AtLeast(12.0), AtLeast(15.0);
    IDLE_BYTES: "4", "process per idle session", "B", AtMost(2048.0), AtMost(1024.0);
    IDLE_BYTES_AFTER: "4", "the same after 60 KB both ways", "B", AtMost(2048.0), AtMost(1024.0);
    SUBSCRIPTION_BYTES: "5", "per further subscription", "B", AtMost(96.0), AtMost(48.0);
    ROOM_BYTES: "5", "per room", "B", AtMost(200.0), AtMost(120.0);
    NODE_BYTES: "6", "process and kernel per idle session", "B", AtMost(7000.0), AtMost(6000.0);
    IDLE_CPU_25: "7", "CPU per idle session and second, heart-beats of 25 s", "us", AtMost(0.7), AtMost(0.5);
    IDLE_CPU_10: "7", "the same, heart-beats of 10 s", "us", AtMost(1.6), AtMost(1.1);
    UNWANTED: "8", "an event nobody here wants, whole process", "us", AtMost(1.3), AtMost(1.1);
    UNWANTED_OWN: "8", "the same, our code", "ns", AtMost(200.0), AtMost(100.0);
    ADDED_P50: "9", "latency added to produce and consume, p50", "ms", AtMost(0.5), AtMost(0.35);
    ADDED_P99: "9", "the same, p99", "ms", AtMost(1.5), AtMost(0.8);
    LAST: "10", "last subscriber of a room of n", "", Words("≤ 1.2 n raw + 0.5 ms"), Words("≤ 1.08 n raw + 0.2 ms");
    WHOLE_PATH: "11", "publish to client, S2 at half load, local broker", "",
        Words("p99 ≤ 15 ms"), Words("p50 ≤ 3, p99 ≤ 8 ms");
    NEIGHBOURS: "12", "p99 of small rooms beside a room of 100 k, more by", "ms", AtMost(2.0), AtMost(1.0);
    MORE_CONNECTIONS: "13", "ratio to raw at 10 k connections, minus that at 1 k", "", AtMost(0.08), AtMost(0.0);
    MORE_ROOMS: "14", "an event among 1 M rooms, minus one among 1 k", "ns", AtMost(500.0), AtMost(250.0);
    CLUSTER: "15", "CPU = a x cluster events + b x deliveries: fit error", "%", AtMost(10.0), AtMost(5.0);
    STALLED_BYTES: "16", "a stalled client: kernel and own memory", "KiB", AtMost(128.0), AtMost(64.0);
    STALLED_OTHERS: "16", "the same: p99 of the others, more by", "%", AtMost(20.0), AtMost(5.0);
    STALLED_CUT: "16", "the same: it sees its cut within", "s", AtMost(1.0), AtMost(1.0);
    SESSION_CPU: "17", "CPU per accepted STOMP session", "us", AtMost(110.0), AtMost(85.0);
    PER_WRITE: "18", "messages per write when a connection is behind", "messages", AtLeast(14.0), AtLeast(14.0);
    ALLOCATIONS: "19", "allocations per event with its SEND", "", AtMost(12.0), AtMost(8.0);
    ALLOCATIONS_EACH: "19", "allocations per subscriber", "", AtMost(0.005), AtMost(0.005);
    OTHERS: "20", "whole stack per delivery in a room of 1000 / centrifuge, Spring, Node, RabbitMQ", "",
        Words("0.55 / 0.50 / 0.75 / 0.16"), Words("0.50 / 0.45 / 0.68 / 0.14");
    OTHERS_SMALL: "21", "the same in 1000 rooms of 5 at 1 k msg/s, one broker included", "",
        Words("≤ 0.8x Spring + Redis"), Words("≤ 1.0x centrifuge + Redis");
    BROKER: "22", "broker CPU per event at 1 k/s, RF 1, warm", "us", AtMost(330.0), Words("≤ 200 us at p50 ≤ 3 ms");
    ORDER: "23", "out of order in a room while saturated", "messages", AtMost(0.0), AtMost(0.0);
    READER_BYTES: "24", "a reader over HTTP, process / what /metrics states", "", AtMost(1.0), AtMost(0.75);
    READERS_BESIDE: "25", "p99 of STOMP beside readers over HTTP, more by", "ms", AtMost(2.0), AtMost(1.0);
    READER_CUT: "26", "readers over HTTP that stop: all are cut and know it within", "s", AtMost(20.0), AtMost(13.0);
    EVENTS_CPU: "27", "CPU per delivery by an event stream / by STOMP", "", AtMost(1.5), AtMost(1.2);
    POLL_CPU: "27", "CPU per delivery by a long poll, asked again / by STOMP", "", AtMost(15.0), AtMost(10.0);
    POST_CPU: "28", "CPU of a POST / of a SEND", "", AtMost(3.0), AtMost(2.0);
    LINE_CPU: "28", "CPU of a line of a batch / of a POST", "", AtMost(0.2), AtMost(0.1);
}

/// Whether some row has this number.
pub(crate) fn exists(number: &str) -> bool {
    ALL.iter().any(|goal| goal.number == number)
}

/// Where in the table a row of this number stands.
pub(crate) fn place(number: &str) -> usize {
    ALL.iter().position(|goal| goal.number == number).unwrap_or(ALL.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_there_in_its_order() {
        let mut numbers: Vec<&str> = ALL.iter().map(|goal| goal.number).collect();
        numbers.dedup();
        let mut wanted: Vec<String> = (1..=28).map(|row| row.to_string()).collect();
        wanted.insert(1, "1b".to_owned());
        assert_eq!(numbers, wanted);
        assert!(exists("1b") && !exists("29"));
    }

    #[test]
    fn an_aim_is_never_weaker_than_its_must() {
        for goal in ALL {
            match (goal.must, goal.aim) {
                (AtMost(must), AtMost(aim)) => assert!(aim <= must, "{}", goal.what),
                (AtLeast(must), AtLeast(aim)) => assert!(aim >= must, "{}", goal.what),
                _ => {}
            }
        }
    }
}
