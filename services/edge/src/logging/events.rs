//! The closed set of events, each with what it means. `deploy/README.md` lists the same; a test sees to it, and that the
//! sources say nothing else.

/// Name and meaning of every event.
#[rustfmt::skip]
pub const EVENTS: &[(&str, &str)] = &[
    ("accept_failed", "the system gives no more connections: files or memory are used up"),
    ("catching_up", "the start takes longer than usual: these partitions have not been read to their end"),
    ("connection_ended", "a client's connection ends, or a refusal leaves it open; `code` is the label of `klatsch_connections_closed_total`"),
    ("drain_asked", "`POST /drain`: connections go, as after SIGTERM"),
    ("drain_too_short", "so many connections, `late`, will be closed together at the end: `--grace` or `--drain-rate` is too small"),
    ("drained", "the drain is over; `left` were closed by force"),
    ("draining", "SIGTERM: connections go, at `rate` a second"),
    ("embedded_log", "`--dev`: nothing is kept"),
    ("few_open_files", "the limit of open files allows fewer connections than asked for"),
    ("flushed", "the producer has ended; `left` records were given up"),
    ("follower_failed", "the log cannot be followed; exit 70 follows"),
    ("follower_stuck", "the follower takes no answers; exit 70 follows"),
    ("http_failed", "the HTTP side has ended; exit 70 follows"),
    ("kafka_error", "a client of librdkafka has met an error that passes by itself"),
    ("kafka_properties_not_used", "renewed credentials are not used, and why"),
    ("kafka_properties_renewed", "all clients have the renewed credentials"),
    ("kafka_settings", "librdkafka does not take the settings; exit 64"),
    ("library", "a line of a library that this program uses"),
    ("librdkafka", "a line of librdkafka"),
    ("log_away", "no acknowledgement, or no broker: SENDs are refused"),
    ("log_back", "SENDs are taken again"),
    ("log_failed", "the log of `--dev` does not start"),
    ("log_fault", "something stands in the way of reading or writing; `/readyz` says the same"),
    ("log_fault_gone", "it does not any more"),
    ("log_replaced", "a partition holds another log than before: its sessions got 410"),
    ("more_partitions", "the topic has more partitions than rooms are spread over"),
    ("no_answer", "no broker has answered a look at the topic"),
    ("no_entropy", "the system gives no random numbers; the process ends"),
    ("no_producer_id", "the first SENDs will wait for the producer's id"),
    ("not_acknowledged", "a record was not acknowledged; its SEND is answered accordingly"),
    ("not_asked", "a question about a record failed"),
    ("not_looked", "whether the log was replaced could not be found out"),
    ("not_started_anew", "the clients cannot be made anew for a replaced topic yet"),
    ("panic", "a thread has panicked; exit 70 follows"),
    ("poison_record", "a record cannot be shown; where it lies, and why"),
    ("producer_not_replaced", "the next producer cannot be made yet"),
    ("producer_replaced", "a producer beyond repair has been replaced"),
    ("reader_not_begun", "reading cannot begin yet"),
    ("reader_not_renewed", "the reader cannot be made anew yet"),
    ("reader_pace", "fetches begin, or cease, to wait at the brokers: load"),
    ("reader_stuck", "nothing is read although records wait; the reader is made anew"),
    ("records_gone", "records were gone before they were read: the sessions concerned got 410"),
    ("register_failed", "a connection could not be watched and is closed"),
    ("report_lost", "a worker takes no delivery reports; exit 70 follows"),
    ("sends_given_up", "no broker has confirmed these records in time: their outcome is unknown"),
    ("sends_not_given_up", "late records cannot be given up yet"),
    ("sockjs_failed", "a session over XHR could not be opened"),
    ("start_failed", "the edge does not start, and why"),
    ("started_anew", "the topic was made anew, and so were all clients"),
    ("suppressed", "so many lines `of` a kind were not written: ten a second are"),
    ("thread_died", "a thread has ended that must not; exit 70"),
    ("topic_created", "`--create-topic` has made the topic"),
    ("topic_not_checked", "the topic's settings cannot be read (DescribeConfigs)"),
    ("topic_refused", "the topic is not as it must be, and what would help; exit 69"),
    ("traces_failed", "traces cannot be made, and why; the edge goes on without"),
    ("waiting_for_kafka", "Kafka has not answered yet, and why"),
    ("waiting_for_log", "the log cannot be read yet"),
    ("worker_failed", "a worker cannot go on; exit 70 follows"),
    ("worker_stuck", "a worker takes no messages; exit 70 follows"),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn sources(dir: &Path, all: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, all);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                all.push(fs::read_to_string(path).unwrap());
            }
        }
    }

    /// What stands between the first two quotes.
    fn quoted(text: &str) -> &str {
        text.split('"').nth(1).unwrap()
    }

    #[test]
    fn the_sources_say_these_events_and_no_others() {
        let mut all = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
        let mut said = BTreeSet::from(["library"]);
        for source in &all {
            for macro_name in ["error!(", "warn!(", "info!(", "debug!(", "trace!(", "$how!("] {
                for (at, _) in source.match_indices(&format!("tracing::{macro_name}")) {
                    let arguments = source[at..].split_once('(').unwrap().1.trim_start();
                    let arguments = arguments.strip_prefix("target: \"librdkafka\",").unwrap_or(arguments).trim_start();
                    assert!(arguments.starts_with("event = \""), "no event: {}", &source[at..at + 60]);
                    said.insert(quoted(arguments));
                }
            }
        }
        assert!(all.iter().all(|source| !source.contains(concat!("tracing::", "event!("))), "one way to say things");
        let known: BTreeSet<&str> = EVENTS.iter().map(|(name, _)| *name).collect();
        assert_eq!(known.len(), EVENTS.len());
        assert_eq!(said, known);
        assert!(EVENTS.is_sorted());
    }

    /// Between the markers of `deploy/README.md`.
    #[test]
    fn the_documentation_lists_them() {
        let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/README.md")).unwrap();
        let table = page.split_once("<!-- events -->\n").unwrap().1.split_once("<!-- end -->").unwrap().0;
        let rows: Vec<String> = table.lines().skip(2).map(str::to_owned).collect();
        let ours: Vec<String> = EVENTS.iter().map(|(name, meaning)| format!("| `{name}` | {meaning} |")).collect();
        assert_eq!(rows, ours);
    }
}
