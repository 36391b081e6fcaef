//! Which rooms a session may use: exact names and `prefix*`, nothing else. No regular expressions, no patterns made of
//! what a client wrote (stomp.md §6: CVE-2018-1257, CVE-2026-44838). Denied unless granted.

/// The rights of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    send: Grant,
    subscribe: Grant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Grant {
    All,
    Rooms(Box<[Rule]>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Exact(Box<str>),
    Prefix(Box<str>),
}

impl Rights {
    /// May everything.
    pub const fn all() -> Self {
        Rights { send: Grant::All, subscribe: Grant::All }
    }

    /// May what the lists name: a room, or a prefix followed by one `*` at the end. An empty list grants nothing.
    pub fn listed<S: AsRef<str>>(send: &[S], subscribe: &[S]) -> Self {
        Rights { send: Grant::of(send), subscribe: Grant::of(subscribe) }
    }

    /// Whether SEND to `room` is granted.
    pub fn may_send(&self, room: &str) -> bool {
        self.send.grants(room)
    }

    /// Whether SUBSCRIBE to `room` is granted.
    pub fn may_subscribe(&self, room: &str) -> bool {
        self.subscribe.grants(room)
    }
}

impl Grant {
    fn of<S: AsRef<str>>(list: &[S]) -> Self {
        let rule = |entry: &S| match entry.as_ref().strip_suffix('*') {
            Some(prefix) => Rule::Prefix(prefix.into()),
            None => Rule::Exact(entry.as_ref().into()),
        };
        Grant::Rooms(list.iter().map(rule).collect())
    }

    fn grants(&self, room: &str) -> bool {
        match self {
            Grant::All => true,
            Grant::Rooms(rules) => rules.iter().any(|rule| match rule {
                Rule::Exact(name) => **name == *room,
                Rule::Prefix(prefix) => room.starts_with(&**prefix),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denied_unless_granted() {
        let none = Rights::listed::<&str>(&[], &[]);
        assert!(!none.may_send("a") && !none.may_subscribe("a") && !none.may_send(""));
        let read_only = Rights::listed(&[], &["a"]);
        assert!(read_only.may_subscribe("a") && !read_only.may_send("a"));
        assert!(!read_only.may_subscribe("A") && !read_only.may_subscribe("ab") && !read_only.may_subscribe(""));
        assert!(Rights::all().may_send("a") && Rights::all().may_subscribe("b"));
    }

    #[test]
    fn a_star_counts_at_the_end_only_and_nothing_else_is_special() {
        let rights = Rights::listed(&["team-*", "a.c", "x*y", "(.*)", "b.*"], &["*"]);
        assert!(rights.may_send("team-1") && rights.may_send("team-") && rights.may_send("team-1/x"));
        assert!(!rights.may_send("team") && !rights.may_send("ateam-1"));
        assert!(rights.may_send("a.c") && !rights.may_send("abc"));
        assert!(rights.may_send("x*y") && !rights.may_send("xzy"));
        assert!(!rights.may_send("anything") && rights.may_send("b.1") && !rights.may_send("b1"));
        assert!(rights.may_subscribe("anything"));
    }
}
