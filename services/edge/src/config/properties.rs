//! Java's properties format (java.util.Properties): what Kafka's own tools read as `client.properties`.
//! Comments, escapes, continuation lines; the file is UTF-8.

/// Key and value pairs in file order, keys possibly repeated. `Err` carries the line, counted from 1, and the problem.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, (usize, &'static str)> {
    let mut pairs = Vec::new();
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    while let Some((index, first)) = lines.next() {
        let mut logical = first.trim_start_matches(BLANKS).to_owned();
        if logical.is_empty() || logical.starts_with(['#', '!']) {
            continue;
        }
        while ends_in_continuation(&logical) {
            logical.pop();
            let Some((_, next)) = lines.next() else { break };
            logical.push_str(next.trim_start_matches(BLANKS));
        }
        let (key, value) = split(&logical);
        let unescaped = |part| unescape(part).map_err(|problem| (index + 1, problem));
        let (key, value) = (unescaped(key)?, unescaped(value)?);
        if key.is_empty() {
            return Err((index + 1, "no key before the value"));
        }
        pairs.push((key, value));
    }
    Ok(pairs)
}

const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];

/// An odd number of backslashes at the end: an even one is backslashes.
fn ends_in_continuation(line: &str) -> bool {
    line.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// At the first `=`, `:` or blank that no backslash precedes; blanks around it belong to nobody.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.char_indices().find_map(|(at, c)| {
        let ends = !escaped && (matches!(c, '=' | ':') || BLANKS.contains(&c));
        escaped = !escaped && c == '\\';
        ends.then_some(at)
    });
    let Some(end) = end else { return (line, "") };
    let rest = line[end..].trim_start_matches(BLANKS);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (&line[..end], value.trim_start_matches(BLANKS))
}

fn unescape(text: &str) -> Result<String, &'static str> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    // \uXXXX are UTF-16 units: two of them may be one character.
    let mut units: Vec<u16> = Vec::new();
    while let Some(c) = chars.next() {
        let escape = if c == '\\' { chars.next() } else { None };
        if escape == Some('u') {
            let digits = chars.as_str().get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
            let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
            units.push(unit.ok_or("\\u is not followed by four hexadecimal digits")?);
            chars.nth(3);
            continue;
        }
        flush(&mut units, &mut plain)?;
        plain.push(match escape {
            None => c,
            Some('t') => '\t',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('f') => '\u{c}',
            Some(other) => other,
        });
    }
    flush(&mut units, &mut plain)?;
    Ok(plain)
}

fn flush(units: &mut Vec<u16>, plain: &mut String) -> Result<(), &'static str> {
    for decoded in char::decode_utf16(units.drain(..)) {
        plain.push(decoded.map_err(|_| "\\u escapes half a character")?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap()
    }

    fn one(text: &str) -> (String, String) {
        let mut all = pairs(text);
        assert_eq!(all.len(), 1, "{text:?}");
        all.remove(0)
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn separators_and_blanks() {
        for text in ["k=v", "k = v", "k:v", "k : v", "k v", "  k\tv", "\u{feff}k=v", "k=v\r\n", "k  =  v"] {
            assert_eq!(one(text), pair("k", "v"), "{text:?}");
        }
        assert_eq!(one("k"), pair("k", ""));
        assert_eq!(one("k="), pair("k", ""));
        assert_eq!(one("k==v"), pair("k", "=v"));
        assert_eq!(one("k=v "), pair("k", "v "), "blanks at the end belong to the value");
        assert_eq!(one("k=a=b:c d"), pair("k", "a=b:c d"));
        assert_eq!(one(r"a\=b\:c\ d=v"), pair("a=b:c d", "v"));
    }

    #[test]
    fn comments_and_empty_lines() {
        assert_eq!(
            pairs("# a\n  ! b\n\n \t\nk=v#no comment\n#x=y\\\nz=1"),
            [pair("k", "v#no comment"), pair("z", "1")]
        );
    }

    #[test]
    fn continuation_lines() {
        assert_eq!(one("k=a,\\\n    b,\\\r\n\tc"), pair("k", "a,b,c"));
        assert_eq!(pairs("k=a\\\\\nl=b"), [pair("k", "a\\"), pair("l", "b")], "two backslashes are one");
        assert_eq!(one("k=a\\\\\\\nb"), pair("k", "a\\b"));
        assert_eq!(one("k=a\\"), pair("k", "a"), "nothing follows");
        assert_eq!(one("k=a\\\n# not a comment"), pair("k", "a# not a comment"));
    }

    #[test]
    fn escapes() {
        assert_eq!(one(r"k=\t\n\r\f\\\q\u00e9\uD83D\uDE00"), pair("k", "\t\n\r\u{c}\\qé😀"));
        assert_eq!(parse("a=b\n\nk=\\u12x4"), Err((3, "\\u is not followed by four hexadecimal digits")));
        assert_eq!(parse(r"k=\u12"), Err((1, "\\u is not followed by four hexadecimal digits")));
        assert_eq!(parse(r"k=\uD83Dx"), Err((1, "\\u escapes half a character")));
        assert_eq!(parse("=v"), Err((1, "no key before the value")));
    }
}
