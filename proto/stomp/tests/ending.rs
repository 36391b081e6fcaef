//! Families R, D and E: receipts, DISCONNECT, ERROR.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use common::*;
use stomp_proto::{Command, ErrorFrame, ErrorKind, Event, Version};

/// The receipts that events carry.
fn asked(events: &[Event]) -> Vec<String> {
    let receipt = |event: &Event| match event {
        Event::Send(send) => send.receipt.clone(),
        Event::Subscribe(subscribe) => subscribe.receipt.clone(),
        Event::Unsubscribe { receipt, .. }
        | Event::Held { receipt, .. }
        | Event::Commit { receipt, .. }
        | Event::Disconnect { receipt } => receipt.clone(),
        Event::Connect(_) | Event::Acked(_) => None,
    };
    events.iter().filter_map(receipt).map(|receipt| receipt.to_string()).collect()
}

#[test]
fn r01_r06_every_frame_may_ask_and_is_answered_once() {
    for version in VERSIONS {
        let mut session = open(version);
        let one = subscribe(&mut session, "SUBSCRIBE\nid:1\nack:client\ndestination:/a\nreceipt:sub\n\n\0");
        assert_eq!(one.receipt.unwrap(), "sub");
        let (first, second) =
            (session.delivered(one.handle, "m1").unwrap(), session.delivered(one.handle, "m2").unwrap());
        let mut frames = format!("ACK\nid:{first}\nmessage-id:m1\nsubscription:1\nreceipt:ack\n\n\0");
        if version > Version::V1_0 {
            frames += &format!("NACK\nid:{second}\nmessage-id:m2\nsubscription:1\nreceipt:nack\n\n\0");
        }
        frames += "BEGIN\ntransaction:1\nreceipt:begin\n\n\0ABORT\ntransaction:1\nreceipt:abort\n\n\0";
        frames += "SEND\ndestination:/a\nreceipt:send\n\n\0BEGIN\ntransaction:1\n\n\0COMMIT\ntransaction:1\nreceipt:commit\n\n\0";
        frames += "UNSUBSCRIBE\nid:1\nreceipt:unsub\n\n\0DISCONNECT\nreceipt:bye\n\n\0";
        let events = events(&mut session, frames);
        assert_eq!(asked(&events), ["send", "commit", "unsub", "bye"], "the owner's");
        let own: &[&str] =
            if version == Version::V1_0 { &["ack", "begin", "abort"] } else { &["ack", "nack", "begin", "abort"] };
        assert_eq!(receipts(&mut session), own, "the session's");
        session.receipt("bye", &[]);
        assert_eq!(receipts(&mut session), ["bye"]);
    }
}

/// R02: a RECEIPT may say where the message went.
#[test]
fn r02_a_receipt_carries_what_the_owner_adds() {
    let mut session = open(Version::V1_2);
    session.receipt("r:1", &[("message-id", "0-17"), ("timestamp", "5")]);
    assert_eq!(raw(&mut session), ["RECEIPT\nreceipt-id:r\\c1\nmessage-id:0-17\ntimestamp:5\n\n\0"]);
}

