//! `baseline`: the servers that klatsch is held against. All speak just enough STOMP for the crowd: CONNECT, SUBSCRIBE with
//! its RECEIPT, SEND relayed to whoever subscribed to the same destination, as subscription 0. Nothing is kept, checked or
//! bounded; that is what makes them cheap.
//!
//! | file | what |
//! |---|---|
//! | `raw.rs` | a loop that sends one finished frame to each connection; or all pending frames in one write |
//! | `natural.rs` | tokio-tungstenite as most people use it |
//! | `best.rs` | tokio-tungstenite at its best |
//! | `beats.rs` | no STOMP at all: one read and one write per heart-beat |
//! | `frames.rs`, `stomp.rs` | as much of WebSocket and STOMP as that takes |

mod beats;
mod best;
mod frames;
mod natural;
mod raw;
mod stomp;

use std::{
    cell::RefCell,
    io::{self, Write as _},
    net::TcpListener,
    rc::Rc,
};

use tokio::{
    net::TcpStream,
    runtime,
    task::{LocalSet, spawn_local},
};
use tokio_tungstenite::tungstenite::Error;

use super::settings::{BaselineKind, BaselineSettings};
use crate::outcome::{Outcome, could_not_run};

/// Serves until it is killed.
pub fn run(settings: &BaselineSettings) -> Outcome {
    match serve(settings) {
        Ok(()) => Outcome::Held,
        Err(error) => could_not_run(&format!("{}: {error}", settings.listen)),
    }
}

fn serve(settings: &BaselineSettings) -> io::Result<()> {
    super::crowd::allow_files(0).map_err(io::Error::other)?;
    let listener = TcpListener::bind(settings.listen)?;
    listener.set_nonblocking(true)?;
    // As an edge says it.
    writeln!(io::stdout(), "listening on http://{}\nready", listener.local_addr()?)?;
    match settings.kind {
        BaselineKind::Raw => raw::serve(listener, raw::Writing::Each),
        BaselineKind::Coalesced => raw::serve(listener, raw::Writing::Together),
        BaselineKind::Beats => beats::serve(listener),
        BaselineKind::Natural => on_one_thread(listener, natural::client),
        BaselineKind::Best => on_one_thread(listener, best::client),
    }
}

/// A task for each connection, all of them on this thread; they share their rooms.
fn on_one_thread<R, C>(listener: TcpListener, client: impl Fn(TcpStream, Rc<RefCell<R>>) -> C) -> io::Result<()>
where
    R: Default,
    C: Future<Output = Result<(), Error>> + 'static,
{
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(async {
        let (listener, rooms) = (tokio::net::TcpListener::from_std(listener)?, Rc::default());
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            let served = client(socket, Rc::clone(&rooms));
            spawn_local(async {
                // However it ends, the client sees it.
                let _ = served.await;
            });
        }
    }))
}
