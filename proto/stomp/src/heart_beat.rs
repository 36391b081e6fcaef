//! Heart-beats: what is agreed, when a beat is due, when silence has lasted too long (family B).

use core::time::Duration;

/// What the server offers. It mirrors the client's wish (sx = cy, sy = cx) between `floor` and `cap`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartBeatPolicy {
    /// The shortest interval offered.
    pub floor: Duration,
    /// The longest interval offered; a client that asks for more gets what it asks for (the longer one holds, B02).
    pub cap: Duration,
    /// How many intervals of silence are endured (B06).
    pub tolerance: u32,
    /// The least silence endured, for hidden browser tabs whose timers fire once a minute (B08). `None` and the strict
    /// profile switch it off.
    pub browser_floor: Option<Duration>,
}

impl Default for HeartBeatPolicy {
    fn default() -> HeartBeatPolicy {
        HeartBeatPolicy {
            floor: Duration::from_secs(1),
            cap: Duration::from_secs(25),
            tolerance: 3,
            browser_floor: Some(Duration::from_secs(75)),
        }
    }
}

/// The two numbers of a `heart-beat` header, in milliseconds; zero means never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pair {
    /// What the writer of the header can send.
    pub(crate) send_ms: u32,
    /// What it wants to receive.
    pub(crate) receive_ms: u32,
}

impl Pair {
    /// Two non-negative integers; huge ones saturate (B01).
    pub(crate) fn parse(text: &str) -> Option<Pair> {
        let (send, receive) = text.split_once(',')?;
        Some(Pair { send_ms: milliseconds(send)?, receive_ms: milliseconds(receive)? })
    }

    /// The server's own pair in answer to this one.
    pub(crate) fn answer(self, policy: &HeartBeatPolicy) -> Pair {
        let offer = |wish: u32| match wish {
            0 => 0,
            wish => wish.min(clamp_ms(policy.cap)).max(clamp_ms(policy.floor)),
        };
        Pair { send_ms: offer(self.receive_ms), receive_ms: offer(self.send_ms) }
    }
}

fn milliseconds(text: &str) -> Option<u32> {
    let text = text.trim_matches(' ');
    if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u32::MAX))
}

/// 584 years are enough for any origin.
pub(crate) fn nanos(moment: Duration) -> u64 {
    u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX)
}

fn clamp_ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX).max(1)
}

/// The running clockwork of one session. It knows no clock: every time is an argument.
#[derive(Debug, Default)]
pub(crate) struct HeartBeat {
    send_ms: u32,
    receive_ms: u32,
    /// Moments in nanoseconds, half as large as a `Duration`: every idle session has them.
    next_beat: u64,
    last_heard: u64,
    paused: bool,
    due: bool,
}

impl HeartBeat {
    pub(crate) fn new(now: Duration) -> HeartBeat {
        HeartBeat { last_heard: nanos(now), ..HeartBeat::default() }
    }

    /// Starts beating, with CONNECTED (B10). The longer of each two numbers holds (B02, B03).
    pub(crate) fn start(&mut self, client: Pair, server: Pair, now: Duration) {
        let agree = |ours: u32, theirs: u32| if ours == 0 || theirs == 0 { 0 } else { ours.max(theirs) };
        self.send_ms = agree(server.send_ms, client.receive_ms);
        self.receive_ms = agree(client.send_ms, server.receive_ms);
        self.next_beat = nanos(now + self.gap());
        self.last_heard = nanos(now);
    }

    /// The time between two beats of ours: a little less than agreed, for strict peers (B07).
    fn gap(&self) -> Duration {
        Duration::from_micros(u64::from(self.send_ms) * 900)
    }

    pub(crate) fn heard(&mut self, now: Duration) {
        self.last_heard = self.last_heard.max(nanos(now));
    }

    pub(crate) fn pause(&mut self) {
        self.paused = true;
    }

    pub(crate) fn resume(&mut self, now: Duration) {
        self.paused = false;
        self.heard(now);
    }

    pub(crate) fn send_interval(&self) -> Option<Duration> {
        (self.send_ms > 0).then(|| Duration::from_millis(self.send_ms.into()))
    }

    pub(crate) fn receive_interval(&self) -> Option<Duration> {
        (self.receive_ms > 0).then(|| Duration::from_millis(self.receive_ms.into()))
    }

    /// When silence becomes an error. `floor` is B08's.
    fn deadline(&self, policy: &HeartBeatPolicy, floor: Option<Duration>) -> Option<Duration> {
        let interval = self.receive_interval().filter(|_| !self.paused)?;
        let patience = interval.saturating_mul(policy.tolerance.max(1)).max(floor.unwrap_or_default());
        Some(Duration::from_nanos(self.last_heard).saturating_add(patience))
    }

    pub(crate) fn next_timeout(&self, policy: &HeartBeatPolicy, floor: Option<Duration>) -> Option<Duration> {
        let beat = (self.send_ms > 0).then_some(Duration::from_nanos(self.next_beat));
        match (beat, self.deadline(policy, floor)) {
            (Some(beat), Some(deadline)) => Some(beat.min(deadline)),
            (beat, deadline) => beat.or(deadline),
        }
    }

    /// Notes a beat that is due; false when the client was silent for too long. Beats keep their schedule whatever else
    /// is sent (Q03), but a late call makes up for one only.
    pub(crate) fn tick(&mut self, policy: &HeartBeatPolicy, floor: Option<Duration>, now: Duration) -> bool {
        if self.deadline(policy, floor).is_some_and(|deadline| now >= deadline) {
            return false;
        }
        if self.send_ms > 0 && nanos(now) >= self.next_beat {
            self.due = true;
            self.next_beat = self.next_beat.saturating_add(nanos(self.gap()));
            if self.next_beat <= nanos(now) {
                self.next_beat = nanos(now + self.gap());
            }
        }
        true
    }

    pub(crate) fn take_beat(&mut self) -> bool {
        core::mem::take(&mut self.due)
    }

    /// No beat and no time-out any more.
    pub(crate) fn stop(&mut self) {
        *self = HeartBeat { last_heard: self.last_heard, ..HeartBeat::default() };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn b01_two_non_negative_integers() {
        assert_eq!(Pair::parse("0,0"), Some(Pair::default()));
        assert_eq!(Pair::parse("10000, 5000"), Some(Pair { send_ms: 10_000, receive_ms: 5_000 }));
        assert_eq!(Pair::parse("99999999999999999999,1").unwrap().send_ms, u32::MAX);
        for bad in ["", "0", "T,0", "1,2,3", "-1,0", "0,-1", "+1,0", ",", "1,", "1.5,0"] {
            assert_eq!(Pair::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn b02_b03_the_offer_mirrors_the_wish_between_floor_and_cap() {
        let policy = HeartBeatPolicy::default();
        let answer = |send_ms, receive_ms| Pair { send_ms, receive_ms }.answer(&policy);
        assert_eq!(answer(10_000, 5_000), Pair { send_ms: 5_000, receive_ms: 10_000 });
        assert_eq!(answer(1, 60_000), Pair { send_ms: 25_000, receive_ms: 1_000 });
        assert_eq!(answer(0, 0), Pair::default());
    }
}
