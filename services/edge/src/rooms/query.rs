//! What follows the `?`: names and values, percent-encoded, a `+` for a blank (as forms and `URLSearchParams` write it).

use std::borrow::Cow;
use std::ops::RangeInclusive;

use percent_encoding::percent_decode_str;

use super::problem::Problem;

/// The parameter that holds credentials: whoever checks them reads it, nobody else.
const TOKEN: &str = "token";

/// The parameters of a request, in their order. Who asks for one takes what is known; the rest is nobody's affair.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what follows the `?`.
    ///
    /// # Errors
    /// A name or value that is not percent-encoded UTF-8.
    pub(super) fn parse(raw: Option<&str>) -> Result<Self, Problem> {
        let pairs = raw.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).filter(|(name, _)| *name != TOKEN);
        let read = |(name, value)| Some((decoded(name)?, decoded(value)?));
        let all = pairs.map(read).collect::<Option<Vec<_>>>();
        all.map(Self).ok_or_else(|| Problem::malformed("the query has to be percent-encoded UTF-8"))
    }

    /// All values of a name.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a name; `None` if it is not there.
    ///
    /// # Errors
    /// It is there twice: nobody knows which one is meant.
    pub(super) fn only(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.all(name);
        let value = values.next();
        match values.next() {
            None => Ok(value),
            Some(_) => Err(Problem::malformed(format!("{name} is there twice"))),
        }
    }

    /// A number within bounds.
    ///
    /// # Errors
    /// It is there twice, or no such number.
    pub(super) fn number(&self, name: &str, bounds: RangeInclusive<u32>, default: u32) -> Result<u32, Problem> {
        let Some(text) = self.only(name)? else { return Ok(default) };
        let number = text.parse().ok().filter(|number| bounds.contains(number));
        let (least, most) = bounds.into_inner();
        number.ok_or_else(|| Problem::malformed(format!("{name} is a number from {least} to {most}")))
    }
}

/// Whether every `%` is followed by two hexadecimal digits.
pub(super) fn is_encoded(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|octet| octet.is_ascii_hexdigit()))
}

fn decoded(text: &str) -> Option<String> {
    let text = if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) };
    let decoded = percent_decode_str(&text).decode_utf8().ok()?;
    is_encoded(&text).then(|| decoded.into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded_and_credentials_are_left_alone() {
        let query = Query::parse(Some("room=a+b&room=%F0%9F%8E%89&&after=%40123&x&y=1=2&token=%zz%ff")).unwrap();
        assert_eq!(query.all("room").collect::<Vec<_>>(), ["a b", "🎉"]);
        assert_eq!(query.only("after").unwrap(), Some("@123"));
        assert_eq!((query.only("x").unwrap(), query.only("y").unwrap()), (Some(""), Some("1=2")));
        assert_eq!((query.only("z").unwrap(), query.only("token").unwrap()), (None, None));
        assert_eq!(query.only("room").unwrap_err().status, 400);
        assert_eq!(Query::parse(None).unwrap(), Query::default());
        for broken in ["a=%", "a=%f", "%zz=1", "a=%ff", "a=%C3"] {
            assert_eq!(Query::parse(Some(broken)).unwrap_err().status, 400, "{broken}");
        }
    }

    #[test]
    fn numbers_have_bounds() {
        let number = |text: &str| {
            Query::parse(Some(text)).and_then(|query| query.number("limit", 1..=1000, 100)).map_err(|it| it.detail)
        };
        assert_eq!((number(""), number("limit=1"), number("limit=1000")), (Ok(100), Ok(1), Ok(1000)));
        for wrong in ["limit=", "limit=0", "limit=1001", "limit=-1", "limit=1e3", "limit=99999999999"] {
            assert_eq!(number(wrong).unwrap_err(), "limit is a number from 1 to 1000", "{wrong}");
        }
        assert_eq!(number("limit=1&limit=1").unwrap_err(), "limit is there twice");
    }
}
