//! `GET /rooms/{room}/messages?after=…`: polling, and long polling. Every answer names the token of the next question, so a
//! session is nothing but questions, and each may be answered by another edge.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use super::{
    Connection, Heard, Joined, Link, Opening, Problem, Say,
    http::{Answer, Http, Lost, finish, path, request},
    json::{self, Page},
    post::Post,
};
use crate::client::failure::{Failure, Reason};

/// Between two questions of who does not wait, and of who was answered with nothing before its time.
const EVERY: Duration = Duration::from_secs(1);
/// How long a long poll waits: less than any balancer on the way.
const WAIT: Duration = Duration::from_secs(25);
/// Beyond that.
const PATIENCE: Duration = Duration::from_secs(15);
/// Messages of an answer.
const LIMIT: usize = 1_000;

type Round<'a> = Pin<Box<dyn Future<Output = (Option<Http>, Result<Answer, Lost>)> + Send + 'a>>;

struct Polling<'a> {
    opening: Opening<'a>,
    wait: Duration,
    /// What was asked for last.
    token: String,
    etag: Option<String>,
    /// When the question was asked that is open; `None`: it was the first one.
    asked: Option<Instant>,
    round: Option<Round<'a>>,
    http: Option<Http>,
    heard: VecDeque<Heard>,
    post: Post<'a>,
    leaving: bool,
    /// Nothing more will come.
    over: bool,
}

/// A question.
struct Question {
    after: String,
    etag: Option<String>,
    wait: Duration,
    pause: Duration,
}

pub(super) async fn open(opening: Opening<'_>, long: bool) -> Result<Connection<'_>, Failure> {
    let user = opening.token().and_then(json::subject);
    let repeats = user.is_some();
    let token = opening.from.clone().unwrap_or_else(|| "now".to_owned());
    let mut link = Polling {
        post: Post::new(opening.clone()),
        opening,
        wait: if long { WAIT } else { Duration::ZERO },
        token,
        etag: None,
        asked: None,
        round: None,
        http: None,
        heard: VecDeque::new(),
        leaving: false,
        over: false,
    };
    let question = Question { after: link.token.clone(), etag: None, wait: Duration::ZERO, pause: Duration::ZERO };
    let (http, answer) = ask(link.opening.clone(), None, question).await;
    let answer = answer?;
    if answer.status != 200 {
        return Err(answer.failure());
    }
    link.http = http;
    link.join(&answer).map_err(|why| Failure::new(Reason::Upgrade, why))?;
    Ok(Connection {
        link: Box::new(link),
        beat: None,
        pulse: None,
        user,
        server: None,
        edge: None,
        keys: true,
        repeats,
    })
}

impl Polling<'_> {
    /// The first answer.
    fn join(&mut self, answer: &Answer) -> Result<(), String> {
        let page = page(answer)?;
        let recovered = self.opening.from.as_ref().map(|_| page.recovered == Some(true));
        self.heard.push_back(Heard::Joined(Joined { position: Some(page.next.clone()), recovered, count: None }));
        self.take(page, answer.etag.clone());
        Ok(())
    }

    fn take(&mut self, page: Page<'_>, etag: Option<String>) {
        let more = page.more;
        let waited = self.asked.map(|asked| asked.elapsed()).filter(|_| page.messages.is_empty());
        self.heard.extend(page.messages.into_iter().map(|message| Heard::Message(message.into())));
        self.heard.push_back(Heard::Place(page.next.clone()));
        (self.token, self.etag) = (page.next, etag);
        self.over = self.leaving && !more;
        if !self.over {
            // What is there already is asked for at once.
            let pause = if more || self.leaving { Duration::ZERO } else { pause(self.wait, waited) };
            self.begin(pause, more);
        }
    }

    fn begin(&mut self, pause: Duration, more: bool) {
        let wait = if more || self.leaving { Duration::ZERO } else { self.wait };
        let etag = self.etag.clone().filter(|_| self.wait.is_zero() && !more);
        let question = Question { after: self.token.clone(), etag, wait, pause };
        self.asked = Some(Instant::now() + pause);
        self.round = Some(Box::pin(ask(self.opening.clone(), self.http.take(), question)));
    }

    fn answered(&mut self, answer: Result<Answer, Lost>) {
        match answer {
            Err(lost) => self.heard.push_back(Heard::Closed(Err(lost.text))),
            Ok(answer) if answer.status == 304 => {
                self.heard.push_back(Heard::Life);
                self.over = self.leaving;
                if !self.leaving {
                    self.begin(EVERY, false);
                }
            }
            Ok(answer) if answer.status == 200 => match page(&answer) {
                // What lay behind the token is gone: the next session will hear it too, and begin anew.
                Ok(page) if page.recovered == Some(false) => {
                    let gap = Problem { code: Some(410), text: "recovered: false".to_owned(), ..Problem::default() };
                    self.heard.extend([Heard::Problem(gap), Heard::Closed(Ok(4003))]);
                }
                Ok(page) => self.take(page, answer.etag.clone()),
                Err(why) => self.heard.push_back(Heard::Closed(Err(why))),
            },
            Ok(answer) => {
                let (problem, close) = answer.problem();
                let end = if close == 1006 { Err(problem.text.clone()) } else { Ok(close) };
                self.heard.extend([Heard::Problem(Problem { soft: false, ..problem }), Heard::Closed(end)]);
            }
        }
    }
}

