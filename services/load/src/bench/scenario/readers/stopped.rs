//! Row 26: readers over HTTP that stop reading. What they cost at most, when they are cut, whether they see it, and what is
//! left of them.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};

use super::{resident, sessions};
use crate::bench::{
    readers::Way,
    row::{Row, short},
    scenario::check,
    server::Server,
    sessions::{Sessions, put},
    stage::{EdgeLog, Stage},
    targets,
};

/// Those who stop.
const STOPPED: usize = 200;
/// Octets of a body, and messages: more than the kernel and an edge hold for somebody who takes nothing, and more than the
/// largest page.
const BODY: usize = 2_000;
const MESSAGES: usize = 400;
/// Octets of a client's receive buffer: a phone's, not a server's.
const RECEIVE: usize = 16 * 1024;
/// An edge gives a client that takes nothing ten seconds.
const CUT_BY: Duration = Duration::from_secs(30);
/// How often it is looked who was cut.
const LOOK: Duration = Duration::from_millis(20);

/// Row 26, for both ways.
pub(super) fn rows(stage: &Stage) -> Result<Vec<Row>, String> {
    [Way::Events, Way::LongPoll].map(|way| row(stage, way)).into_iter().collect()
}

fn row(stage: &Stage, way: Way) -> Result<Row, String> {
    let edge = stage.edge(&EdgeLog::Memory, &["--workers", "1", "--tail-bytes", "4MiB"])?;
    let mut writer = Sessions::new(&edge.target)?;
    writer.open(1, 0, |_| "writer".to_owned())?;
    let counted = || edge.metrics().map(|metrics| metrics.sum("klatsch_slow_consumer_closes_total", "") as usize);
    // Once for what the edge allocates anyway, and for the page that polls ask for; once more for what the log grows by.
    fill(&mut writer, "stopped")?;
    let at_first = resident(&edge)?;
    fill(&mut writer, "stopped")?;
    let log = if way == Way::Events { (resident(&edge)? - at_first).max(0.0) } else { 0.0 };
    let before = resident(&edge)?;
    let stopped = stop(&edge, way)?;
    let begin = Instant::now();
    if way == Way::Events {
        wait(stage, || Ok(sessions(&edge, way)? >= STOPPED as f64))?;
        fill(&mut writer, "stopped")?;
    }
    let (mut height, mut first, mut seen) = (before, None, 0);
    while (seen < STOPPED || counted()? < STOPPED) && begin.elapsed() < CUT_BY {
        check(stage)?;
        height = height.max(resident(&edge)?);
        seen += stopped.iter().filter(|stream| !matches!(stream.take_error(), Ok(None))).count();
        if seen > 0 {
            first.get_or_insert_with(|| begin.elapsed());
        }
        thread::sleep(LOOK);
    }
    let last = begin.elapsed().as_secs_f64();
    if seen < STOPPED || counted()? < STOPPED {
        return Err(format!("{}: {} of {STOPPED} who stopped were cut, {seen} know it", way.name(), counted()?));
    }
    wait(stage, || Ok(sessions(&edge, way)? == 0.0))?;
    let each = |octets: f64| (octets - before - log).max(0.0) / STOPPED as f64 / 1024.0;
    let after = each(resident(&edge)?);
    let load = format!("{STOPPED} of {}", way.name());
    let row = Row::judged(&targets::READER_CUT, &load, last);
    // An allocator keeps something for its next clients, but what comes back has to be seen.
    let kept = (after > 64.0 && after > each(height) * 0.75).then(|| format!("{} KiB each are kept", short(after)));
    Ok(row
        .note(format!(
            "the first after {} s; at most {} KiB of the process each, {} KiB once they are gone",
            short(first.map_or(0.0, |first: Duration| first.as_secs_f64())),
            short(each(height)),
            short(after)
        ))
        .unless(kept))
}

/// Readers that never read anything.
fn stop(edge: &Server, way: Way) -> Result<Vec<TcpStream>, String> {
    let (host, port) = (edge.target.host.as_str(), edge.target.port);
    let mut addresses = (host, port).to_socket_addrs().map_err(|error| error.to_string())?;
    let address: SocketAddr = addresses.next().ok_or("the server has no address")?;
    let asked = match way {
        Way::Events => "events",
        Way::LongPoll => "messages?after=first&limit=1000&wait=60",
    };
    let request = format!("GET /rooms/stopped/{asked} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_recv_buffer_size(RECEIVE)?;
        socket.connect(&address.into())?;
        let mut stream = TcpStream::from(socket);
        stream.write_all(request.as_bytes())?;
        Ok(stream)
    };
    let all: std::io::Result<Vec<TcpStream>> = (0..STOPPED).map(|_| open()).collect();
    all.map_err(|error| format!("a reader: {error}"))
}

/// Messages into a room, up to their RECEIPTs.
fn fill(writer: &mut Sessions, room: &str) -> Result<(), String> {
    let text = "x".repeat(BODY);
    for _ in 0..MESSAGES {
        let frame = format!("SEND\ndestination:/topic/{room}\nreceipt:r\n\n{text}\0");
        writer.ask(0..1, |_, out| put(out, frame.as_bytes()), |_, answer| Ok(answer.is("RECEIPT")))?;
    }
    Ok(())
}

/// Waits for something that the edge says.
fn wait(stage: &Stage, mut what: impl FnMut() -> Result<bool, String>) -> Result<(), String> {
    let come = stage.stop.until(CUT_BY, || what().map(|come| come.then_some(())))?;
    come.ok_or_else(|| "the edge does not come to it".to_owned())
}
