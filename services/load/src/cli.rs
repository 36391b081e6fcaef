//! The commands and their flags.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum, builder::RangedU64ValueParser};

use crate::{
    bench::settings::{self as bench, BaselineSettings, BenchSettings},
    chaos::settings::{self, ChaosSettings},
    client::Transport,
    dialect::Dialect,
    payload::Payload,
    roll::settings::{self as roll, RollSettings},
    target::Target,
};

/// Load for a STOMP server over WebSocket, with a check of every message.
#[derive(Debug, Parser)]
#[command(name = "klatsch-load", version, max_term_width = 110, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 every promise held, 1 a promise broke, 2 it could not run.";

const CHAT_HELP: &str = "\
Clients connect, join their rooms (client i is in room i modulo R) and, once all are there, send by a timetable that \
nothing delays. Every MESSAGE is checked when it comes: nothing receipted is lost, nothing comes twice, a room has one \
order, RECEIPT and MESSAGE name the same message-id. Who is cut goes on at the next --url where it was (x-from); what was \
sent meanwhile is owed to it, unless the server announces a gap. Latencies count from the time at which a SEND was due. Ctrl-C ends a \
run early; it is still judged.

Examples:
  klatsch-load chat --url ws://127.0.0.1:8080/ws
      100 clients in 10 rooms, 50 SENDs a second, 30 seconds
  klatsch-load chat --url ws://edge-1/ws --url ws://edge-2/ws --connections 1000
      two edges, half of the clients on each; who is cut comes back on the other one
  klatsch-load chat --url ws://127.0.0.1:15674/ws --login guest --passcode guest --stomp-host /
      RabbitMQ
  klatsch-load chat --url ws://spring/chat --no-receipts --no-barrier --send-prefix /app/
      a Spring server, whose simple broker sends no RECEIPT

Exit codes: 0 every promise held, 1 a promise broke (the first counter-example is printed), 2 it could not run.";

const DUMP_HELP: &str = "\
One line per record, partition by partition, with the fields partition, offset, timestamp (ms), key, message_id, uuid (hex), \
sender, idempotency_key and size; and run, client, n and try if `chat` sent it. A record that no edge could show has \
\"error\" instead of uuid, sender and idempotency_key.

Exit codes: 0 the whole topic was read, 2 it could not be.";

const VERIFY_HELP: &str = "\
Reads what `chat --record` wrote, of one process or of several, and the topic, and checks promises 1 to 8 and 10: every RECEIPT's \
record is there and is that SEND's, sessions see the log's order, without a gap, nothing twice; every SEND ended in time; \
senders are who they were. Prints how often each promise was checked and broken, and the first counter-example of each.

Examples:
  klatsch-load verify --history a.jsonl --history b.jsonl --kafka 127.0.0.1:19092
  klatsch-load verify --history a.jsonl --dump before.jsonl --dump after.jsonl
      a topic that lost its beginning, or was deleted and made anew, between two dumps

Exit codes: 0 every promise held, 1 a promise broke (the first counter-example of each is printed), 2 it could not run.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Clients chat in rooms; every message is checked
    #[command(after_help = CHAT_HELP)]
    Chat(Box<ChatSettings>),
    /// Print a whole topic as JSON lines
    #[command(after_help = DUMP_HELP)]
    Dump(DumpSettings),
    /// Judge what clients did and saw by what lies in the topic
    #[command(after_help = VERIFY_HELP)]
    Verify(VerifySettings),
    /// Faults on a real cluster, under load, and what became of the promises
    #[command(after_help = settings::HELP)]
    Chaos(ChaosSettings),
    /// Every edge replaced, one after the other, under load, and what clients noticed of it
    #[command(after_help = roll::HELP)]
    Roll(RollSettings),
    /// What a delivery, a connection, a room costs, against baselines of the same run
    #[command(after_help = bench::HELP)]
    Bench(Box<BenchSettings>),
    /// One of bench's own servers
    #[command(hide = true)]
    Baseline(BaselineSettings),
}

/// Something that is done or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// The settings of `chat`.
#[derive(Debug, Clone, Args)]
pub struct ChatSettings {
    /// A server to connect to; repeatable, clients are spread over all of them
    #[arg(long, required = true, value_name = "ws://HOST:PORT/PATH")]
    pub url: Vec<Target>,

