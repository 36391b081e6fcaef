//! The load generator's program: arguments → run → exit code.

use std::process::ExitCode;

use clap::Parser as _;
use klatsch_load::{
    chat,
    cli::{Cli, Command},
    dump, verify,
};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Chat(settings) => chat::run(*settings),
        Command::Dump(settings) => dump::run(&settings),
        Command::Verify(settings) => verify::run(&settings),
    }
    .into()
}
