//! Server-sent events, as HTML's standard has them (9.2.6), with the comments that libraries leave out: they are the
//! server's sign of life.

use std::time::Duration;

/// An event that is larger than this is no message of a room.
const MOST: usize = 64 * 1024 * 1024;

/// An event.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// `event`; empty: `message`.
    pub(crate) name: String,
    /// The last `data` lines, joined.
    pub(crate) data: String,
    /// Its own `id`.
    pub(crate) id: Option<String>,
}

/// What comes on a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Event(Event),
    Comment,
    /// Stay away so long before coming back.
    Retry(Duration),
}

/// Reads a stream, however it is cut.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    octets: Vec<u8>,
    /// Octets before this have been read.
    at: usize,
    event: Event,
    has_data: bool,
    begun: bool,
}

impl Reader {
    /// Takes what came.
    ///
    /// # Errors
    /// A line, or an event, does not end.
    pub(crate) fn push(&mut self, octets: &[u8]) -> Result<(), String> {
        self.octets.drain(..std::mem::take(&mut self.at));
        if self.octets.len() + octets.len() + self.event.data.len() > MOST {
            return Err("an event does not end".to_owned());
        }
        self.octets.extend_from_slice(octets);
        Ok(())
    }

    /// The next item that is whole.
    ///
    /// # Errors
    /// A line is not UTF-8.
    pub(crate) fn next(&mut self) -> Result<Option<Item>, String> {
        loop {
            let rest = &self.octets[self.at..];
            let Some(length) = rest.iter().position(|octet| matches!(octet, b'\n' | b'\r')) else { return Ok(None) };
            // What follows a CR decides whether it is a line's end alone.
            let both = match (rest[length], rest.get(length + 1)) {
                (b'\r', None) => return Ok(None),
                (b'\r', Some(b'\n')) => 2,
                _ => 1,
            };
            let line = std::str::from_utf8(&rest[..length]).map_err(|_| "a line is not UTF-8".to_owned())?.to_owned();
            self.at += length + both;
            let line =
                if std::mem::replace(&mut self.begun, true) { &line } else { line.trim_start_matches('\u{feff}') };
            if let Some(item) = self.line(line) {
                return Ok(Some(item));
            }
        }
    }

    fn line(&mut self, line: &str) -> Option<Item> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            // An event without data is none, though its id holds; the server of rooms sends none such.
            return std::mem::take(&mut self.has_data).then_some(Item::Event(event));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => return Some(Item::Comment),
            "event" => self.event.name = value.to_owned(),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            "retry" => return value.parse().ok().map(|ms| Item::Retry(Duration::from_millis(ms))),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_stream_is_read_the_same_however_it_is_cut() {
        let stream = "\u{feff}retry: 2000\n\nevent: subscribed\r\ndata: {\"a\":1}\r\n\r\n: beat\n\nid: 1-2-3\rdata: x\r\
                      data:y\r\rdata\n\nid: 4\n\nfoo: bar\ndata: ü\n\nretry: soon\n";
        let event = |name: &str, data: &str, id: Option<&str>| {
            Item::Event(Event { name: name.to_owned(), data: data.to_owned(), id: id.map(str::to_owned) })
        };
        let wanted = [
            Item::Retry(Duration::from_millis(2000)),
            event("subscribed", "{\"a\":1}", None),
            Item::Comment,
            event("", "x\ny", Some("1-2-3")),
            event("", "", None),
            event("", "ü", None),
        ];
        for step in [1, 2, 3, 5, 7, stream.len()] {
            let (mut reader, mut seen) = (Reader::default(), Vec::new());
            for piece in stream.as_bytes().chunks(step) {
                reader.push(piece).unwrap();
                while let Some(item) = reader.next().unwrap() {
                    seen.push(item);
                }
            }
            assert_eq!(seen, wanted, "in steps of {step}");
        }
    }

    #[test]
    fn what_is_no_stream_is_said() {
        let mut reader = Reader::default();
        reader.push(b"data: \xff\n").unwrap();
        assert!(reader.next().unwrap_err().contains("UTF-8"));
        let (mut reader, piece) = (Reader::default(), vec![b'x'; 1 << 20]);
        assert!((0..65).any(|_| reader.push(&piece).is_err()), "a line without end is not kept");
    }
}