#[test]
fn r03_receipts_go_out_in_the_order_of_the_answers() {
    let mut session = open(Version::V1_2);
    for n in 0..100 {
        session.receipt(&n.to_string(), &[]);
    }
    assert_eq!(receipts(&mut session), (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn r04_who_does_not_ask_gets_none() {
    let mut session = open(Version::V1_2);
    let frames =
        "BEGIN\ntransaction:1\n\n\0ABORT\ntransaction:1\n\n\0SEND\ndestination:/a\n\n\0UNSUBSCRIBE\nid:1\n\n\0";
    assert!(asked(&events(&mut session, frames)).is_empty() && raw(&mut session).is_empty());
}

#[test]
fn r05_a_failed_frame_gets_error_with_receipt_id_and_no_receipt() {
    let mut session = open(Version::V1_2);
    let error = fault(&mut session, "BEGIN\ntransaction:1\nreceipt:ok\n\n\0COMMIT\ntransaction:2\nreceipt:bad\n\n\0");
    session.reject(&error);
    let frames = sent(&mut session);
    let seen: Vec<_> = frames.iter().map(|frame| (frame.command, frame.headers.get("receipt-id").unwrap())).collect();
    assert_eq!(seen, [(Command::Receipt, "ok"), (Command::Error, "bad")]);
}

#[test]
fn r07_fifty_at_once_are_answered_once_each() {
    let mut session = open(Version::V1_2);
    let frames: String = (0..50)
        .map(|n| match n % 2 {
            0 => format!("BEGIN\ntransaction:{n}\nreceipt:{n}\n\n\0ABORT\ntransaction:{n}\n\n\0"),
            _ => format!("SEND\ndestination:/a\nreceipt:{n}\n\n\0"),
        })
        .collect();
    let mut all = asked(&events(&mut session, frames));
    all.extend(receipts(&mut session));
    all.sort_by_key(|receipt| receipt.parse::<u32>().unwrap());
    assert_eq!(all, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn d01_d02_disconnect_is_the_last_event_and_its_receipt_still_goes_out() {
    for version in VERSIONS {
        let mut session = open(version);
        assert!(
            matches!(&events(&mut session, "DISCONNECT\nreceipt:7\n\n\0")[..], [Event::Disconnect { receipt: Some(r) }] if r == "7")
        );
        assert!(!session.is_open());
        session.receipt("7", &[]);
        assert_eq!(receipts(&mut session), ["7"]);
        let mut session = open(version);
        assert!(matches!(events(&mut session, "DISCONNECT\n\n\0")[..], [Event::Disconnect { receipt: None }]));
        assert!(raw(&mut session).is_empty(), "no ERROR");
    }
}

#[test]
fn d03_frames_after_disconnect_are_not_processed() {
    let mut session = open(Version::V1_2);
    assert_eq!(events(&mut session, "DISCONNECT\n\n\0SEND\ndestination:/a\n\n\0GARBAGE").len(), 1);
    assert!(events(&mut session, "SEND\ndestination:/a\n\n\0").is_empty());
    assert_eq!((session.buffered(), session.poll_timeout()), (0, None));
}

#[test]
fn d04_sends_before_disconnect_are_all_reported() {
    let mut session = open(Version::V1_2);
    let frames = "SEND\ndestination:/a\n\nx\0".repeat(10_000) + "DISCONNECT\nreceipt:7\n\n\0";
    let events = events(&mut session, frames);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Send(_))).count(), 10_000);
    assert!(matches!(events.last(), Some(Event::Disconnect { .. })));
}

/// D05: a lost socket drops the session; a SEND that was half there is nothing.
#[test]
fn d05_half_a_frame_is_no_event() {
    let mut session = open(Version::V1_2);
    assert!(events(&mut session, "SEND\ndestination:/a\n\nhal").is_empty());
    assert!(session.poll_event().unwrap().is_none());
}

#[test]
fn e01_e02_the_form_of_error() {
    let mut session = open(Version::V1_2);
    let headers = [("retry-after", "2")];
    session.error(&ErrorFrame {
        message: "busy",
        code: 429,
        detail: "too fast\n",
        receipt_id: Some("r:1"),
        headers: &headers,
    });
    let expected = "ERROR\nmessage:busy\nx-error-code:429\nreceipt-id:r\\c1\nretry-after:2\ncontent-type:text/plain\n\
                    content-length:9\n\ntoo fast\n\0";
    assert_eq!(raw(&mut session), [expected]);
}

#[test]
fn e03_m07_nothing_follows_an_error() {
    let mut session = open(Version::V1_2);
    let one = subscribe(&mut session, "SUBSCRIBE\nid:1\ndestination:/a\n\n\0").handle;
    session.receipt("before", &[]);
    session.error(&ErrorFrame { message: "a", code: 500, ..ErrorFrame::default() });
    session.error(&ErrorFrame { message: "b", code: 500, ..ErrorFrame::default() });
    session.receipt("after", &[]);
    accept(&mut session);
    assert!(events(&mut session, "BEGIN\ntransaction:1\nreceipt:1\n\n\0GARBAGE\n\n\0").is_empty());
    session.handle_timeout(after(1e6)).unwrap();
    let commands: Vec<_> = sent(&mut session).iter().map(|frame| frame.command).collect();
    assert_eq!(commands, [Command::Receipt, Command::Error]);
    assert_eq!((session.is_open(), session.window(one), session.poll_timeout()), (false, 0, None));
}

#[test]
fn e03_after_a_fault_nothing_is_parsed_and_only_error_is_sent() {
    let mut session = open(Version::V1_2);
    fault(&mut session, "SEND\n\n\0SEND\ndestination:/a\n\n\0");
    assert!(events(&mut session, "SEND\ndestination:/a\n\n\0").is_empty());
    session.receipt("7", &[]);
    assert_eq!((session.is_open(), session.buffered(), raw(&mut session).len()), (false, 0, 0));
}

#[test]
fn e04_unknown_commands_and_those_of_servers() {
    for version in VERSIONS {
        for command in ["NONSENSE", "MESSAGE", "CONNECTED", "RECEIPT", "ERROR", "", "SEND ", " SEND", "S\u{e9}ND"] {
            let error = fault(
                &mut open(version),
                format!("{command}x:1\nreceipt:7\n\n\0").replacen("x:1", "\nx:1", 1).trim_start(),
            );
            assert_eq!((error.kind(), error.code()), (ErrorKind::Malformed, 400), "{command:?}");
        }
    }
}

#[test]
fn e05_no_error_echoes_what_a_client_wrote() {
    let secret = "Bearer-hunter2";
    for frame in [
        format!("CONNECT\naccept-version:{secret}\npasscode:{secret}\n\n\0"),
        format!("CONNECT\naccept-version:1.2\nheart-beat:{secret}\n\n\0"),
        format!("CONNECT\n{secret}\n\n\0"),
        format!("{secret}\n\n\0"),
        "hunterABC\n\n\0".into(),
        format!("CONNECT\ncontent-length:{secret}\n\n\0"),
        format!("SEND\nAuthorization:{secret}\n\n\0"),
    ] {
        let error = fault(&mut fresh(Default::default()), &frame);
        assert!(!format!("{error} {error:?} {}", error.detail()).contains("hunter"), "{frame:?}");
    }
    let mut session = fresh(Default::default());
    let events =
        events(&mut session, format!("CONNECT\nlogin:{secret}\npasscode:{secret}\nAuthorization:{secret}\n\n\0"));
    assert!(!format!("{events:?} {session:?}").contains("hunter2"), "nor does Debug");
}
