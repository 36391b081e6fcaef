//! A producer with a thread that serves its delivery reports.
//!
//! rdkafka's own, `ThreadedProducer`, waits for reports for a tenth of a second at a time. librdkafka counts in whole
//! milliseconds, so what is left of the last one is spent asking again and again: an edge that nobody talks to used 1 % of a
//! core for that.

use std::{
    io,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::BaseProducer,
};

use super::delivery::Delivery;

/// How long the thread waits for a report before it looks whether it is to end: a little more than whole milliseconds, so
/// that nothing is left of the last one where no report has come.
const LOOK: Duration = Duration::from_micros(500_010);

/// A [`BaseProducer`] whose reports are served. Dropping it waits for the thread, and reports what is left.
pub(super) struct Served {
    producer: Arc<BaseProducer<Delivery>>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    /// # Errors
    /// librdkafka does not take the settings, or there is no thread to be had.
    pub(super) fn start(config: &ClientConfig, delivery: Delivery) -> Result<Self, KafkaError> {
        let producer: Arc<BaseProducer<Delivery>> = Arc::new(config.create_with_context(delivery)?);
        let ending = Arc::new(AtomicBool::new(false));
        let (served, until) = (Arc::clone(&producer), Arc::clone(&ending));
        let serve = move || {
            while !until.load(Relaxed) {
                served.poll(LOOK);
            }
        };
        let no_thread = |_: io::Error| KafkaError::ClientCreation(Code::CriticalSystemResource.to_string());
        let thread = thread::Builder::new().name("reports".to_owned()).spawn(serve).map_err(no_thread)?;
        Ok(Self { producer, ending, thread: Some(thread) })
    }
}

impl Deref for Served {
    type Target = BaseProducer<Delivery>;

    fn deref(&self) -> &Self::Target {
        &self.producer
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.ending.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has said what it died of.
            let _ = thread.join();
        }
    }
}
