//! What both ends of a pipe see.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::atomic::AtomicUsize;
use std::task::Wake;

use super::*;

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A pipe in slot 7, and how often the core was rung for.
fn pair(pipes: &Arc<Pipes>) -> (Pipe, PipeSocket) {
    let pipe = pipes.open(Kind::Lines, UpgradeCredentials::default(), ConnectionGuard::uncounted(), Bytes::new());
    let mut newcomers = Vec::new();
    pipes.newcomers.take(&mut newcomers);
    let socket = newcomers.pop().unwrap().socket;
    assert_eq!(socket.settle(7), (BytesMut::new(), false));
    (pipe.unwrap(), socket)
}

fn news(pipes: &Pipes) -> Vec<(usize, bool, bool, bool)> {
    let mut news = Vec::new();
    pipes.news.take(&mut news);
    news.into_iter().map(|it| (it.slot, it.readable, it.writable, it.closed)).collect()
}

fn kind(error: io::Result<usize>) -> ErrorKind {
    error.unwrap_err().kind()
}

#[test]
fn l07_each_direction_is_bounded_and_tells_when_there_is_room() {
    let pipes = Pipes::new(1, || ());
    let (pipe, mut socket) = pair(&pipes);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let cx = Context::from_waker(&waker);
    let octets = vec![1; PIPE_BYTES + 1];
    assert_eq!(pipe.poll_write(&cx, &octets), Poll::Ready(Ok(PIPE_BYTES)));
    assert_eq!(pipe.poll_write(&cx, &octets), Poll::Pending);
    assert_eq!(news(&pipes), [(7, true, false, false)], "said once");
    let mut buffer = vec![0; PIPE_BYTES];
    assert_eq!(socket.read(&mut buffer[..10]).unwrap(), 10);
    assert_eq!(woken.0.swap(0, Ordering::Relaxed), 1, "there is room");
    assert_eq!(pipe.poll_write(&cx, &octets), Poll::Ready(Ok(10)));
    assert!(news(&pipes).is_empty(), "it has not been read to its end");
    assert_eq!(socket.read(&mut buffer).unwrap(), PIPE_BYTES);
    assert_eq!(kind(socket.read(&mut buffer)), ErrorKind::WouldBlock);
    assert_eq!(pipe.poll_write(&cx, b"x"), Poll::Ready(Ok(1)));
    assert_eq!(news(&pipes), [(7, true, false, false)]);

    assert_eq!(pipe.poll_read(&cx, &mut BytesMut::new()), Poll::Pending);
    assert_eq!(socket.write(&octets).unwrap(), PIPE_BYTES);
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert_eq!(kind(socket.write(b"y")), ErrorKind::WouldBlock);
    assert!(news(&pipes).is_empty());
    let mut said = BytesMut::from(&b"before"[..]);
    assert_eq!(pipe.poll_read(&cx, &mut said), Poll::Ready(true));
    assert_eq!(said.len(), PIPE_BYTES + 6);
    assert_eq!(news(&pipes), [(7, false, true, false)]);
}

/// D04: what was said before an end is got, whoever ends it.
#[test]
fn d04_an_end_comes_behind_what_was_said() {
    let pipes = Pipes::new(1, || ());
    let cx = Context::from_waker(Waker::noop());
    let (pipe, mut socket) = pair(&pipes);
    assert!(pipe.poll_write(&cx, b"last").is_ready());
    drop(pipe);
    assert_eq!(news(&pipes), [(7, true, false, false), (7, false, true, true)]);
    let mut buffer = [0; 10];
    assert_eq!((socket.read(&mut buffer).unwrap(), socket.read(&mut buffer).unwrap()), (4, 0));
    assert_eq!(socket.write(b"nobody reads this").unwrap(), 17);
    drop(socket);
    assert_eq!(pipes.count(), 0);

    let (pipe, mut socket) = pair(&pipes);
    socket.write_all(b"last").unwrap();
    socket.finish();
    let mut said = BytesMut::new();
    assert_eq!(pipe.poll_write(&cx, b"more"), Poll::Ready(Err(Over)));
    assert_eq!(pipe.poll_read(&cx, &mut said), Poll::Ready(true));
    assert_eq!((pipe.poll_read(&cx, &mut said), &said[..]), (Poll::Ready(false), &b"last"[..]));
}

#[test]
fn l04_there_are_so_many_and_no_more() {
    let pipes = Pipes::new(2, || ());
    let open = || pipes.open(Kind::Lines, UpgradeCredentials::default(), ConnectionGuard::uncounted(), Bytes::new());
    let (first, _second) = (open().unwrap(), open().unwrap());
    assert!(open().is_none());
    drop(first);
    assert!(open().is_none(), "its session is not over yet");
    let mut newcomers = Vec::new();
    pipes.newcomers.take(&mut newcomers);
    assert!(newcomers[0].socket.settle(0).1, "nobody is there any more");
    drop(newcomers.remove(0));
    assert!(open().is_some());
    assert_eq!(pipes.count(), 2);
}
