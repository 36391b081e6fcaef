//! `bench memory allocations` on a real edge: the figures that are stable on any machine, with slack. What is demanded of
//! a release stands in the table itself; here a change that costs much is found by `cargo test`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod kit;

use std::path::Path;

use serde_json::Value;

/// The number that a row's figure begins with.
fn figure(row: &Value) -> f64 {
    let text = row["figure"].as_str().unwrap();
    text.split(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("no number: {row}"))
}

#[test]
fn row_4_row_5_row_19_a_session_costs_few_octets_and_a_delivery_no_allocation() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/local");
    let edge = kit::binary();
    let (scripts, edge) = (scripts.to_str().unwrap(), edge.to_str().unwrap());
    let ended = kit::load(&["bench", "memory", "allocations", "--json", "--edge", edge, "--scripts", scripts]);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{}", ended.stderr));
    let rows = report.as_array().unwrap();
    // (row, what its goal says, the most)
    let limits = [
        ("4", "a room each", 2048.0),
        ("4", "rooms of 50", 2048.0),
        ("4", "60 KB", 2048.0),
        ("5", "further subscription", 96.0),
        ("5", "per room", 200.0),
        ("19", "per event", 12.0),
        ("19", "per subscriber", 0.01),
    ];
    for (number, goal, most) in limits {
        let is_it = |row: &&Value| row["number"] == number && row["goal"].as_str().unwrap().contains(goal);
        let found: Vec<&Value> = rows.iter().filter(is_it).collect();
        assert!(!found.is_empty(), "no row {number} {goal}: {}", ended.stdout);
        for row in found {
            // Other tests run beside this one; nothing of that shows in counts or octets, but slack costs nothing.
            assert!(figure(row) <= most * 1.1, "{row}");
        }
    }
}
