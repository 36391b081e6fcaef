//! The topic before anything is read or written: waits for Kafka, then creates the topic or checks it.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context as Task, Poll, Wake, Waker},
    thread::Thread,
    time::{Duration, Instant},
};

use rdkafka::{
    admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication},
    consumer::{BaseConsumer, Consumer as _},
    error::{IsError as _, KafkaError, RDKafkaErrorCode as Code},
};

use super::{
    OpenError,
    context::{Context, Role, State},
    settings::KafkaSettings,
};

/// How long one question may take before the wait is logged.
const ANSWER: Duration = Duration::from_secs(3);

/// What Kafka says about the topic.
struct Found {
    brokers: usize,
    /// Replicas of each partition; `None` when there is no such topic.
    replicas: Option<Vec<usize>>,
}

/// Waits until Kafka answers and the topic is as it must be. Says so every few seconds; ends when `cancelled`.
pub(super) fn prepare(
    settings: &KafkaSettings,
    state: &Arc<State>,
    client: &BaseConsumer<Context>,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), OpenError> {
    let mut created = false;
    loop {
        let found = wait_for_brokers(settings, state, client, cancelled)?;
        let rf = settings.replication_factor.unwrap_or(found.brokers.clamp(1, 3) as i32);
        let min_isr = settings.min_isr.unwrap_or((rf - 1).max(1));
        match found.replicas {
            Some(replicas) => {
                let mut faults = shape_faults(settings, &replicas, rf);
                match configuration(settings, state) {
                    Some(topic) => faults.extend(configuration_faults(settings, &topic, min_isr)),
                    None => tracing::warn!(
                        event = "topic_not_checked",
                        topic = settings.topic,
                        "the topic's configuration cannot be read (DescribeConfigs); it is not checked"
                    ),
                }
                return if faults.is_empty() { Ok(()) } else { Err(OpenError::Refused(faults.join("\n"))) };
            }
            // Its own creation takes a moment to be seen everywhere.
            None if created => std::thread::sleep(Duration::from_millis(50)),
            None if settings.create_topic => {
                create(settings, state, rf, min_isr)?;
                created = true;
            }
            None => return Err(OpenError::Refused(missing(settings, rf, min_isr))),
        }
    }
}

fn wait_for_brokers(
    settings: &KafkaSettings,
    state: &State,
    client: &BaseConsumer<Context>,
    cancelled: &dyn Fn() -> bool,
) -> Result<Found, OpenError> {
    let mut said = Instant::now();
    loop {
        if cancelled() {
            return Err(OpenError::Cancelled);
        }
        let why = match look(settings, client) {
            Ok(found) => return Ok(found),
            Err(KafkaError::Global(Code::TopicAuthorizationFailed)) => {
                return Err(OpenError::Refused(not_authorized(settings)));
            }
            Err(error) => error,
        };
        if said.elapsed() >= ANSWER {
            said = Instant::now();
            let reason = state.last_error().unwrap_or_else(|| why.to_string());
            tracing::warn!(event = "waiting_for_kafka", brokers = settings.brokers, reason, "waiting for Kafka");
        }
        // Serves the client's errors, which say more than the answer that failed (a wrong password, a certificate); it has
        // no assignment and so never a record. Waits too: a refused connection answers at once.
        for _ in 0..10 {
            client.poll(Duration::from_millis(10));
        }
    }
}

fn look(settings: &KafkaSettings, client: &BaseConsumer<Context>) -> Result<Found, KafkaError> {
    let metadata = client.fetch_metadata(Some(&settings.topic), Duration::from_secs(1))?;
    let brokers = metadata.brokers().len();
    let topic = metadata.topics().first().ok_or(KafkaError::MetadataFetch(Code::UnknownTopic))?;
    match topic.error().filter(|error| error.is_error()).map(Code::from) {
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(Found { brokers, replicas: None }),
        Some(code) => Err(KafkaError::Global(code)),
        None if topic.partitions().iter().any(|p| p.leader() < 0) => {
            Err(KafkaError::MetadataFetch(Code::LeaderNotAvailable))
        }
        None => Ok(Found { brokers, replicas: Some(topic.partitions().iter().map(|p| p.replicas().len()).collect()) }),
    }
}

fn create(settings: &KafkaSettings, state: &Arc<State>, rf: i32, min_isr: i32) -> Result<(), OpenError> {
    let (max_bytes, min_isr) = (settings.max_message_bytes.to_string(), min_isr.to_string());
    let mut topic = NewTopic::new(&settings.topic, settings.partitions, TopicReplication::Fixed(rf));
    for (key, value) in [
        ("cleanup.policy", "delete"),
        ("compression.type", "producer"),
        ("max.message.bytes", &max_bytes),
        // One clock for a partition: repeats are judged by it, alike on every edge.
        ("message.timestamp.type", "LogAppendTime"),
        ("min.insync.replicas", &min_isr),
        ("retention.ms", "604800000"),
        ("segment.ms", "3600000"),
        ("unclean.leader.election.enable", "false"),
    ] {
        topic = topic.set(key, value);
    }
    let refused = |why: String| OpenError::Refused(format!("cannot create topic {}: {why}", settings.topic));
    let admin = admin(settings, state).map_err(|e| refused(e.to_string()))?;
    let results = block_on(admin.create_topics([&topic], &options())).map_err(|e| refused(e.to_string()))?;
    match results.into_iter().next() {
        // Another edge was faster; what it made is checked like any other.
        None | Some(Ok(_) | Err((_, Code::TopicAlreadyExists))) => {
            tracing::info!(
                event = "topic_created",
                topic = settings.topic,
                partitions = settings.partitions,
                rf,
                min_isr,
                "topic created"
            );
            Ok(())
        }
        Some(Err((_, code))) => Err(refused(format!("{code} (partitions {}, replicas {rf})", settings.partitions))),
    }
}