    /// Clients in all
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..=1_000_000))]
    pub connections: u32,
    /// Rooms; each client is in one
    #[arg(long, default_value_t = 10, value_name = "R", value_parser = RangedU64ValueParser::<u32>::new().range(1..=1_000_000))]
    pub rooms: u32,
    /// SENDs a second, of all clients together; 0: clients only listen
    #[arg(long, default_value_t = 50.0, value_name = "X", value_parser = rate)]
    pub rate: f64,
    /// How long to send
    #[arg(long, default_value_t = 30, value_name = "S")]
    pub seconds: u32,
    /// Size of a SEND's body in octets
    #[arg(long, default_value_t = 200, value_name = "OCTETS", value_parser = body())]
    pub body: u32,
    /// How many of the clients send [default: all]
    #[arg(long, value_name = "N")]
    pub senders: Option<u32>,

    /// Tokens, one a line, handed round the clients
    #[arg(long, conflicts_with = "token", value_name = "FILE", help_heading = "Who")]
    pub token_file: Option<PathBuf>,

    /// How clients speak to the server; several are handed round the members of each room
    #[arg(long, value_enum, value_delimiter = ',', default_value = "stomp", value_name = "LIST")]
    pub transport: Vec<Transport>,
    /// How the server is spoken to.
    #[command(flatten)]
    pub dialect: Dialect,
    /// Ask that a refused SEND leaves its session open (CONNECT x-errors:soft)
    #[arg(long, help_heading = "STOMP")]
    pub soft_errors: bool,
    /// Every SEND carries an Authorization header, as some front ends write it: it must not reach a room
    #[arg(long, help_heading = "STOMP")]
    pub authorization_on_send: bool,

    /// Connections opened per second at the beginning
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..=100_000), help_heading = "The run")]
    pub ramp: u32,
    /// A client that is cut stays away
    #[arg(long, help_heading = "Coming back")]
    pub no_reconnect: bool,
    /// All clients begin at the first --url and know the others only for later
    #[arg(long, help_heading = "Coming back")]
    pub first_url_first: bool,
    /// Who was cut comes back at once, all together; later attempts back off
    #[arg(long, help_heading = "Coming back")]
    pub reconnect_at_once: bool,
    /// Listen to the server saying that it drains (/session/notices), and move to another one before it ends the session
    #[arg(long, value_enum, default_value_t = Switch::On, value_name = "on|off", hide_possible_values = true, help_heading = "Coming back")]
    pub notices: Switch,
    /// The first attempt after a close 1012 is made at any time within this many seconds
    #[arg(long, default_value_t = 5.0, value_name = "S", value_parser = seconds, help_heading = "Coming back")]
    pub after_restart: f64,
    /// The longest pause between two attempts, in seconds; from half a second it doubles up to there
    #[arg(long, default_value_t = 30.0, value_name = "S", value_parser = seconds, help_heading = "Coming back")]
    pub back_off: f64,
    /// SUBSCRIBE without x-from: what came while a client was away is not owed to it
    #[arg(long, help_heading = "Coming back")]
    pub no_resume: bool,
    /// Every SEND carries an x-idempotency-key
    #[arg(long, help_heading = "Coming back")]
    pub keys: bool,
    /// What may or may not be stored is sent again, with the same key
    #[arg(long, requires = "keys", conflicts_with = "no_receipts", help_heading = "Coming back")]
    pub retry: bool,
    /// Threads of the generator [default: 2, or 1 where there is one processor]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=256), help_heading = "The run")]
    pub threads: Option<usize>,
    /// Write all that every client does and sees to this file, as JSON lines, for `verify`
    #[arg(long, value_name = "FILE", help_heading = "The run")]
    pub record: Option<PathBuf>,
    /// The result as one JSON object
    #[arg(long, help_heading = "The run")]
    pub json: bool,
}

/// The settings of `dump`.
#[derive(Debug, Clone, Args)]
pub struct DumpSettings {
    /// Kafka's bootstrap brokers
    #[arg(long, required = true, value_name = "HOST:PORT,…")]
    pub kafka: String,
    /// The topic
    #[arg(long, default_value = "chat.events.v1", value_name = "NAME")]
    pub topic: String,
    /// A setting for librdkafka; repeatable
    #[arg(long, value_name = "K=V", value_parser = property)]
    pub kafka_property: Vec<(String, String)>,
}

