//! Credentials are renewed on disk under a running edge: nobody is cut, SENDs go on in their order, nothing is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kit::edge::Edge;
use kit::kafka::Kafka;
use kit::stomp::{Client, Crowd};

const SOON: Duration = Duration::from_secs(60);
const TOPIC: &str = "chat.events.v1";
const RENEWED: &str = "kafka_properties_renewed";

/// As tools of operators write a file: whole, then in its place.
fn put(file: &Path, text: &str) {
    let fresh = file.with_extension("new");
    fs::write(&fresh, text).unwrap();
    fs::rename(&fresh, file).unwrap();
}

/// As the kubelet mounts a Secret with a password: links through `..data`, which leads to one version or to the next.
fn mount(secret: &Path, password: &str) {
    let version = secret.join(format!("..{password}"));
    fs::create_dir_all(&version).unwrap();
    fs::write(version.join("password"), password).unwrap();
    symlink(version.file_name().unwrap(), secret.join("..data_tmp")).unwrap();
    fs::rename(secret.join("..data_tmp"), secret.join("..data")).unwrap();
    if !secret.join("password").exists() {
        symlink("..data/password", secret.join("password")).unwrap();
    }
}

fn occurs(edge: &Edge, what: &str, times: usize) {
    kit::eventually(&format!("{times} × {what}"), SOON, || (edge.log().matches(what).count() >= times).then_some(()));
}

/// SENDs in turn until `over`, each with a receipt; how many by each sender.
fn keep_sending(senders: &[Client], over: &AtomicBool) -> Vec<Vec<String>> {
    let mut receipts = vec![Vec::new(); senders.len()];
    while !over.load(Ordering::SeqCst) {
        for (n, sender) in senders.iter().enumerate() {
            let number = receipts[n].len();
            receipts[n].push(sender.send("lobby", &format!("{n} {number}")));
            std::thread::sleep(Duration::from_millis(3));
        }
    }
    receipts
}

#[test]
fn p2_p10_credentials_are_renewed_under_a_running_edge() {
    if !kit::require_kafka() || !kit::require_tool("openssl") {
        return;
    }
    let kafka = Kafka::start_secure();
    drop(Edge::on(&kafka, "operator", &["--create-topic", "--kafka-properties", &kafka.properties_of("admin")]));
    kafka.grant_edge(TOPIC);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("client.properties");
    let with = |password: &str| {
        let original = fs::read_to_string(kafka.properties_of("edge")).unwrap();
        original.replace("edge-secret", password)
    };
    let secret = dir.path().join("secret");
    mount(&secret, "edge-secret");
    put(&file, &with(&format!("${{directory:{}:password}}", secret.display())));
    let edge = Edge::on(&kafka, "a", &["--kafka-properties", file.to_str().unwrap()]);
    let crowd = Crowd::new();
    let listener = crowd.client(&edge.url());
    listener.subscribe(0, "lobby");
    let senders: Vec<_> = (0..3).map(|_| crowd.client(&edge.url())).collect();

    // Under load: a new password in a Secret, a file that nobody could use, and a file with the next password.
    let over = AtomicBool::new(false);
    let (senders, receipts) = std::thread::scope(|scope| {
        let over = &over;
        let sending = scope.spawn(move || {
            let receipts = keep_sending(&senders, over);
            (senders, receipts)
        });
        kafka.set_password("edge", "second-secret");
        mount(&secret, "second-secret");
        occurs(&edge, RENEWED, 1);
        put(&file, "security.protocol=SASL_SSL\nno.such.property=1\n");
        edge.logged("kafka_properties_not_used", SOON);
        assert_eq!(edge.admin_get("/readyz").0, 200, "the old ones do");
        kafka.set_password("edge", "third-secret");
        put(&file, &with("third-secret"));
        occurs(&edge, RENEWED, 2);
        std::thread::sleep(Duration::from_millis(500));
        over.store(true, Ordering::SeqCst);
        sending.join().unwrap()
    });
    for (sender, receipts) in senders.iter().zip(&receipts) {
        receipts.iter().for_each(|id| drop(sender.receipt(id, SOON)));
    }
    let sent: usize = receipts.iter().map(Vec::len).sum();
    listener.wait("all of it", SOON, |log| (log.messages.len() >= sent).then_some(()));
    let log: Vec<_> = kafka.dump(TOPIC).iter().map(kit::topic::Stored::message_id).collect();
    assert_eq!(listener.ids(0), log, "what is stored was shown, once, in its order");
    assert_eq!(log.len(), sent, "everything is stored once");
    let bodies: Vec<_> = listener.log().messages.iter().map(|m| String::from_utf8(m.body.to_vec()).unwrap()).collect();
    for (n, receipts) in receipts.iter().enumerate() {
        let own: Vec<_> = bodies.iter().filter(|body| body.starts_with(&format!("{n} "))).cloned().collect();
        assert_eq!(own, (0..receipts.len()).map(|i| format!("{n} {i}")).collect::<Vec<_>>(), "promise 2");
    }

    // The old credentials end: whoever does not send stays, readiness says why, and a new file heals it.
    kafka.set_password("edge", "fourth-secret");
    kafka.kill(1);
    kafka.start_node(1);
    kit::eventually("/readyz names it", SOON, || {
        let (status, text) = edge.admin_get("/readyz");
        (status == 503 && text.contains("uthentication")).then_some(())
    });
    put(&file, &with("still-wrong"));
    kit::eventually("/readyz tells of the renewed ones too", SOON, || {
        edge.admin_get("/readyz").1.contains("the renewed properties are not used").then_some(())
    });
    put(&file, &with("fourth-secret"));
    kit::eventually("ready again", SOON, || (edge.admin_get("/readyz").0 == 200).then_some(()));
    let receipt = senders[0].receipt(&senders[0].send("lobby", "after"), SOON);
    listener.wait("the last one", SOON, |log| (log.messages.len() == sent + 1).then_some(()));
    assert_eq!(receipt.header("message-id"), Some(listener.ids(0)[sent].to_string().as_str()));
    assert!(listener.is_open() && senders.iter().all(Client::is_open));
    for secret in ["edge-secret", "second-secret", "third-secret", "still-wrong", "fourth-secret"] {
        assert!(!edge.log().contains(secret), "a password in the log");
    }
}

/// A Secret that comes later than the pod: the edge waits with the wrong password, and goes on with the right one.
#[test]
fn p9_credentials_that_become_right_while_the_edge_waits() {
    if !kit::require_kafka() || !kit::require_tool("openssl") {
        return;
    }
    let kafka = Kafka::start_secure();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("client.properties");
    let right = fs::read_to_string(kafka.properties_of("admin")).unwrap();
    put(&file, &right.replace("admin-secret", "wrong"));
    let bootstrap = kafka.bootstrap();
    let mut edge =
        Edge::spawn(&["--kafka", &bootstrap, "--create-topic", "--kafka-properties", file.to_str().unwrap()]);
    edge.listening();
    edge.logged("uthentication", SOON);
    assert!(!edge.has_line());
    put(&file, &right);
    edge.ready();
    assert_eq!(edge.admin_get("/readyz").0, 200);
}
