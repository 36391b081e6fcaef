//! Which web pages may open a connection (stomp.md W22, P20; cross-site WebSocket hijacking).
//!
//! Browsers always send `Origin`; other clients need not. Without a list, a page may connect to the host it came from.
//! The scheme is not compared then: TLS ends in front of the edge, so the edge cannot know it.

/// Decides about an upgrade's `Origin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPolicy {
    allowed: Allowed,
    required: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowed {
    SameOrigin,
    Listed(Vec<Origin>),
    Any,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Default for OriginPolicy {
    fn default() -> Self {
        OriginPolicy { allowed: Allowed::SameOrigin, required: false }
    }
}

impl OriginPolicy {
    /// `entries` as in `--allow-origin`: none means same origin, `*` anything, otherwise exactly the list.
    /// `Err` carries the first entry that is no origin.
    pub fn new<'a>(entries: &'a [String], required: bool) -> Result<Self, &'a str> {
        let allowed = if entries.is_empty() {
            Allowed::SameOrigin
        } else if entries.iter().any(|entry| entry == "*") {
            Allowed::Any
        } else {
            let parse = |entry: &'a String| Origin::parse(entry).ok_or(entry.as_str());
            Allowed::Listed(entries.iter().map(parse).collect::<Result<_, _>>()?)
        };
        Ok(OriginPolicy { allowed, required })
    }

    /// Whether an upgrade with these headers may go on; otherwise it is answered 403.
    pub fn allows(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let Some(origin) = origin else { return !self.required };
        match &self.allowed {
            Allowed::Any => true,
            Allowed::Listed(list) => Origin::parse(origin).is_some_and(|origin| list.contains(&origin)),
            Allowed::SameOrigin => {
                let parsed = Origin::parse(origin);
                parsed.zip(host).is_some_and(|(origin, host)| origin.is_at(host))
            }
        }
    }

    /// Whether pages of any origin may connect.
    pub const fn is_any(&self) -> bool {
        matches!(self.allowed, Allowed::Any)
    }
}

impl Origin {
    /// `scheme://host[:port]` and nothing behind it; `null` is no origin.
    fn parse(text: &str) -> Option<Origin> {
        let (scheme, authority) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        let (host, port) = split_port(authority)?;
        let port = port.or_else(|| default_port(&scheme));
        scheme_ok.then_some(Origin { scheme, host, port })
    }

    fn is_at(&self, host: &str) -> bool {
        matches!(self.scheme.as_str(), "http" | "https")
            && split_port(host)
                .is_some_and(|(name, port)| name == self.host && port.or(default_port(&self.scheme)) == self.port)
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// `name`, `name:port`, `[v6]`, `[v6]:port`; lower-cased.
fn split_port(authority: &str) -> Option<(String, Option<u16>)> {
    let after_v6 = authority.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match authority[after_v6..].rfind(':') {
        Some(colon) => {
            let digits = &authority[after_v6 + colon + 1..];
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            (&authority[..after_v6 + colon], Some(plain.then(|| digits.parse().ok()).flatten()?))
        }
        None => (authority, None),
    };
    let name_ok = if let Some(v6) = host.strip_prefix('[') {
        v6.strip_suffix(']').is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
    } else {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
    };
    name_ok.then(|| (host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn policy(entries: &[&str], required: bool) -> OriginPolicy {
        let owned: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        OriginPolicy::new(&owned, required).unwrap()
    }

    #[test]
    fn w22_same_origin_is_the_default() {
        let same = policy(&[], false);
        for (origin, host) in [
            ("http://localhost:8080", "localhost:8080"),
            ("https://chat.example", "chat.example"),
            ("https://chat.example", "chat.example:443"),
            ("http://chat.example:80", "CHAT.example"),
            ("http://[::1]:8080", "[::1]:8080"),
        ] {
            assert!(same.allows(Some(origin), Some(host)), "{origin} {host}");
        }
        for (origin, host) in [
            ("https://evil.example", "chat.example"),
            ("https://chat.example.evil", "chat.example"),
            ("https://chat.example:8443", "chat.example"),
            ("http://localhost:8081", "localhost:8080"),
            ("https://chat.example", "chat.example:80"),
            ("null", "null"),
            ("", "chat.example"),
            ("https://", ""),
            ("file://", ""),
            ("app://chat.example", "chat.example"),
            ("https://chat.example/x", "chat.example"),
            ("https://user@chat.example", "chat.example"),
            ("https://chat.example:+443", "chat.example"),
            ("https://chat.example:99999", "chat.example"),
        ] {
            assert!(!same.allows(Some(origin), Some(host)), "{origin} {host}");
        }
        assert!(!same.allows(Some("https://chat.example"), None));
    }

    #[test]
    fn w22_a_list_replaces_same_origin() {
        let list = policy(&["https://chat.example", "http://localhost:3000", "capacitor://localhost"], false);
        for origin in
            ["https://chat.example", "HTTPS://Chat.Example:443", "http://localhost:3000", "capacitor://localhost"]
        {
            assert!(list.allows(Some(origin), Some("edge.example")), "{origin}");
        }
        for origin in ["http://chat.example", "https://edge.example", "null", "http://localhost", "ionic://localhost"] {
            assert!(!list.allows(Some(origin), Some("edge.example")), "{origin}");
        }
    }

    #[test]
    fn w22_null_needs_the_star_and_a_missing_origin_needs_no_permission_unless_required() {
        assert!(policy(&["*"], false).allows(Some("null"), None));
        assert!(policy(&["https://a.example", "*"], false).allows(Some("https://b.example"), None));
        for entries in [&[][..], &["*"], &["https://a.example"]] {
            assert!(policy(entries, false).allows(None, Some("a")));
            assert!(!policy(entries, true).allows(None, Some("a")));
        }
    }

    #[test]
    fn entries_that_are_no_origin_are_named() {
        for bad in ["chat.example", "https://chat.example/", "https://*.example", "null", "https://", "https://a b"] {
            let entries = ["https://ok.example".to_owned(), bad.to_owned()];
            assert_eq!(OriginPolicy::new(&entries, false), Err(bad));
        }
    }
}
