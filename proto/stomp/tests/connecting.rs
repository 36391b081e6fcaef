//! Family V: connecting and versions.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use common::*;
use stomp_proto::{Accept, Command, ErrorFrame, ErrorKind, Event, Version};

#[test]
fn v01_one_connected_before_anything_else() {
    let mut session = fresh(Default::default());
    accept(&mut session);
    session.receipt("early", &[]);
    assert!(raw(&mut session).is_empty(), "nothing to accept yet");
    events(&mut session, "CONNECT\naccept-version:1.2\n\n\0");
    session.receipt("early", &[]);
    accept(&mut session);
    accept(&mut session);
    session.receipt("late", &[]);
    let commands: Vec<_> = sent(&mut session).iter().map(|frame| frame.command).collect();
    assert_eq!(commands, [Command::Connected, Command::Receipt]);
    assert!(session.is_open());
}

#[test]
fn v02_stomp_is_connect() {
    let mut session = fresh(Default::default());
    let events = events(&mut session, "STOMP\naccept-version:1.1\nhost:a\n\n\0");
    assert!(matches!(&events[..], [Event::Connect(connect)] if connect.version == Version::V1_1));
}

#[test]
fn v03_any_other_first_frame_is_an_error() {
    for command in ["SEND", "SUBSCRIBE", "ACK", "BEGIN", "DISCONNECT", "UNSUBSCRIBE", "COMMIT", "MESSAGE"] {
        let mut session = fresh(Default::default());
        let frame = format!("{command}\nreceipt:7\nid:1\ntransaction:1\ndestination:/a\n\n\0CONNECT\n\n\0");
        let error = fault(&mut session, frame);
        assert_eq!((error.kind(), error.code()), (ErrorKind::NotConnected, 401), "{command}");
        assert_eq!(error.receipt().unwrap(), "7");
        assert!(session.poll_event().unwrap().is_none(), "nothing behind it is read");
    }
    assert_eq!(fault(&mut fresh(Default::default()), "GET / HTTP/1.1\r\nhost: x\r\n\r\n").code(), 400);
}

