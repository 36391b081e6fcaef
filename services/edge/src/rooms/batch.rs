//! A batch: each line a message, each message an answer, in the order of the lines. A line that is refused stops no other.

use bytes::Buf;
use futures_util::Stream;
use serde::Serialize;
use tokio::select;
use warp::http::StatusCode;
use warp::reply::Response;

use super::body::{Body, each};
use super::ndjson::{Fault, Message, Reader};
use super::opening::Opening;
use super::problem::Problem;
use super::publish::{NDJSON, Placed, Queued};
use super::session::{Line, Session, refusal};
use super::{Entered, Service, octets};
use crate::disconnect::Ending;

/// Lines of one batch.
const MOST: usize = 1_000;
/// The receipt that says that all SENDs of a batch have been taken.
const ALL: &str = "all";

/// What becomes of a line.
enum Answer {
    /// Said to the session, which has not answered.
    Open,
    /// A whole line.
    Known(Vec<u8>),
}

/// The answer to a message that was taken.
#[derive(Serialize)]
struct Good<T> {
    status: u16,
    #[serde(flatten)]
    placed: T,
}

struct Batch<'a> {
    service: &'a Service,
    room: &'a str,
    /// Each message is waited for until it is stored; else until the edge has taken it.
    waits: bool,
    session: Session,
    answers: Vec<Answer>,
    open: usize,
    /// The session is over, for this reason.
    over: Option<Problem>,
    /// All of them have been taken.
    taken: bool,
}

impl Service {
    pub(super) async fn batch<B: Buf>(
        &self,
        Entered { session, staying: _staying }: Entered,
        room: &str,
        waits: bool,
        body: &mut Body<'_, impl Stream<Item = Result<B, warp::Error>>>,
    ) -> Result<Response, Problem> {
        let (answers, open, over, taken) = (Vec::new(), 0, None, false);
        let mut batch = Batch { service: self, room, waits, session, answers, open, over, taken };
        let mut reader = Reader::new(self.bounds.json_bytes());
        let unread = batch.take(&mut reader, body).await;
        batch.settle().await;
        if let Some(problem) = unread {
            batch.know(&problem.not_stored());
        }
        Ok(octets(StatusCode::OK, NDJSON, batch.answers()))
    }
}

impl Batch<'_> {
    /// Sends lines while they come. The reason why the last of them have not been looked at, if there is one.
    async fn take<B: Buf>(
        &mut self,
        reader: &mut Reader,
        body: &mut Body<'_, impl Stream<Item = Result<B, warp::Error>>>,
    ) -> Option<Problem> {
        loop {
            let part = select! {
                biased;
                line = self.session.line(), if self.over.is_none() => {
                    self.hear(line);
                    continue;
                }
                part = body.part() => part,
            };
            let mut part = match part {
                Ok(Some(part)) => part,
                Ok(None) => {
                    return match reader.finish() {
                        Some(line) => self.send(line).await.err(),
                        None => None,
                    };
                }
                Err(problem) => return Some(problem),
            };
            let mut octets = Vec::with_capacity(part.remaining());
            each(&mut part, |piece| octets.extend_from_slice(piece));
            let mut octets = &octets[..];
            while let Some(line) = reader.next(&mut octets) {
                if let Err(problem) = self.send(line).await {
                    return Some(problem);
                }
            }
        }
    }

    /// Sends one line, or knows its answer already.
    ///
    /// # Errors
    /// There are too many.
    async fn send(&mut self, line: Result<Message, Fault>) -> Result<(), Problem> {
        let number = self.answers.len();
        if number == MOST {
            let most = format!("a batch has {MOST} lines at most: this one and what follows it was not looked at");
            return Err(Problem::too_large(most));
        }
        let receipt = number.to_string();
        let bounds = &self.service.bounds;
        let frame = match line {
            Ok(message) => bounds.send(self.room, &message, Some(&receipt)),
            Err(Fault::TooLong) => Err(Problem::too_large("the line is longer than any message can be")),
            Err(Fault::Malformed(why)) => Err(Problem::malformed(why)),
        };
        match (frame, &self.over) {
            (Err(problem), _) => self.know(&problem.not_stored()),
            (Ok(_), Some(over)) => {
                let problem = over.clone().not_stored();
                self.know(&problem);
            }
            (Ok(frame), None) => {
                self.answers.push(Answer::Open);
                self.open += 1;
                self.session.say(&frame).await;
                while let Some(line) = self.session.line_now() {
                    self.hear(Some(line));
                }
            }
        }
        Ok(())
    }

    /// Waits for what has not been answered.
    async fn settle(&mut self) {
        if !self.waits && self.over.is_none() {
            self.session.say(&Opening::barrier(ALL)).await;
        }
        while self.over.is_none() && if self.waits { self.open > 0 } else { !self.taken } {
            let line = self.session.line().await;
            self.hear(line);
        }
    }

    fn hear(&mut self, line: Option<Line>) {
        match line {
            Some(Line::Stored { receipt, id, timestamp }) => {
                let placed = Placed { id: &id, room: self.room, timestamp };
                self.answer(&receipt, &Good { status: 201, placed });
            }
            Some(Line::Problem { receipt: Some(receipt), problem }) => {
                self.answer(&receipt, &problem.not_stored());
            }
            Some(Line::Done { receipt }) => self.taken |= receipt == ALL,
            instead => self.over = Some(refusal(instead)),
        }
    }

    fn answer(&mut self, receipt: &str, answer: &impl Serialize) {
        let number = receipt.parse().ok();
        if let Some(open @ Answer::Open) = number.and_then(|number: usize| self.answers.get_mut(number)) {
            *open = Answer::Known(line(answer));
            self.open -= 1;
        }
    }

    fn know(&mut self, answer: &impl Serialize) {
        self.answers.push(Answer::Known(line(answer)));
    }

    /// All of them, in order.
    fn answers(self) -> Vec<u8> {
        let open = match self.over {
            // The session has ended before it knew.
            Some(_) => line(&Problem::of(Ending::SendUnknown, None)),
            None => line(&Good { status: 202, placed: Queued { room: self.room } }),
        };
        let all = self.answers.iter().map(|answer| match answer {
            Answer::Open => &open[..],
            Answer::Known(line) => line,
        });
        all.collect::<Vec<_>>().concat()
    }
}

fn line(answer: &impl Serialize) -> Vec<u8> {
    // Texts and numbers are always JSON.
    let mut line = serde_json::to_vec(answer).unwrap_or_default();
    line.push(b'\n');
    line
}
