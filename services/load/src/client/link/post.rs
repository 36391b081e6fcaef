//! SENDs as `POST /rooms/{room}/messages`, one at a time: so they keep their order. What becomes of one says nothing about
//! the stream that is read: another edge may have taken it.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::timeout;

use super::{
    Heard, Opening, Problem, Say,
    http::{Answer, Http, Lost, finish, path, request},
    json,
};

/// An edge answers within its send time-out; later it does not.
const PATIENCE: Duration = Duration::from_secs(20);
/// Before a message goes again whose connection broke.
const PAUSE: Duration = Duration::from_millis(300);

type Exchange<'a> = Pin<Box<dyn Future<Output = (Option<Http>, Result<Answer, Lost>)> + Send + 'a>>;

/// Who sends.
pub(super) struct Post<'a> {
    opening: Opening<'a>,
    idle: Option<Http>,
    busy: Option<(Option<u64>, Exchange<'a>)>,
}

impl<'a> Post<'a> {
    pub(super) fn new(opening: Opening<'a>) -> Post<'a> {
        Post { opening, idle: None, busy: None }
    }

    /// A message is on its way.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.is_some()
    }

    /// Sends it; only when nothing else is on its way.
    pub(super) fn say(&mut self, say: Say) {
        let receipt = say.receipt;
        let exchange = exchange(self.opening.clone(), self.idle.take(), say);
        self.busy = Some((receipt, Box::pin(exchange)));
    }

    /// What became of it.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        let Some((receipt, exchange)) = &mut self.busy else {
            // A connection that the server ends is noticed before the next message is written to it.
            self.idle = self.idle.take().and_then(|mut http| http.drive(cx).then_some(http));
            return Poll::Pending;
        };
        let Poll::Ready((http, answer)) = exchange.as_mut().poll(cx) else { return Poll::Pending };
        let receipt = *receipt;
        (self.busy, self.idle) = (None, http);
        Poll::Ready(heard(receipt, answer))
    }
}

fn heard(receipt: Option<u64>, answer: Result<Answer, Lost>) -> Heard {
    let problem = match answer {
        Ok(answer) if matches!(answer.status, 201 | 202) => {
            let stored = serde_json::from_slice::<json::Stored>(&answer.body).ok();
            return match (receipt, stored) {
                (Some(receipt), Some(stored)) => {
                    Heard::Stored { receipt, id: Some(stored.id), ts: Some(stored.timestamp) }
                }
                // 201 without a place breaks promise 1: it is told as it is.
                (Some(receipt), None) => Heard::Stored { receipt, id: None, ts: None },
                (None, _) => Heard::Drained,
            };
        }
        Ok(answer) => answer.problem().0,
        Err(lost) => Problem { text: lost.text, soft: true, retry_after: Some(PAUSE), ..Problem::default() },
    };
    match receipt {
        Some(receipt) => Heard::Failed(receipt, problem),
        None => Heard::Problem(problem),
    }
}

async fn exchange(opening: Opening<'_>, idle: Option<Http>, say: Say) -> (Option<Http>, Result<Answer, Lost>) {
    let late = Lost { text: format!("no answer within {PATIENCE:?}"), unsent: false };
    match timeout(PATIENCE, attempt(&opening, idle, &say)).await {
        Ok(Ok((http, answer))) => (Some(http).filter(Http::is_open), Ok(answer)),
        Ok(Err(lost)) => (None, Err(lost)),
        Err(_) => (None, Err(late)),
    }
}

async fn attempt(opening: &Opening<'_>, idle: Option<Http>, say: &Say) -> Result<(Http, Answer), Lost> {
    let request = || {
        let receipt = if say.receipt.is_some() { "stored" } else { "queued" };
        let path = format!("{}?receipt={receipt}", path(opening, "messages"));
        let mut builder = request(opening, "POST", &path).header("Content-Type", "text/plain");
        if let Some(key) = &say.key {
            builder = builder.header("Idempotency-Key", key);
        }
        if opening.run.settings.authorization_on_send {
            builder = builder.header("X-Api-Key", "must-not-reach-a-room");
        }
        finish(builder, say.body.clone())
    };
    if let Some(mut http) = idle.filter(Http::is_open) {
        match http.ask(request()?).await {
            // The server had ended the connection: nothing of the message has left.
            Err(lost) if lost.unsent => {}
            other => return other.map(|answer| (http, answer)),
        }
    }
    let mut http = Http::connect(opening).await?;
    let answer = http.ask(request()?).await?;
    Ok((http, answer))
}
