//! What polls of the consumer came to, and how that is told.

use std::sync::atomic::Ordering::Relaxed;

use rdkafka::{
    Message as _,
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::BorrowedMessage,
};

use super::{
    super::{
        super::{FeedEvent, LogError, ReadRecord},
        context::{Fault, Role, State},
        headers,
        marks::Place,
    },
    End,
};

/// What a poll of the consumer came to. Apart from [`KafkaFeed`](super::KafkaFeed) so that the record can borrow the consumer.
pub(super) struct Polled<'a> {
    pub(super) state: &'a State,
    pub(super) places: &'a [Place],
    pub(super) ends: &'a mut [End],
}

impl Polled<'_> {
    fn place(&self, partition: i32) -> Option<&Place> {
        usize::try_from(partition).ok().and_then(|p| self.places.get(p))
    }

    /// Whether an event was handed over.
    pub(super) fn hand_over(
        &mut self,
        polled: Result<&ReadRecord<'_>, &KafkaError>,
        sink: &mut (dyn FnMut(FeedEvent<'_>) + Send),
    ) -> Result<bool, LogError> {
        let event = match polled {
            Ok(record) => {
                if let Some(place) = self.place(record.partition) {
                    place.passed(record.offset, record.value);
                }
                FeedEvent::Record(record)
            }
            Err(KafkaError::PartitionEOF(partition)) => {
                let offset = self.place(*partition).map_or(0, Place::next);
                if !self.is_news(*partition, offset) {
                    return Ok(false);
                }
                FeedEvent::EndOfPartition { partition: *partition, offset }
            }
            Err(KafkaError::MessageConsumptionFatal(code)) => return Err(LogError(format!("reading failed: {code}"))),
            Err(error) => {
                self.note(error);
                return Ok(false);
            }
        };
        if self.state.reading_faulty.load(Relaxed) {
            self.state.set_fault(Fault::Reading, None);
        }
        let end = self.end_at(&event);
        sink(event);
        end.into_iter().for_each(sink);
        Ok(true)
    }

    /// The end as it was when reading began, if this event has reached it. Brokers tell of an end only after a fetch that
    /// found nothing, but alone where the last offset holds no record.
    fn end_at(&mut self, event: &FeedEvent<'_>) -> Option<FeedEvent<'static>> {
        let FeedEvent::Record(ReadRecord { partition, offset, .. }) = event else { return None };
        let (partition, offset) = (*partition, offset + 1);
        let end = self.ends.get_mut(usize::try_from(partition).ok()?)?;
        end.at_first.take_if(|at| *at <= offset)?;
        *end = End::told(offset);
        Some(FeedEvent::EndOfPartition { partition, offset })
    }

    /// Whether an end has not been told yet.
    fn is_news(&mut self, partition: i32, offset: i64) -> bool {
        let end = usize::try_from(partition).ok().and_then(|at| self.ends.get_mut(at));
        end.is_none_or(|end| std::mem::replace(end, End::told(offset)).told != Some(offset))
    }

    fn note(&self, error: &KafkaError) {
        match error.rdkafka_error_code() {
            // It does not say which partition; the keeper compares all of them with their watermarks.
            Some(Code::AutoOffsetReset) => self.state.call(|calls| calls.resets += 1),
            Some(
                Code::TopicAuthorizationFailed
                | Code::UnknownTopic
                | Code::UnknownTopicOrPartition
                | Code::UnknownPartition,
            ) => {
                self.state.set_fault(Fault::Reading, Some(format!("cannot read the topic: {error}")));
                self.state.call(|calls| calls.look = true);
            }
            // The error callback has noted it as well, with librdkafka's reason.
            code => self.state.note(Role::Feed, code, &error.to_string()),
        }
    }
}

/// Stands where a poll came to no record.
pub(super) const NOTHING: ReadRecord<'static> =
    ReadRecord { partition: -1, offset: 0, timestamp_ms: 0, room: &[], value: &[], trace: None };

pub(super) fn read<'a>(message: &'a BorrowedMessage<'_>) -> ReadRecord<'a> {
    ReadRecord {
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
        room: message.key().unwrap_or_default(),
        value: message.payload().unwrap_or_default(),
        trace: headers::trace(message),
    }
}
