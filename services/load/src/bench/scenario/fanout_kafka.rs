//! Row 1 with Kafka's log: the same deliveries, with librdkafka's part of them, and `verify` on what lies in the topic.

use super::{
    Scenario,
    fanout::{ROOM_OF_1000, TEAMS, against_raw},
};
use crate::bench::{row::Row, stage::Stage};

pub(super) const FANOUT_KAFKA: Scenario = Scenario {
    name: "fanout-kafka",
    what: "one message per write with Kafka's log: rooms of 1000 and 50, against raw; verify beside it",
    rows: &["1"],
    quick: false,
    kafka: true,
    run,
};

fn run(stage: &Stage) -> Result<Vec<Row>, String> {
    let log = stage.kafka()?.log();
    Ok(vec![against_raw(stage, &log, ROOM_OF_1000)?, against_raw(stage, &log, TEAMS)?.beside()])
}
