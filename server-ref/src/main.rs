//! The reference server's binary: reads the command line and hands over to the library.

use clap::Parser;
use readywire_server::command_line::{Command, CommandLine};
use readywire_server::log::memory::MemoryLog;
use readywire_server::log::socket;
use readywire_server::signals::Signals;
use readywire_server::{logs, server};
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> ExitCode {
    match run(CommandLine::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("readywire-server: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(line: CommandLine) -> Result<(), String> {
    if let Some(Command::Log { listen }) = line.command {
        return lend_log(listen).await;
    }
    let anonymous = matches!(&line.command, Some(Command::Gateway(gateway)) if gateway.anonymous);
    let authority = line.tokens.authority_or_none(anonymous)?;
    if let Some(Command::Token { subject, ttl, ticket }) = &line.command {
        println!("{}", if *ticket { authority.mint_ticket(subject, *ttl) } else { authority.mint(subject, *ttl) });
        return Ok(());
    }
    logs::to_error_stream();
    let mut signals = Signals::caught()?;
    let running = server::start(&line, authority).await?;
    println!("listening on ws://{}/ws", running.address());
    let asked = CancellationToken::new();
    let twice = async {
        signals.next().await;
        asked.cancel();
        signals.next().await;
    };
    tokio::select! {
        ended = running.until(asked.clone().cancelled_owned()) => ended,
        () = twice => Err("asked twice to stop: connections were not waited for".to_owned()),
    }
}

/// Keeps a log for other processes, until asked to stop.
async fn lend_log(listen: SocketAddr) -> Result<(), String> {
    logs::to_error_stream();
    let mut signals = Signals::caught()?;
    let cannot = |error: std::io::Error| format!("cannot keep a log at {listen}: {error}");
    let listener = socket::listen(listen).await.map_err(cannot)?;
    println!("log on {}", listener.local_addr().map_err(cannot)?);
    tokio::select! {
        () = socket::serve(listener, MemoryLog::new()) => {}
        () = signals.next() => {}
    }
    Ok(())
}
