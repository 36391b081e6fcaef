//! The load generator's program: arguments → run → exit code.

use std::process::ExitCode;

use clap::Parser as _;
use klatsch_load::{
    bench, chaos, chat,
    cli::{Cli, Command},
    dump, roll, verify,
};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Chat(settings) => chat::run(*settings),
        Command::Dump(settings) => dump::run(&settings),
        Command::Verify(settings) => verify::run(&settings),
        Command::Chaos(settings) => chaos::run(&settings),
        Command::Roll(settings) => roll::run(&settings),
        Command::Bench(settings) => bench::run(&settings),
        Command::Baseline(settings) => bench::baseline::run(&settings),
    }
    .into()
}
