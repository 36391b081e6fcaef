//! A reader of the whole topic while a fault takes records away: only what it has read is left to judge by.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};

use crate::dump::Line;

const ANSWER: Duration = Duration::from_secs(10);

/// Writes every record to a file, as `dump` would, until it is dropped or told to end.
pub(super) struct Witness {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl Witness {
    /// From the beginning of what the topic holds now.
    ///
    /// # Errors
    /// Kafka cannot be asked, the file cannot be made.
    pub(super) fn start(
        kafka: &str,
        properties: &[(String, String)],
        topic: &str,
        file: &Path,
    ) -> Result<Witness, String> {
        let consumer = consumer(kafka, properties, topic)?;
        let failed = |error: io::Error| format!("{}: {error}", file.display());
        let mut out = BufWriter::new(File::create(file).map_err(failed)?);
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let read = move || -> Result<(), String> {
            while !ended.load(Ordering::Relaxed) {
                // An error is what the fault does: a partition that is gone is silent from then on.
                let Some(Ok(record)) = consumer.poll(Duration::from_millis(50)) else { continue };
                let (key, value) = (record.key().unwrap_or_default(), record.payload().unwrap_or_default());
                let line = Line::new(record.partition(), record.offset(), record.timestamp().to_millis(), key, value);
                serde_json::to_writer(&mut out, &line).map_err(|error| error.to_string())?;
                out.write_all(b"\n").map_err(|error| error.to_string())?;
            }
            out.flush().map_err(|error| error.to_string())
        };
        let thread = thread::Builder::new().name("witness".to_owned()).spawn(read).map_err(failed)?;
        Ok(Witness { end, thread: Some(thread) })
    }

    /// The file is complete after this.
    ///
    /// # Errors
    /// It could not be written.
    pub(super) fn end(mut self) -> Result<(), String> {
        self.end.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            _ => Err("the witness died".to_owned()),
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}

fn consumer(kafka: &str, properties: &[(String, String)], topic: &str) -> Result<BaseConsumer, String> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka).set("group.id", "klatsch-load").set("client.id", "klatsch-witness");
    config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    // What comes after a reset would be another log.
    config.set("auto.offset.reset", "error").set("allow.auto.create.topics", "false");
    properties.iter().for_each(|(name, value)| _ = config.set(name, value));
    let failed = |error: rdkafka::error::KafkaError| format!("the witness: {error}");
    let consumer: BaseConsumer = config.create().map_err(failed)?;
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER).map_err(failed)?;
    let mut list = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        let (low, _) = consumer.fetch_watermarks(topic, partition.id(), ANSWER).map_err(failed)?;
        list.add_partition_offset(topic, partition.id(), Offset::Offset(low)).map_err(failed)?;
    }
    consumer.assign(&list).map_err(failed)?;
    Ok(consumer)
}
