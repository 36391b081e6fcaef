//! What the paths under a base path mean (`stomp.md` J01, J02, J07, J08, J13, P01).

/// The longest session id: what a client chooses is kept as long as its session.
const MAX_ID: usize = 256;

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked<'a> {
    /// The base path itself: a WebSocket, or the greeting.
    Base,
    /// The base path and a slash: the greeting.
    Greeting,
    /// What the server can do.
    Info,
    /// A WebSocket without SockJS's frames.
    Raw,
    /// A session by its id. The server part before it says nothing (J08).
    Session(&'a str, Method),
}

/// How a session's request carries frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    WebSocket,
    Xhr,
    XhrStreaming,
    XhrSend,
}

/// Which base path this is under, by number, and what it asks for there; of base paths within each other the longest one
/// decides. `None`: nothing is there.
pub(super) fn parse<'a>(bases: &[String], path: &'a str) -> Option<(usize, Asked<'a>)> {
    let under = |(number, base): (usize, &String)| {
        let rest = path.strip_prefix(base.as_str())?;
        (rest.is_empty() || rest.starts_with('/')).then_some((number, rest))
    };
    let (number, rest) = bases.iter().enumerate().filter_map(under).min_by_key(|(_, rest)| rest.len())?;
    let asked = match rest {
        "" => Asked::Base,
        "/" => Asked::Greeting,
        "/info" => Asked::Info,
        "/websocket" => Asked::Raw,
        _ => session(rest.strip_prefix('/')?)?,
    };
    Some((number, asked))
}

/// `{server}/{session}/{method}`.
fn session(path: &str) -> Option<Asked<'_>> {
    let mut parts = path.split('/');
    let (server, id, method) = (parts.next()?, parts.next()?, parts.next()?);
    let is_name = |part: &str| (1..=MAX_ID).contains(&part.len()) && !part.contains('.');
    let method = match method {
        "websocket" => Method::WebSocket,
        "xhr" => Method::Xhr,
        "xhr_streaming" => Method::XhrStreaming,
        "xhr_send" => Method::XhrSend,
        _ => return None,
    };
    (parts.next().is_none() && is_name(server) && is_name(id)).then_some(Asked::Session(id, method))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn j08_three_parts_without_dots() {
        let bases = ["/ws".to_owned(), "/a/b".to_owned(), "/a".to_owned()];
        let asked = |path| parse(&bases, path);
        assert_eq!(asked("/ws"), Some((0, Asked::Base)));
        assert_eq!(asked("/ws/"), Some((0, Asked::Greeting)));
        assert_eq!(asked("/a/b/info"), Some((1, Asked::Info)));
        assert_eq!(asked("/a/websocket"), Some((2, Asked::Raw)));
        assert_eq!(asked("/a/c/d/xhr"), Some((2, Asked::Session("d", Method::Xhr))));
        assert_eq!(asked("/ws/000/i-j%20/xhr_send"), Some((0, Asked::Session("i-j%20", Method::XhrSend))));
        assert_eq!(asked("/ws/_/_/websocket"), Some((0, Asked::Session("_", Method::WebSocket))));
        let long = format!("/ws/0/{}/xhr", "x".repeat(MAX_ID + 1));
        for nothing in [
            "",
            "/",
            "/w",
            "/wsx",
            "/wsx/info",
            "/ws//",
            "/ws///",
            "/ws/info/",
            "/ws/a",
            "/ws/a/",
            "/ws/a/b",
            "/ws/a/b/",
            "/ws///xhr",
            "/ws/a//xhr",
            "/ws//a/xhr",
            "/ws/a./b/xhr",
            "/ws/a/b./xhr",
            "/ws/a/b/xhr/",
            "/ws/a/b/c/xhr",
            "/ws/a/b/XHR",
            "/ws/a/b/jsonp",
            "/ws/a/b/eventsource",
            "/ws/iframe.html",
            "/ws/iframe-1.6.1.html",
            &long,
        ] {
            assert_eq!(asked(nothing), None, "{nothing}");
        }
    }
}
