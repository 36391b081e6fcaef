//! Where a subscription begins: what the client asks for, and what its RECEIPT says became of it (DESIGN §7).

use stomp_proto::Headers;

use super::Connection;
use super::subscriptions::{Mode, Seat};
use crate::{
    context::Context,
    disconnect::Ending,
    message::{Begin, Resumed, Subscriber, ToFollower},
    metrics::Resumed as Counted,
    tail::{RoomId, Seq},
};
use chat_proto::MessageId;

/// More of a room's past is an archiver's affair.
const MOST_HISTORY: u32 = 10_000;

/// `x-from` or `x-history` of a SUBSCRIBE; the former wins. What cannot be read is a token that no edge has written:
/// it is answered, not punished.
pub(super) fn begin_of(headers: &Headers) -> Option<Begin> {
    if let Some(from) = headers.get("x-from") {
        let moment = from.strip_prefix('@').map(str::parse);
        return Some(match (from, moment) {
            ("now", _) => Begin::Now,
            ("first", _) => Begin::First,
            (_, Some(Ok(ms))) => Begin::Since(ms),
            _ => from.parse::<MessageId>().map_or(Begin::Unknown, Begin::After),
        });
    }
    let history = headers.get("x-history")?;
    Some(history.parse::<u32>().map_or(Begin::Unknown, |count| Begin::Last(count.min(MOST_HISTORY))))
}

impl Connection {
    /// The follower's answer to SUBSCRIBE: what comes behind `after` comes live, what is replayed comes before it.
    pub fn handle_subscribed(
        &mut self,
        who: Subscriber,
        (room, after): (RoomId, Seq),
        position: MessageId,
        resumed: Resumed,
        cx: &mut Context<'_>,
    ) {
        let slot = cx.slot;
        let Some(subscription) = self.subscriptions.get(who.subscription) else {
            // Unsubscribed meanwhile; the follower still counts it.
            return cx.shell.ask(ToFollower::Leave { worker: cx.worker, room });
        };
        let Mode::Joining(joining) = &mut subscription.mode else { return };
        let (shape, receipt, begin) = (joining.shape.clone(), joining.receipt.take(), joining.begin);
        let destination = shape.destination.clone();
        let (membership, shape) = cx.hub.join(room, slot, who.subscription.index, shape);
        let behind = match resumed {
            Resumed::Replay { behind, .. } => behind.min(after),
            Resumed::NotAsked | Resumed::NotRecovered => after,
        };
        let seat = Seat { membership, room, shape, through: behind, replayed: after };
        subscription.mode = Mode::Live(seat);
        cx.metrics.stomp.subscriptions.inc();
        if behind < after {
            self.fall_behind(who.subscription, cx);
        }
        let recovered = resumed != Resumed::NotRecovered;
        if begin.is_some() {
            cx.metrics.stomp.resumed.of(if recovered { Counted::Memory } else { Counted::NotRecovered }).inc();
        }
        match receipt {
            Some(receipt) => {
                let (position, count) = (position.to_string(), count_of(begin, resumed));
                let mut headers = vec![("x-position", position.as_str())];
                headers.extend(begin.map(|_| ("x-recovered", if recovered { "true" } else { "false" })));
                headers.extend(count.as_deref().map(|count| ("x-history-count", count)));
                self.session.receipt(&receipt, &headers);
            }
            // Nobody would hear of the gap.
            None if !recovered => {
                self.leave(who.subscription, cx);
                self.session.cancel(who.subscription);
                self.refuse(Ending::NotRecovered, Some(&destination), None, cx);
            }
            None => {}
        }
        self.advance(cx);
    }
}

fn count_of(begin: Option<Begin>, resumed: Resumed) -> Option<String> {
    match (begin?, resumed) {
        (Begin::Last(_), Resumed::Replay { count, .. }) => Some(count.to_string()),
        _ => None,
    }
}
