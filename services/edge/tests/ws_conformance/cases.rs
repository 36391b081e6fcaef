//! The table: RFC 6455, section by section, as an echo has to keep it.

use super::case::{BINARY, CLOSE, Case, FIN, PING, PONG, TEXT, close, fragments, frame, header};
use crate::kit::wire::Incoming;

/// Lengths on both sides of where the header changes its form (section 5.2).
const LENGTHS: [usize; 7] = [0, 125, 126, 127, 128, 65_535, 65_536];

fn text(payload: impl AsRef<[u8]>) -> Incoming {
    Incoming::Text(payload.as_ref().to_vec())
}

fn pong(payload: impl AsRef<[u8]>) -> Incoming {
    Incoming::Pong(payload.as_ref().to_vec())
}

fn say(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(FIN | TEXT, payload.as_ref())
}

/// 5.2, 5.6: messages of all lengths come back as what they were.
pub(crate) fn framing() -> Vec<Case> {
    let both = |length: usize| {
        let octets: Vec<u8> = (0..length).map(|at| (at % 256) as u8).collect();
        [
            Case::new(format!("text of {length}"), say("*".repeat(length))).hears([text("*".repeat(length))]),
            Case::new(format!("binary of {length}"), frame(FIN | BINARY, &octets)).hears([Incoming::Binary(octets)]),
        ]
    };
    let mut cases: Vec<Case> = LENGTHS.into_iter().flat_map(both).collect();
    let mut unmasked = header(FIN | TEXT, 5);
    unmasked[1] &= 0x7f;
    cases.push(Case::new("5.1: unmasked", [&unmasked[..], b"Hello"].concat()).ends(1002));
    cases
        .push(Case::new("binary that is text", frame(FIN | BINARY, b"abc")).hears([Incoming::Binary(b"abc".to_vec())]));
    cases
}

/// 5.5.2, 5.5.3: pings of up to 125 octets are answered, pongs nobody asked for are not.
pub(crate) fn pings() -> Vec<Case> {
    let octets: Vec<u8> = (0..125).map(|at| 0xff - at).collect();
    let ten: Vec<u8> = (0..10u8).flat_map(|at| frame(FIN | PING, &[b'p', at])).collect();
    vec![
        Case::new("empty ping", frame(FIN | PING, b"")).hears([pong("")]),
        Case::new("ping", frame(FIN | PING, b"Hello")).hears([pong("Hello")]),
        Case::new("binary ping of 125", frame(FIN | PING, &octets)).hears([pong(&octets)]),
        Case::new("ping of 126", frame(FIN | PING, &[b'p'; 126])).ends(1002),
        Case::new("pong of 126", frame(FIN | PONG, &[b'p'; 126])).ends(1002),
        Case::new("pong", frame(FIN | PONG, b"unasked")),
        Case::new("pong, then ping", [frame(FIN | PONG, b""), frame(FIN | PING, b"!")].concat()).hears([pong("!")]),
        Case::new("ten pings", ten).hears((0..10u8).map(|at| pong([b'p', at]))),
    ]
}

/// 5.2: bits and opcodes that mean nothing yet, in front of everything else and behind a message.
pub(crate) fn reserved() -> Vec<Case> {
    let mut cases = Vec::new();
    for bits in 1..8u8 {
        for opcode in [TEXT, BINARY, PING, PONG, CLOSE] {
            let says = [frame(FIN | bits << 4 | opcode, b""), frame(FIN | PING, b"late")].concat();
            cases.push(Case::new(format!("reserved bits {bits:03b}, opcode {opcode}"), says).ends(1002));
        }
        let says = [say("before"), frame(FIN | bits << 4 | TEXT, b"x"), frame(FIN | PING, b"late")].concat();
        cases.push(
            Case::new(format!("reserved bits {bits:03b} behind a message"), says).hears([text("before")]).ends(1002),
        );
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for payload in ["", "reserved opcode payload"] {
            let says = [frame(FIN | opcode, payload.as_bytes()), frame(FIN | PING, b"late")].concat();
            cases.push(Case::new(format!("opcode {opcode}, {payload:?}"), says).ends(1002));
        }
        let says = [say("before"), frame(FIN | opcode, b""), frame(FIN | PING, b"late")].concat();
        cases.push(Case::new(format!("opcode {opcode} behind a message"), says).hears([text("before")]).ends(1002));
    }
    cases
}

