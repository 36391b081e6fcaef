//! A history: what every client of a run did and saw, as JSON lines. `chat --record` writes it, `verify` judges it.
//!
//! | file | what |
//! |---|---|
//! | `event.rs` | the lines |
//! | `recorder.rs` | writing them: one lock, one thread, nothing dropped |

mod event;
mod recorder;

pub use event::{Event, Head, Outcome, VERSION, Why, read, write};
pub use recorder::Recorder;