#[test]
fn v04_a_second_connect_is_ignored_or_an_error_never_a_session() {
    let frames = "CONNECT\naccept-version:1.0\nlogin:eve\n\n\0SEND\ndestination:/a\n\n\0";
    let mut spring = open(Version::V1_2);
    assert!(matches!(events(&mut spring, frames)[..], [Event::Send(_)]));
    assert_eq!(spring.version(), Version::V1_2);
    assert!(raw(&mut spring).is_empty());
    let error = fault(&mut open_with(strict(), Version::V1_2), frames.replace("CONNECT", "STOMP"));
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[test]
fn v05_v06_the_version_agreed() {
    for (header, version) in [
        ("", "1.0"),
        ("accept-version:1.0\n", "1.0"),
        ("accept-version:1.1,1.0\n", "1.1"),
        ("accept-version:1.0,1.2,1.1\n", "1.2"),
        ("accept-version:9.9, 1.1 ,banana\n", "1.1"),
    ] {
        let mut session = fresh(Default::default());
        events(&mut session, format!("CONNECT\n{header}\n\0"));
        accept(&mut session);
        let connected = sent(&mut session).remove(0);
        assert_eq!(connected.headers.get("version"), Some(version));
        assert_eq!(session.version().as_str(), version);
    }
}

#[test]
fn v07_no_common_version_is_an_error_that_offers_them() {
    for list in ["9.9", "", "2.0,3.0"] {
        let mut session = fresh(Default::default());
        let error = fault(&mut session, format!("CONNECT\naccept-version:{list}\n\n\0"));
        assert_eq!((error.kind(), error.code()), (ErrorKind::Version, 426));
        session.reject(&error);
        let frame = sent(&mut session).remove(0);
        assert_eq!(frame.command, Command::Error);
        assert_eq!(frame.headers.get("version"), Some("1.0,1.1,1.2"));
        assert_eq!(frame.headers.get("content-type"), Some("text/plain"));
        assert!(!frame.body.is_empty());
    }
}

#[test]
fn v08_a_missing_or_strange_host_is_accepted() {
    let mut session = fresh(Default::default());
    assert!(
        matches!(&events(&mut session, "CONNECT\naccept-version:1.2\n\n\0")[..], [Event::Connect(c)] if c.host.is_none())
    );
    let mut session = fresh(Default::default());
    let events = events(&mut session, "CONNECT\naccept-version:1.2\nhost:10.0.0.1\n\n\0");
    assert!(matches!(&events[..], [Event::Connect(c)] if c.host.as_deref() == Some("10.0.0.1")));
}

#[test]
fn v09_credentials_reach_the_owner_who_may_refuse() {
    let mut session = fresh(Default::default());
    let frames =
        "CONNECT\naccept-version:1.2\nlogin:tea\npasscode:pot\nAuthorization:Bearer x\n\n\0SEND\ndestination:/a\n\n\0";
    let events = events(&mut session, frames);
    let [Event::Connect(connect)] = &events[..] else { panic!("CONNECT expected, alone") };
    assert_eq!((connect.login.as_deref(), connect.passcode.as_deref()), (Some("tea"), Some("pot")));
    assert_eq!(connect.headers.get("Authorization"), Some("Bearer x"));
    session.error(&ErrorFrame { message: "bad credentials", code: 401, detail: "no", ..ErrorFrame::default() });
    accept(&mut session);
    let frames = sent(&mut session);
    assert_eq!(frames.iter().map(|frame| frame.command).collect::<Vec<_>>(), [Command::Error]);
    assert_eq!(frames[0].headers.get("message"), Some("bad credentials"));
    assert!(session.poll_event().unwrap().is_none(), "V11: what was behind CONNECT is discarded");
}

#[test]
fn v10_what_connected_says() {
    let mut session = fresh(Default::default());
    events(&mut session, "CONNECT\naccept-version:1.2\n\n\0");
    session.accept(Accept { session: "s-1", user: Some("tea"), headers: &[("x-errors", "soft")] }, T0);
    let expected =
        "CONNECTED\nversion:1.2\nheart-beat:0,0\nsession:s-1\nserver:klatsch/0.1.0\nuser-name:tea\nx-errors:soft\n\n\0";
    assert_eq!(raw(&mut session), [expected]);
    let mut session = fresh(Default::default());
    events(&mut session, "CONNECT\n\n\0");
    session.accept(Accept { session: "s-2", user: None, headers: &[] }, T0);
    let expected = "CONNECTED\nversion:1.0\nheart-beat:0,0\nsession:s-2\nserver:klatsch/0.1.0\n\n\0";
    assert_eq!(raw(&mut session), [expected], "V05, B11");
}

#[test]
fn v11_frames_behind_connect_wait_for_the_answer() {
    let mut session = fresh(Default::default());
    let behind = "SUBSCRIBE\nid:1\ndestination:/a\n\n\0SEND\ndestination:/a\nx:a\\cb\n\nhi\0";
    assert_eq!(events(&mut session, format!("CONNECT\naccept-version:1.2\n\n\0{behind}")).len(), 1);
    assert_eq!(session.buffered(), behind.len());
    accept(&mut session);
    let Some(Event::Subscribe(_)) = session.poll_event().unwrap() else { panic!("SUBSCRIBE comes first") };
    let Some(Event::Send(send)) = session.poll_event().unwrap() else { panic!("then SEND") };
    assert_eq!(headers(&send), [("x", "a:b")]);
}

#[test]
fn v12_receipt_on_connect_is_ignored() {
    let mut session = connect(Default::default(), "CONNECT\naccept-version:1.2\nreceipt:1\n\n\0");
    assert!(raw(&mut session).is_empty());
    for bad in ["accept-version:7\n\n\0", "no colon\n\n\0", "\0", "content-length:x\n\n\0"] {
        let error = fault(&mut fresh(Default::default()), format!("CONNECT\nreceipt:1\n{bad}"));
        assert_eq!(error.receipt(), None, "{bad:?}");
    }
    // Nor on a second one, whether that is ignored or an error.
    let again = "CONNECT\naccept-version:1.2\nreceipt:1\n\n\0";
    let mut spring = open(Version::V1_2);
    assert!(events(&mut spring, again).is_empty() && raw(&mut spring).is_empty());
    assert_eq!(fault(&mut open_with(strict(), Version::V1_2), again).receipt(), None);
}

#[test]
fn v13_the_version_holds_for_the_rest_of_the_connection() {
    let frame = "SEND\ndestination:/a\nx: \\c \n\n\0";
    for (version, value) in [(Version::V1_0, "\\c"), (Version::V1_1, " : "), (Version::V1_2, " : ")] {
        assert_eq!(headers(&send(&mut open(version), frame)), [("x", value)]);
    }
}