/// 5.4: messages in fragments, control frames between them, and everything out of turn.
pub(crate) fn fragmentation() -> Vec<Case> {
    let (begin, go_on, end) = (|p: &[u8]| frame(TEXT, p), |p: &[u8]| frame(0, p), |p: &[u8]| frame(FIN, p));
    let (ping, both) = (frame(FIN | PING, b"?"), [text("ab")]);
    let seq = |parts: &[Vec<u8>]| parts.concat();
    let mut cases = vec![
        Case::new("ping in two", seq(&[frame(PING, b"a"), end(b"b")])).ends(1002),
        Case::new("pong in two", seq(&[frame(PONG, b"a"), end(b"b")])).ends(1002),
        Case::new("close in two", seq(&[frame(CLOSE, b"\x03"), end(b"\xe8")])).ends(1002),
        Case::new("text in two", seq(&[begin(b"a"), end(b"b")])).hears(both.clone()),
        Case::new("ping between", seq(&[begin(b"a"), ping.clone(), end(b"b")])).hears([pong("?"), text("ab")]),
        Case::new("pong between", seq(&[begin(b"a"), frame(FIN | PONG, b""), end(b"b")])).hears(both.clone()),
        Case::new("empty parts", seq(&[begin(b""), go_on(b""), end(b"")])).hears([text("")]),
        Case::new("empty parts around", seq(&[begin(b""), go_on(b"ab"), end(b"")])).hears(both),
        Case::new("continues nothing", end(b"x")).ends(1002),
        Case::new("goes on with nothing", seq(&[go_on(b"x"), end(b"y")])).ends(1002),
        Case::new("continues after the end", seq(&[say("a"), end(b"x")])).hears([text("a")]).ends(1002),
        Case::new("begins within", seq(&[begin(b"a"), say("b")])).ends(1002),
        Case::new("begins other kind within", seq(&[begin(b"a"), frame(BINARY, b"b")])).ends(1002),
        Case::new(
            "pings everywhere",
            seq(&[
                begin(b"1"),
                go_on(b"2"),
                ping.clone(),
                go_on(b"3"),
                ping.clone(),
                end(b"4"),
                ping.clone(),
                say("5"),
            ]),
        )
        .hears([pong("?"), pong("?"), text("1234"), pong("?"), text("5")]),
        Case::new("close within a message", seq(&[begin(b"a"), close(1000, b"")])).ends(1000),
    ];
    let octets: Vec<u8> = (0..=255).collect();
    let says = fragments(BINARY, &octets, 5);
    cases.push(Case::new("binary in fifty", says).hears([Incoming::Binary(octets)]));
    let long = "*".repeat(65_536);
    cases.push(Case::new("64 KiB in pieces of 1300", fragments(TEXT, long.as_bytes(), 1300)).hears([text(&long)]));
    cases
}

