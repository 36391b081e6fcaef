//! Family F: frames.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use common::*;
use stomp_proto::{Event, Version};

#[test]
fn f01_command_headers_empty_line_body_nul() {
    for version in VERSIONS {
        let send = send(&mut open(version), "SEND\ndestination:/topic/tea\na:1\n\nhello\0");
        assert_eq!((&*send.destination, &send.body[..]), ("/topic/tea", &b"hello"[..]));
        assert_eq!(headers(&send), [("a", "1")]);
    }
    for bad in ["SEND\0", "SEND\n\0", "SEND\ndestination:/a\n\0", "SEND\ndestination:/a\0"] {
        assert!(fault(&mut open(Version::V1_2), bad).detail().contains("NUL"), "{bad:?}");
    }
}

#[test]
fn f02_lf_and_crlf_mix_and_no_cr_is_left() {
    let send = send(&mut open(Version::V1_2), "SEND\r\ndestination:/a\na:1\r\nb:2\n\r\n\r\nbody\r\n\0");
    assert_eq!((&*send.destination, &send.body[..]), ("/a", &b"\r\nbody\r\n"[..]));
    assert_eq!(headers(&send), [("a", "1"), ("b", "2")]);
    for bad in ["a:1\r2\n", "a\rb:1\n", "a:1\r\r\n", "\ra:1\n"] {
        assert_eq!(fault(&mut open(Version::V1_2), format!("SEND\ndestination:/a\n{bad}\n\0")).code(), 400, "{bad:?}");
    }
    assert_eq!(fault(&mut fresh(Default::default()), "CONNECT\naccept-version:1.2\nlogin:a\rb\n\n\0").code(), 400);
}

#[test]
fn f03_older_versions_drop_one_cr_before_lf() {
    for version in [Version::V1_0, Version::V1_1] {
        let send = send(&mut open(version), "SEND\r\ndestination:/a\r\nb:2\rx\r\n\r\nbody\0");
        assert_eq!(headers(&send), [("b", "2\rx")]);
        assert_eq!(&send.body[..], b"body");
    }
}

#[test]
fn f04_f05_line_ends_and_stray_nuls_between_frames_are_skipped() {
    let mut session = fresh(Default::default());
    let input = "\n\r\n\n\0\nCONNECT\naccept-version:1.2\n\n\0\n\r\n\0\0\nSEND\ndestination:/a\n\n\0\n\n";
    session.handle_input(input.as_bytes(), T0).unwrap();
    assert!(matches!(session.poll_event().unwrap(), Some(Event::Connect(_))));
    accept(&mut session);
    assert!(matches!(session.poll_event().unwrap(), Some(Event::Send(_))));
    assert!(session.poll_event().unwrap().is_none());
    assert_eq!(session.buffered(), 0);
    assert_eq!(fault(&mut session, "\rSEND\ndestination:/a\n\n\0").message(), "unknown command");
}

#[test]
fn f06_names_and_commands_are_case_sensitive() {
    let error = fault(&mut open(Version::V1_2), "send\ndestination:/a\n\n\0");
    assert_eq!((error.message(), error.detail()), ("unknown command", "commands are written in upper case"));
    let error = fault(&mut open(Version::V1_2), "SEND\nDestination:/a\n\n\0");
    assert_eq!(error.detail(), "SEND lacks the header destination");
    let send = send(&mut open(Version::V1_2), "SEND\ndestination:/a\nfoo:1\nFoo:2\n\n\0");
    assert_eq!(headers(&send), [("foo", "1"), ("Foo", "2")]);
}

#[test]
fn f07_f08_colon_and_name_are_needed_a_value_is_not() {
    for version in VERSIONS {
        let colon = fault(&mut open(version), "SEND\ndestination:/a\nnothing\n\n\0");
        assert_eq!((colon.code(), colon.detail()), (400, "a header line has no colon"));
        let name = fault(&mut open(version), "SEND\ndestination:/a\n:x\n\n\0");
        assert_eq!((name.code(), name.detail()), (400, "a header has an empty name"));
        let send = send(&mut open(version), "SEND\ndestination:/a\nempty:\n\n\0");
        assert_eq!(headers(&send), [("empty", "")]);
    }
}

