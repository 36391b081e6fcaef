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

/// What became of those who stopped together.
struct Wave {
    /// When the first of them, and when the last one, knew that it was cut, in seconds.
    first: f64,
    last: f64,
    /// Octets of the process, at most and once they were gone.
    height: f64,
    after: f64,
}

fn row(stage: &Stage, way: Way) -> Result<Row, String> {
    let edge = stage.edge(&EdgeLog::Memory, &["--workers", "1", "--tail-bytes", "4MiB"])?;
    let mut writer = Sessions::new(&edge.target)?;
    writer.open(1, 0, |_| "writer".to_owned())?;
    // Once for what the edge allocates anyway, and for the page that polls ask for; once more for what the log grows by.
    fill(&mut writer)?;
    let at_first = resident(&edge)?;
    fill(&mut writer)?;
    let log = if way == Way::Events { (resident(&edge)? - at_first).max(0.0) } else { 0.0 };
    let base = resident(&edge)?;
    let first = wave(stage, &edge, &mut writer, way)?;
    let again = wave(stage, &edge, &mut writer, way)?;
    let each = |octets: f64, fills: f64| (octets - base - fills * log).max(0.0) / STOPPED as f64 / 1024.0;
    let (height, after, next) = (each(first.height, 1.0), each(first.after, 1.0), each(again.height, 2.0));
    // An allocator keeps what it has for its next clients: these must get by with that.
    let grows = (next > 64.0 && next > height * 1.25).then(|| format!("the next ones take {} KiB each", short(next)));
    let row = Row::judged(&targets::READER_CUT, &format!("{STOPPED} of {}", way.name()), first.last.max(again.last));
    Ok(row
        .note(format!(
            "the first after {} s; at most {} KiB of the process each, {} KiB once they are gone, {} KiB with as many again",
            short(first.first),
            short(height),
            short(after),
            short(next)
        ))
        .unless(grows))
}

fn wave(stage: &Stage, edge: &Server, writer: &mut Sessions, way: Way) -> Result<Wave, String> {
    let counted = || edge.metrics().map(|metrics| metrics.sum("klatsch_slow_consumer_closes_total", "") as usize);
    let already = counted()?;
    let stopped = stop(edge, way)?;
    let begin = Instant::now();
    if way == Way::Events {
        wait(stage, || Ok(sessions(edge, way)? >= STOPPED as f64))?;
        fill(writer)?;
    }
    let (mut height, mut first, mut seen) = (0.0_f64, None, 0);
    while seen < STOPPED || counted()? < already + STOPPED {
        check(stage)?;
        if begin.elapsed() > CUT_BY {
            let cut = counted()? - already;
            return Err(format!("{}: {cut} of {STOPPED} who stopped were cut, {seen} know it", way.name()));
        }
        height = height.max(resident(edge)?);
        // A socket says so once.
        seen += stopped.iter().filter(|stream| !matches!(stream.take_error(), Ok(None))).count();
        if seen > 0 {
            first.get_or_insert_with(|| begin.elapsed().as_secs_f64());
        }
        thread::sleep(LOOK);
    }
    let last = begin.elapsed().as_secs_f64();
    wait(stage, || Ok(sessions(edge, way)? == 0.0))?;
    Ok(Wave { first: first.unwrap_or(last), last, height, after: resident(edge)? })
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

/// Messages into their room, up to their RECEIPTs.
fn fill(writer: &mut Sessions) -> Result<(), String> {
    let text = "x".repeat(BODY);
    for _ in 0..MESSAGES {
        let frame = format!("SEND\ndestination:/topic/stopped\nreceipt:r\n\n{text}\0");
        writer.ask(0..1, |_, out| put(out, frame.as_bytes()), |_, answer| Ok(answer.is("RECEIPT")))?;
    }
    Ok(())
}

/// Waits for something that the edge says.
fn wait(stage: &Stage, mut what: impl FnMut() -> Result<bool, String>) -> Result<(), String> {
    let come = stage.stop.until(CUT_BY, || what().map(|come| come.then_some(())))?;
    come.ok_or_else(|| "the edge does not come to it".to_owned())
}
