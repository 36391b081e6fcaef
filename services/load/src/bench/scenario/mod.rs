//! The scenarios: which rows each one measures, and how it is run.

mod accepted;
mod allocations;
mod broker;
mod cluster;
mod connections;
mod fanout;
mod fanout_kafka;
mod growth;
mod idle;
mod last;
mod latency;
mod law;
mod memory;
mod neighbours;
mod order;
mod pending;
mod posts;
mod readers;
mod small_rooms;
mod stalled;
mod storm;
mod unwanted;

use super::{
    contest::Series,
    row::{Row, short},
    stage::Stage,
    targets::Goal,
};

/// A measurement that can be asked for.
pub(crate) struct Scenario {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What it does, in a line.
    pub(crate) what: &'static str,
    /// The rows that it gives.
    pub(crate) rows: &'static [&'static str],
    /// Whether `quick` runs it: it is stable, and short where [`Stage::quick`] is set.
    pub(crate) quick: bool,
    /// Whether it needs a Kafka.
    pub(crate) kafka: bool,
    /// Runs it.
    pub(crate) run: fn(&Stage) -> Result<Vec<Row>, String>,
}

/// All of them, in the order in which `all` runs them.
pub(crate) static ALL: &[Scenario] = &[
    fanout::FANOUT,
    small_rooms::SMALL_ROOMS,
    pending::PENDING,
    last::LAST,
    connections::CONNECTIONS,
    order::ORDER,
    neighbours::NEIGHBOURS,
    memory::MEMORY,
    idle::IDLE,
    accepted::ACCEPTED,
    stalled::STALLED_CLIENTS,
    storm::STORM,
    readers::READERS,
    posts::POSTS,
    allocations::COUNTED,
    unwanted::UNWANTED,
    fanout_kafka::FANOUT_KAFKA,
    latency::LATENCY,
    broker::BROKER,
    cluster::CLUSTER,
    growth::GROWTH,
];

/// Those that these words ask for: names, or numbers of rows.
///
/// # Errors
/// A word is neither.
pub(crate) fn wanted(words: &[String]) -> Result<Vec<&'static Scenario>, String> {
    let asks = |word: &str, scenario: &Scenario| match word {
        // One that gives no rows is asked for by name.
        "all" => !scenario.rows.is_empty(),
        "quick" => scenario.quick,
        word => scenario.name == word || scenario.rows.contains(&word),
    };
    if let Some(word) = words.iter().find(|word| !ALL.iter().any(|scenario| asks(word, scenario))) {
        let judged = if super::targets::exists(word) { "is judged by `bench --url`" } else { "is no row or scenario" };
        return Err(format!("{word} {judged}; `klatsch-load bench list` names them"));
    }
    Ok(ALL.iter().filter(|scenario| words.iter().any(|word| asks(word, scenario))).collect())
}

/// Whether a long measurement may go on.
///
/// # Errors
/// Ctrl-C.
fn check(stage: &Stage) -> Result<(), String> {
    if stage.stop.asked() { Err("ended before it was done".to_owned()) } else { Ok(()) }
}

/// Deliveries in a second of one core, the edge's over the other's.
fn per_core(stage: &Stage, goal: &Goal, load: &str, edge: &Series, other: &Series) -> Result<Row, String> {
    let ratio = other.over(edge)?;
    let rate = |series: &Series| series.cpu().map(|cost| format!("{} k/s", short(1e3 / cost.median)));
    let row = Row::judged(goal, load, ratio.median).measured(rate(edge)?, rate(other)?).ratio(ratio);
    Ok(stage.lenient(row.unless(edge.broken()).unless(other.broken()), goal, ratio.median))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn scenarios_are_found_by_name_and_by_row_and_none_gives_an_unknown_row() {
        let names = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            wanted(&words).map(|found| found.iter().map(|scenario| scenario.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["all"]).unwrap().len(), ALL.iter().filter(|scenario| !scenario.rows.is_empty()).count());
        assert!(names(&["1"]).unwrap().contains(&"fanout"));
        assert!(names(&["fanout", "99"]).unwrap_err().starts_with("99 is no row"));
        for scenario in ALL {
            assert!(scenario.rows.iter().all(|row| super::super::targets::exists(row)), "{}", scenario.name);
        }
    }
}
