//! What the owner decides: limits, heart-beats, profile. Shared by all sessions behind one `Arc`.

use crate::{HeartBeatPolicy, Text, Version, decode::Syntax};
use core::time::Duration;

/// How forgiving the session is where Spring's simple broker is; decides U09, U11, V04 and B08's floor, nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// UNSUBSCRIBE of an unknown id, `selector` and a second CONNECT are ignored; the browser floor holds.
    #[default]
    Spring,
    /// All of them are errors; no browser floor.
    Strict,
}

/// Bounds of what one client can make the session hold (family L). Sizes are in octets; 1 GiB is the most that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The whole CONNECT frame (L03).
    pub connect_frame_bytes: usize,
    /// What may wait behind a CONNECT that is not answered yet (V11).
    pub pipelined_bytes: usize,
    /// The command's length.
    pub command_bytes: usize,
    /// Headers of one frame.
    pub headers: usize,
    /// One header line with its line end.
    pub header_line_bytes: usize,
    /// Command, headers and the empty line together.
    pub header_block_bytes: usize,
    /// The body, without the closing NUL.
    pub body_bytes: usize,
    /// Live subscriptions of a session.
    pub subscriptions: usize,
    /// Open transactions of a session.
    pub transactions: usize,
    /// SEND, ACK and NACK frames held in one transaction.
    pub transaction_actions: usize,
    /// Octets held by all open transactions of a session, bookkeeping included.
    pub transaction_bytes: usize,
    /// The delivery window of an ack-mode subscription that sends no `prefetch-count`.
    pub prefetch: usize,
    /// All delivery windows of a session together. A SUBSCRIBE takes its window out of this budget.
    pub unacked: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connect_frame_bytes: 8 << 10,
            pipelined_bytes: 32 << 10,
            command_bytes: 32,
            headers: 100,
            header_line_bytes: 8 << 10,
            header_block_bytes: 16 << 10,
            body_bytes: 64 << 10,
            subscriptions: 256,
            transactions: 16,
            transaction_actions: 1024,
            transaction_bytes: 1 << 20,
            prefetch: 100,
            unacked: 4096,
        }
    }
}

impl Limits {
    /// As the decoder wants them; before a version is agreed the small ones hold (L03).
    pub(crate) fn syntax(&self, version: Option<Version>) -> Syntax {
        const MOST: usize = 1 << 30;
        let frame_bytes = match version {
            None => self.connect_frame_bytes.min(MOST),
            Some(_) => usize::MAX,
        };
        Syntax {
            version,
            frame_bytes,
            head_bytes: self.header_block_bytes.min(MOST),
            line_bytes: self.header_line_bytes.min(MOST),
            command_bytes: self.command_bytes.min(MOST),
            headers: self.headers.min(MOST),
            body_bytes: self.body_bytes.min(MOST),
        }
    }
}

/// Everything a [`Session`](crate::Session) is told at birth.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bounds of memory.
    pub limits: Limits,
    /// Heart-beats.
    pub heart_beat: HeartBeatPolicy,
    /// Spring's habits or the specification's letter.
    pub profile: Profile,
    /// The `server` header of CONNECTED: `name/version`.
    pub server: Text,
    /// Time to the end of the CONNECT frame (L05).
    pub connect_timeout: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            limits: Limits::default(),
            heart_beat: HeartBeatPolicy::default(),
            profile: Profile::default(),
            server: Text::from_static("klatsch/0.1.0"),
            connect_timeout: Duration::from_secs(10),
        }
    }
}