/// The topic's configuration; `None` when this edge may not look at it.
fn configuration(settings: &KafkaSettings, state: &Arc<State>) -> Option<ConfigResource> {
    let admin = admin(settings, state).ok()?;
    let answer = block_on(admin.describe_configs([&ResourceSpecifier::Topic(&settings.topic)], &options()));
    // Without the permission the answer is a success with no entries.
    answer.ok()?.into_iter().flatten().find(|resource| !resource.entries.is_empty())
}

fn admin(settings: &KafkaSettings, state: &Arc<State>) -> Result<AdminClient<Context>, KafkaError> {
    settings.admin().create_with_context(Context { role: Role::Observer, state: Arc::clone(state) })
}

fn options() -> AdminOptions {
    let limit = Some(Duration::from_secs(5));
    AdminOptions::new().request_timeout(limit).operation_timeout(limit)
}

/// Partitions and replicas. What cannot be undone by the edge is a refusal; what does no harm is a warning.
fn shape_faults(settings: &KafkaSettings, replicas: &[usize], rf: i32) -> Vec<String> {
    let KafkaSettings { brokers, topic, partitions, .. } = settings;
    let mut faults = Vec::new();
    let found = i32::try_from(replicas.len()).unwrap_or(i32::MAX);
    if found < *partitions {
        faults.push(format!(
            "topic {topic} has {found} partitions, {partitions} are needed: kafka-topics.sh --bootstrap-server \
             {brokers} --alter --topic {topic} --partitions {partitions} (or run every edge with --partitions {found})"
        ));
    } else if found > *partitions {
        tracing::warn!(
            event = "more_partitions",
            topic,
            found,
            used = partitions,
            "the topic has more partitions than rooms are spread over"
        );
    }
    let fewest = replicas.iter().min().map_or(0, |n| i32::try_from(*n).unwrap_or(i32::MAX));
    if fewest < rf {
        faults.push(format!(
            "topic {topic} has {fewest} replicas, {rf} are needed: raise them with kafka-reassign-partitions.sh \
             --bootstrap-server {brokers} (or run with --replication-factor {fewest}: records may then be lost with a broker)"
        ));
    }
    faults
}

fn configuration_faults(settings: &KafkaSettings, topic: &ConfigResource, min_isr: i32) -> Vec<String> {
    let value = |name| topic.get(name).and_then(|entry| entry.value.as_deref());
    let number = |name| value(name).and_then(|v: &str| v.parse::<i64>().ok()).unwrap_or(0);
    let max_bytes = i64::try_from(settings.max_message_bytes).unwrap_or(i64::MAX);
    let checks = [
        (
            "max.message.bytes",
            max_bytes.to_string(),
            number("max.message.bytes") >= max_bytes,
            "the largest allowed message would not fit",
        ),
        (
            "message.timestamp.type",
            "LogAppendTime".to_owned(),
            value("message.timestamp.type") == Some("LogAppendTime"),
            "repeats are judged by the broker's clock",
        ),
        (
            "min.insync.replicas",
            min_isr.to_string(),
            number("min.insync.replicas") >= i64::from(min_isr),
            "a receipted record could be lost with one broker",
        ),
        (
            "cleanup.policy",
            "delete".to_owned(),
            value("cleanup.policy") == Some("delete"),
            "compaction would leave one message of each room",
        ),
    ];
    let bad = checks.into_iter().filter(|(_, _, holds, _)| !holds);
    bad.map(|(name, wanted, _, why)| {
        format!(
            "topic {0} has {name}={1}, {wanted} is needed ({why}): kafka-configs.sh --bootstrap-server {2} --alter \
             --entity-type topics --entity-name {0} --add-config {name}={wanted}",
            settings.topic,
            value(name).unwrap_or("unset"),
            settings.brokers
        )
    })
    .collect()
}

fn missing(settings: &KafkaSettings, rf: i32, min_isr: i32) -> String {
    let KafkaSettings { brokers, topic, partitions, .. } = settings;
    format!(
        "topic {topic} does not exist: klatsch-edge --kafka {brokers} --topic {topic} --partitions {partitions} \
         --replication-factor {rf} --min-isr {min_isr} --create-topic creates it"
    )
}

pub(super) fn not_authorized(settings: &KafkaSettings) -> String {
    let KafkaSettings { brokers, topic, .. } = settings;
    format!(
        "this edge may not use topic {topic} (or there is none): kafka-acls.sh --bootstrap-server {brokers} --add \
         --allow-principal User:<edge> --operation Read --operation Write --topic {topic}, and --operation Describe \
         --group klatsch-edge- --resource-pattern-type prefixed"
    )
}

/// Runs a future on this thread, which may be one of a tokio runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let (mut future, mut task) = (pin!(future), Task::from_waker(&waker));
    loop {
        match future.as_mut().poll(&mut task) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