/// The settings of `verify`.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("log").required(true).multiple(true).args(["dump", "kafka"]))]
pub struct VerifySettings {
    /// A history; repeatable
    #[arg(long, required = true, value_name = "FILE")]
    pub history: Vec<PathBuf>,
    /// The topic as `dump` printed it; repeatable
    #[arg(long, value_name = "FILE")]
    pub dump: Vec<PathBuf>,
    /// Kafka's bootstrap brokers: the topic as it is now
    #[arg(long, value_name = "HOST:PORT,…")]
    pub kafka: Option<String>,
    /// The topic
    #[arg(long, default_value = "chat.events.v1", value_name = "NAME")]
    pub topic: String,
    /// A setting for librdkafka; repeatable
    #[arg(long, value_name = "K=V", value_parser = property)]
    pub kafka_property: Vec<(String, String)>,
    /// When a fault began, in milliseconds since 1970: how soon it was noticed, and how long it lasted; repeatable
    #[arg(long, value_name = "MS")]
    pub fault_at: Vec<u64>,
    /// No session may end unless its client asked for it
    #[arg(long)]
    pub expect_no_close: bool,
    /// Clients could not be reached for a while: how late an answer came is not judged
    #[arg(long)]
    pub late_answers: bool,
    /// The result as one JSON object
    #[arg(long)]
    pub json: bool,
}

impl ChatSettings {
    /// Which --url a client takes at this attempt; all count from 0.
    pub fn url_of(&self, client: u32, attempt: usize) -> usize {
        let (client, urls) = (client as usize, self.url.len());
        let turn = match (self.first_url_first, attempt) {
            (true, 0) => 0,
            // Those that the first one held are spread over the others.
            (true, later) if urls > 1 => 1 + (client + later - 1) % (urls - 1),
            _ => client + attempt,
        };
        turn % urls
    }

    /// How a client speaks to the server.
    pub fn transport_of(&self, client: u32) -> Transport {
        Transport::of(&self.transport, client, self.rooms)
    }

    /// Whether clients want to hear that a server drains.
    pub fn notices(&self) -> bool {
        self.notices == Switch::On
    }

    /// The longest time between a close 1012 and the first attempt.
    pub fn after_restart(&self) -> Duration {
        Duration::from_secs_f64(self.after_restart)
    }

    /// The longest pause between attempts.
    pub fn back_off(&self) -> Duration {
        Duration::from_secs_f64(self.back_off)
    }

    /// How many clients send.
    pub fn senders(&self) -> u32 {
        self.senders.unwrap_or(self.connections).min(self.connections)
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number from 0 to 86400".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.0..=1e6).contains(&rate) => Ok(rate),
        _ => Err("a number from 0 to 1000000".to_owned()),
    }
}

fn body() -> RangedU64ValueParser<u32> {
    RangedU64ValueParser::new().range(Payload::MAX_HEAD as u64..=1 << 24)
}

fn property(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    pair.ok_or_else(|| "name=value".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn chat_takes_its_flags() {
        let line = "klatsch-load chat --url ws://a/ws --url http://b:1 --rate 0.5 --heart-beat 0,5000 --senders 999";
        let Command::Chat(chat) = Cli::try_parse_from(line.split(' ')).unwrap().command else { panic!("chat") };
        assert_eq!((chat.url.len(), chat.rate, chat.dialect.heart_beat, chat.senders()), (2, 0.5, (0, 5000), 100));
        let storm = "klatsch-load chat --url ws://a --url ws://b --url ws://c --first-url-first";
        let Command::Chat(storm) = Cli::try_parse_from(storm.split(' ')).unwrap().command else { panic!("chat") };
        let urls = |client| [0, 1, 2, 3].map(|attempt| storm.url_of(client, attempt));
        assert_eq!((urls(0), urls(1)), ([0, 1, 2, 1], [0, 2, 1, 2]));
        for wrong in ["", "--url x", "--url ws://a --body 10", "--url ws://a --rate -1", "--url ws://a --heart-beat 1"]
        {
            let line = format!("klatsch-load chat {wrong}");
            assert!(Cli::try_parse_from(line.split_whitespace()).is_err(), "{line}");
        }
    }
}
