//! As much of WebSocket as the crowd speaks: the upgrade, and text frames that come whole.

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// What has been read of a connection, and not understood yet.
#[derive(Debug, Default)]
pub(super) struct Input {
    octets: Vec<u8>,
    upgraded: bool,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// The upgrade request: say this.
    Upgrade(String),
    /// A text.
    Text(String),
    /// The end, or what nobody here understands.
    Close,
}

impl Input {
    /// Takes what was read.
    pub(super) fn push(&mut self, octets: &[u8]) {
        self.octets.extend(octets);
    }

    /// What comes next; `None` until there is more.
    pub(super) fn next(&mut self) -> Option<Came> {
        if !self.upgraded {
            let end = self.octets.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
            let request: Vec<u8> = self.octets.drain(..end).collect();
            self.upgraded = true;
            return Some(upgrade(&String::from_utf8_lossy(&request)));
        }
        let octets = &self.octets[..];
        let first = *octets.first()?;
        let (head, len) = match octets.get(1)? & 0x7F {
            126 => (8, usize::from(u16::from_be_bytes([*octets.get(2)?, *octets.get(3)?]))),
            127 => return Some(Came::Close),
            len => (6, usize::from(len)),
        };
        let payload = octets.get(head..head + len)?;
        let mask = &octets[head - 4..head];
        let text = payload.iter().zip(mask.iter().cycle()).map(|(octet, mask)| octet ^ mask).collect();
        let text = String::from_utf8(text);
        self.octets.drain(..head + len);
        Some(match (first & 0x0F, text) {
            (8, _) | (_, Err(_)) => Came::Close,
            (_, Ok(text)) => Came::Text(text),
        })
    }
}

fn upgrade(request: &str) -> Came {
    let key = request.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
    });
    let Some(key) = key else { return Came::Close };
    Came::Upgrade(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    ))
}

/// Appends a server's text frame.
pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    out.push(0x81);
    match text.len() {
        len @ 0..126 => out.push(len as u8),
        len @ 126..0x1_0000 => {
            out.push(126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_and_masked_texts_are_read_in_any_pieces() {
        let mut stream = b"GET /ws HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".to_vec();
        stream.extend([0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2]);
        for step in [1, 5, stream.len()] {
            let (mut input, mut came) = (Input::default(), Vec::new());
            for chunk in stream.chunks(step) {
                input.push(chunk);
                came.extend(std::iter::from_fn(|| input.next()));
            }
            // The key and its answer are those of RFC 6455, section 1.3.
            let [Came::Upgrade(answer), text] = &came[..] else { panic!("{came:?}") };
            assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
            assert_eq!(*text, Came::Text("hi".to_owned()));
        }
    }
}
