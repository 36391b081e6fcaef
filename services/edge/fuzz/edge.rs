//! What the transports name of the edge, without the edge: it would bring librdkafka.

#[path = "../src/destination/mod.rs"]
pub mod destination;
#[path = "../src/disconnect.rs"]
pub mod disconnect;
#[path = "../src/problem.rs"]
pub mod problem;

/// As the edge has them.
pub mod log {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Reason {
        QueueFull,
        TooLarge,
        NotAuthorized,
        Purged,
        TimedOut,
        Unavailable,
        Fatal,
    }
}

/// As the edge has them.
pub mod message {
    pub struct Message {
        pub id: chat_proto::MessageId,
        pub timestamp_ms: i64,
        pub content: chat_proto::View,
    }

    impl Message {
        pub fn cost(&self) -> usize {
            256 + self.content.body().len()
        }
    }
}

/// As the edge has them.
pub mod metrics {
    pub enum Spoken {
        WebSocket,
        Tcp,
        SockJs,
        Events,
        Socket,
        Poll,
    }
}
