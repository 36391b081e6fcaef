//! Row 28: what a message costs that is published over HTTP, held against a SEND: one POST for each, and a line of a batch.
//! All of them are answered when they are stored.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use super::{Scenario, check};
use crate::{
    bench::{
        row::{Row, Spread, short},
        server::Server,
        sessions::{Sessions, put},
        stage::{EdgeLog, Stage},
        targets,
    },
    outcome::complain,
};

pub(super) const POSTS: Scenario = Scenario {
    name: "posts",
    what: "CPU of a POST, and of a line of a batch, against a SEND with RECEIPT",
    rows: &["28"],
    quick: false,
    kafka: false,
    run: rows,
};

/// Connections, each with one message on its way at a time.
const CONNECTIONS: usize = 8;
/// Messages of a round, each way.
const MESSAGES: usize = 4_000;
/// Lines of a batch: as many as one may have.
const LINES: usize = 1_000;
/// Octets of a body.
const BODY: usize = 200;
const PATIENCE: Duration = Duration::from_secs(20);

/// Row 28.
///
/// # Errors
/// The edge does not start, or refuses a message.
pub(crate) fn rows(stage: &Stage) -> Result<Vec<Row>, String> {
    let edge = stage.edge(&EdgeLog::Memory, &["--workers", "1"])?;
    let text = "x".repeat(BODY);
    let mut sessions = Sessions::new(&edge.target)?;
    sessions.at_once = CONNECTIONS;
    sessions.open(CONNECTIONS, 0, |_| "nobody".to_owned())?;
    let mut posters = (0..CONNECTIONS).map(|_| Poster::to(&edge)).collect::<Result<Vec<_>, _>>()?;
    let frame = format!("SEND\ndestination:/topic/posted\ncontent-type:text/plain\nreceipt:r\n\n{text}\0");
    let lines = format!("{{\"body\":\"{text}\",\"content_type\":\"text/plain\"}}\n").repeat(LINES);
    let mut costs: [Vec<f64>; 3] = Default::default();
    // The first round warms the edge.
    for round in 0..=stage.rounds() {
        check(stage)?;
        let send = cost(&edge, || {
            (0..MESSAGES / CONNECTIONS).try_for_each(|_| {
                let write = |_, out: &mut Vec<u8>| put(out, frame.as_bytes());
                sessions.ask(0..CONNECTIONS, write, |_, answer| Ok(answer.is("RECEIPT")))
            })
        })?;
        let post = cost(&edge, || {
            (0..MESSAGES / CONNECTIONS).try_for_each(|_| {
                posters.iter_mut().try_for_each(|poster| poster.say("text/plain", &text))?;
                posters.iter_mut().try_for_each(|poster| poster.answer(201).map(drop))
            })
        })?;
        let batch = cost(&edge, || {
            (0..MESSAGES / LINES).try_for_each(|_| {
                posters[0].say("application/x-ndjson", &lines)?;
                let stored = posters[0].answer(200)?.matches("{\"status\":201").count();
                if stored == LINES { Ok(()) } else { Err(format!("{stored} of {LINES} lines of a batch are stored")) }
            })
        })?;
        complain(&format!("  us a message: SEND {} POST {} line {}", short(send), short(post), short(batch)));
        if round > 0 {
            costs.iter_mut().zip([send, post, batch]).for_each(|(all, cost)| all.push(cost));
        }
    }
    let [sends, posts, batches] = &costs;
    let row = |goal, load: &str, own: &[f64], other: &[f64], name: &str| {
        let middle = |costs: &[f64]| Spread::of(costs.iter().copied()).map_or(0.0, |spread| spread.median);
        let ratio = Spread::of(own.iter().zip(other).map(|(own, other)| own / other)).ok_or("no round")?;
        let row = Row::judged(goal, load, ratio.median).ratio(ratio);
        let baseline = format!("{} us a {name}", short(middle(other)));
        Ok::<_, String>(row.measured(format!("{} us", short(middle(own))), baseline))
    };
    Ok(vec![
        row(&targets::POST_CPU, &format!("{CONNECTIONS} connections that are kept"), posts, sends, "SEND")?,
        row(&targets::LINE_CPU, &format!("{LINES} lines"), batches, posts, "POST")?,
    ])
}

/// Microseconds of the edge for each message.
fn cost(edge: &Server, send: impl FnOnce() -> Result<(), String>) -> Result<f64, String> {
    let read = || edge.meter().read().map_err(|error| format!("the edge's CPU: {error}"));
    let before = read()?;
    send()?;
    Ok(read()?.since(&before).cpu_us / MESSAGES as f64)
}

/// A connection that publishes over HTTP.
struct Poster {
    stream: TcpStream,
    host: String,
    pending: Vec<u8>,
}

impl Poster {
    fn to(edge: &Server) -> Result<Poster, String> {
        let open = || {
            let stream = TcpStream::connect((edge.target.host.as_str(), edge.target.port))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        let stream = open().map_err(|error: std::io::Error| format!("a connection: {error}"))?;
        Ok(Poster { stream, host: format!("{}:{}", edge.target.host, edge.target.port), pending: Vec::new() })
    }

    fn say(&mut self, content_type: &str, body: &str) -> Result<(), String> {
        let (host, length) = (&self.host, body.len());
        let request = format!(
            "POST /rooms/posted/messages HTTP/1.1\r\nHost: {host}\r\nContent-Type: {content_type}\r\nContent-Length: \
             {length}\r\n\r\n{body}"
        );
        self.stream.write_all(request.as_bytes()).map_err(|error| format!("POST: {error}"))
    }

    /// The body of the next answer.
    fn answer(&mut self, status: u16) -> Result<String, String> {
        let mut buffer = [0; 16 * 1024];
        loop {
            let text = String::from_utf8_lossy(&self.pending);
            if let Some((head, rest)) = text.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
                let length = length.ok_or_else(|| format!("an answer without a length: {head}"))?;
                if rest.len() >= length {
                    if !head.starts_with(&format!("HTTP/1.1 {status} ")) {
                        return Err(text.into_owned());
                    }
                    let (body, end) = (rest[..length].to_owned(), head.len() + 4 + length);
                    self.pending.drain(..end);
                    return Ok(body);
                }
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err("the server has closed it".to_owned()),
                Ok(count) => self.pending.extend_from_slice(&buffer[..count]),
                Err(error) => return Err(format!("no answer to a POST: {error}")),
            }
        }
    }
}
