//! The invariants of the table of endings.
#![allow(clippy::unwrap_used, clippy::expect_used)]
use std::collections::HashSet;

use super::*;

/// The variants as they stand in this file, so that `all()` cannot forget one.
fn declared() -> HashSet<&'static str> {
    let source = include_str!("../disconnect.rs");
    let body = source.split("pub enum Ending {").nth(1).unwrap().split("\n}").next().unwrap();
    let names = body.lines().map(str::trim).filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    names.map(|line| line.split([',', '(']).next().unwrap()).collect()
}

#[test]
fn all_lists_every_ending_once() {
    let all: Vec<String> = Ending::all().map(|ending| format!("{ending:?}")).collect();
    let variants: HashSet<&str> = all.iter().map(|name| name.split('(').next().unwrap()).collect();
    assert_eq!(variants, declared());
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    assert_eq!(all.iter().filter(|name| name.starts_with("SendRefused")).count(), ALL_REASONS.len());
    let labels: HashSet<&str> = Ending::all().map(|ending| ending.facts().label).collect();
    assert_eq!(labels.len(), all.len(), "labels are unique");
}

#[test]
fn w19_close_codes_say_whether_to_come_back() {
    for ending in Ending::all() {
        let facts = ending.facts();
        match facts.close {
            None => assert!(facts.error.is_none() && facts.reason.is_empty(), "{ending:?}"),
            Some(4000..=4499) => assert!(facts.may_retry, "{ending:?}"),
            Some(4500..=4999) => assert!(!facts.may_retry && facts.retry_after.is_none(), "{ending:?}"),
            Some(1012 | 1013) => assert!(facts.may_retry, "{ending:?}"),
            Some(code) => assert!([1000, 1001, 1002, 1007, 1008, 1009, 1011].contains(&code), "{ending:?}"),
        }
        assert!(facts.reason.len() <= 123, "{ending:?}");
        assert!(facts.retry_after.is_none() || facts.may_retry, "{ending:?}");
    }
}

#[test]
fn e01_e05_h12_w17_texts_need_no_escaping_and_codes_are_the_designs() {
    let codes = [400, 401, 403, 404, 409, 410, 413, 426, 429, 500, 503];
    for ending in Ending::all() {
        let facts = ending.facts();
        if let Some((message, code)) = facts.error {
            assert!(codes.contains(&code), "{ending:?}");
            assert!(!message.is_empty() && message.is_ascii() && !message.contains([':', '\\', '\n', '\r', '\0']));
            // The client must learn when to come back from every answer that speaks of load or of the log.
            assert_eq!(matches!(code, 429 | 503), facts.retry_after.is_some() && code != 500, "{ending:?}");
        }
        for text in [facts.reason, facts.label] {
            assert!(!text.chars().any(char::is_control), "{ending:?}");
        }
        assert!(facts.label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{ending:?}");
    }
}

#[test]
fn a_send_that_ends_a_session_says_whether_it_is_in_the_log() {
    for ending in Ending::all() {
        let expected = match ending {
            Ending::SendRefused(_) | Ending::LogAway => Some("refused"),
            Ending::SendUnknown => Some("unknown"),
            _ => None,
        };
        assert_eq!(ending.facts().outcome, expected, "{ending:?}");
        if let Some(outcome) = expected {
            assert!(ending.facts().error.unwrap().0.contains(outcome), "{ending:?}");
        }
    }
}

#[test]
fn soft_errors_are_refusals_and_never_protocol_faults() {
    for ending in Ending::all().filter(|ending| ending.may_be_soft()) {
        assert!(ending.facts().error.is_some(), "{ending:?}");
    }
    for ending in [Ending::Malformed, Ending::OutOfTurn, Ending::Version, Ending::BadCredentials, Ending::Slow] {
        assert!(!ending.may_be_soft(), "{ending:?}");
    }
    let cut: Vec<Ending> = Ending::all().filter(|ending| ending.facts().linger_zero).collect();
    assert_eq!(cut, [Ending::Slow], "only unsent bytes are in the way of a FIN");
}
