//! The log in Kafka: its settings, its opening, and what becomes of properties that are renewed on disk.

use std::cell::{Cell, RefCell};

use super::*;
use crate::{
    config::{NewProperties, WatchedProperties},
    log::kafka::{KafkaSettings, OpenError, Renewals, Renewed},
};

/// The log cannot be opened.
pub(super) fn refused(error: &OpenError) -> Exit {
    match error {
        OpenError::Cancelled => Exit::Drained,
        OpenError::Settings(why) => {
            tracing::error!(event = "kafka_settings", why, "the settings for Kafka cannot be used");
            Exit::Settings
        }
        OpenError::Refused(why) => {
            tracing::error!(event = "topic_refused", why, "the topic is not as it must be");
            Exit::TopicRefused
        }
    }
}

impl Edge {
    fn kafka_settings(&self) -> KafkaSettings {
        let (brokers, properties) = match &self.config.log {
            LogChoice::Kafka { brokers, properties } => (brokers.clone(), properties.to_vec()),
            LogChoice::Embedded | LogChoice::Memory => Default::default(),
        };
        let topic = self.config.topic.clone();
        KafkaSettings {
            brokers,
            topic: topic.name,
            partitions: topic.partitions,
            replication_factor: topic.replication_factor,
            min_isr: topic.min_isr,
            max_message_bytes: self.config.max_record(),
            create_topic: topic.create,
            instance: self.config.instance.clone(),
            properties,
        }
    }

    /// Opens the log in Kafka. While it waits for that, and later, renewed properties take the place of those before.
    pub(super) fn open_kafka(&self, reports: &Arc<dyn Reports>) -> Result<KafkaLog, OpenError> {
        let mut settings = self.kafka_settings();
        let renewals = match &self.config.log {
            LogChoice::Kafka { properties, .. } => properties.watched().map(renewals),
            LogChoice::Embedded | LogChoice::Memory => None,
        };
        let Some(renewals) = renewals else {
            return KafkaLog::open(settings, Arc::clone(reports), &self.cancelled());
        };
        let (renewals, renewed, cancelled) = (RefCell::new(renewals), Cell::new(None), self.cancelled());
        // Asked every few seconds at the latest, and while a password is wrong several times a second.
        let look = || match (*renewals.borrow_mut())() {
            Some(Ok(new)) => {
                renewed.set(Some(new));
                true
            }
            Some(Err(why)) => {
                tracing::error!(event = "kafka_properties_not_used", why, "the renewed properties are not used");
                false
            }
            None => cancelled(),
        };
        loop {
            let result = KafkaLog::open(settings.clone(), Arc::clone(reports), &look);
            match (result, renewed.take()) {
                (Err(OpenError::Cancelled), Some(Renewed { brokers, properties })) => {
                    tracing::info!(event = "kafka_properties_renewed", "waiting for Kafka with the renewed properties");
                    (settings.brokers, settings.properties) = (brokers, properties);
                }
                (Ok(log), _) => {
                    log.renew_from(renewals.into_inner());
                    return Ok(log);
                }
                (Err(error), _) => return Err(error),
            }
        }
    }
}

/// What the log asks for renewed properties.
fn renewals(mut watched: WatchedProperties) -> Renewals {
    Box::new(move || {
        watched.changed().map(|new| match new {
            Ok(NewProperties { brokers, properties }) => Ok(Renewed { brokers, properties }),
            Err(faults) => Err(faults.to_string().replace('\n', "; ")),
        })
    })
}
