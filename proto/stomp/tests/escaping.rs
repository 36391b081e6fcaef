//! Family H: header escaping.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use common::*;
use proptest::prelude::*;
use stomp_proto::{Command, ErrorFrame, Event, MessageFrame, Version, encode, frame::client};

fn message(version: Version, user: &[(&str, &str)]) -> String {
    let mut out = Vec::new();
    let frame = MessageFrame { destination: "/topic/a", message_id: "1", ..MessageFrame::default() };
    encode::message(version, &frame, user.iter().copied(), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn h01_a_backslash_is_data_at_1_0() {
    let send = send(&mut open(Version::V1_0), "SEND\ndestination:/a\nb\\c:\\n\\t\\\n\n\0");
    assert_eq!(headers(&send), [("b\\c", "\\n\\t\\")]);
    assert!(message(Version::V1_0, &[("b\\c", "\\n:")]).contains("\nb\\c:\\n:\n"));
}

#[test]
fn h02_h03_what_each_version_decodes() {
    let at_1_1 = send(&mut open(Version::V1_1), "SEND\ndestination:/a\nx:a\\nb\\cc\\\\d\n\n\0");
    assert_eq!(headers(&at_1_1), [("x", "a\nb:c\\d")]);
    let at_1_2 = send(&mut open(Version::V1_2), "SEND\ndestination:/a\nx:a\\r\\nb\\cc\\\\d\n\n\0");
    assert_eq!(headers(&at_1_2), [("x", "a\r\nb:c\\d")]);
    assert!(fault(&mut open(Version::V1_1), "SEND\ndestination:/a\nx:a\\r\n\n\0").detail().contains("STOMP 1.1"));
}

#[test]
fn h04_undefined_sequences_are_fatal() {
    for version in SINCE_1_1 {
        for bad in ["x:\\t", "x:\\", "x:a\\\\\\", "x:\\N", "a\\:b", "x:\\ n"] {
            let error = fault(&mut open(version), format!("SEND\nreceipt:7\ndestination:/a\n{bad}\n\n\0"));
            assert_eq!((error.code(), error.receipt().unwrap().as_str()), (400, "7"), "{bad}");
        }
    }
}

#[test]
fn h05_names_are_escaped_too() {
    for version in SINCE_1_1 {
        let send = send(&mut open(version), "SEND\ndestination:/a\na\\cb\\n\\\\:1\n\n\0");
        assert_eq!(headers(&send), [("a:b\n\\", "1")]);
        assert!(message(version, &headers(&send)).contains("\na\\cb\\n\\\\:1\n"));
    }
}

/// H06, Q08: whatever other servers do.
#[test]
fn h06_connect_and_connected_are_never_escaped() {
    for command in ["CONNECT", "STOMP"] {
        let mut session = fresh(Default::default());
        let events = events(&mut session, format!("{command}\naccept-version:1.2\npasscode:a\\cb\\t\nx\\n:1\n\n\0"));
        let Some(Event::Connect(connect)) = events.first() else { panic!("CONNECT expected") };
        assert_eq!(connect.passcode.as_deref(), Some("a\\cb\\t"));
        assert_eq!(connect.headers.get("x\\n"), Some("1"));
        let accept = stomp_proto::Accept { session: "s", user: Some("a:b\\c\nd\re\0f"), headers: &[("x:y", "z\n")] };
        session.accept(accept, T0);
        let frame = raw(&mut session).concat();
        assert!(frame.contains("\nuser-name:a:b\\c d e f\nx_y:z \n\n\0"), "{frame:?}");
        // A second one is ignored, not read by the rules that hold since.
        let again = format!("{command}\naccept-version:1.2\npasscode:a\\t\\\n\n\0");
        assert_eq!(try_events(&mut session, again).map(|events| events.len()), Ok(0));
    }
}

/// H07, Q07: replacing one sequence after the other gets these wrong.
#[test]
fn h07_decoding_is_one_pass() {
    for version in SINCE_1_1 {
        let send = send(&mut open(version), "SEND\ndestination:/a\nx:\\\\n\\\\\\n\\\\c\n\n\0");
        assert_eq!(headers(&send), [("x", "\\n\\\n\\c")]);
    }
}

#[test]
fn h08_h09_h10_escaped_for_the_receiver() {
    let user = [("k:1", "a:b\\c\nd\re\0f")];
    assert!(message(Version::V1_2, &user).contains("\nk\\c1:a\\cb\\\\c\\nd\\re f\n"));
    assert!(message(Version::V1_1, &user).contains("\nk\\c1:a\\cb\\\\c\\nd e f\n"));
    assert!(message(Version::V1_0, &user).contains("\nk_1:a:b\\c d e f\n"));
}

#[test]
fn h09_no_header_starts_a_line_of_its_own_and_nul_is_refused() {
    let hostile = [("x\n\nsender", "1"), ("y", "\n\nMESSAGE\nsender:eve\n\n\0"), ("sender:z", "2"), ("s\rt", "\r\n")];
    for version in VERSIONS {
        let text = message(version, &hostile);
        assert_eq!(text.matches('\0').count(), 1, "{text:?}");
        assert_eq!(text.lines().filter(|line| line.starts_with("sender:")).count(), 0, "{text:?}");
        assert!(!text.contains('\r'));
        assert_eq!(read(version, text.as_bytes()).headers.len(), 3 + hostile.len());
        assert_eq!(fault(&mut open(version), "SEND\ndestination:/a\nx:a\0b\n\n\0").code(), 400);
    }
}

#[test]
fn h11_receipt_ids_and_subscription_ids_round_trip() {
    let mut session = open(Version::V1_2);
    events(&mut session, "BEGIN\ntransaction:1\nreceipt:f\\co\\co\\nbar\\rbaz\\\\foo\n\n\0");
    assert_eq!(raw(&mut session), ["RECEIPT\nreceipt-id:f\\co\\co\\nbar\\rbaz\\\\foo\n\n\0"]);
    // A raw colon is accepted (F09) and goes back escaped.
    events(&mut session, "BEGIN\ntransaction:2\nreceipt:f:o:o\n\n\0");
    assert_eq!(receipts(&mut session), ["f:o:o"]);
    let one = subscribe(&mut session, "SUBSCRIBE\nid:f\\co\\n\ndestination:/a\n\n\0");
    assert_eq!(one.id.unwrap(), "f:o\n");
}

#[test]
fn h12_an_error_before_connected_needs_no_escaping() {
    let mut session = fresh(Default::default());
    events(&mut session, "CONNECT\naccept-version:1.2\n\n\0");
    let headers = [("x", "y:\\\n")];
    let (message, detail) = ("a:b\\c\nd", "text: free\n");
    session.error(&ErrorFrame { message, code: 401, detail, receipt_id: Some("a:b"), headers: &headers });
    let text = raw(&mut session).concat();
    assert_eq!(
        text,
        "ERROR\nmessage:a b c d\nx-error-code:401\nx:y   \ncontent-type:text/plain\ncontent-length:11\n\ntext: free\n\0"
    );
    let mut open = open(Version::V1_2);
    open.error(&ErrorFrame { message, code: 400, detail, receipt_id: Some("a:b"), headers: &headers });
    let frame = sent(&mut open).remove(0);
    assert_eq!((frame.headers.get("message"), frame.headers.get("receipt-id")), (Some(message), Some("a:b")));
}

/// Text without NUL, which no version can say; at 1.1 without CR either.
fn sayable(version: Version) -> impl Strategy<Value = String> {
    let hard = prop_oneof![4 => Just('\\'), 2 => Just('n'), 2 => Just('c'), 2 => Just(':'), 2 => Just('\n'), 1 => Just('\r'),
        1 => Just('r'), 3 => any::<char>()];
    proptest::collection::vec(hard, 1..12).prop_map(move |chars| {
        chars.into_iter().filter(|&c| c != '\0' && (c != '\r' || version == Version::V1_2)).chain(['.']).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn h07_h08_what_was_escaped_reads_back((version, name, value) in
        prop_oneof![Just(Version::V1_1), Just(Version::V1_2)].prop_flat_map(|v| (Just(v), sayable(v), sayable(v))))
    {
        let pairs = [("destination", "/a"), (&*name, &*value)];
        let frame = client::encode(Command::Send, pairs, b"body", version);
        let send = send(&mut open(version), &frame);
        prop_assert_eq!(headers(&send), vec![(&*name, &*value)]);
        let read = read(version, message(version, &headers(&send)).as_bytes());
        prop_assert_eq!(read.headers.get(&name), Some(&*value));
    }
}
