//! What a process costs, as the kernel counts it: processor time by thread, memory of its own, memory of the kernel.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    time::{Duration, Instant},
};

use rustix::param::{clock_ticks_per_second, page_size};

/// A process that is watched from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meter {
    pid: u32,
}

/// Processor time of a process at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    at: Instant,
    /// User and system, of threads that live and of those that have ended; in ticks of the clock, rounded down.
    ticks: u64,
    /// By thread id: its name, and the nanoseconds that it has run.
    threads: HashMap<u32, (String, u64)>,
}

/// What was spent between two readings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spent {
    /// Time that passed.
    pub(crate) wall: Duration,
    /// Microseconds of processor time, all threads together.
    pub(crate) cpu_us: f64,
    /// The same by thread name, of threads that lived at the end.
    pub(crate) threads: BTreeMap<String, f64>,
}

/// Memory of a process, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// In physical memory, shared pages included.
    pub(crate) resident: u64,
    /// The same with shared pages divided among those who share them.
    pub(crate) proportional: u64,
    /// Heap and stacks: what is not a file's.
    pub(crate) anonymous: u64,
}

impl Meter {
    /// Of this process.
    pub(crate) fn new(pid: u32) -> Meter {
        Meter { pid }
    }

    /// Whose it is.
    pub(crate) fn pid(self) -> u32 {
        self.pid
    }

    /// Processor time so far.
    ///
    /// # Errors
    /// The process has ended, or `/proc` is not readable.
    pub(crate) fn read(self) -> io::Result<Reading> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let mut threads = HashMap::new();
        for task in fs::read_dir(format!("/proc/{}/task", self.pid))? {
            let task = task?;
            let Some(tid) = task.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // A thread that ends while it is looked at is found in the process's ticks.
            let Ok(ran) = fs::read_to_string(task.path().join("schedstat")) else { continue };
            let Ok(name) = fs::read_to_string(task.path().join("comm")) else { continue };
            threads.insert(tid, (name.trim_end().to_owned(), first_number(&ran)?));
        }
        Ok(Reading { at: Instant::now(), ticks: ticks_of(&stat)?, threads })
    }

    /// Memory now. It takes the kernel a walk over all pages: some milliseconds for a gigabyte.
    ///
    /// # Errors
    /// As for [`Meter::read`].
    pub(crate) fn memory(self) -> io::Result<Memory> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid))?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.ok_or_else(|| strange("smaps_rollup")).and_then(first_number).map(|kib| kib * 1024)
        };
        Ok(Memory { resident: field("Rss")?, proportional: field("Pss")?, anonymous: field("Anonymous")? })
    }
}

impl Reading {
    /// What was spent since an earlier reading of the same process.
    pub(crate) fn since(&self, earlier: &Reading) -> Spent {
        let mut threads: BTreeMap<String, f64> = BTreeMap::new();
        for (tid, (name, ran)) in &self.threads {
            let before = earlier.threads.get(tid).map_or(0, |(_, ran)| *ran);
            *threads.entry(name.clone()).or_default() += ran.saturating_sub(before) as f64 / 1e3;
        }
        let alive: f64 = threads.values().sum();
        let tick = 1e6 / clock_ticks_per_second() as f64;
        // Each of the two sums in a reading's ticks is rounded down, so the difference is at most two ticks too large.
        let at_least = (self.ticks.saturating_sub(earlier.ticks) as f64 - 2.0) * tick;
        Spent { wall: self.at.duration_since(earlier.at), cpu_us: alive.max(at_least), threads }
    }
}

impl Spent {
    /// Of one processor, from 0 to 1 (to n, of n threads).
    pub(crate) fn share(&self) -> f64 {
        self.cpu_us / 1e6 / self.wall.as_secs_f64().max(1e-9)
    }

    /// Of the threads whose names begin with `name`, in microseconds.
    pub(crate) fn of(&self, name: &str) -> f64 {
        self.threads.iter().filter(|(thread, _)| thread.starts_with(name)).fold(0.0, |sum, (_, us)| sum + us)
    }
}

/// What the kernel holds for all connections of this machine, in octets: both ends of a loopback connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// Sockets and what watches them: the slabs of TCP, of sockets' inodes and files, of epoll.
    pub(crate) objects: u64,
    /// What is on its way in and out of TCP sockets.
    pub(crate) buffers: u64,
}

/// Slabs whose objects a connection owns, whatever else the machine does.
const SLABS: [&str; 12] = [
    "TCP",
    "TCPv6",
    "request_sock_TCP",
    "request_sock_TCPv6",
    "sock_inode_cache",
    "eventpoll_epi",
    "eventpoll_pwq",
    "ep_head",
    "tcp_bind_bucket",
    "tcp_bind2_bucket",
    "skbuff_head_cache",
    "skbuff_small_head",
];
/// Slabs of which each socket owns one object, beside all those that files own.
const ONE_EACH: [&str; 2] = ["filp", "dentry"];

impl Kernel {
    /// Now. `None` where `/proc/slabinfo` may not be read: only root may.
    ///
    /// # Errors
    /// `/proc/net/sockstat` or `/proc/slabinfo` does not say what it should.
    pub(crate) fn read() -> io::Result<Option<Kernel>> {
        let slabs = match fs::read_to_string("/proc/slabinfo") {
            Ok(slabs) => slabs,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(Kernel { objects: slab_bytes(&slabs), buffers: socket_buffers()? }))
    }

