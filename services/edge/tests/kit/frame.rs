//! STOMP 1.2 frames as a client sees them: written and read without the edge's own codec.

/// One frame of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub command: String,
    /// In order, unescaped.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Frame {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

/// A client's frame, headers escaped, without content-length.
pub fn write(command: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{command}\n");
    for (name, value) in headers {
        let plain = command == "CONNECT";
        text += &format!("{}:{}\n", escape(name, plain), escape(value, plain));
    }
    text + "\n" + body + "\0"
}

fn escape(text: &str, plain: bool) -> String {
    if plain {
        return text.to_owned();
    }
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").replace(':', "\\c")
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some('c')) => out.push(':'),
            ('\\', Some('\\')) => out.push('\\'),
            ('\\', other) => panic!("undefined escape \\{other:?} in {text:?}"),
            _ => out.push(c),
        }
    }
    out
}

/// Takes the next frame off the front of what a WebSocket message carried; None when only heart-beats are left.
pub fn read(input: &mut &[u8]) -> Option<Frame> {
    while let [b'\n' | b'\r', rest @ ..] = *input {
        *input = rest;
    }
    if input.is_empty() {
        return None;
    }
    let mut command = None;
    let mut headers = Vec::new();
    loop {
        let end = input.iter().position(|byte| *byte == b'\n').expect("a whole frame in one WebSocket message");
        let line = std::str::from_utf8(&input[..end]).expect("UTF-8").trim_end_matches('\r');
        *input = &input[end + 1..];
        if command.is_none() {
            command = Some(line.to_owned());
        } else if line.is_empty() {
            break;
        } else {
            let (name, value) = line.split_once(':').expect("a header line has a colon");
            headers.push((unescape(name), unescape(value)));
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").map(|(_, length)| length.parse().unwrap());
    let length = length.unwrap_or_else(|| input.iter().position(|byte| *byte == 0).expect("a NUL ends the frame"));
    let body = input[..length].to_vec();
    assert_eq!(input.get(length), Some(&0), "a NUL ends the frame");
    *input = &input[length + 1..];
    Some(Frame { command: command.unwrap(), headers, body })
}
