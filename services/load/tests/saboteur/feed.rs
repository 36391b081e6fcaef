//! What an edge reads.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use klatsch_edge::log::{Feed, FeedEvent, LogError, ReadRecord, memory::MemoryFeed};

use super::{AT, Lie, Plot, log::owned};

/// Records of one partition that are skipped where a gap is hidden.
const SKIPPED: usize = 5;

/// Reads from the log, and passes on what it likes.
pub struct LyingFeed {
    feed: MemoryFeed,
    censor: Censor,
}

struct Censor {
    plot: Arc<Plot>,
    edge: usize,
    seen: usize,
    /// To be passed on behind the next one of its room.
    held: Option<(i32, i64, i64, Bytes, Bytes)>,
    /// Partition, and how many more of its records are skipped.
    skipping: Option<(i32, usize)>,
}

impl LyingFeed {
    pub fn new(feed: MemoryFeed, plot: Arc<Plot>, edge: usize) -> LyingFeed {
        LyingFeed { feed, censor: Censor { plot, edge, seen: 0, held: None, skipping: None } }
    }
}

impl Censor {
    fn pass(&mut self, event: FeedEvent<'_>, sink: &mut (dyn FnMut(FeedEvent<'_>) + Send)) {
        let FeedEvent::Record(record) = event else { return sink(event) };
        self.seen += 1;
        if self.edge == 0 {
            match self.plot.lie {
                Lie::DropRead if self.seen == AT => return,
                Lie::HideGap if self.seen == AT => self.skipping = Some((record.partition, SKIPPED)),
                Lie::SwapReads if self.seen == AT => {
                    self.held = Some(owned(record));
                    return;
                }
                _ => {}
            }
        } else if self.plot.lie == Lie::ForgetWhileDraining
            && self.plot.draining.load(Ordering::SeqCst) > 0
            && record.room == b"load-0"
            && self.seen.is_multiple_of(3)
        {
            return;
        }
        if let Some((partition, left)) = &mut self.skipping
            && *partition == record.partition
            && *left > 0
        {
            *left -= 1;
            return;
        }
        sink(event);
        if let Some((partition, offset, timestamp_ms, room, value)) =
            self.held.take_if(|(.., room, _)| *room == record.room)
        {
            sink(FeedEvent::Record(&ReadRecord {
                partition,
                offset,
                timestamp_ms,
                room: &room,
                value: &value,
                trace: None,
            }));
        }
    }
}

impl Feed for LyingFeed {
    async fn wait(&mut self, sink: &mut (dyn FnMut(FeedEvent<'_>) + Send)) -> Result<(), LogError> {
        let LyingFeed { feed, censor } = self;
        feed.wait(&mut |event| censor.pass(event, sink)).await
    }

    fn drain(&mut self, budget: usize, sink: &mut (dyn FnMut(FeedEvent<'_>) + Send)) -> Result<usize, LogError> {
        let LyingFeed { feed, censor } = self;
        feed.drain(budget, &mut |event| censor.pass(event, sink))
    }
}
