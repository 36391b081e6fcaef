//! The rules, one file per idea. Each is a few functions over what is known of a client and the log; each says which promise
//! it proves broken, and when.
//!
//! | file | promises |
//! |---|---|
//! | `receipts.rs` | 1, 8: what was receipted is stored, there, and stays |
//! | `order.rs` | 2: one order, the log's |
//! | `gaps.rs` | 3, 7: nothing is missing between the first and the last message of a subscription, nor where it goes on |
//! | `once.rs` | 4: nothing twice |
//! | `answers.rs` | 5: every SEND ends |
//! | `senders.rs` | 6: who sent it; no credentials |
//! | `stays.rs` | 10: who does not send is not closed |

mod answers;
mod gaps;
mod once;
mod order;
mod receipts;
mod senders;
mod stays;

pub(super) use order::Told;
