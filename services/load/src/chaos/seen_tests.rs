#![allow(clippy::unwrap_used, clippy::expect_used)]
use std::io::Write as _;

use super::*;

/// Client 0 speaks STOMP, client 1 polls.
fn plan() -> Plan {
    let transports = vec![Transport::Stomp, Transport::Poll];
    Plan {
        urls: vec![],
        connections: 2,
        rooms: 1,
        rate: 1.0,
        senders: 2,
        soft: false,
        storm: false,
        habits: vec![],
        transports,
    }
}

fn of(lines: &[&str]) -> Seen {
    let (mut clients, mut seen) = (HashMap::new(), Seen::default());
    lines.iter().for_each(|line| take(line.as_bytes(), &plan(), &mut clients, &mut seen).unwrap());
    seen
}

#[test]
fn a_cut_session_and_its_return() {
    let seen = of(&[
        r#"{"t":60,"e":"end"}"#,
        r#"{"e":"connected","t":2,"c":0,"s":1,"user":"x"}"#,
        r#"{"e":"joined","t":3,"c":0,"s":1,"room":"load-0","position":"0-1-00000000"}"#,
        r#"{"e":"send","t":10,"c":0,"s":1,"n":0,"try":1,"room":"load-0","key":"k","size":9}"#,
        r#"{"e":"message","t":11,"c":0}"#,
        r#"{"e":"receipt","t":12,"c":0,"s":1,"n":0,"try":1,"id":"0-2-00000000","ts":1}"#,
        r#"{"e":"send","t":20,"c":0,"s":1,"n":1,"try":1,"room":"load-0","key":"k","size":9}"#,
        r#"{"e":"close","t":25,"c":0,"s":1,"code":1006,"why":"cut","text":"\"x\"","last":"0-2-00000000"}"#,
        r#"{"e":"refused","t":30,"c":0,"s":2,"status":503,"why":"starting"}"#,
        r#"{"e":"connected","t":40,"c":0,"s":2}"#,
        r#"{"e":"joined","t":45,"c":0,"s":2,"room":"load-0","recovered":true,"count":0}"#,
        r#"{"e":"send","t":46,"c":0,"s":2,"n":1,"try":2,"room":"load-0","key":"k","size":9}"#,
        r#"{"e":"receipt","t":50,"c":0,"s":2,"n":1,"try":2,"id":"0-3-00000000","ts":1}"#,
    ]);
    assert_eq!((seen.sends, seen.reconnects, seen.recovered, seen.gaps), (2, 1, 1, 0));
    assert_eq!((seen.joined, seen.messages, seen.refused.len()), (1, 1, 1));
    assert_eq!(seen.absences, [(25, 45)]);
    assert_eq!(seen.close_codes(), BTreeMap::from([(1006, 1)]));
    let answers: Vec<_> = seen.answers.iter().map(|answer| (answer.sent, answer.at, answer.what)).collect();
    assert_eq!(answers, [(10, 12, What::Receipt), (20, 25, What::Unknown), (46, 50, What::Receipt)]);
    assert_eq!((seen.first_sign(0), seen.first_sign(26)), (Some(25), Some(30)));
    assert_eq!(seen.ways, BTreeMap::from([(Transport::Stomp, Way { cut: 1, resumed: 1 })]));
}

#[test]
fn who_comes_back_without_its_token_has_not_gone_on() {
    let seen = of(&[
        r#"{"e":"joined","t":3,"c":1,"s":1,"room":"a"}"#,
        r#"{"e":"close","t":4,"c":1,"s":1,"code":1006,"why":"cut","last":"0-2-00000000"}"#,
        r#"{"e":"close","t":5,"c":1,"s":2,"code":1006,"why":"cut","last":"0-2-00000000"}"#,
        r#"{"e":"joined","t":6,"c":1,"s":3,"room":"a","recovered":false}"#,
        r#"{"e":"joined","t":6,"c":0,"s":1,"room":"a"}"#,
        r#"{"e":"close","t":7,"c":0,"s":1,"code":1000,"why":"asked","last":null}"#,
    ]);
    assert_eq!(seen.ways, BTreeMap::from([(Transport::Poll, Way { cut: 1, resumed: 0 })]));
}

#[test]
fn an_orderly_end_is_no_close_and_a_quiet_client_is_known() {
    let seen = of(&[
        r#"{"e":"joined","t":3,"c":0,"s":1,"room":"a"}"#,
        r#"{"e":"joined","t":3,"c":1,"s":1,"room":"a"}"#,
        r#"{"e":"send","t":4,"c":1,"s":1,"n":0,"try":1,"room":"a","key":null,"size":9}"#,
        r#"{"e":"failed","t":5,"c":1,"s":1,"n":0,"try":1,"code":503,"outcome":"refused","soft":false,"why":"x"}"#,
        r#"{"e":"close","t":6,"c":1,"s":1,"code":4004,"why":"server","last":null}"#,
        r#"{"e":"close","t":7,"c":0,"s":1,"code":1000,"why":"asked","last":null}"#,
    ]);
    assert_eq!((seen.joined, seen.closes.len(), seen.closes[0].quiet), (0, 1, false));
    assert_eq!(seen.count(What::Refused), 1);
}

#[test]
fn who_moves_before_the_end_is_never_away() {
    let seen = of(&[
        r#"{"e":"joined","t":3,"c":0,"s":1,"room":"a"}"#,
        r#"{"e":"send","t":4,"c":0,"s":1,"n":0,"try":1,"room":"a","key":"k","size":9}"#,
        r#"{"e":"connected","t":5,"c":0,"s":2}"#,
        r#"{"e":"joined","t":6,"c":0,"s":2,"room":"a","recovered":true}"#,
        r#"{"e":"send","t":7,"c":0,"s":2,"n":1,"try":1,"room":"a","key":"l","size":9}"#,
        r#"{"e":"close","t":8,"c":0,"s":1,"code":1000,"why":"asked","last":null}"#,
        r#"{"e":"receipt","t":9,"c":0,"s":2,"n":1,"try":1,"id":"0-3-00000000","ts":1}"#,
    ]);
    assert_eq!((seen.joined, seen.absences.len(), seen.closes.len()), (1, 0, 0));
    let answers: Vec<_> = seen.answers.iter().map(|answer| (answer.sent, answer.what)).collect();
    assert_eq!(answers, [(4, What::Unknown), (7, What::Receipt)]);
}

#[test]
fn half_a_line_waits_for_its_other_half() {
    let mut file = tempfile();
    let mut histories = Histories::new([(file.1.clone(), plan())]);
    write!(file.0, "{{\"e\":\"connected\",\"t\":1,\"c\":0,\"s\":2}}\n{{\"e\":\"conn").unwrap();
    histories.read().unwrap();
    assert_eq!((histories.seen.reconnects, histories.seen.ways.len()), (1, 2));
    writeln!(file.0, "ected\",\"t\":1,\"c\":0,\"s\":3}}").unwrap();
    histories.read().unwrap();
    assert_eq!(histories.seen.reconnects, 2);
    std::fs::remove_file(&file.1).unwrap();
}

fn tempfile() -> (File, PathBuf) {
    let path = std::env::temp_dir().join(format!("klatsch-history-{}", std::process::id()));
    (File::create(&path).unwrap(), path)
}