impl Link for Polling<'_> {
    fn say(&mut self, say: Say) -> Result<(), String> {
        self.post.say(say);
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.post.is_busy()
    }

    /// One more question, which nobody waits for: so all that is stored by now comes.
    fn leave(&mut self) -> Result<(), String> {
        self.leaving = true;
        // An answer that is on its way is asked for again: the token is still what it was.
        self.begin(Duration::ZERO, false);
        self.etag = None;
        Ok(())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return Poll::Ready(heard);
            }
            if let Poll::Ready(heard) = self.post.poll_next(cx) {
                return Poll::Ready(heard);
            }
            if self.over && !self.post.is_busy() {
                return Poll::Ready(Heard::Goodbye);
            }
            let Some(round) = &mut self.round else { return Poll::Pending };
            let Poll::Ready((http, answer)) = round.as_mut().poll(cx) else { return Poll::Pending };
            (self.round, self.http) = (None, http);
            self.answered(answer);
        }
    }
}

/// Before the next question of who waits so long for each; `waited`: after so long there was nothing.
fn pause(wait: Duration, waited: Option<Duration>) -> Duration {
    // An edge that leaves, or one that is wrong, answers before its time: it is not asked in a loop.
    let early = waited.is_some_and(|waited| waited < wait);
    if wait.is_zero() || early { EVERY } else { Duration::ZERO }
}

fn page(answer: &Answer) -> Result<Page<'_>, String> {
    serde_json::from_slice(&answer.body).map_err(|error| format!("an answer that is no page of messages: {error}"))
}

async fn ask(opening: Opening<'_>, idle: Option<Http>, question: Question) -> (Option<Http>, Result<Answer, Lost>) {
    let mut idle = idle;
    if !question.pause.is_zero() {
        // A connection that the server ends meanwhile is not written to.
        let mut pause = Box::pin(sleep(question.pause));
        poll_fn(|cx| {
            idle = idle.take().and_then(|mut http| http.drive(cx).then_some(http));
            pause.as_mut().poll(cx)
        })
        .await;
    }
    let patience = question.wait + PATIENCE;
    match timeout(patience, attempt(&opening, idle, &question)).await {
        Ok(Ok((http, answer))) => (Some(http).filter(Http::is_open), Ok(answer)),
        Ok(Err(lost)) => (None, Err(lost)),
        Err(_) => (None, Err(Lost { text: format!("no answer within {patience:?}"), unsent: false })),
    }
}

/// A question changes nothing, so on a connection that has just ended it is simply asked again.
async fn attempt(opening: &Opening<'_>, idle: Option<Http>, question: &Question) -> Result<(Http, Answer), Lost> {
    let Question { after, etag, wait, .. } = question;
    let request = || {
        let query = format!("?after={after}&limit={LIMIT}&wait={}", wait.as_secs());
        let mut builder = request(opening, "GET", &(path(opening, "messages") + &query));
        if let Some(etag) = etag {
            builder = builder.header("If-None-Match", etag);
        }
        finish(builder, Vec::new())
    };
    if let Some(mut http) = idle.filter(Http::is_open) {
        match http.ask(request()?).await {
            Ok(answer) => return Ok((http, answer)),
            Err(lost) if lost.unsent => {}
            Err(lost) => return Err(lost),
        }
    }
    let mut http = Http::connect(opening).await?;
    let answer = http.ask(request()?).await?;
    Ok((http, answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_answered_with_nothing_before_its_time_does_not_ask_at_once() {
        assert_eq!([None, Some(WAIT), Some(2 * WAIT)].map(|waited| pause(WAIT, waited)), [Duration::ZERO; 3]);
        assert_eq!([Some(Duration::ZERO), Some(WAIT / 2)].map(|waited| pause(WAIT, waited)), [EVERY; 2]);
        assert_eq!(pause(Duration::ZERO, None), EVERY, "who does not wait asks once a second");
    }
}
