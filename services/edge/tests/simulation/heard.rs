//! What a session hears, held against what is true.

use chat_proto::MessageId;
use stomp_proto::{Command, Headers, ServerFrame};

use super::{Eyes, Pending, Session, Told};
use crate::subscription::{Begun, Subscription};

impl Session {
    pub(super) fn handle_frame(
        &mut self,
        frame: &ServerFrame,
        eyes: &Eyes<'_>,
        told: &mut Vec<Told>,
    ) -> Result<(), String> {
        let headers = &frame.headers;
        self.note(|| format!("< {} {:?}", frame.command.as_str(), headers.iter().collect::<Vec<_>>()));
        if let Some(error) = &self.error {
            return Err(format!("E03: {:?} behind ERROR {error}", frame.command));
        }
        match frame.command {
            Command::Connected => {
                self.connected = true;
                told.push(Told::Connected);
                Ok(())
            }
            Command::Message if headers.get("destination") == Some("/user/queue/errors") => {
                self.fail(headers, eyes, told)
            }
            Command::Message => self.handle_message(frame, eyes, told),
            Command::Receipt => {
                let id = headers.get("receipt-id").unwrap_or_default();
                let pending =
                    self.pending.remove(id).ok_or_else(|| format!("R01: RECEIPT {id} that nobody waits for"))?;
                self.handle_receipt(pending, headers, eyes, told)
            }
            _ => {
                self.error = Some(headers.get("x-error").unwrap_or_default().to_owned());
                self.fail(headers, eyes, told)
            }
        }
    }

    fn handle_message(&mut self, frame: &ServerFrame, eyes: &Eyes<'_>, told: &mut Vec<Told>) -> Result<(), String> {
        let id = frame.headers.get("subscription").unwrap_or_default();
        // The oldest of that name: the id is free again only after its UNSUBSCRIBE's RECEIPT.
        let Some(subscription) = self.subscriptions.iter_mut().find(|it| it.id == id) else {
            return Err(format!("U10: MESSAGE for subscription {id}, which is over: {:?}", frame.headers));
        };
        let place = subscription.handle_message(&frame.headers, &frame.body, eyes.truth)?;
        told.push(Told::Place { room: subscription.room.clone(), token: Some(place) });
        Ok(())
    }

    fn handle_receipt(
        &mut self,
        pending: Pending,
        headers: &Headers,
        eyes: &Eyes<'_>,
        told: &mut Vec<Told>,
    ) -> Result<(), String> {
        match pending {
            Pending::Send { message, attempt, key, .. } => {
                let id = headers.get("message-id").ok_or("R02: RECEIPT of a SEND without message-id")?;
                let place: MessageId = id.parse().map_err(|_| format!("message-id {id}"))?;
                let Some(stored) = eyes.truth.get(place.partition, place.offset) else {
                    return Err(format!("p1: receipted as {id}, which is not in the log"));
                };
                if stored.check != place.check || headers.get("timestamp") != Some(&stored.timestamp_ms.to_string()) {
                    return Err(format!("p1: receipted as {id}, where something else lies"));
                }
                // A repeat may be answered with the message that it repeats.
                let repeats = !key.is_empty() && stored.shown && stored.key == key && stored.sender == self.user;
                if stored.attempt != attempt && !repeats {
                    return Err(format!("p1: {attempt} is receipted as {id}, which is {}", stored.attempt));
                }
                if let Some(sent) = self.sent.iter_mut().find(|(_, of, _)| *of == attempt) {
                    sent.2 = true;
                }
                told.push(Told::Stored { message, attempt });
            }
            Pending::Subscribe { subscription } => {
                let Some(it) = self.subscriptions.iter_mut().find(|it| it.id == subscription && it.joining) else {
                    return Err(format!("RECEIPT for subscription {subscription}, which does not wait for one"));
                };
                // It ends before it has begun, with UNSUBSCRIBE or with the session: nothing comes any more.
                if headers.get("x-position").is_none() {
                    (it.joining, it.start) = (false, Some(i64::MAX));
                    return Ok(());
                }
                let begun = it.handle_receipt(headers, eyes)?;
                let position = headers.get("x-position").and_then(|text| text.parse().ok());
                match begun {
                    Begun::Plain | Begun::NotRecovered => {
                        told.push(Told::Place { room: it.room.clone(), token: position });
                    }
                    Begun::Recovered => {}
                }
            }
            Pending::Unsubscribe { subscription } => {
                if let Some(at) = self.subscriptions.iter().position(|it| it.id == subscription) {
                    self.subscriptions.remove(at);
                }
            }
            Pending::Commit { receipts, .. } => {
                if let Some(open) = receipts.iter().find_map(|id| self.pending.get(id)) {
                    return Err(format!("T08: COMMIT's RECEIPT, but {open:?} has none"));
                }
            }
            Pending::Disconnect => {
                if let Some(open) = self.pending.values().find(|it| matches!(it, Pending::Send { .. })) {
                    return Err(format!("D02: DISCONNECT's RECEIPT, but {open:?} has none"));
                }
            }
        }
        Ok(())
    }

    /// ERROR, or a MESSAGE that stands for one.
    fn fail(&mut self, headers: &Headers, eyes: &Eyes<'_>, told: &mut Vec<Told>) -> Result<(), String> {
        let label = headers.get("x-error").unwrap_or_default();
        let known = label.starts_with("send_") || label.starts_with("log_") || label == "too_large";
        if label == "not_recovered" {
            let (destination, silent) = (headers.get("x-destination").unwrap_or_default(), self.error.is_none());
            let is_meant = |it: &Subscription| {
                !it.receipt && it.last.is_none() && (!silent || destination.ends_with(&format!("/{}", it.room)))
            };
            for gone in self.subscriptions.extract_if(.., |it| is_meant(it)) {
                told.push(Told::Place { room: gone.room, token: None });
            }
        }
        match headers.get("receipt-id").and_then(|id| self.pending.remove(id)) {
            Some(Pending::Send { message, attempt, .. }) if known && label != "send_unknown" => {
                if eyes.truth.attempts.contains_key(&attempt) {
                    return Err(format!("p5: {attempt} is refused ({label}), but in the log"));
                }
                told.push(Told::Refused { message, attempt });
            }
            Some(Pending::Send { message, .. }) => told.push(Told::Unknown { message }),
            _ => {}
        }
        Ok(())
    }
}
