//! `GET /rooms/{room}/events`: server-sent events. Who comes back says so with Last-Event-ID, as browsers do.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use super::{
    Connection, Heard, Link, Opening, Problem, Say,
    http::{Http, Stream, finish, path, request},
    json::{self, MessageObject, ProblemObject, Subscribed},
    post::Post,
    sse::{Event, Item, Reader},
};
use crate::client::failure::Failure;

/// A server shows this often that it lives.
const PULSE: Duration = Duration::from_secs(15);

struct Events<'a> {
    stream: Stream,
    reader: Reader,
    post: Post<'a>,
    leaving: bool,
    /// What the server said about the end, as a close code.
    end: Option<u16>,
    /// When it wants to be asked again; the first word of a stream is its usual one, and not an answer to anything.
    retry: Option<Duration>,
    joined: bool,
}

pub(super) async fn open(opening: Opening<'_>) -> Result<Connection<'_>, Failure> {
    let mut http = Http::connect(&opening).await?;
    let mut builder = request(&opening, "GET", &path(&opening, "events")).header("Accept", "text/event-stream");
    if let Some(from) = &opening.from {
        builder = builder.header("Last-Event-ID", from);
    }
    let answer = http.head(finish(builder, Vec::new())?).await?;
    if answer.status().as_u16() != 200 {
        return Err(http.whole(answer).await?.failure());
    }
    let user = opening.token().and_then(json::subject);
    let repeats = user.is_some();
    let link = Events {
        stream: Stream::new(http, answer),
        reader: Reader::default(),
        post: Post::new(opening),
        leaving: false,
        end: None,
        retry: None,
        joined: false,
    };
    let pulse = Some(PULSE);
    Ok(Connection { link: Box::new(link), beat: None, pulse, user, server: None, edge: None, keys: true, repeats })
}

impl Events<'_> {
    fn heard(&mut self, item: Item) -> Result<Heard, String> {
        let Event { name, data, .. } = match item {
            Item::Comment => return Ok(Heard::Life),
            Item::Retry(pause) => {
                self.retry = Some(pause).filter(|_| self.joined);
                return Ok(Heard::Life);
            }
            Item::Event(event) => event,
        };
        let unreadable = |error: serde_json::Error| format!("an event that is none of a room: {error}");
        Ok(match name.as_str() {
            "" | "message" => {
                Heard::Message(serde_json::from_str::<MessageObject<'_>>(&data).map_err(unreadable)?.into())
            }
            "subscribed" => {
                self.joined = true;
                Heard::Joined(serde_json::from_str::<Subscribed>(&data).map_err(unreadable)?.into())
            }
            "problem" => {
                let object: ProblemObject = serde_json::from_str(&data).map_err(unreadable)?;
                self.end = Some(object.close());
                let problem = object.read(false);
                Heard::Problem(Problem { retry_after: problem.retry_after.or(self.retry), ..problem })
            }
            _ => Heard::Life,
        })
    }
}

impl Link for Events<'_> {
    fn say(&mut self, say: Say) -> Result<(), String> {
        self.post.say(say);
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.post.is_busy()
    }

    fn leave(&mut self) -> Result<(), String> {
        self.leaving = true;
        Ok(())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        if let Poll::Ready(heard) = self.post.poll_next(cx) {
            return Poll::Ready(heard);
        }
        loop {
            match self.reader.next().and_then(|item| item.map(|item| self.heard(item)).transpose()) {
                Ok(Some(heard)) => return Poll::Ready(heard),
                Ok(None) => {}
                Err(why) => return Poll::Ready(Heard::Closed(Err(why))),
            }
            match self.stream.poll_data(cx) {
                Poll::Ready(Some(Ok(data))) => {
                    if let Err(why) = self.reader.push(&data) {
                        return Poll::Ready(Heard::Closed(Err(why)));
                    }
                }
                Poll::Ready(end) => {
                    let why = end.and_then(Result::err).unwrap_or_else(|| "end of stream".to_owned());
                    return Poll::Ready(Heard::Closed(self.end.ok_or(why)));
                }
                Poll::Pending if self.leaving && !self.post.is_busy() => return Poll::Ready(Heard::Goodbye),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