/// 8.1: text is UTF-8, wherever it is cut; what is not fails the connection (1007), as soon as a frame shows it.
pub(crate) fn utf8() -> Vec<Case> {
    let mut cases = Vec::new();
    let borders = "\u{0}\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{fffd}\u{ffff}\u{10000}\u{10ffff}";
    for good in ["κόσμε", "Hello-µ@ßöäüàá-UTF-8!!", "안녕하세요 😀", "\u{feff}", borders] {
        cases.push(Case::new(format!("{good:?}"), say(good)).hears([text(good)]));
        cases.push(Case::new(format!("{good:?} in ones"), fragments(TEXT, good.as_bytes(), 1)).hears([text(good)]));
        let between: Vec<u8> =
            (good.as_bytes().iter()).flat_map(|octet| [frame(0, &[*octet]), frame(FIN | PONG, b"")].concat()).collect();
        let says = [frame(TEXT, b""), between, frame(FIN, b"")].concat();
        cases.push(Case::new(format!("{good:?} between pongs"), says).hears([text(good)]));
    }
    for bad in [
        &b"\x80"[..],
        b"\xbf",
        b"a\xc3",
        b"\xce\xba\xe1\xbd",
        b"\xf0\x9f\x98",
        b"\xc0\xaf",
        b"\xc1\xbf",
        b"\xe0\x80\xaf",
        b"\xe0\x9f\xbf",
        b"\xf0\x80\x80\xaf",
        b"\xf0\x8f\xbf\xbf",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80",
        b"\xf4\x90\x80\x80",
        b"\xfe",
        b"\xff",
        b"\xe2\x28\xa1",
        b"Hello\xed\xa0\x80edited",
    ] {
        cases.push(Case::new(format!("{bad:02x?}"), say(bad)).ends(1007));
        cases.push(Case::new(format!("{bad:02x?} in ones"), fragments(TEXT, bad, 1)).ends(1007));
        let says = [say("good"), frame(TEXT, "κόσμε".as_bytes()), frame(FIN, bad)].concat();
        cases.push(Case::new(format!("{bad:02x?} at the end"), says).hears([text("good")]).ends(1007));
    }
    // Nothing more has to come before it is known.
    cases.push(Case::new("fails before the end", frame(TEXT, b"abc\xffdef")).ends(1007));
    cases.push(Case::new("fails across frames", [frame(TEXT, b"\xe2"), frame(0, b"\x28")].concat()).ends(1007));
    cases.push(
        Case::new("binary is not looked at", frame(FIN | BINARY, b"\xff\xfe"))
            .hears([Incoming::Binary(vec![0xff, 0xfe])]),
    );
    cases
}

/// 7: the close is answered with its own code, a wrong one with 1002, and nothing counts that follows it.
pub(crate) fn closing() -> Vec<Case> {
    let (late, ping) = (say("late"), frame(FIN | PING, b"late"));
    let mut cases = vec![
        Case::new("close without code", frame(FIN | CLOSE, b"")).ends(1005),
        Case::new("close of one octet", frame(FIN | CLOSE, b"\x03")).ends(1002),
        Case::new("reason of 123", close(1000, &[b'r'; 123])).ends(1000),
        Case::new("reason of 124", close(1000, &[b'r'; 124])).ends(1002),
        Case::new("reason that is not UTF-8", close(1000, b"\xce\xba\xe1\xbd")).ends(1007),
        Case::new("text after close", [close(1000, b""), late.clone()].concat()).ends(1000),
        Case::new("ping after close", [close(1000, b""), ping.clone()].concat()).ends(1000),
        Case::new("close after close", [close(1001, b""), close(1000, b"")].concat()).ends(1001),
        Case::new("fragment after close", [close(1000, b""), frame(TEXT, b"a"), frame(FIN, b"b")].concat()).ends(1000),
        Case::new("text, close, text", [say("a"), close(1000, b""), late].concat()).hears([text("a")]).ends(1000),
        Case::new("ping, close, ping", [frame(FIN | PING, b"a"), close(3000, b""), ping].concat())
            .hears([pong("a")])
            .ends(3000),
    ];
    for code in (1000..=1003).chain(1007..=1013).chain([3000, 3999, 4000, 4999]) {
        cases.push(Case::new(format!("close {code}"), close(code, b"reason")).ends(code));
    }
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push(Case::new(format!("close {code}, which nobody may send"), close(code, b"reason")).ends(1002));
    }
    cases
}

/// 10.4: what is too large is refused by its header, before anything of it has come.
pub(crate) fn limits() -> Vec<Case> {
    const MOST: u64 = 16 << 20;
    [MOST + 1, 1 << 32, 1 << 40, (1 << 63) - 1]
        .into_iter()
        .flat_map(|length| {
            [TEXT, BINARY].map(|opcode| {
                let says = [header(FIN | opcode, length), vec![0; 4]].concat();
                Case::new(format!("opcode {opcode} of {length}"), says).ends(1009)
            })
        })
        .collect()
}