    /// How much more there is than earlier, nothing if there is less.
    pub(crate) fn since(self, earlier: Kernel) -> u64 {
        (self.objects + self.buffers).saturating_sub(earlier.objects + earlier.buffers)
    }
}

/// What all TCP sockets of the machine have reserved for data, in octets; a page at a time.
///
/// # Errors
/// `/proc/net/sockstat` does not say.
pub(crate) fn socket_buffers() -> io::Result<u64> {
    let sockstat = fs::read_to_string("/proc/net/sockstat")?;
    let tcp = sockstat.lines().find_map(|line| line.strip_prefix("TCP:")).ok_or_else(|| strange("sockstat"))?;
    let pages = tcp.split_once(" mem ").ok_or_else(|| strange("sockstat"))?;
    Ok(first_number(pages.1)? * page_size() as u64)
}

fn slab_bytes(slabinfo: &str) -> u64 {
    // <name> <objects in use> <objects> <object size> <objects a slab> <pages a slab>
    let slab = |name: &str| {
        let line = slabinfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        let mut fields = line.split_ascii_whitespace().map_while(|field| field.parse::<u64>().ok());
        let (used, _, _, per_slab, pages) =
            (fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        // An object's share of its slab, so that what does not fit in counts.
        Some((used, pages * page_size() as u64 / per_slab.max(1)))
    };
    let owned: u64 = SLABS.iter().filter_map(|name| slab(name)).map(|(used, size)| used * size).sum();
    let sockets = slab("sock_inode_cache").map_or(0, |(used, _)| used);
    owned + ONE_EACH.iter().filter_map(|name| slab(name)).map(|(_, size)| sockets * size).sum::<u64>()
}

/// utime and stime of `/proc/PID/stat`; the name before them may hold anything, parentheses too.
fn ticks_of(stat: &str) -> io::Result<u64> {
    let (_, fields) = stat.rsplit_once(')').ok_or_else(|| strange("stat"))?;
    let mut times = fields.split_ascii_whitespace().skip(11).map_while(|field| field.parse::<u64>().ok());
    times.next().zip(times.next()).map(|(user, system)| user + system).ok_or_else(|| strange("stat"))
}

fn first_number(text: &str) -> io::Result<u64> {
    let number = text.split_ascii_whitespace().next().and_then(|number| number.parse().ok());
    number.ok_or_else(|| strange("a number"))
}

fn strange(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} of /proc cannot be read"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::{hint::black_box, net::TcpListener, thread};

    use rustix::time::{ClockId, clock_gettime};

    use super::*;

    fn myself() -> Meter {
        Meter::new(std::process::id())
    }

    /// Burns so much processor time, however long that takes on a busy machine.
    fn spin(time: Duration) {
        let used = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
        while used() < time {
            black_box(first_number("1").unwrap());
        }
    }

    #[test]
    fn processor_time_is_counted_by_thread_and_outlives_its_thread() {
        let before = myself().read().unwrap();
        thread::Builder::new().name("spinner".to_owned()).spawn(|| spin(Duration::from_millis(400))).unwrap();
        let named = |reading: &Reading| reading.since(&before).of("spin");
        let mut most: f64 = 0.0;
        // Until it has ended: its time may only be looked for as long as it lives.
        for _ in 0..10_000 {
            thread::sleep(Duration::from_millis(2));
            let now = myself().read().unwrap();
            most = most.max(named(&now));
            if most > 0.0 && named(&now) == 0.0 {
                break;
            }
        }
        let spent = myself().read().unwrap().since(&before);
        assert!(most > 50_000.0, "{most} us by name");
        assert!(spent.cpu_us > 50_000.0 && spent.of("spin") == 0.0, "{spent:?}");
        assert!(spent.share() > 0.0);
    }

    #[test]
    fn memory_grows_by_what_is_written_to() {
        let before = myself().memory().unwrap();
        let block = black_box(vec![1_u8; 32 << 20]);
        let after = myself().memory().unwrap();
        for (after, before) in [(after.resident, before.resident), (after.anonymous, before.anonymous)] {
            assert!(after.saturating_sub(before) > 30 << 20, "{before} {after}");
        }
        assert!(after.proportional <= after.resident);
        drop(block);
    }

    #[test]
    fn the_kernel_counts_both_ends_of_a_connection() {
        let Some(before) = Kernel::read().unwrap() else { return };
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let ends: Vec<_> =
            (0..400).map(|_| (std::net::TcpStream::connect(address).unwrap(), listener.accept().unwrap())).collect();
        let each = Kernel::read().unwrap().unwrap().since(before) / (2 * ends.len() as u64);
        assert!((2_000..12_000).contains(&each), "{each} octets an end");
    }

    #[test]
    fn a_slab_counts_with_its_waste_and_what_others_own_only_by_the_socket() {
        let page = page_size() as u64;
        let text = "slabinfo - version: 2.1\n# name\nTCPv6 1 9 2496 10 8 : tunables\nTCP 10 20 2368 13 8 : x\n\
                    sock_inode_cache 10 20 832 19 4 : x\nfilp 999 999 192 21 1 : x\n";
        let share = |objects: u64, per_slab: u64, pages: u64| objects * (pages * page / per_slab);
        let expected = share(1, 10, 8) + share(10, 13, 8) + share(10, 19, 4) + share(10, 21, 1);
        assert_eq!(slab_bytes(text), expected);
        let stat = "12 (a) b) R 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20";
        assert_eq!(ticks_of(stat).unwrap(), 42);
        assert!(ticks_of("12 (short) R 1").is_err());
    }
}
