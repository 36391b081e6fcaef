//! Renewed properties: other credentials, other certificates. Every client is made anew, and none goes before the new
//! properties have proved good; sessions notice nothing.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    consumer::{BaseConsumer, Consumer as _},
    error::IsError as _,
};

use super::{
    context::{Context, Fault, Role, State, lock},
    keeper::Keeper,
    settings::{KafkaSettings, Renewals, Renewed, property_faults},
};

/// How long the new properties may take to reach a broker.
const TRIAL: Duration = Duration::from_secs(5);
/// Properties that no broker takes yet are tried again this often.
const AGAIN: Duration = Duration::from_secs(10);

/// Where the keeper hears of renewed properties, and those that it has not got to work yet.
#[derive(Default)]
pub(super) struct Renewal {
    pub(super) source: Mutex<Option<Renewals>>,
    waiting: Mutex<Option<(Renewed, Instant)>>,
    pub(super) done: AtomicUsize,
}

impl Keeper {
    /// Looks for renewed properties, and goes over to them.
    pub(super) fn renew(&self) {
        let mut waiting = lock(&self.renewal.waiting);
        match lock(&self.renewal.source).as_mut().and_then(|source| source()) {
            Some(Ok(renewed)) => *waiting = Some((renewed, Instant::now())),
            Some(Err(why)) => {
                *waiting = None;
                self.state.set_fault(Fault::Renewal, Some(why));
            }
            None => {}
        }
        if let Some((renewed, due)) = waiting.take_if(|(_, due)| Instant::now() >= *due) {
            match self.go_over(&renewed) {
                Ok(()) => {
                    tracing::info!(event = "kafka_properties_renewed", "all clients have the renewed properties");
                    self.renewal.done.fetch_add(1, Relaxed);
                    self.state.set_fault(Fault::Renewal, None);
                    self.state.call(|calls| (calls.look, calls.urgent) = (true, true));
                }
                Err(why) => {
                    self.state.set_fault(Fault::Renewal, Some(why));
                    *waiting = Some((renewed, due.max(Instant::now()) + AGAIN));
                }
            }
        }
    }

    fn go_over(&self, renewed: &Renewed) -> Result<(), String> {
        let mut settings = lock(&self.settings).clone();
        (settings.brokers, settings.properties) = (renewed.brokers.clone(), renewed.properties.clone());
        let faults = property_faults(&settings.properties);
        if !faults.is_empty() {
            return Err(faults.join("; "));
        }
        try_out(&settings)?;
        // What is written decides; what reads can be made again at any time.
        self.producer.renew(&settings).map_err(|error| error.to_string())?;
        *lock(&self.settings) = settings.clone();
        self.observer.renew(&settings, &self.state).map_err(|error| error.to_string())?;
        self.scanners.renew(&settings);
        for feed in self.feeds() {
            feed.renew(&settings, &self.state).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// Whether a broker takes them and shows the topic: on a client apart, so that its errors are nobody's fault.
fn try_out(settings: &KafkaSettings) -> Result<(), String> {
    let state = Arc::new(State::default());
    let context = Context { role: Role::Trial, state: Arc::clone(&state) };
    let client: BaseConsumer<Context> =
        settings.observer().create_with_context(context).map_err(|error| error.to_string())?;
    let metadata = client.fetch_metadata(Some(&settings.topic), TRIAL).map_err(|error| {
        // Serves the client's errors, which say more than the answer that failed.
        for _ in 0..10 {
            client.poll(Duration::from_millis(10));
        }
        state.last_error().unwrap_or_else(|| error.to_string())
    })?;
    match metadata.topics().first().map(|topic| topic.error().filter(|error| error.is_error())) {
        Some(None) => Ok(()),
        Some(Some(error)) => {
            Err(format!("topic {}: {}", settings.topic, rdkafka::error::RDKafkaErrorCode::from(error)))
        }
        None => Err(format!("no answer about topic {}", settings.topic)),
    }
}