/// F07, F09, Q08: at 1.1 and 1.2 such a colon is against the grammar, and written all the same.
#[test]
fn f07_f09_the_first_colon_ends_the_name() {
    for version in VERSIONS {
        let send = send(&mut open(version), "SEND\ndestination:/a\nurl:http://x:1/\n\n\0");
        assert_eq!(headers(&send), [("url", "http://x:1/")]);
    }
}

#[test]
fn f10_utf8_is_demanded_and_kept() {
    for version in VERSIONS {
        let send = send(&mut open(version), "SEND\ndestination:/topic/방\n이름:값 é\n\n\0");
        assert_eq!((&*send.destination, headers(&send)), ("/topic/방", vec![("이름", "값 é")]));
        for bad in
            [&b"SEND\ndestination:/a\nx:\xff\n\n\0"[..], b"SEND\ndestination:/a\n\xc3:x\n\n\0", b"SE\xffND\n\n\0"]
        {
            assert!(fault(&mut open(version), bad).detail().contains("UTF-8"));
        }
    }
}

#[test]
fn f11_content_length_is_exact() {
    for version in VERSIONS {
        let send = send(&mut open(version), "SEND\ndestination:/a\ncontent-length:5\n\na\0b\0\n\0");
        assert_eq!(&send.body[..], b"a\0b\0\n");
        for bad in ["4\n\nhello\0", "0\n\nhello\0"] {
            let frame = format!("SEND\nreceipt:7\ndestination:/a\ncontent-length:{bad}");
            let error = fault(&mut open(version), frame);
            assert_eq!((error.code(), error.receipt().unwrap().as_str()), (400, "7"));
        }
        // One octet short: the NUL belongs to the body, and the frame waits for its own.
        let mut session = open(version);
        assert!(events(&mut session, "SEND\ndestination:/a\ncontent-length:6\n\nhello\0").is_empty());
        assert_eq!(events(&mut session, "\0").len(), 1);
    }
}

/// F12, Q09: as clients that leave `content-length` out rely on.
#[test]
fn f12_without_content_length_the_first_nul_ends_the_body() {
    let mut session = open(Version::V1_1);
    let events = events(&mut session, "SEND\ndestination:/a\n\none\0SEND\ndestination:/a\n\ntwo\0");
    let bodies: Vec<_> =
        events.iter().map(|event| if let Event::Send(send) = event { &send.body[..] } else { b"" }).collect();
    assert_eq!(bodies, [b"one", b"two"]);
}

/// F13, Q09: a length in characters is an error, not a guess.
#[test]
fn f13_content_length_counts_octets() {
    let send = send(&mut open(Version::V1_2), "SEND\ndestination:/a\ncontent-length:6\n\n한글\0");
    assert_eq!(&send.body[..], "한글".as_bytes());
    assert_eq!(fault(&mut open(Version::V1_2), "SEND\ndestination:/a\ncontent-length:2\n\n한글\0").code(), 400);
}

#[test]
fn f14_a_bad_content_length_fails_before_any_body_arrives() {
    for version in VERSIONS {
        for (bad, code) in [("", 400), ("-1", 400), ("+1", 400), ("0x5", 400), ("5 5", 400), ("1.0", 400), ("٣", 400)]
        {
            let head = format!("SEND\nreceipt:7\ndestination:/a\ncontent-length:{bad}\n\n");
            let error = fault(&mut open(version), head);
            assert_eq!((error.code(), error.receipt().unwrap().as_str()), (code, "7"), "{bad:?}");
        }
        for large in ["65537", "18446744073709551615", "18446744073709551616", "99999999999999999999999999"] {
            let error = fault(&mut open(version), format!("SEND\ndestination:/a\ncontent-length:{large}\n\n"));
            assert!(error.too_large() && error.code() == 413, "{large}");
        }
    }
    assert_eq!(fault(&mut open(Version::V1_2), "SEND\ndestination:/a\ncontent-length: 5\n\nhello\0").code(), 400);
}

