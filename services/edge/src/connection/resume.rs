//! Where a subscription begins: what the client asks for, and what its RECEIPT says became of it (DESIGN §7).

use stomp_proto::Headers;

use super::Connection;
use super::subscriptions::{Behind, Joining, Seat, Slot};
use crate::{
    context::Context,
    disconnect::Ending,
    frames::Shape,
    looker::Excerpt,
    message::{Begin, Replay, Resumed, Subscriber, ToFollower},
    metrics::Resumed as Counted,
    tail::{RoomId, Seq},
    transport::Transport,
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
        let (slot, held, version, framing) = (cx.slot, self.past_bytes(), self.version(), self.transport.framing());
        let handle = who.subscription;
        let (auto, placed) = (self.session.window(handle) == usize::MAX, self.transport.has_places());
        let joining = match self.slot(handle) {
            Some(known @ Slot::Joining(_)) => std::mem::replace(known, Slot::Free),
            // Unsubscribed meanwhile, or leaving; the follower still counts it.
            None | Some(Slot::Free) => return cx.shell.ask(ToFollower::Leave { worker: cx.worker, room }),
            Some(Slot::Errors(_) | Slot::Notices(_) | Slot::Live(_) | Slot::Behind(_)) => return,
        };
        let Slot::Joining(joining) = joining else { return };
        let Joining { destination, id, receipt, begin } = *joining;
        let (prefix, suffix) = cx.settings.destinations.around(&destination);
        // JSON says nothing of it, and so all readers of a room share theirs.
        let subscription = id.as_deref().filter(|_| framing.is_stomp());
        let shape = Shape { framing, version, prefix, suffix, subscription };
        let membership = cx.hub.join(room, slot, handle.index, shape);
        let fits = |past: &Excerpt| held + past.bytes() <= cx.settings.replay_bytes;
        let replay = match resumed {
            Resumed::Replay(replay) if replay.past.as_ref().is_none_or(fits) => Some(replay),
            Resumed::Replay(_) | Resumed::NotRecovered => None,
            Resumed::NotAsked => Some(Replay { behind: after, count: 0, past: None, looked: false }),
        };
        let recovered = replay.is_some();
        let (count, looked) = replay.as_ref().map_or((0, false), |replay| (replay.count, replay.looked));
        let (behind, past) = replay.map_or((after, None), |replay| (replay.behind.min(after), replay.past));
        let seat = Seat { membership, auto, placed, through: behind };
        cx.metrics.stomp.subscriptions.inc();
        let is_behind = behind < after || past.is_some();
        self.subscriptions.slots[handle.index as usize] = if is_behind {
            // It begins in the past: as a cursor.
            self.subscriptions.behind += 1;
            cx.metrics.delivery.cursors.inc();
            Slot::Behind(Box::new(Behind { seat, replayed: after, reading: false, past }))
        } else {
            Slot::Live(seat)
        };
        if begin.is_some() {
            let source = match (recovered, looked) {
                (false, _) => Counted::NotRecovered,
                (true, false) => Counted::Memory,
                (true, true) => Counted::Kafka,
            };
            cx.metrics.stomp.resumed.of(source).inc();
        }
        match receipt {
            Some(receipt) => {
                let is_history = recovered && matches!(begin, Some(Begin::Last(_)));
                let (position, count) = (position.to_string(), is_history.then(|| count.to_string()));
                let mut headers = vec![("x-position", position.as_str())];
                headers.extend(begin.map(|_| ("x-recovered", if recovered { "true" } else { "false" })));
                headers.extend(count.as_deref().map(|count| ("x-history-count", count)));
                self.session.receipt(&receipt, &headers);
            }
            // Nobody would hear of the gap.
            None if !recovered => {
                self.leave(handle.index, cx);
                self.session.cancel(handle);
                self.refuse(Ending::NotRecovered, None, Some(&destination), None, cx);
            }
            None => {}
        }
        self.advance(cx);
        if !is_behind {
            self.outbound.push(self.transport.caught_up(), &mut cx.spares.queues);
        }
    }
}
