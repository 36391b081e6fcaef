//! The edge's program: settings → log → run → exit code.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use klatsch_edge::{
    config::{Command, Config},
    logging, run,
    shutdown::Shutdown,
};

fn main() -> ExitCode {
    match Config::load(std::env::args_os(), std::env::vars_os()) {
        Ok(Command::Run(config)) => start(*config),
        Ok(Command::CheckConfig(_)) => say("the settings are in order"),
        Ok(Command::Healthcheck(admin)) => healthcheck(admin),
        Ok(Command::Print(text)) => say(text.trim_end()),
        Err(faults) => {
            complain(&format!("{faults}\n`klatsch-edge --help` lists every setting."));
            ExitCode::from(64)
        }
    }
}

fn start(config: Config) -> ExitCode {
    logging::init(&config);
    let shutdown = Shutdown::new();
    if let Err(error) = shutdown.on_signals() {
        complain(&format!("signals cannot be handled: {error}"));
        return ExitCode::from(70);
    }
    let exit = run(config, shutdown);
    // Threads that are still busy own nothing that is worth waiting for.
    std::process::exit(exit.code().into())
}

/// GET /readyz; what it says goes to stdout.
fn healthcheck(admin: SocketAddr) -> ExitCode {
    match ask(admin) {
        Ok(answer) if answer.starts_with("HTTP/1.1 200") => say("ready"),
        Ok(answer) => {
            complain(answer.split_once("\r\n\r\n").map_or(answer.as_str(), |(_, body)| body).trim_end());
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(&format!("no answer from http://{admin}/readyz: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn ask(admin: SocketAddr) -> std::io::Result<String> {
    let patience = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&admin, patience)?;
    stream.set_read_timeout(Some(patience))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer)?;
    Ok(answer)
}

fn say(text: &str) -> ExitCode {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(text: &str) {
    // Nobody is left to tell if this fails.
    let _ = writeln!(std::io::stderr(), "{text}");
}
