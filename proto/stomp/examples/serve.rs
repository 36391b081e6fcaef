//! A STOMP server: whoever subscribes hears what he sends. `cargo run --example serve`, then any client on
//! 127.0.0.1:61613.
use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Instant,
};
use stomp_proto::{Accept, Config, Event, MessageFrame, Session, encode};

fn main() -> io::Result<()> {
    for client in TcpListener::bind("127.0.0.1:61613")?.incoming() {
        let client = client?;
        thread::spawn(move || serve(client));
    }
    Ok(())
}

fn serve(mut client: TcpStream) -> io::Result<()> {
    let (begun, mut buffer, mut id) = (Instant::now(), [0; 8192], None);
    let mut session = Session::new(Arc::new(Config::default()), begun.elapsed());
    while let read @ 1.. = client.read(&mut buffer)? {
        let mut out = Vec::new();
        let mut next = session.handle_input(&buffer[..read], begun.elapsed()).and_then(|()| session.poll_event());
        while let Ok(Some(event)) = next {
            match event {
                Event::Connect(_) => session.accept(Accept::default(), begun.elapsed()),
                Event::Subscribe(subscribe) => id = subscribe.id,
                Event::Send(send) => {
                    let (to, id) = (&send.destination, id.as_deref());
                    let message = MessageFrame { destination: to, subscription: id, body: &send.body, ..MESSAGE };
                    encode::message(session.version(), &message, send.headers.iter(), &mut out);
                    send.receipt.iter().for_each(|receipt| session.receipt(receipt, &[]));
                }
                _ => {}
            }
            next = session.poll_event();
        }
        next.err().iter().for_each(|error| session.reject(error));
        while let Some(frame) = session.poll_transmit() {
            client.write_all(&frame)?;
        }
        client.write_all(&out)?;
    }
    Ok(())
}

const MESSAGE: MessageFrame<'_> = MessageFrame {
    destination: "",
    content_type: None,
    subscription: None,
    message_id: "1",
    ack: None,
    headers: &[],
    body: b"",
};
