//! The reference server's binary: reads the command line and hands over to the library.

use clap::Parser;
use readywire_server::command_line::{Command, CommandLine};
use readywire_server::{logs, server, signals};
use std::process::ExitCode;

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
    let authority = line.tokens.authority()?;
    if let Some(Command::Token { subject, ttl, ticket }) = &line.command {
        println!("{}", if *ticket { authority.mint_ticket(subject, *ttl) } else { authority.mint(subject, *ttl) });
        return Ok(());
    }
    logs::to_error_stream();
    let asked_to_stop = signals::asked_to_stop()?;
    let running = server::start(&line, authority).await?;
    println!("listening on ws://{}/ws", running.address());
    running.until(asked_to_stop).await
}
