//! What klatsch's edges write to Kafka and read from it. No I/O, no clock, no allocation beyond what is returned.
//!
//! | file | what |
//! |---|---|
//! | `v1/message.proto` | the schema; `README.md` is the contract for foreign producers |
//! | [`gen`](mod@gen) | what prost makes of it; committed, and `tests/codegen.rs` makes it again and compares |
//! | [`record`] | a record's value: [`encode`], [`decode`], [`peek`], [`idempotency_hash`] |
//! | [`view`] | the same value read in place: [`View`] |
//! | [`room`] | what may be a room: [`room_is_valid`] |
//! | [`place`] | a record's place in the log: [`MessageId`] |
//! | [`partition`] | the partition of a room: [`partition_of`] |

/// The generated message types.
#[path = "gen/chat.v1.rs"]
pub mod r#gen;
pub mod partition;
pub mod place;
pub mod record;
pub mod room;
pub mod view;

pub use r#gen::{Header, Message};
pub use partition::partition_of;
pub use place::{MessageId, PlaceError};
pub use record::{Outgoing, Peek, RecordError, decode, encode, encode_in, idempotency_hash, peek};
pub use room::{RoomError, room_is_valid};
pub use view::View;
