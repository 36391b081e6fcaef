//! What librdkafka is told, with the reason for each setting, and what the user may not change.

use std::{fmt, time::Duration};

use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

mod tables;

use super::pace::{LEVELS, Level, PROPERTIES};
use tables::{CONSUMER, PRODUCER, PRODUCER_ALONE, REFUSED, SHARED};

/// Where the log is and what the edge asks of it.
#[derive(Clone)]
pub struct KafkaSettings {
    /// Bootstrap servers, `host:port[,host:port…]`.
    pub brokers: String,
    /// The topic, and the pinned partition count N: rooms live in partitions `0..N`.
    pub topic: String,
    /// See `topic`.
    pub partitions: i32,
    /// Wanted replicas; `None` for min(3, brokers).
    pub replication_factor: Option<i32>,
    /// Wanted `min.insync.replicas`; `None` for max(1, replicas − 1).
    pub min_isr: Option<i32>,
    /// The largest record that an edge writes, framing included.
    pub max_message_bytes: usize,
    /// Create the topic if it does not exist.
    pub create_topic: bool,
    /// Name of this edge: client.id and group.id are `klatsch-edge-<instance>`.
    pub instance: String,
    /// More librdkafka properties, applied over ours; see [`property_faults`].
    pub properties: Vec<(String, String)>,
}

/// Without the properties' values: passwords are among them.
impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { brokers, topic, partitions, replication_factor, min_isr, max_message_bytes, .. } = self;
        f.debug_struct("KafkaSettings")
            .field("brokers", brokers)
            .field("topic", topic)
            .field("partitions", partitions)
            .field("replication_factor", replication_factor)
            .field("min_isr", min_isr)
            .field("max_message_bytes", max_message_bytes)
            .field("create_topic", &self.create_topic)
            .field("instance", &self.instance)
            .field("properties", &self.properties.iter().map(|(key, _)| key).collect::<Vec<_>>())
            .finish()
    }
}

/// Properties that take the place of those before, and where the brokers are then.
#[derive(Clone)]
pub struct Renewed {
    /// See [`KafkaSettings::brokers`].
    pub brokers: String,
    /// See [`KafkaSettings::properties`].
    pub properties: Vec<(String, String)>,
}

/// Asked about once a second whether the properties have been renewed; an error says what is wrong with the new ones.
pub type Renewals = Box<dyn FnMut() -> Option<Result<Renewed, String>> + Send>;

/// Longer than a broker crash can stall the log (9-10 s and an election).
const GIVE_UP: Duration = Duration::from_secs(30);
/// How far back the ages of records are known.
const OLDEST: Duration = Duration::from_secs(90);
/// Ours to keep: see [`KafkaSettings::give_up_after`].
const DELIVERY_TIMEOUT: [&str; 2] = ["delivery.timeout.ms", "message.timeout.ms"];

/// What is wrong with these properties: those that would break a promise, and those that librdkafka does not take.
pub fn property_faults(properties: &[(String, String)]) -> Vec<String> {
    let mut faults = Vec::new();
    for (key, value) in properties {
        if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| refused == key) {
            faults.push(format!("Kafka property {key} cannot be set: {why}"));
        } else if let Err(error) = ClientConfig::new().set(key, value).create_native_config() {
            // The value may be a secret; librdkafka's text names the key alone for those it knows as such.
            faults.push(format!("Kafka property {key}: {}", reason(&error)));
        }
    }
    faults
}

fn reason(error: &rdkafka::error::KafkaError) -> String {
    match error {
        rdkafka::error::KafkaError::ClientConfig(_, text, ..) => text.clone(),
        other => other.to_string(),
    }
}

impl KafkaSettings {
    /// `klatsch-edge-<instance>`.
    pub fn client_id(&self) -> String {
        format!("klatsch-edge-{}", self.instance)
    }

    /// How long a record may be on its way; then it is given up with everything else that is: `delivery.timeout.ms`, if
    /// somebody sets it, 90 s at most.
    pub(super) fn give_up_after(&self) -> Duration {
        let set = self.properties.iter().rev().find(|(key, _)| DELIVERY_TIMEOUT.contains(&key.as_str()));
        match set.and_then(|(_, ms)| ms.trim().parse().ok()) {
            Some(0) => OLDEST,
            Some(ms) => Duration::from_millis(ms).min(OLDEST),
            None => GIVE_UP,
        }
    }