#[test]
fn f15_empty_bodies() {
    for frame in ["SEND\ndestination:/a\ncontent-length:0\n\n\0", "SEND\ndestination:/a\n\n\0"] {
        assert!(send(&mut open(Version::V1_2), frame).body.is_empty());
    }
}

#[test]
fn f16_content_length_is_honoured_on_every_frame() {
    for version in VERSIONS {
        let mut session = fresh(Default::default());
        let frame = format!("CONNECT\naccept-version:{version}\ncontent-length:0\n\n\0");
        assert!(matches!(events(&mut session, frame)[..], [Event::Connect(_)]));
        assert_eq!(fault(&mut fresh(Default::default()), "CONNECT\ncontent-length:1\n\n\0\n\0SEND").code(), 400);
        assert_eq!(fault(&mut open(version), "SUBSCRIBE\nid:1\ndestination:/a\ncontent-length:0\n\nx\0").code(), 400);
    }
}

#[test]
fn f17_only_send_has_a_body() {
    for frame in ["SUBSCRIBE\nid:1\ndestination:/a\n\nx\0", "BEGIN\ntransaction:1\n\nx\0", "DISCONNECT\n\nx\0"] {
        for version in SINCE_1_1 {
            assert!(fault(&mut open(version), frame).detail().ends_with("may not have a body"));
        }
        assert!(try_events(&mut open(Version::V1_0), frame).is_ok());
    }
    assert_eq!(fault(&mut fresh(Default::default()), "CONNECT\naccept-version:1.1\n\nx\0").code(), 400);
    assert!(matches!(events(&mut fresh(Default::default()), "CONNECT\n\nx\0")[..], [Event::Connect(_)]));
}

#[test]
fn f21_frames_of_one_read_come_in_order() {
    let mut session = open(Version::V1_2);
    let frames: String = (0..10_000).map(|n| format!("SEND\ndestination:/a\n\n{n}\0")).collect();
    let events = events(&mut session, frames);
    assert_eq!(events.len(), 10_000);
    for (n, event) in events.iter().enumerate() {
        assert!(matches!(event, Event::Send(send) if send.body[..] == *n.to_string().as_bytes()));
    }
    assert_eq!(session.buffered(), 0);
}

#[test]
fn f22_of_a_repeated_header_the_first_counts_and_the_rest_is_dropped() {
    for version in VERSIONS {
        let frame = "SEND\ndestination:/a\na:1\nb:2\na:3\ndestination:/b\nreceipt:4\nreceipt:5\n\n\0";
        let send = send(&mut open(version), frame);
        assert_eq!((&*send.destination, headers(&send)), ("/a", vec![("a", "1"), ("b", "2")]));
        assert_eq!(send.receipt.unwrap(), "4");
    }
    let frame = "SEND\ndestination:/a\ncontent-length:1\ncontent-length:9\n\nx\0";
    assert_eq!(&send(&mut open(Version::V1_2), frame).body[..], b"x");
}

#[test]
fn f23_f24_blanks_are_kept_but_at_1_0() {
    let frame = "SEND\ndestination:/a\n b : \tx \n\n\0";
    for version in SINCE_1_1 {
        assert_eq!(headers(&send(&mut open(version), frame)), [(" b ", " \tx ")]);
    }
    assert_eq!(headers(&send(&mut open(Version::V1_0), frame)), [(" b ", "x")]);
    let events = events(&mut fresh(Default::default()), "CONNECT\nlogin: tea \npasscode:\t \n\n\0");
    let Some(Event::Connect(connect)) = events.first() else { panic!("CONNECT expected") };
    assert_eq!((connect.login.as_deref(), connect.passcode.as_deref()), (Some("tea"), Some("")));
}

#[test]
fn f25_unknown_headers_are_ignored() {
    let mut session = open(Version::V1_2);
    let frames = "SUBSCRIBE\nid:1\ndestination:/a\nx-unknown:1\nfoo:2\n\n\0UNSUBSCRIBE\nid:1\nbar:1\n\n\0DISCONNECT\nbaz:1\n\n\0";
    assert_eq!(events(&mut session, frames).len(), 3);
}