    /// Whether fetches wait under load: who sets when a fetch is answered has decided that alone.
    pub(super) fn lets_fetches_wait(&self) -> bool {
        !self.properties.iter().any(|(key, _)| PROPERTIES.contains(&key.as_str()))
    }

    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.client(PRODUCER);
        config.set("message.max.bytes", self.max_message_bytes.to_string());
        let not_its = |key: &str| DELIVERY_TIMEOUT.contains(&key) || CONSUMER.iter().any(|(k, _)| *k == key);
        self.overrides(&mut config, not_its);
        // Its state changes tell when the producer id is there: the producer is warm, without a record written.
        let debug = config.get("debug").map_or("eos".to_owned(), |others| format!("{others},eos"));
        config.set("debug", debug).set_log_level(RDKafkaLogLevel::Debug);
        config
    }

    fn consumer(&self) -> ClientConfig {
        let mut config = self.client(CONSUMER);
        // librdkafka refuses assign() without one. A label: nothing joins.
        config.set("group.id", self.client_id());
        self.overrides(&mut config, |key| PRODUCER_ALONE.contains(&key) || PRODUCER.iter().any(|(k, _)| *k == key));
        config
    }

    /// The client that reads all. From level 1 on its fetches wait at the brokers.
    pub(super) fn reader(&self, level: usize) -> ClientConfig {
        let mut config = self.consumer();
        if level > 0 {
            let Level { least, most_ms, .. } = LEVELS[level];
            for (key, value) in PROPERTIES.iter().zip([least, most_ms]) {
                config.set(*key, value);
            }
        }
        config
    }

    /// The client that asks about the topic while the others are busy.
    pub(super) fn observer(&self) -> ClientConfig {
        let mut config = self.consumer();
        config.set("statistics.interval.ms", "0");
        // It reads a record here and there; questions must not wait behind that.
        config.set("fetch.wait.max.ms", "10");
        // The largest batch there can be: of a smaller piece brokers send only one partition's at a time.
        let batch = self.max_message_bytes.to_string();
        config.set("fetch.message.max.bytes", batch).set("queued.min.messages", "1");
        config
    }

    /// The client that reads the topic's settings and creates it.
    pub(super) fn admin(&self) -> ClientConfig {
        let mut config = self.client(&[]);
        let theirs =
            |key: &str| PRODUCER_ALONE.contains(&key) || PRODUCER.iter().chain(CONSUMER).any(|(k, _)| *k == key);
        self.overrides(&mut config, theirs);
        config.set("statistics.interval.ms", "0");
        config
    }

    /// A client that looks back. It is asked for offsets again soon after a fetch, which must not wait behind it.
    pub(super) fn scanner(&self) -> ClientConfig {
        let mut config = self.consumer();
        config.set("statistics.interval.ms", "0").set("fetch.wait.max.ms", "10");
        // It wants little, and what it does not want is fetched in vain.
        config.set("fetch.message.max.bytes", "262144").set("queued.min.messages", "2000");
        config
    }

    fn client(&self, own: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("client.id", self.client_id());
        for (key, value) in SHARED.iter().chain(own) {
            config.set(*key, *value);
        }
        config.set_log_level(RDKafkaLogLevel::Info);
        config
    }

    fn overrides(&self, config: &mut ClientConfig, not_mine: impl Fn(&str) -> bool) {
        for (key, value) in self.properties.iter().filter(|(key, _)| !not_mine(key)) {
            config.set(key, value);
            if key == "debug" {
                config.set_log_level(RDKafkaLogLevel::Debug);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn settings(properties: &[(&str, &str)]) -> KafkaSettings {
        KafkaSettings {
            brokers: "127.0.0.1:1".into(),
            topic: "t".into(),
            partitions: 1,
            replication_factor: None,
            min_isr: None,
            max_message_bytes: 85_000,
            create_topic: false,
            instance: "a".into(),
            properties: properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        }
    }

    #[test]
    fn librdkafka_takes_every_setting() {
        let settings = settings(&[("linger.ms", "3"), ("fetch.wait.max.ms", "7"), ("debug", "broker")]);
        for config in
            [settings.producer(), settings.reader(0), settings.reader(2), settings.observer(), settings.scanner()]
        {
            config.create_native_config().unwrap();
            assert_eq!(config.get("client.id"), Some("klatsch-edge-a"));
        }
        assert_eq!(settings.producer().get("linger.ms"), Some("3"));
        assert_eq!(settings.producer().get("fetch.wait.max.ms"), None);
        assert_eq!(settings.producer().get("debug"), Some("broker,eos"));
        assert_eq!(settings.consumer().get("fetch.wait.max.ms"), Some("7"));
        assert_eq!(settings.consumer().get("linger.ms"), None);
    }

    #[test]
    fn records_time_out_with_us_alone() {
        for (ms, after) in [("1500", 1_500), ("0", 90_000), ("300000", 90_000)] {
            let settings = settings(&[("message.timeout.ms", ms)]);
            assert_eq!(settings.give_up_after(), Duration::from_millis(after));
            assert_eq!(settings.producer().get("message.timeout.ms"), None);
            assert_eq!(settings.producer().get("delivery.timeout.ms"), Some("0"));
        }
        assert_eq!(settings(&[]).give_up_after(), GIVE_UP);
    }

    #[test]
    fn who_sets_how_fetches_wait_has_it_so() {
        assert!(settings(&[("linger.ms", "0")]).lets_fetches_wait());
        assert!(!settings(&[("fetch.min.bytes", "1")]).lets_fetches_wait());
        assert!(!settings(&[("fetch.wait.max.ms", "7")]).lets_fetches_wait());
        let settings = settings(&[]);
        assert_eq!(settings.reader(0).get("fetch.min.bytes"), Some("1"));
        assert_eq!(
            (settings.reader(1).get("fetch.min.bytes"), settings.reader(1).get("fetch.wait.max.ms")),
            (Some("1000"), Some("3"))
        );
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let faults = property_faults(
            &settings(&[
                ("acks", "1"),
                ("linger.ms", "soon"),
                ("no.such.thing", "1"),
                ("linger.ms", "5"),
                ("security.protocol", "plaintext"),
            ])
            .properties,
        );
        assert_eq!(faults.len(), 3, "{faults:?}");
        for (fault, key) in faults.iter().zip(["acks", "linger.ms", "no.such.thing"]) {
            assert!(fault.contains(key), "{fault}");
        }
        for (key, _) in REFUSED {
            assert_eq!(property_faults(&[((*key).to_owned(), "1".to_owned())]).len(), 1, "{key}");
        }
    }
}
